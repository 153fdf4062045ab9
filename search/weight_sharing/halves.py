"""The two halves of a train split: weights are trained on one, the architecture on the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from models.datasets import Dataset, Samples, Split
from models.datasets.splits import ordered, shuffled, stratified
from models.graph_samples import Nodes
from models.training.residence import moved
from models.training.trainer import channels_last
from search.streams import SupernetPurpose, seed_for
from search.weight_sharing.one_shot import Batch

STATISTICS_BATCH = 64
"""Samples a step when statistics are taken anew."""

STATISTICS_STEPS = 32
"""Of what statistics were before so many steps, 0.9^32 or 3 % is left in them."""


def divided(dataset: Dataset, seed: int) -> tuple[Split, Split]:
    """Two halves of the train split that share no target: in each, half of every class or label; of
    a regression half of the samples.

    What follows in time is cut in time, the earlier half first: of a text, blocks; of a forecast,
    windows whose values to forecast do not overlap. As between the splits of the dataset, a window
    may reach back into the half before. Nodes are divided, and their graph is in both.

    Raises:
        ValueError: too few samples for two halves.
    """
    train, task = dataset.train, dataset.task.name
    if task in ("forecasting", "language_modeling"):
        between = dataset.preprocessing["target"]["horizon"] - 1 if task == "forecasting" else 0
        if len(train) < between + 2:
            raise ValueError(
                f"{len(train)} windows are too few for two halves with {between} left out between "
                f"them, whose values to forecast are in both"
            )
        earlier, later = ordered(len(train) - between, (0.5,))
        start = int(later[0]) + between
        return _slice(train, slice(0, len(earlier))), _slice(train, slice(start, len(train)))
    if task == "tabular_regression":
        sets = shuffled(len(train), (0.5,), seed)
    else:
        sets = stratified(train.y.numpy(), (0.5,), seed)
    first, second = (torch.from_numpy(chosen) for chosen in sets)
    return _selection(train, first), _selection(train, second)


class Halves:
    """Both halves, on a device, as batches for a step."""

    def __init__(self, dataset: Dataset, seed: int, device: torch.device) -> None:
        self._seed = seed
        self.weights, self.architecture = (
            Split(channels_last(half.x.to(device)), half.y.to(device))
            for half in divided(dataset, seed_for(seed, SupernetPurpose.HALVES))
        )

    def steps(self, batch_size: int) -> int:
        """Of an epoch: as many as the larger half has batches."""
        return math.ceil(max(len(self.weights), len(self.architecture)) / batch_size)

    def batches(self, batch_size: int, epoch: int) -> Iterator[tuple[Batch, Batch]]:
        """Of the weights and of the architecture, for each step of an epoch: every sample once, in
        an order by seed and epoch, in batches of nearly equal size.
        """
        return self._batches(batch_size, seed_for(self._seed, SupernetPurpose.ORDER, epoch))

    def guarded(self, batch_size: int) -> Batch:
        """Of the architecture: the batch that the guard looks at, the same after every epoch."""
        batches = self._batches(batch_size, seed_for(self._seed, SupernetPurpose.GUARD))
        return next(batches)[1]

    def _batches(self, batch_size: int, seed: int) -> Iterator[tuple[Batch, Batch]]:
        generator = torch.Generator().manual_seed(seed)
        halves = [Batch(half.x, half.y) for half in (self.weights, self.architecture)]
        orders = [
            moved(torch.randperm(len(half.y), generator=generator), half.y.device)
            for half in halves
        ]
        steps = self.steps(batch_size)
        weights, architecture = halves
        for first, second in zip(*(order.tensor_split(steps) for order in orders), strict=True):
            yield weights.picked(first), architecture.picked(second)


def statistics_batches(x: Samples) -> Iterator[Samples]:
    """Samples in order, for the statistics of normalisation. Few are gone through again, as they
    would leave the statistics much as they were.
    """
    size = x.evaluation_batch if isinstance(x, Nodes) else STATISTICS_BATCH
    steps = math.ceil(len(x) / size)
    # Of nearly equal size: none is a single sample, which has no variance.
    bounds = [len(x) * step // steps for step in range(steps + 1)]
    for _ in range(math.ceil(STATISTICS_STEPS / steps)):
        for low, high in itertools.pairwise(bounds):
            yield x[low:high]


def _slice(split: Split, which: slice) -> Split:
    """A view of it: windows overlap in memory."""
    return Split(split.x[which], split.y[which])


def _selection(split: Split, index: Tensor) -> Split:
    return Split(split.x.index_select(0, index), split.y[index])
