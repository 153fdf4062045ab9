"""What knows nothing scores: the floor that every result stands beside.

Of classes, and of labels, their shares in the train split; of values their mean, and the median for
the absolute error, which it makes least; of a forecast the last value, or the value one season
before where that is nearer; of a text the shares of its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from models.datasets import Dataset, Split
from models.domains import as_domain
from models.recipe import OF_LOSS, RECORDED, Recipe
from models.settings import Settings
from models.task import MULTILABEL
from models.training.criterion import scoring
from models.training.folds import mean_over
from models.training.metrics import Goal, scores
from models.training.values import ErrorUnit

Predictor = Callable[[Split], Tensor]
"""What a network would say: logits of classes, or values in the deviations of the train split.

Shapes:
    -> (N, *task.outputs)
"""

_BATCH, _VALUES = 4096, 2**24


def baseline(dataset: Dataset, prefix: Literal["val", "test"]) -> dict[str, float]:
    """The metrics of the task, as `models.training.evaluation.evaluate` names them. On validation
    of a dataset with folds the means over them, of what can be computed in all.
    """
    if prefix == "val" and dataset.folds:
        known = mean_over([baseline(dataset.in_fold(fold), "val") for fold in dataset.folds])
        return {name: value for name, value in known.items() if not name.endswith("_std")}
    split = dataset.validation if prefix == "val" else dataset.test
    found = scored(dataset, split, _predictor(dataset), prefix)
    if dataset.task.name == "tabular_regression":
        median = dataset.train.y.median(dim=0).values
        of_median = scored(dataset, split, lambda part: median.expand(len(part), -1), prefix)
        found[f"{prefix}_mae"] = of_median[f"{prefix}_mae"]
    return found


def comparable(
    known: Mapping[str, float], training: Settings, error_unit: ErrorUnit
) -> dict[str, float]:
    """Of a baseline what means the same as the scores of a recipe, or of those that are searched:
    not a loss of another kind, nor errors in another unit.
    """
    others = set() if error_unit == "own_unit" else {"mae", "rmse"}
    for field in OF_LOSS:
        domain = as_domain(getattr(training, field))
        if domain.size > 1 or domain.first != RECORDED[field]:
            others.add("loss")
    return {name: v for name, v in known.items() if name.partition("_")[2] not in others}


def verdict(metric: str, goal: Goal, value: float, floor: float) -> str | None:
    """What is said before anything else of a model that is no better than what knows nothing; None
    of one that is.
    """
    if value > floor if goal == "maximize" else value < floor:
        return None
    return (
        f"No better than the baseline: {metric} is {value:.6g}, what knows nothing of the inputs "
        f"has {floor:.6g}."
    )


def held_against(metric: str, goal: Goal, floor: Mapping[str, float]) -> tuple[str, Goal] | None:
    """By which metric a model is held against the baseline `floor`, and its goal: by the objective,
    or where the baseline has no such score (a loss of another kind, errors in another unit) by the
    task's own metric. None where that is not known either.
    """
    if metric in floor:
        return metric, goal
    prefix, _, _ = metric.partition("_")
    known = {name.partition("_")[2] for name in floor}
    for entry in sorted(scores.values(), key=lambda entry: len(entry.goals)):
        name, own_goal = next(iter(entry.goals.items()))
        if known <= entry.goals.keys() and f"{prefix}_{name}" in floor:
            return f"{prefix}_{name}", own_goal
    return None


def scored(
    dataset: Dataset, split: Split, predict: Predictor, prefix: Literal["val", "test"]
) -> dict[str, float]:
    """The metrics of the task of what is predicted, as `evaluate` names them."""
    score = scoring(dataset, Recipe())(torch.device("cpu"))
    is_sequence = dataset.task.name == "language_modeling"
    outputs = dataset.task.outputs * (split.y[0].numel() if is_sequence else 1)
    batch = max(1, min(_BATCH, _VALUES // outputs))
    for start in range(0, len(split), batch):
        part = Split(split.x[start : start + batch], split.y[start : start + batch])
        score.update(predict(part), part.y)
    return {f"{prefix}_{name}": value for name, value in score.compute().items()}


def season_of(dataset: Dataset) -> int:
    """The steps back from which a forecast of the train split is nearest; 0: from the last one."""
    horizon = dataset.preprocessing["target"]["horizon"]
    window = dataset.task.input_shape[0]
    seasons = [0, *(step for step in (4, 5, 7, 12, 24, 48, 52, 96, 168) if step <= window)]
    part = Split(dataset.train.x[:_BATCH], dataset.train.y[:_BATCH])

    def error(season: int) -> float:
        return (seasonal(dataset, part, season, horizon) - part.y).square().mean().item()

    return min(seasons, key=error)


def _predictor(dataset: Dataset) -> Predictor:
    task, y = dataset.task, dataset.train.y
    if task.name == "forecasting":
        season, horizon = season_of(dataset), dataset.preprocessing["target"]["horizon"]
        return lambda part: seasonal(dataset, part, season, horizon)
    if y.is_floating_point():
        mean = y.mean(dim=0)
        return lambda part: mean.expand(len(part), -1)
    if task.name == MULTILABEL:
        odds = y.double().mean(dim=0).logit(1e-9).float()
        return lambda part: odds.expand(len(part), -1)
    counts = torch.bincount(y.flatten(), minlength=task.outputs).float()
    logits = (counts + 1e-9).log() - counts.sum().log()
    if y.dim() == 1:
        return lambda part: logits.expand(len(part), -1)
    return lambda part: logits.expand(len(part), part.y.shape[1], -1)


def seasonal(dataset: Dataset, part: Split, season: int, horizon: int) -> Tensor:
    """The values `season` steps before each step, the last ones again and again.

    Shapes:
        (N, horizon * targets)
    """
    x, targets = part.x, list(dataset.task.targets or ())
    assert isinstance(x, Tensor)  # noqa: S101 - of a series
    window = x.shape[1]
    if season == 0:
        steps = [window - 1] * horizon
    else:
        steps = [window - season + step % season for step in range(horizon)]
    return x[:, steps][:, :, targets].reshape(len(x), -1)
