"""Worker processes of Ray, and drivers, as forks of one process, which has imported what all of
them need: `python -m service.running.worker_forks DESCRIPTOR`, a child of `ray_head`.

A worker that imports by itself takes 7 s of a core before its first trial, a driver six before its
search, and each memory of its own for all of it; a fork takes 1 s, for Ray. Ray itself cannot be
imported before the fork: it reads a worker's environment then, the number of its job among it, and
knows no second time.

Nothing is imported before the first order. The process ends with the head, and every fork ends with
it. Who orders a driver hears its number, and its exit code at its end.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from models.processes.bootstrap import end_with
from search.engine.ray_workers import SHARED_MODULES

DRIVER_MODULES = (
    "models.simple",
    "search.request.opening",
    "service.logs",
    "service.running.lease_keeper",
    "service.running.publishing",
    "service.running.search_trace",
    "service.sql.dataset_facts",
)
"""What drivers need beside that and Ray."""

NAME = b"nasmith-driver"
"""Of the process of a driver, as `ps` and `top` show it: its command line is that of the forks."""

_PR_SET_NAME = 15  # linux/prctl.h


@dataclass(frozen=True)
class Order:
    """A process that somebody wants. `streams` are the descriptors of its input and outputs; of a
    driver a fourth, on which its end is told.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]

    @classmethod
    def from_socket(cls, connection: socket.socket) -> Order:
        message, streams, _, _ = socket.recv_fds(connection, 1, 4)
        while part := connection.recv(65_536):
            message += part
        return cls(**json.loads(message), streams=streams)

    @property
    def is_driver(self) -> bool:
        return len(self.streams) > 3


class Origin:
    """Of the forks; it has no threads."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._ends, self._wakeup = socket.socketpair()
        for end in (self._ends, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._drivers: dict[int, socket.socket] = {}

    def order_in_a_fork(self) -> Order:
        """Returns in a process that is to become what the order says, and in no other."""
        is_ready, parent = False, os.getpid()
        for order in self._orders():
            if not is_ready:
                _import()
                is_ready = True
            pid = os.fork()
            if pid == 0:
                end_with(parent, signal.SIGKILL)
                self._forget()
                _become(order)
                return order
            self._keep(pid, order)
        raise AssertionError("orders come as long as this process lives")

    def _orders(self) -> Iterator[Order]:
        while True:
            ready, _, _ = select.select([self._listener, self._ends], [], [])
            if self._ends in ready:
                self._ends.recv(4096)
                self._reap()
            if self._listener in ready:
                connection, _ = self._listener.accept()
                with connection:
                    order = Order.from_socket(connection)
                yield order

    def _keep(self, pid: int, order: Order) -> None:
        for stream in order.streams[:3]:
            os.close(stream)
        if order.is_driver:
            self._drivers[pid] = life = socket.socket(fileno=order.streams[3])
            try:
                life.send(f"{pid}\n".encode())
            except OSError:  # nobody wants it any more
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Those that have ended."""
        with contextlib.suppress(ChildProcessError):  # there is none
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if life := self._drivers.pop(pid, None):
                    with life, contextlib.suppress(OSError):  # nobody listens
                        life.send(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def _forget(self) -> None:
        """What the origin alone works with."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._listener, self._ends, self._wakeup, *self._drivers.values()):
            end.close()


def main() -> None:
    order = Origin(socket.socket(fileno=int(sys.argv[1]))).order_in_a_fork()
    sys.argv = order.arguments
    target = order.arguments[0]
    if order.is_driver:
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(target, run_name="__main__")


def _import() -> None:
    for module in (*SHARED_MODULES, *DRIVER_MODULES):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what the collector never looks at stays shared memory


def _become(order: Order) -> None:
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    for descriptor, stream in enumerate(order.streams[:3]):
        os.dup2(stream, descriptor)
        os.close(stream)
    if order.is_driver:
        os.close(order.streams[3])
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME, 0, 0, 0)


if __name__ == "__main__":
    main()
