"""The process that forks of a module come from: `python -m models.processes.forking MODULE NICENESS
DESCRIPTOR`, a child of `models.processes.forks.Forks`.

It imports the module once, has it `prepare`, and then becomes `answering(MODULE.answer)` in a fork
for each order that comes through the socket DESCRIPTOR. It sees no question and no answer itself.
Every fork ends with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from models.processes.bootstrap import end_with
from models.processes.conversation import answering

STREAMS = 3
"""Of an order: for questions and answers, for errors, and for the code of the fork's exit."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Order:
    """A fork that somebody wants. `ended` hangs up when nobody does any more."""

    folder: str
    talk: int
    errors: int
    ended: socket.socket


class Forking:
    """Of one process, which has no threads."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._ends, wakeup = socket.socketpair()
        self._ends.setblocking(False)
        wakeup.setblocking(False)
        self._wakeup = wakeup
        signal.set_wakeup_fd(wakeup.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._running: dict[int, socket.socket] = {}
        self._unwanted: set[int] = set()

    def orders(self) -> Iterator[Order]:
        """As long as this process lives; what has ended meanwhile is told."""
        while True:
            ready = self._ready()
            if self._ends.fileno() in ready:
                self._ends.recv(4096)
                self._tell_ends()
            for pid in self._running.keys() - self._unwanted:
                if self._running[pid].fileno() in ready:
                    os.kill(pid, signal.SIGKILL)
                    self._unwanted.add(pid)
            if self._orders.fileno() in ready:
                folder, streams, _, _ = socket.recv_fds(self._orders, 4096, STREAMS)
                talk, errors, ended = streams
                yield Order(os.fsdecode(folder), talk, errors, socket.socket(fileno=ended))

    def become(self, order: Order, answer: Answer) -> None:
        """In a fork, which ends here."""
        parent, pid = os.getpid(), os.fork()
        if pid:
            self._running[pid] = order.ended
            os.close(order.talk)
            os.close(order.errors)
            return
        code = 1
        try:
            end_with(parent, signal.SIGKILL)
            self._forget()
            _be(order)
            answering(answer)
            code = 0
        except BaseException:  # whatever it is, it ends this process, and nothing of its parent's
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _ready(self) -> set[int]:
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        poll.register(self._ends, select.POLLIN)
        for pid in self._running.keys() - self._unwanted:
            poll.register(self._running[pid], select.POLLIN)  # its end: nothing is ever sent here
        return {descriptor for descriptor, _ in poll.poll()}

    def _tell_ends(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._unwanted.discard(pid)
            with self._running.pop(pid) as ended, contextlib.suppress(OSError):  # nobody listens
                ended.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _forget(self) -> None:
        """What the parent alone works with."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._orders, self._ends, self._wakeup, *self._running.values()):
            end.close()


def _be(order: Order) -> None:
    os.chdir(order.folder)
    os.environ["HOME"] = os.environ["TMPDIR"] = tempfile.tempdir = order.folder
    for descriptor, stream in enumerate((order.talk, order.talk, order.errors)):
        os.dup2(stream, descriptor)
    os.close(order.talk)
    os.close(order.errors)
    order.ended.close()


def main() -> None:
    target, niceness, descriptor = sys.argv[1:]
    os.nice(int(niceness))
    module = importlib.import_module(target)
    module.prepare()
    gc.collect()
    gc.freeze()  # what the collector never looks at stays shared memory
    with socket.socket(fileno=int(descriptor)) as orders:
        forking = Forking(orders)
        for order in forking.orders():
            forking.become(order, module.answer)


if __name__ == "__main__":
    main()
