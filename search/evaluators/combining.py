"""Which of the networks that final trainings have left are best together, on validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models import tensor_file
from models.averaging import average_for
from models.checkpoint import Checkpoint
from models.datasets import Dataset
from models.ensemble import Chosen, Ensemble, Member, picked
from models.recipe import Recipe
from models.selection import selected
from models.training.criterion import Scoring
from models.training.evaluation import outputs_of
from models.training.final_scores import fitted
from models.training.values import transformed
from search.objectives import Objective, fitness

LEFT_OUT = "finals_left_out"
"""The metric of an ensemble that counts the final trials whose networks see their samples, or
values, otherwise than those of the best.
"""

SUMS = ("parameters", "flops", "latency_ms", "train_seconds")
MOST = ("peak_memory_bytes", "retrained_epochs")

ScoringOf = Callable[[Dataset, Recipe], Scoring]


@dataclass(frozen=True, slots=True, eq=False)
class Final:
    """What a final trial has left.

    dataset: as its recipe has it. outputs_url: what it said of validation before it was trained on
    it as well, where it was.
    """

    number: int
    checkpoint: Checkpoint
    dataset: Dataset
    outputs_url: str

    @property
    def metrics(self) -> Mapping[str, float]:
        found: Mapping[str, float] = self.checkpoint.extra["metrics"]
        return found

    @property
    def form(self) -> Mapping[str, Any]:
        """How raw samples become inputs, and outputs values."""
        return transformed(self.dataset, self.checkpoint.recipe)

    def outputs(self) -> Tensor:
        """For the samples of validation.

        Shapes:
            (N, ...)
        """
        if "retrained_epochs" in self.metrics:
            return tensor_file.read_tensors(self.outputs_url)[0]["outputs"]
        network = self.checkpoint.network()
        return outputs_of(network, self.dataset.validation, self.dataset.task)


def combine(
    finals: Sequence[Final],
    size: int,
    objectives: Sequence[Objective],
    scoring: ScoringOf,
    best_for: str | None = None,
) -> tuple[Ensemble, dict[str, float]]:
    """The networks that are best together, by the objectives, then by the loss, with the scores on
    validation, what their outputs are decided by, their temperature, and what they cost. Only those
    can be put together that see samples and values as the best one alone does. `best_for`: as of
    `models.training.final_scores.fitted`.
    """
    alone = {final.number: final for final in finals}

    def value_alone(final: Final) -> tuple[float, ...]:
        return _value(final.metrics, objectives)

    best = max(finals, key=value_alone)
    alike = {number: final for number, final in alone.items() if final.form == best.form}
    outputs = {number: final.outputs() for number, final in alike.items()}

    def metrics_of(picks: Sequence[int], recipe: Recipe) -> dict[str, float]:
        said = picked(outputs, picks, average_for(best.dataset.task))
        score = scoring(best.dataset, recipe)(torch.device("cpu"))
        score.update(said, best.dataset.validation.y)
        scores = {f"val_{name}": value for name, value in score.compute().items()}
        return {
            **scores,
            **score.chosen,
            **_costs([alike[number] for number in dict.fromkeys(picks)]),
        }

    def value(picks: Sequence[int]) -> tuple[float, ...]:
        return _value(metrics_of(picks, best.checkpoint.recipe), objectives)

    picks = selected(list(alike), size, value)
    members = [
        Member(Chosen(number, picks.count(number)), alike[number].checkpoint)
        for number in dict.fromkeys(picks)
    ]
    ensemble = Ensemble(tuple(members))
    metrics = metrics_of(picks, ensemble.recipe)
    task, targets = best.dataset.task, best.dataset.validation.y
    said = picked(outputs, picks, average_for(task))
    metrics |= fitted(said, targets, task, best_for=best_for)
    return ensemble, {**metrics, LEFT_OUT: float(len(alone) - len(alike))}


def leave_outputs(url: str, outputs: Tensor) -> None:
    """For `Final.outputs`."""
    tensor_file.write_tensors(url, {"outputs": tensor_file.dense(outputs)}, {})


def _value(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Bigger is better: the objectives in their order, then the loss. Where one has no value, as of
    a metric that a few samples do not have, it is less than any.
    """
    found = fitness(metrics, objectives) or (-math.inf,) * len(objectives)
    return (*found, -metrics.get("val_loss", math.inf))


def _costs(finals: Sequence[Final]) -> dict[str, float]:
    """Of them together, which are trained and asked one after another."""
    together = [(name, sum) for name in SUMS] + [(name, max) for name in MOST]
    return {
        name: float(of([final.metrics[name] for final in finals]))
        for name, of in together
        if all(name in final.metrics for final in finals)
    }
