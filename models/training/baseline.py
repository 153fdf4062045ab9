"""What knows nothing scores: the floor that every result stands beside.

Of classes their shares in the train split; of values their mean; of a forecast the last value, or
the value one season before where that is nearer; of a text the shares of its tokens.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from models.datasets import Dataset, Split
from models.training.metrics import scores

_BATCH, _VALUES = 4096, 2**24


def baseline(dataset: Dataset, prefix: Literal["val", "test"]) -> dict[str, float]:
    """The metrics of the task, as `models.training.evaluation.evaluate` names them."""
    split = dataset.validation if prefix == "val" else dataset.test
    score = scores[dataset.task.name](dataset.task.outputs, torch.device("cpu"))
    predict = _predictor(dataset)
    outputs = dataset.task.outputs * (split.y[0].numel() if split.y.dim() == 2 else 1)
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
        return (_seasonal(dataset, part, season, horizon) - part.y).square().mean().item()

    return min(seasons, key=error)


def _predictor(dataset: Dataset) -> Any:
    task, y = dataset.task, dataset.train.y
    if task.name == "forecasting":
        season, horizon = season_of(dataset), dataset.preprocessing["target"]["horizon"]
        return lambda part: _seasonal(dataset, part, season, horizon)
    if y.is_floating_point():
        mean = y.mean(dim=0)
        return lambda part: mean.expand(len(part), -1)
    counts = torch.bincount(y.flatten(), minlength=task.outputs).float()
    logits = (counts + 1e-9).log() - counts.sum().log()
    if y.dim() == 1:
        return lambda part: logits.expand(len(part), -1)
    return lambda part: logits.expand(len(part), part.y.shape[1], -1)


def _seasonal(dataset: Dataset, part: Split, season: int, horizon: int) -> Tensor:
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
