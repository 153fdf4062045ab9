"""An evaluator whose process dies, importable by worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.evaluation import Measurement
from search.evaluators.train import TrainEvaluator
from search.spec import SearchSpec
from search.strategies.darts import DartsSearch
from search.trial import Trial


class Mortal:
    """Trains. Its first process is killed at the start of step `kill_at` of a supernet.

    Leaves a file in `folder` for each attempt at a supernet, `attempt-<n>`, as long as the steps
    that it began.
    """

    def __init__(self, folder: Path, spec: SearchSpec, kill_at: int) -> None:
        self._folder, self._kill_at = folder, kill_at
        self._evaluator = TrainEvaluator.for_search(spec, str(folder))

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        if not trial.is_supernet:
            yield from self._evaluator.evaluate(trial)
            return
        before = len(steps_of_attempts(self._folder))
        path, plain = self._folder / f"attempt-{before}", DartsSearch.step
        path.touch()

        def step(search: DartsSearch, *batches: object) -> object:
            with path.open("a") as file:
                file.write(".")
            if not before and path.stat().st_size == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(search, *batches)  # type: ignore[arg-type]  # as they came

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DartsSearch, "step", step)
            yield from self._evaluator.evaluate(trial)


def steps_of_attempts(folder: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(folder.glob("attempt-*"))]
