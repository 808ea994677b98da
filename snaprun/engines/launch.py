"""Start a Jupyter kernel as a run needs it: over private sockets, with its own output caught, ending only as told."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.client import KernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from snaprun.engines import BOOT, TAIL, TERM_PATIENCE, environment, is_running
from snaprun.engines.channels import Channels, Message
from snaprun.engines.job import Job
from snaprun.live.livefolder import SOCKET_PREFIX
from snaprun.notebooks.kernels import Kernel, interpreter_of

IPYKERNEL = ("ipykernel_launcher", "ipykernel")
SOCKET_ROOM = 107 - len(f"/{SOCKET_PREFIX}12345678/worker")
"""Bytes that the folder for the socket folder may have: ``sun_path`` holds 108 with the final NUL."""

MESSAGES = 100
"""Messages that wait for us at most in a socket whose other end waits as well."""


class _Manager(AsyncKernelManager):  # type: ignore[misc]
    """jupyter_client's manager for a kernel that was chosen already."""

    chosen_spec: Any = None

    @property
    def kernel_spec(self) -> Any:
        return self.chosen_spec


class KernelProcess:
    """A kernel's process with its pipes. ``sink`` gets what it writes outside Jupyter's protocol, once it is ready."""

    def __init__(self, job: Job, kernel: Kernel, sink: Callable[[bytes], None]) -> None:
        self.tail = b""
        self._sink = sink
        self._ready = False
        self._boots = module_of(kernel) is not None
        self._folder = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir=_short_folder(job.environment)))
        self._context = zmq.Context()
        self._context.setsockopt(zmq.RECONNECT_IVL, 10)
        self._context.setsockopt(zmq.RCVHWM, MESSAGES if self._boots else 0)  # 0, all: others drop what we do not take
        self._pull: Any = None
        if self._boots:
            self._pull = self._context.socket(zmq.PULL)
            self._pull.bind(f"ipc://{self._folder / 'worker'}")
        self.manager = _Manager(connection_file=str(job.live.kernel), transport="ipc", ip=str(self._folder / "k"))
        self.manager.chosen_spec = _build_spec(kernel)
        self._readers: list[int] = []
        self._pipes: tuple[int, ...] = ()
        self.pid = 0
        self.returncode: int | None = None

    async def start(self, job: Job) -> None:
        """Start it. Raises OSError or RuntimeError when the command cannot be executed."""
        noise, noise_end = os.pipe()
        out, out_end, err, err_end = (*os.pipe(), *os.pipe())
        descriptors = (out, out_end, err, err_end) if self._boots else ()
        variables = {
            "SNAPRUN_PIPES": ",".join(map(str, descriptors)),
            "SNAPRUN_PATH": str(job.live.import_path),
            "SNAPRUN_WORKER": f"ipc://{self._folder / 'worker'}",
        }
        try:
            await self.manager.start_kernel(
                env={**environment(job), **(variables if self._boots else {})},
                cwd=str(job.folder),
                stdout=noise_end,
                stderr=noise_end,
                pass_fds=descriptors,
            )
        except BaseException:
            for number in (noise, out, err):
                os.close(number)
            raise
        finally:
            for number in (noise_end, out_end, err_end):
                os.close(number)
        self.pid = self.manager.provisioner.pid
        self._pipes = (out, err)
        os.set_blocking(noise, False)
        self._readers.append(noise)
        asyncio.get_running_loop().add_reader(noise, self._read_noise, noise)

    def mark_ready(self) -> None:
        """From now on what the process itself writes is passed on; before, it only explains a start that failed."""
        self._ready = True

    def channels(self, handler: Callable[[Message], None]) -> Channels:
        """Talk with it; ``handler`` is called with every message."""
        client = KernelClient(context=self._context, **self.manager.get_connection_info(session=True))
        pull, self._pull = self._pull, None
        return Channels(client, handler, iopub=pull or client.connect_iopub())

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.returncode is None and self.pid > 0 and is_running(self.pid)

    async def wait_for_end(self, seconds: float) -> bool:
        """Wait until the process has ended, for so long at most; whether it has."""
        deadline = time.monotonic() + seconds
        pause = 0.005
        while self.alive():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return True

    async def interrupt(self) -> None:
        """What the stop button does: INT to the kernel's group, or a message where the kernel wants that."""
        if self.alive():
            await self.manager.interrupt_kernel()

    async def kill(self) -> None:
        """TERM, then KILL, to the whole group; returns when the process has ended."""
        self.signal(signal.SIGTERM)
        if not await self.wait_for_end(TERM_PATIENCE):
            self.signal(signal.SIGKILL)
            await self.wait_for_end(TERM_PATIENCE)

    def signal(self, signum: int) -> None:
        """Signal the kernel's process group: it leads one, and is not reaped before :meth:`close`."""
        if self.pid and self.returncode is None:
            try:
                os.killpg(self.pid, signum)
            except (ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
                return

    def read_leftovers(self) -> tuple[bytes, bytes]:
        """What a dead kernel left unread of its standard output and error."""
        return tuple(_read_all(number) for number in self._pipes) if self._pipes else (b"", b"")  # type: ignore[return-value]

    async def reap(self) -> None:
        """Kill what is left of the group, and learn how the process ended."""
        self.signal(signal.SIGKILL)
        await self.wait_for_end(TERM_PATIENCE)
        if self.pid and self.returncode is None:
            self.returncode = await self.manager.provisioner.poll()

    async def close(self) -> None:
        """Kill what is left of the group, reap the process, and remove sockets, pipes and the connection file."""
        await self.reap()
        loop = asyncio.get_running_loop()
        for number in self._readers:
            self._read_noise(number)
            loop.remove_reader(number)
            os.close(number)
        for number in self._pipes:
            os.close(number)
        self._readers, self._pipes = [], ()
        if self._pull is not None:
            self._pull.close(linger=0)
        await self.manager.cleanup_resources()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read_noise(self, number: int) -> None:
        data = _read_all(number)
        if data:
            self.tail = (self.tail + data)[-TAIL:]
            if self._ready:
                self._sink(data)
        elif number in self._readers:
            asyncio.get_running_loop().remove_reader(number)


def module_of(kernel: Kernel) -> str | None:
    """The Python module that is the kernel; None when its command is not ``python … -m MODULE …``."""
    if not os.path.basename(kernel.argv[0]).startswith("python"):
        return None
    pairs = zip(kernel.argv, kernel.argv[1:], strict=False)
    return next((second for first, second in pairs if first == "-m"), None)


def _build_spec(kernel: Kernel) -> Any:
    argv = list(kernel.argv)
    module = module_of(kernel)
    if module:
        argv[argv.index("-m")] = str(BOOT / "kernel.py")
        argv[0] = kernel.python or argv[0]
    argv[0] = interpreter_of(argv[0])
    if module in IPYKERNEL:
        argv.append("--HistoryManager.hist_file=:memory:")
    return KernelSpec(
        argv=argv,
        env=dict(kernel.env),
        language=kernel.language,
        display_name=kernel.name,
        interrupt_mode=kernel.interrupt_mode,
        resource_dir=kernel.folder or "",
    )


def _short_folder(environment: Mapping[str, str]) -> str | None:
    """A folder of the user's own for sockets whose path is short enough; None for the default temporary one."""
    for folder in (environment.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        if folder and len(os.fsencode(folder)) <= SOCKET_ROOM and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def _read_all(number: int) -> bytes:
    """All that waits in a pipe, without waiting for more."""
    os.set_blocking(number, False)
    parts = []
    while True:
        try:
            data = os.read(number, 65536)
        except BlockingIOError:
            break
        if not data:
            break
        parts.append(data)
    return b"".join(parts)
