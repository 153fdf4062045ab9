"""Weights that a supernet leaves to the network derived from it: what the network had in the
supernet at its end, with the statistics that it was scored with.

They are trained on half of the train split, and the architecture on the other half: no sample of
validation or test has touched them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from models import checkpoint
from models.architecture import Architecture
from models.checkpoint import CheckpointError
from models.domains import Scalar, as_domain
from models.recipe import Recipe
from models.settings import Settings
from models.supernets import Supernet
from models.task import Task
from models.training.initialization import build
from search.evaluation import EvaluationError
from search.problems import SpecProblem, problem, shown
from search.trial import Candidate, FailureKind
from search.weight_sharing.one_shot import OneShotSettings

NEEDED: Mapping[str, tuple[Scalar, str]] = {
    "batch_norm": (True, "the supernet is normalised"),
    "initialization": ("default", "weights would be drawn anew"),
    "pretraining": ("none", "a network has one start"),
    "target_transform": ("none", "the supernet predicts values as they are"),
}
"""Values of the recipe with which a network can begin with a supernet's weights, and the reason."""

SHARED_BY_NETWORKS: Mapping[str, str] = {"class_weight": "loss", "tokens": "vocabulary"}
"""Fields of the recipe by which a supernet itself is trained, and what they are to it."""


def refusals(strategy: OneShotSettings, training: Settings | None) -> Iterator[SpecProblem]:
    """Why what a search derives cannot begin with the weights of its supernets, where it asks for
    that. `training`: of the request, with domains; None where it is refused.
    """
    if not strategy.inherit_weights:
        return
    if strategy.channel_divisor > 1:
        yield problem(
            f"weights for 1 of {strategy.channel_divisor} channels fit no network, so that none "
            f'can inherit them: give the strategy "partial": 1, or "inherit_weights": false',
            "strategy",
            "inherit_weights",
        )
    for name, (needed, reason) in NEEDED.items() if training is not None else ():
        domain = as_domain(getattr(training, name))
        if found := [value for value in domain.values() if value != needed]:
            yield problem(
                f"networks that inherit weights have {name} {shown(needed)}, got "
                f"{shown(found[0])}: {reason}",
                "training",
                name,
            )


def leave(
    url: str, number: int, supernet: Supernet, architecture: Architecture, task: Task
) -> None:
    """Write the weights of a subnet whole or not at all, as a checkpoint of the plain network.

    `number`: of the supernet's trial.
    """
    network = build(architecture, task, Recipe(), seed=0)
    network.load_state_dict(supernet.weights_of(architecture))
    checkpoint.save(url, network, architecture, task, Recipe(), {"trial": number})


def inherit(url: str, network: nn.Module, candidate: Candidate) -> None:
    """Give `network` the weights that supernet trial `candidate.weights_from` left at `url`.

    Raises:
        search.evaluation.EvaluationError: they are not there, or they are not this network's. It is
            never trained from scratch in their place.
    """
    name = url.rpartition("/")[2]
    where = f"the weights of supernet trial {candidate.weights_from}, in {name}"
    try:
        left = checkpoint.load(url)
    except FileNotFoundError:
        raise _refusal(f"{where}, are not there") from None
    except CheckpointError:
        raise _refusal(f"{where}, are damaged") from None
    if left.architecture != candidate.architecture:
        raise _refusal(
            f"{where}, are of the architecture {left.architecture.key[:12]}, this network is "
            f"{candidate.architecture.key[:12]}"
        )
    here, there = _shapes(network.state_dict()), _shapes(left.weights)
    different = sorted(n for n in here.keys() | there.keys() if here.get(n) != there.get(n))
    if different:
        first = different[0]
        raise _refusal(
            f"{where}, do not fit: {len(different)} tensors differ, the first is {first}, "
            f"{there.get(first)} there and {here.get(first)} in the network"
        )
    network.load_state_dict(dict(left.weights))


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def _refusal(message: str) -> EvaluationError:
    return EvaluationError(FailureKind.ERROR, f"refused before training: {message}")
