"""Training of a supernet: weights on one half of the training data, the mix on the other."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from models.datasets import Dataset
from models.datasets.splits import stratified
from models.families import FamilySettings
from models.memory import PeakMemory
from models.supernets import Mix, Supernet, supernets
from models.training.metrics import scores
from models.training.trainer import NonFiniteError, evaluate
from search.evaluators import Derivation
from search.space import SearchSpace
from search.strategies import rng_for, strategies
from search.trial import Supernet as Proposal
from search.weight_sharing.one_shot import Batch, OneShot
from search.weight_sharing.strategy import WeightSharing


def train_supernet(
    proposal: Proposal, space: FamilySettings, dataset: Dataset, device: torch.device
) -> Iterator[Derivation]:
    """Train a supernet; each epoch yields its metrics with the architecture derived after it.

    `weight_loss` and `architecture_loss` are means over the epoch's steps, each on its half of the
    training split. `entropy` is the mean over all rows of the derived mix, as a share of the
    largest possible; `entropy <group> <row>` that of each. The validation split is seen by the last
    epoch alone, for `supernet_<metric>` and `derived_<metric>`: the scores of the mixture and of
    the derived architecture, both on the shared weights. They differ by the discretisation gap.

    Raises:
        models.families.InfeasibleError: the space has no supernet.
        models.training.trainer.NonFiniteError: a loss is NaN or infinite.
    """
    search, seed = _search(proposal, space, dataset, device), proposal.settings["seed"]
    x, y = dataset.train.x, dataset.train.y
    if not isinstance(x, Tensor):
        raise TypeError(f"a supernet is trained on tensors, {dataset.name} has other samples")
    halves = [_on(device, x[index], y[index]) for index in stratified(y.numpy(), (0.5,), seed)]
    peak = PeakMemory(device)
    last = search.settings.epochs
    for epoch in range(1, last + 1):
        search.begin_epoch(epoch)
        metrics = {"epoch": float(epoch), **_pass(search, halves, seed, epoch)}
        mix = search.derived_mix()
        derived = search.derive(halves[1])
        metrics |= _entropies(search.supernet, mix)
        if epoch == last:
            metrics |= _scores("supernet", search.supernet, mix, halves[0], dataset)
            chosen = search.supernet.mix_of(derived)
            metrics |= _scores("derived", search.supernet, chosen, halves[0], dataset)
        metrics["peak_memory_bytes"] = float(peak.bytes())
        yield Derivation(metrics, derived)


BATCH = 64
"""Samples a step when statistics are taken anew."""


class Fixed(nn.Module):
    """A copy of a supernet with one mix, its statistics taken anew from the inputs `x`: those
    that it kept in training are of other mixes.
    """

    def __init__(self, supernet: Supernet, mix: Mix, x: Tensor) -> None:
        super().__init__()
        self.supernet, self._mix = copy.deepcopy(supernet), mix
        with torch.no_grad():
            for part in torch.split(x, BATCH):
                self(part)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.supernet(x, self._mix)
        return outputs


def _search(
    proposal: Proposal, space: FamilySettings, dataset: Dataset, device: torch.device
) -> OneShot:
    strategy = strategies[proposal.method]
    if not (isinstance(strategy, type) and issubclass(strategy, WeightSharing)):
        raise TypeError(f"{proposal.method} trains no supernet")
    given = {name: value for name, value in proposal.settings.items() if name != "seed"}
    settings = strategy.Settings.model_validate(given)
    seed = proposal.settings["seed"]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rng_for(seed, 0).getrandbits(63))
        supernet = supernets[space.family].build(
            space, dataset.task, partial=settings.channel_divisor
        )
    generator = torch.Generator().manual_seed(rng_for(seed, -1).getrandbits(63))
    loss = scores[dataset.task.name].loss
    architectures = SearchSpace.of_architectures(space.family, space, dataset.task)
    return strategy.Search(supernet.to(device), settings, loss, generator, architectures)


def _pass(search: OneShot, halves: Sequence[Batch], seed: int, epoch: int) -> dict[str, float]:
    """One epoch: as many steps as the larger half has batches."""
    size = search.settings.batch_size
    steps = math.ceil(max(len(half.y) for half in halves) / size)
    generator = torch.Generator().manual_seed(rng_for(seed, epoch).getrandbits(63))
    orders = [torch.randperm(len(half.y), generator=generator) for half in halves]
    losses = torch.zeros(2, device=halves[0].x.device)
    search.supernet.train()
    for parts in zip(*(order.tensor_split(steps) for order in orders), strict=True):
        train, held_out = (
            _on(half.x.device, half.x[index], half.y[index])
            for half, index in zip(halves, parts, strict=True)
        )
        losses += torch.stack(search.step(train, held_out))
    weight_loss, architecture_loss = (losses / steps).tolist()
    for name, loss in (("weight", weight_loss), ("architecture", architecture_loss)):
        if not math.isfinite(loss):
            raise NonFiniteError(f"exploded in epoch {epoch}: {name} loss is {loss}")
    return {"weight_loss": weight_loss, "architecture_loss": architecture_loss}


def _entropies(supernet: Supernet, mix: Mix) -> dict[str, float]:
    """Of each row as a share of the largest possible, and their mean."""
    found = {}
    for name, group in supernet.groups.items():
        share = mix[name] / mix[name].sum(dim=1, keepdim=True)
        entropy = torch.special.entr(share).sum(dim=1) / math.log(max(2, len(group.options)))
        for row, value in zip(group.rows, entropy.tolist(), strict=True):
            found[f"entropy {name} {row}"] = value
    return {"entropy": sum(found.values()) / len(found), **found}


def _scores(
    prefix: str, supernet: Supernet, mix: Mix, half: Batch, dataset: Dataset
) -> dict[str, float]:
    """On the validation split."""
    fixed = Fixed(supernet, mix, half.x)
    found = evaluate(fixed, dataset.validation, dataset.task, "val")
    return {name.replace("val", prefix, 1): value for name, value in found.items()}


def _on(device: torch.device, x: Tensor, y: Tensor) -> Batch:
    x = x.to(device)
    if x.dim() == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    return Batch(x, y.to(device))
