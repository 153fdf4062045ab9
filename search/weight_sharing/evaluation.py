"""Training of a supernet: weights on one half of the training data, the mix on the other."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.cost import cost
from models.datasets import Dataset, Samples
from models.family import FamilySettings, InfeasibleError, families
from models.latency import latency_ms
from models.memory import PeakMemory, available_bytes, largest_batch
from models.recipe import Recipe
from models.supernets import Mix, Supernet, supernets
from models.supernets.memory import step_bytes
from models.task import Task
from models.training.criterion import criterion, scoring
from models.training.losses import ValueLoss
from models.training.trainer import evaluate, seeded
from search import saved
from search.evaluation import EvaluationError, Measurement
from search.objectives import COST_METRICS, Constraint, excess
from search.saved import Spacing
from search.space import SearchSpace
from search.strategy import strategies
from search.streams import SEED_FIELDS, SupernetPurpose, seed_for, seed_from
from search.trial import FailureKind, SupernetProposal, Trial
from search.weight_sharing.bilevel import Bilevel
from search.weight_sharing.costs import OptionCosts, base_mix, option_costs
from search.weight_sharing.halves import Halves, statistics_batches
from search.weight_sharing.inheritance import leave
from search.weight_sharing.limits import derive_within
from search.weight_sharing.one_shot import OneShot, OneShotSettings, TrainsSupernets
from search.weight_sharing.training import Begin, SupernetTraining, Within

SAVING_SHARE = 0.05
"""Of the training time, at most, is spent on writing down where it was left."""


def train_supernet(
    trial: Trial,
    space: FamilySettings,
    dataset: Dataset,
    device: torch.device,
    state_url: str,
    limits: Sequence[Constraint] = (),
    memory_limit_bytes: int | None = None,
    weights_url: str | None = None,
    recipe: Recipe | None = None,
) -> Iterator[Measurement]:
    """Train a supernet, or go on with it: `search.weight_sharing.training` says what an epoch is.

    The state goes to `state_url` after the first epoch, and then as often as it costs little. The
    last report is a closing one of the last epoch: with the architecture that counts,
    `derived_epoch`, of which epoch it is, and the validation split, which no epoch has seen:
    `supernet_<metric>` and `derived_<metric>` are the scores of that epoch's mixture and of its
    architecture, both on the shared weights as they are in the end. How much the mixture is better
    is the `discretisation_gap`: in accuracy, else in loss. Before that report, the weights by which
    the architecture was scored go to `weights_url`, if there is one
    (`search.weight_sharing.inheritance`).

    What is derived keeps the `limits` on parameters and FLOPs, by the default recipe. Of `recipe`
    the weights of the classes count alone, and of which tokens `dataset` is: all else of the
    training is in the strategy's settings.

    Raises:
        search.evaluation.EvaluationError: a step needs more than `memory_limit_bytes` at least;
            default: what the machine has.
        models.family.InfeasibleError: the space has no supernet, nothing that it decides changes
            what a penalty is on, or nothing within the limits was derived.
        models.training.trainer.NonFiniteError: a loss is NaN or infinite.
    """
    proposal = trial.proposal
    assert isinstance(proposal, SupernetProposal)  # noqa: S101 - for the type checker
    seed = seed_from(proposal.settings)
    _refuse_too_big(proposal, space, dataset, memory_limit_bytes or available_bytes(device))
    halves, peak = Halves(dataset, seed, device), PeakMemory(device)
    limits = [limit for limit in limits if limit.metric in COST_METRICS]
    loss = _loss(dataset, recipe or Recipe(), device)
    allows = partial(_is_within, dataset.task, limits)
    begin = _beginning(proposal, space, dataset, device, loss, allows)
    start, last = saved.left(state_url, trial)
    within = _within(dataset.task, limits)
    training = SupernetTraining(begin, halves, seed, device, start, within)
    spacing = Spacing(SAVING_SHARE)
    if start is not None:
        yield last
    for found in training.epochs():
        metrics = {**found.metrics, "peak_memory_bytes": float(peak.bytes())}
        last = Measurement(metrics, found.derived)
        if spacing.is_due():
            began = monotonic()
            saved.save(state_url, trial, training.state(), last)
            spacing.saved(began)
        yield last
    outcome, supernet = training.outcome, training.search.supernet
    closing = {**last.metrics, "derived_epoch": float(outcome.number)}
    mixes = {"supernet": outcome.mix, "derived": supernet.mix_of(outcome.derived)}
    for name, mix in mixes.items():
        with seeded(seed_for(seed, SupernetPurpose.CLOSING), device):
            fixed = Fixed(supernet, mix, halves.weights.x)
        closing |= _scores(name, fixed, dataset)
        if name == "derived" and weights_url is not None:
            leave(weights_url, trial.number, fixed.supernet, outcome.derived, dataset.task)
    closing["discretisation_gap"] = (
        closing["supernet_accuracy"] - closing["derived_accuracy"]
        if "supernet_accuracy" in closing
        else closing["derived_loss"] - closing["supernet_loss"]
    )
    yield Measurement(closing, outcome.derived)


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


def _beginning(
    proposal: SupernetProposal,
    space: FamilySettings,
    dataset: Dataset,
    device: torch.device,
    loss: ValueLoss,
    allows: Callable[[Architecture], bool],
) -> Begin:
    """Searches of which all have the same costs of their options."""
    known: list[OptionCosts] = []

    def begin(restarts: int) -> OneShot:
        search = _search(proposal, space, dataset, device, loss, restarts)
        search.allows = allows
        if isinstance(search, Bilevel) and search.settings.penalty is not None:
            if not known:
                metric = search.settings.penalty.metric
                known.append(_option_costs(search.supernet, dataset.task, metric, device))
            search.costs = known[0]
        return search

    return begin


def _option_costs(supernet: Supernet, task: Task, metric: str, device: torch.device) -> OptionCosts:
    def measure(architecture: Architecture) -> float:
        if metric in COST_METRICS:
            return cost(architecture, task, Recipe())[metric]
        network = families[architecture.family].build(architecture, task, Recipe())
        return latency_ms(network.to(device), task, device)

    costs = option_costs(supernet, measure)
    if costs.is_constant:
        raise InfeasibleError("penalty", f"nothing that this supernet decides changes {metric}")
    return costs.to(device)


def _is_within(task: Task, limits: Sequence[Constraint], architecture: Architecture) -> bool:
    try:
        return excess(cost(architecture, task, Recipe()), limits) == 0
    except InfeasibleError:
        return False


def _within(task: Task, limits: Sequence[Constraint]) -> Within | None:
    def costs(architecture: Architecture) -> Mapping[str, float]:
        return cost(architecture, task, Recipe())

    def within(supernet: Supernet, mix: Mix, derived: Architecture) -> Architecture:
        return derive_within(supernet, mix, limits, costs, derived)

    return within if limits else None


def _parsed(proposal: SupernetProposal) -> tuple[type[TrainsSupernets], OneShotSettings]:
    strategy = strategies[proposal.method]
    if not (isinstance(strategy, type) and issubclass(strategy, TrainsSupernets)):
        raise TypeError(f"{proposal.method} trains no supernet")
    given = {name: value for name, value in proposal.settings.items() if name not in SEED_FIELDS}
    return strategy, strategy.Settings.model_validate(given)


def _refuse_too_big(
    proposal: SupernetProposal, space: FamilySettings, dataset: Dataset, limit: int
) -> None:
    strategy, settings = _parsed(proposal)
    with torch.device("meta"):
        supernet = supernets[space.family].build(
            space, dataset.task, partial=settings.channel_divisor
        )
    supernet.recomputes = settings.gradient_checkpointing
    if strategy.Search.is_relaxed:
        mix = {
            name: torch.full((len(group.rows), len(group.options)), 1 / len(group.options))
            for name, group in supernet.groups.items()
        }
    else:  # one path at a time: the one that skips
        mix = base_mix(supernet)
    batch_size = largest_batch(math.ceil(len(dataset.train) / 2), settings.batch_size)
    halved = settings.precision == "bfloat16"
    for part in mix.values():
        part.requires_grad_()
    needed = step_bytes(supernet, dataset.task, mix, batch_size, halved=halved)
    if needed > limit:
        raise EvaluationError(
            FailureKind.OUT_OF_MEMORY,
            f"refused before training: a step of the supernet with {batch_size} samples needs at "
            f"least {needed / 2**20:,.0f} MiB, allowed are {limit / 2**20:,.0f} MiB; "
            f"gradient_checkpointing, bfloat16 or a smaller batch_size need less",
        )


def _search(
    proposal: SupernetProposal,
    space: FamilySettings,
    dataset: Dataset,
    device: torch.device,
    loss: ValueLoss,
    restarts: int,
) -> OneShot:
    """At its start, with the weight decay of so many restarts."""
    strategy, settings = _parsed(proposal)
    decay = settings.weight_decay * settings.guard.decay_factor**restarts
    settings = settings.model_copy(update={"weight_decay": decay})
    seed = seed_from(proposal.settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_for(seed, SupernetPurpose.WEIGHTS))
        supernet = supernets[space.family].build(
            space, dataset.task, partial=settings.channel_divisor
        )
    generator = torch.Generator().manual_seed(seed_for(seed, SupernetPurpose.CHOICES))
    architectures = SearchSpace.of_architectures(space.family, space, dataset.task)
    return strategy.Search(supernet.to(device), settings, loss, generator, architectures)


def _loss(dataset: Dataset, recipe: Recipe, device: torch.device) -> ValueLoss:
    """Of both halves of the train split, whose classes are weighted by all of it."""
    weighted = Recipe(class_weight=recipe.class_weight)
    return criterion(dataset, weighted, dataset.train.y.to(device))


def _scores(prefix: str, network: Fixed, dataset: Dataset) -> dict[str, float]:
    """On the validation split."""
    score = scoring(dataset, Recipe())(next(network.parameters()).device)
    found = evaluate(network, dataset.validation, dataset.task, "val", score=score)
    return {name.replace("val", prefix, 1): value for name, value in found.items()}
