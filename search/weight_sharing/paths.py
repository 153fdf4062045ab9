"""Search by paths: one sampled subnet trains the shared weights in each step, and of many subnets
the one with the lowest loss on the other half of the data, with the shared weights, is derived.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import torch
from pydantic import Field
from torch import Tensor

from models.architecture import Architecture
from models.supernets import Mix, Supernet
from search.streams import SupernetPurpose, seed_for
from search.weight_sharing.collapse import GuardSettings
from search.weight_sharing.one_shot import Batch, OneShot, OneShotSettings

EARLY_SHARE = 0.1
"""Of the subnets are scored after an epoch that is not the last one."""

FREQUENCY_DRAWS = 256
"""Subnets from which the frequencies of the options are estimated."""


class PathSettings(OneShotSettings):
    """How many subnets are compared, and how the supernet is trained."""

    samples: int = Field(
        200, ge=1, le=100_000, description="subnets scored at the end, each on a held-out batch"
    )
    finalists: int = Field(
        10, ge=1, le=1000, description="the best of these, scored on all that is held out"
    )
    guard: GuardSettings = Field(
        GuardSettings(action="off"),
        description="of the architecture; off: what is derived is the best of many by its score, "
        "and a policy that has become sure has not collapsed",
    )


class Paths(OneShot):
    """A subclass says how subnets are sampled, and what it learns from the held-out half."""

    settings: PathSettings
    _is_last_epoch = False

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> list[Architecture]:
        """Independent draws."""

    @abstractmethod
    def held_out_step(self, trained: Architecture, held_out: Batch) -> Tensor:
        """The loss on a held-out batch, after a step of the weights on the path `trained`."""

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self._is_last_epoch = epoch == self.settings.epochs

    def step(self, train: Batch, held_out: Batch) -> tuple[Tensor, Tensor]:
        (path,) = self.sample(1, self._generator)
        weight_loss = self.train_weights(train, self.supernet.mix_of(path))
        return weight_loss, self.held_out_step(path, held_out)

    def derived_mix(self) -> Mix:
        """The frequencies of the options, by the same random numbers each time."""
        generator = torch.Generator().manual_seed(seed_for(0, SupernetPurpose.FREQUENCIES))
        mixes = [self.supernet.mix_of(p) for p in self.sample(FREQUENCY_DRAWS, generator)]
        return {name: torch.stack([mix[name] for mix in mixes]).mean(dim=0) for name in mixes[0]}

    def derive(self, held_out: Batch) -> Architecture:
        """The best of the distinct subnets of `samples` draws on one batch; at the end, the best of
        the finalists on the whole half, as Li & Talwalkar do it. What is not allowed is passed
        over; where nothing is allowed, the best of all.
        """
        samples, is_last = self.settings.samples, self._is_last_epoch
        count = samples if is_last else math.ceil(EARLY_SHARE * samples)
        paths = list(dict.fromkeys(self.sample(count, self._generator)))
        order = torch.randperm(len(held_out.y), generator=self._generator)
        batches = math.ceil(len(order) / self.settings.batch_size)
        parts = [held_out.picked(index) for index in order.tensor_split(batches)]
        with batch_statistics(self.supernet):
            ranked = self._ranked(paths, parts[:1])
            allowed = filter(self.allows, ranked)
            paths = list(islice(allowed, self.settings.finalists if is_last else 1)) or ranked[:1]
            if len(paths) > 1:
                paths = self._ranked(paths, parts)
        return paths[0]

    def _ranked(
        self, paths: Sequence[Architecture], batches: Sequence[Batch]
    ) -> list[Architecture]:
        """The best first."""
        losses = self.path_losses(paths, batches)
        return [paths[place] for place in sorted(range(len(paths)), key=losses.__getitem__)]

    @torch.no_grad()
    def path_losses(self, paths: Sequence[Architecture], batches: Sequence[Batch]) -> list[float]:
        """The mean loss of each path on the samples of the batches."""
        total = sum(len(batch.y) for batch in batches)
        losses = [
            torch.stack([self.loss(batch, mix) * (len(batch.y) / total) for batch in batches]).sum()
            for mix in map(self.supernet.mix_of, paths)
        ]
        return torch.stack(losses).tolist()


@contextmanager
def batch_statistics(supernet: Supernet) -> Iterator[None]:
    """Within it each batch is normalised by its own statistics: those that the supernet kept in
    training are of other paths. What it kept is left as it was, and nothing is dropped out.
    """
    modes = {module: module.training for module in supernet.modules()}
    kept = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    for module in modes:
        own = (name for name, _ in module.named_buffers(recurse=False))
        module.training = any(name.startswith("running_") for name in own)
    try:
        yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training
        for name, buffer in supernet.named_buffers():
            buffer.copy_(kept[name])
