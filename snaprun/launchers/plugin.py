"""A launcher of another package: whatever goes wrong in it is told by its name, and stays its own trouble."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from snaprun.errors import SnaprunError, Unavailable
from snaprun.launchers import STATES, News, Site, State, Submission
from snaprun.model import Status

Got = TypeVar("Got")

FUNCTIONS = ("check", "submit", "poll", "cancel", "logs")
"""What a launcher must have."""

ENDS = frozenset(status.value for status in Status if status.over and status is not Status.SAVED)
"""What a State may say of an end."""

PATIENCE = 10.0
"""Seconds that a command which only looks at runs waits for a plug-in's word."""

MEND = "mend or remove that package, or use another --launcher"


class PlugIn:
    """The launcher as the others see it: it has what its module has, and raises nothing but a SnaprunError."""

    def __init__(self, name: str, where: str, module: Any) -> None:
        """Raises Unavailable where it is no launcher."""
        self._who = f"launcher {name!r} ({where})"
        self._module = module
        for function in FUNCTIONS:
            if not callable(getattr(module, function, None)):
                raise Unavailable(f"{self._who} has no function {function}", hint=MEND)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the module has; its functions are guarded."""
        found = getattr(self._module, name)
        if name == "news":
            return self._news
        return self._guarded(found) if callable(found) else found

    def submit(self, site: Site, runs: Sequence[Submission]) -> list[str]:
        """As the module does it. Raises Unavailable where it does not return a handle for each run."""
        handles = self._guarded(self._module.submit)(site, runs)
        if not _fits(handles, len(runs), lambda one: isinstance(one, str) and one != ""):
            raise self._wrong("submit", "a text for each run", handles)
        return list(handles)

    def poll(self, site: Site, handles: Sequence[str]) -> list[State]:
        """As the module does it. Raises Unavailable where it does not answer in time, or not with a state for each."""
        states = self._in_time(self._guarded(self._module.poll), site, handles)
        if not _fits(states, len(handles), _sound):
            raise self._wrong("poll", "a State for each handle", states)
        return list(states)

    def _news(self, site: Site, known: Mapping[str, Mapping[str, int]]) -> dict[str, News]:
        """The same of what a distant launcher has to tell."""
        news = self._in_time(self._guarded(self._module.news), site, known)
        good = isinstance(news, Mapping) and set(news) >= set(known)
        if not good or not all(isinstance(news[one], News) and _sound(news[one].state) for one in known):
            raise self._wrong("news", "News for each handle", news)
        return dict(news)

    def _guarded(self, function: Callable[..., Got]) -> Callable[..., Got]:
        def guarded(*args: Any, **named: Any) -> Got:
            try:
                return function(*args, **named)
            except SnaprunError:
                raise
            except (Exception, SystemExit) as error:  # the edge to foreign code: whatever it raises, say whose it is
                raise Unavailable(f"{self._who} failed: {_told(error)}", hint=MEND) from error

        return guarded

    def _in_time(self, function: Callable[..., Got], *args: Any) -> Got:
        """What a function returns, or raises; one that does not end is left behind, and goes with this process."""
        said: list[Got | BaseException] = []

        def ask() -> None:
            try:
                said.append(function(*args))
            except BaseException as error:  # noqa: BLE001  # raised again below, in the thread that asks
                said.append(error)

        thread = threading.Thread(target=ask, name="snaprun-plugin", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if not said:
            raise Unavailable(f"{self._who} has not answered for {PATIENCE:.0f} s", hint=MEND)
        if isinstance(said[0], BaseException):
            raise said[0]
        return said[0]

    def _wrong(self, function: str, wanted: str, got: object) -> Unavailable:
        return Unavailable(f"{self._who} must return {wanted} from {function}, not {_short(got)}", hint=MEND)


def _fits(answer: object, count: int, good: Callable[[Any], bool]) -> bool:
    return isinstance(answer, (list, tuple)) and len(answer) == count and all(map(good, answer))


def _sound(state: object) -> bool:
    """Whether a state is one that the rest can work with."""
    return (
        isinstance(state, State)
        and state.state in STATES
        and (state.reason is None or isinstance(state.reason, str))
        and (state.status is None or state.status in ENDS)
        and (state.exit_code is None or isinstance(state.exit_code, int))
    )


def _told(error: BaseException) -> str:
    """An error of foreign code in a line, with the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}".replace("\n", " ")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
