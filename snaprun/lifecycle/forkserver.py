"""Fork supervisors and workers for runs that come one after another: what they import is imported once for all.

What :mod:`multiprocessing` calls a fork server: one thread, nothing open, no state of any run. Both processes of a run
share its memory, so that the second costs next to none, and they are of one version also where snaprun is upgraded
meanwhile. Linux only, since other systems do not promise that what was imported survives a fork.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from snaprun import engines
from snaprun.launchers.local import ACKNOWLEDGEMENT
from snaprun.lifecycle import environment, supervisor, worker
from snaprun.lifecycle.supervisor import Signals, Worker
from snaprun.machine import process, streams

REFUSAL = b"?"
"""The answer where no process can be made."""


def main(argv: list[str]) -> int:
    """Serve requests on standard input until the other end goes away. ``argv``: the engine that the runs need.

    A request is any byte, with two descriptors: the socket through which the supervisor gets its order, and the file
    that it and the worker write their messages to before they have one.
    """
    connection = socket.socket(fileno=os.dup(0))
    streams.detach(streams.IN)  # a supervisor that still had it would hide that this process is gone
    engines.engine(argv[0])
    environment.machine()  # for which ``platform`` asks another program, once a process
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, every page that it shares with this process
    while True:
        _, handles, _, _ = socket.recv_fds(connection, 1, 2)
        if len(handles) != 2:
            return 0
        child = os.fork()
        if child == 0:
            return _become_supervisor(connection, *handles)
        for handle in handles:
            os.close(handle)
        connection.send(REFUSAL if os.waitpid(child, 0)[1] else ACKNOWLEDGEMENT)


def _become_supervisor(connection: socket.socket, order_handle: int, message_handle: int) -> int:
    """Turn this process into a supervisor that nobody has to reap, and a child of it into its worker."""
    connection.close()
    os.setsid()
    if os.fork():
        os._exit(0)
    os.dup2(message_handle, 2)
    os.close(message_handle)
    supervisor_end, worker_end = socket.socketpair()
    pid = os.fork()
    if pid:
        worker_end.close()
        return supervisor.serve(Worker(pid, supervisor_end), Signals(), socket.socket(fileno=order_handle))
    os.close(order_handle)
    supervisor_end.close()
    os.dup2(worker_end.fileno(), 0)
    worker_end.close()
    os.environ.pop(process.SUPERVISOR, None)  # what a worker starts is no supervisor
    return worker.main([])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
