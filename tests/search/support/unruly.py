"""An evaluator that misbehaves on order, importable by worker processes."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from search.evaluation import EvaluationError, Measurement, PoisonedError
from search.trial import FailureKind, Trial


class Unruly:
    """Scores 0.5 plus a hundredth of the trial's number after `epochs` of `seconds` each.

    `orders`: what a trial does instead, by its number: "fail", "raise", "exit", "exit once",
    "freeze once", "stop once" (the whole process, by a signal), "long", "hog" or "poison".
    Leaves a file in `folder` for each attempt, named after the trial, that holds the process id,
    and one that holds the path of a temporary file, which it leaves, too.
    """

    def __init__(
        self,
        folder: Path,
        orders: Mapping[int, str] | None = None,
        epochs: int = 2,
        seconds: float = 0.02,
    ) -> None:
        self._folder, self._orders = folder, orders or {}
        self._epochs, self._seconds = epochs, seconds

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        attempts = sum(path.name.startswith(f"{trial.number}-") for path in self._folder.iterdir())
        (self._folder / f"{trial.number}-{attempts}").write_text(str(os.getpid()))
        descriptor, left = tempfile.mkstemp()
        os.close(descriptor)
        (self._folder / f"temporary {trial.number}.{attempts}").write_text(left)
        score = 0.5 + trial.number / 100
        for epoch in range(1, self._epochs + 1):
            yield Measurement({"epoch": float(epoch), "val_accuracy": score})
            time.sleep(self._seconds)
            if not trial.kind.sees_test:
                self._obey(self._orders.get(trial.number, ""), attempts)

    def _obey(self, order: str, attempts: int) -> None:
        if order == "fail":
            raise EvaluationError(
                FailureKind.OUT_OF_MEMORY, "3 GB are not there", {"latency_ms": 7.0}
            )
        if order == "poison":
            raise PoisonedError(FailureKind.ERROR, "CUDA error: device-side assert triggered")
        if order == "hog":
            whole = psutil.virtual_memory().total
            self.held = [bytes(2**28) for _ in range(whole // 2**28)]  # zeros cost no memory
        if order == "raise":
            raise ZeroDivisionError("no luck")
        if order == "exit" or (order == "exit once" and not attempts):
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "stop once" and not attempts:
            os.kill(os.getpid(), signal.SIGSTOP)
        if order == "long" or (order == "freeze once" and not attempts):
            time.sleep(600)


class Late:
    """Makes well-behaved evaluators, `Unruly` without orders. It arrives in the second process only
    when `trials` have begun in the first: the actor there takes as long to be made. The first then
    waits for it, as trials are shorter than any start of a process.
    """

    def __init__(self, folder: Path, trials: int) -> None:
        self._folder, self._trials, self._home = folder, trials, os.getpid()

    def __call__(self) -> Unruly:
        return _Waiting(self._folder, self._trials)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getpid() == self._home or _is_first(self._folder):
            return
        _wait_until(lambda: len(list(self._folder.glob("*-0"))) >= self._trials)
        (self._folder / "second").touch()


class StoppedAtStart:
    """Makes well-behaved evaluators, but stops the first process that it arrives in, by a signal,
    while the actor there is being made. `folder / "first"` holds its number.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._home = folder, os.getpid()

    def __call__(self) -> Unruly:
        return Unruly(self._folder / "attempts")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if os.getpid() != self._home and _is_first(self._folder):
            os.kill(os.getpid(), signal.SIGSTOP)


class _Waiting(Unruly):
    def __init__(self, folder: Path, trials: int) -> None:
        super().__init__(folder, epochs=1, seconds=0.0)
        self._trials = trials

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        yield from super().evaluate(trial)
        if len(list(self._folder.glob("*-0"))) > self._trials:
            _wait_until((self._folder / "second").exists)


def _is_first(folder: Path) -> bool:
    """Whether no other process was here before."""
    first = folder / "first"
    with contextlib.suppress(FileExistsError), first.open("x") as file:
        file.write(str(os.getpid()))
    return first.read_text() == str(os.getpid())


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the other process has not come so far")
        time.sleep(0.01)


class Unbuildable:
    def __init__(self) -> None:
        raise FileNotFoundError("no dataset here")

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        raise AssertionError("never built")


def temporary_files(folder: Path, number: int) -> list[Path]:
    """Of the attempts at a trial; they may be gone."""
    return [Path(path.read_text()) for path in sorted(folder.glob(f"temporary {number}.*"))]


def attempts(folder: Path, number: int) -> list[int]:
    """The process ids of the attempts at a trial."""
    paths = sorted(folder.glob(f"{number}-*"))
    return [int(path.read_text()) for path in paths]
