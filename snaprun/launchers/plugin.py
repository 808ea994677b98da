"""Guard a launcher of another package: whatever goes wrong in it is told by its name, and stays its own trouble."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from snaprun.errors import SnaprunError, Unavailable
from snaprun.launchers import STATES, Abilities, News, Site, State, Submission
from snaprun.statuses import Status

Got = TypeVar("Got")

FUNCTIONS = ("check", "submit", "poll", "cancel")
"""What a launcher must have."""

ENDS = frozenset(status.value for status in Status if status.over and status.launched)
"""What a State may say of an end."""

PATIENCE = 10.0
"""Seconds that a command which only looks at runs waits for a plug-in's word."""

HINT = "mend or remove that package, or use another --launcher"


class PlugIn:
    """The launcher as the others see it: it has what its module has, and raises nothing but a SnaprunError."""

    def __init__(self, name: str, origin: str, module: Any) -> None:
        """Raises Unavailable where it is no launcher."""
        self._label = f"launcher {name!r} ({origin})"
        self._module = module
        for function in FUNCTIONS:
            if not callable(getattr(module, function, None)):
                raise Unavailable(f"{self._label} has no function {function}", hint=HINT)
        if not isinstance(getattr(module, "ABILITIES", Abilities()), Abilities):
            raise Unavailable(f"{self._label} must have snaprun.launchers.Abilities as ABILITIES", hint=HINT)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the module has; its functions are guarded."""
        attribute = getattr(self._module, name)
        if name == "news":
            return self._news
        return self._guard(attribute) if callable(attribute) else attribute

    def submit(self, site: Site, runs: Sequence[Submission]) -> list[str]:
        """As the module does it. Raises Unavailable where it does not return a handle for each run."""
        handles = self._guard(self._module.submit)(site, runs)
        if not _is_list_of(handles, len(runs), lambda handle: isinstance(handle, str) and handle != ""):
            raise self._contract_error("submit", "a text for each run", handles)
        return list(handles)

    def poll(self, site: Site, handles: Sequence[str]) -> list[State]:
        """As the module does it. Raises Unavailable where it does not answer in time, or not with a state for each."""
        states = self._call_in_time(self._guard(self._module.poll), site, handles)
        if not _is_list_of(states, len(handles), _is_valid_state):
            raise self._contract_error("poll", "a State for each handle", states)
        return list(states)

    def _news(self, site: Site, offsets: Mapping[str, Mapping[str, int]]) -> dict[str, News]:
        """The same of what a distant launcher has to tell."""
        news = self._call_in_time(self._guard(self._module.news), site, offsets)
        is_complete = isinstance(news, Mapping) and set(news) >= set(offsets)
        if not is_complete or not all(
            isinstance(news[handle], News) and _is_valid_state(news[handle].state) for handle in offsets
        ):
            raise self._contract_error("news", "News for each handle", news)
        return dict(news)

    def _guard(self, function: Callable[..., Got]) -> Callable[..., Got]:
        def wrapper(*args: Any, **keywords: Any) -> Got:
            try:
                return function(*args, **keywords)
            except SnaprunError:
                raise
            except (Exception, SystemExit) as error:  # the edge to foreign code: whatever it raises, say whose it is
                raise Unavailable(f"{self._label} failed: {_describe_error(error)}", hint=HINT) from error

        return wrapper

    def _call_in_time(self, function: Callable[..., Got], *args: Any) -> Got:
        """What a function returns, or raises; one that does not end is left behind, and goes with this process."""
        outcomes: list[Got | BaseException] = []

        def collect() -> None:
            try:
                outcomes.append(function(*args))
            except BaseException as error:  # noqa: BLE001  # raised again below, in the thread that asks
                outcomes.append(error)

        thread = threading.Thread(target=collect, name="snaprun-plugin", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if not outcomes:
            raise Unavailable(f"{self._label} has not answered for {PATIENCE:.0f} s", hint=HINT)
        if isinstance(outcomes[0], BaseException):
            raise outcomes[0]
        return outcomes[0]

    def _contract_error(self, function: str, requirement: str, value: object) -> Unavailable:
        return Unavailable(f"{self._label} must return {requirement} from {function}, not {_shorten(value)}", hint=HINT)


def _is_list_of(answer: object, count: int, is_valid: Callable[[Any], bool]) -> bool:
    return isinstance(answer, (list, tuple)) and len(answer) == count and all(map(is_valid, answer))


def _is_valid_state(state: object) -> bool:
    """Whether a state is one that the rest can work with."""
    return (
        isinstance(state, State)
        and state.state in STATES
        and (state.reason is None or isinstance(state.reason, str))
        and (state.status is None or state.status in ENDS)
        and (state.exit_code is None or isinstance(state.exit_code, int))
    )


def _describe_error(error: BaseException) -> str:
    """An error of foreign code in a line, with the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    location = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{location}".replace("\n", " ")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
