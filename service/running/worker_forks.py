"""Worker processes of Ray as forks of one process, which has imported what all of them need:
`python -m service.running.worker_forks DESCRIPTOR`, a child of `ray_head`.

A worker that imports by itself takes 7 s of a core before its first trial, and memory of its own
for all of it; a fork takes 1 s, for Ray. Ray itself cannot be imported before the fork: it reads a
worker's environment then, the number of its job among it, and knows no second time.

Nothing is imported before the first order. The process ends with the head, and every worker ends
with it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from dataclasses import dataclass

from models.processes.bootstrap import end_with
from search.engine.ray_workers import SHARED_MODULES


@dataclass(frozen=True)
class Order:
    """A worker that the raylet wants; `streams` are the descriptors of its input and outputs."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]

    @classmethod
    def from_socket(cls, connection: socket.socket) -> Order:
        message, streams, _, _ = socket.recv_fds(connection, 1, 3)
        while part := connection.recv(65_536):
            message += part
        return cls(**json.loads(message), streams=streams)


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        order = _order_in_a_fork(listener)
    sys.argv = order.arguments
    runpy.run_path(order.arguments[0], run_name="__main__")


def _order_in_a_fork(listener: socket.socket) -> Order:
    """Returns in a process that is to become the worker of the order, and in no other."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker that has ended
    parent, is_ready = os.getpid(), False
    while True:
        connection, _ = listener.accept()
        with connection:
            order = Order.from_socket(connection)
        if not is_ready:
            _import()
            is_ready = True
        if os.fork() == 0:
            end_with(parent, signal.SIGKILL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(order)
            return order
        for stream in order.streams:
            os.close(stream)


def _import() -> None:
    for module in SHARED_MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what the collector never looks at stays shared memory


def _become(order: Order) -> None:
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    for descriptor, stream in enumerate(order.streams):
        os.dup2(stream, descriptor)
        os.close(stream)


if __name__ == "__main__":
    main()
