"""Cross-validation: one network a fold, trained side by side, and scored by their means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Generator, Mapping, Sequence

import torch
from torch import nn

from models.datasets import Dataset
from models.recipe import Recipe
from models.streams import TrainingPurpose, seed_for
from models.training.trainer import Training, TrainingState
from models.training.values import ErrorUnit


class FoldedTraining:
    """As `models.training.trainer.Training`, of a dataset with folds. Each has a network and a seed
    of its own; an epoch is one of each, so that a curve is a mean over the folds from its first
    point on. A fold that ends early counts with what it ended with.

    Metrics are `mean_over` those of the folds.
    """

    def __init__(
        self,
        build: Callable[[int], nn.Module],
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        error_unit: ErrorUnit = "own_unit",
        best_for: str | None = None,
        start: TrainingState | None = None,
        micro_batches: int = 1,
    ) -> None:
        """`build`: a network by its seed. `best_for`: each fold has a threshold of its own, as it
        has a validation. `start`: of such a training, to go on after it.
        """
        dataset = dataset.read_as(recipe.tokens)
        count = len(dataset.folds)
        starts = [None] * count if start is None else _parts(start, count)
        self._trainings = []
        for number, (fold, begun) in enumerate(zip(dataset.folds, starts, strict=True)):
            of_fold = seed_for(seed, TrainingPurpose.FOLD, number)
            self._trainings.append(
                Training(
                    build(of_fold),
                    dataset.in_fold(fold),
                    recipe,
                    seed=of_fold,
                    device=device,
                    error_unit=error_unit,
                    best_for=best_for,
                    start=begun,
                    micro_batches=micro_batches,
                )
            )
        self._epoch = 0 if start is None else start.epoch
        self._last: list[Mapping[str, float]] = [] if start is None else start.values["last"]

    def state(self) -> TrainingState:
        """After the epoch that was yielded last."""
        states = [training.state() for training in self._trainings]
        tensors = {
            f"fold.{number}.{name}": tensor
            for number, state in enumerate(states)
            for name, tensor in state.tensors.items()
        }
        folds = [{"epoch": state.epoch, "values": dict(state.values)} for state in states]
        return TrainingState(self._epoch, tensors, {"folds": folds, "last": list(self._last)})

    def epochs(self) -> Generator[dict[str, float]]:
        """The means after each epoch, until the last fold has ended."""
        runs = [training.epochs() for training in self._trainings]
        try:
            while True:
                found = [next(run, None) for run in runs]
                if not any(found):
                    return
                before = self._last or [{}] * len(found)
                self._last = [new or old for new, old in zip(found, before, strict=True)]
                self._epoch += 1
                yield {**mean_over(self._last), "epoch": self._epoch}
        finally:
            for run in runs:
                run.close()


def mean_over(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every metric that all folds have, and of each on validation the deviation between
    folds as `val_..._std`, with the number of folds less one in its denominator.
    """
    means: dict[str, float] = {}
    for name in folds[0]:
        if not all(name in fold for fold in folds):
            continue
        values = [fold[name] for fold in folds]
        means[name] = math.fsum(values) / len(values)
        if name.startswith("val_") and len(values) > 1:
            means[f"{name}_std"] = statistics.stdev(values)
    return means


def _parts(state: TrainingState, count: int) -> list[TrainingState | None]:
    """The state of each fold."""
    parts: list[TrainingState | None] = []
    for number, fold in enumerate(state.values["folds"][:count]):
        prefix = f"fold.{number}."
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in state.tensors.items()
            if name.startswith(prefix)
        }
        parts.append(TrainingState(fold["epoch"], tensors, fold["values"]))
    return parts
