"""Training of a supernet: weights on one half of the training data, the mix on the other."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models.datasets import Dataset, Samples
from models.families import FamilySettings
from models.memory import PeakMemory
from models.supernets import Mix, Supernet, supernets
from models.training.metrics import scores
from models.training.trainer import NonFiniteError, evaluate, seeded
from search.evaluators import Derivation
from search.space import SearchSpace
from search.strategies import rng_for, strategies
from search.trial import Supernet as Proposal
from search.weight_sharing.halves import Halves, statistics_batches
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
    halves = Halves(dataset, seed, device)
    peak = PeakMemory(device)
    last = search.settings.epochs
    for epoch in range(1, last + 1):
        search.begin_epoch(epoch)
        with seeded(rng_for(seed, -1 - epoch).getrandbits(63), device):
            metrics = {"epoch": float(epoch), **_pass(search, halves, epoch, device)}
            derived = search.derive(Batch(halves.architecture.x, halves.architecture.y))
        mix = search.derived_mix()
        metrics |= _entropies(search.supernet, mix)
        if epoch == last:
            mixes = {"supernet": mix, "derived": search.supernet.mix_of(derived)}
            for name, fixed in mixes.items():
                with seeded(rng_for(seed, -1 - epoch).getrandbits(63), device):
                    network = Fixed(search.supernet, fixed, halves.weights.x)
                metrics |= _scores(name, network, dataset)
        metrics["peak_memory_bytes"] = float(peak.bytes())
        yield Derivation(metrics, derived)


class Fixed(nn.Module):
    """A copy of a supernet with one mix, its statistics, where it has any, taken anew from the
    inputs `x`: those that it kept in training are of other mixes.
    """

    def __init__(self, supernet: Supernet, mix: Mix, x: Samples) -> None:
        super().__init__()
        self.supernet, self._mix = copy.deepcopy(supernet), mix
        if any("running_" in name for name, _ in supernet.named_buffers()):
            with torch.no_grad():
                for part in statistics_batches(x):
                    self(part)

    def forward(self, x: Samples) -> Tensor:
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


def _pass(search: OneShot, halves: Halves, epoch: int, device: torch.device) -> dict[str, float]:
    """One epoch."""
    size = search.settings.batch_size
    losses = torch.zeros(2, device=device)
    search.supernet.train()
    for train, held_out in halves.batches(size, epoch):
        losses += torch.stack(search.step(train, held_out))
    weight_loss, architecture_loss = (losses / halves.steps(size)).tolist()
    for name, loss in (("weight", weight_loss), ("architecture", architecture_loss)):
        if not math.isfinite(loss):
            raise NonFiniteError(f"exploded in epoch {epoch}: {name} loss is {loss}")
    return {"weight_loss": weight_loss, "architecture_loss": architecture_loss}


def _entropies(supernet: Supernet, mix: Mix) -> dict[str, float]:
    """Of each row as a share of the largest possible, and their mean; none of a row that the mix
    leaves out.
    """
    found = {}
    for name, group in supernet.groups.items():
        total = mix[name].sum(dim=1, keepdim=True)
        share = mix[name] / total.where(total > 0, 1)
        entropy = torch.special.entr(share).sum(dim=1) / math.log(max(2, len(group.options)))
        for row, value in zip(group.rows, entropy.tolist(), strict=True):
            found[f"entropy {name} {row}"] = value
    return {"entropy": sum(found.values()) / len(found), **found}


def _scores(prefix: str, network: Fixed, dataset: Dataset) -> dict[str, float]:
    """On the validation split."""
    found = evaluate(network, dataset.validation, dataset.task, "val")
    return {name.replace("val", prefix, 1): value for name, value in found.items()}
