"""Values to predict: what a recipe makes of them for training, and the unit of their errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from models.datasets import Dataset
from models.datasets.quantile_map import normal_knots, piecewise_linear
from models.datasets.target import own_values
from models.recipe import Recipe

ErrorUnit = Literal["own_unit", "deviations"]
"""Of `mae` and `rmse`: the target's own, or its deviation on the train split."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The targets of a dataset, standardised as they are in its splits, and their transform.

    target: as the preprocessing of a bundle has it (`models.datasets.target.own_values`).
    """

    target: Mapping[str, Any]
    error_unit: ErrorUnit = "own_unit"

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, error_unit: ErrorUnit = "own_unit") -> Self:
        """With the transform of the recipe, fitted on the train split."""
        target = dict(dataset.preprocessing.get("target") or _as_they_are(dataset.task.outputs))
        target.pop("transforms", None)
        if recipe.target_transform != "none":
            y = dataset.train.y.to(torch.float64).reshape(-1, len(target["names"]))
            own = y * _row(target["std"]) + _row(target["mean"])
            fit = _FITS[recipe.target_transform]
            target["transforms"] = [fit(column) for column in own.unbind(dim=1)]
        return cls(target, error_unit)

    @classmethod
    def standardised(cls, outputs: int) -> Self:
        """Of which nothing is known: the unit of their errors is that of the targets."""
        return cls(_as_they_are(outputs))

    @property
    def is_transformed(self) -> bool:
        return "transforms" in self.target

    @property
    def units(self) -> Tensor:
        """What an error of one deviation is, of each value.

        Shapes:
            (values,) float64
        """
        deviations = _row(self.target["std"])
        return deviations if self.error_unit == "own_unit" else torch.ones_like(deviations)

    def encoded(self, y: Tensor) -> Tensor:
        """Targets as a network is trained on them.

        Shapes:
            y: (N, steps * values), standardised -> the same, float32
        """
        if not self.is_transformed:
            return y
        count = len(self.target["names"])
        mean, std = _row(self.target["mean"], y), _row(self.target["std"], y)
        own = y.to(torch.float64).reshape(len(y), -1, count) * std + mean
        steps = zip(own.unbind(dim=2), self.target["transforms"], strict=True)
        columns = [_encoded(column, step) for column, step in steps]
        return torch.stack(columns, dim=2).reshape(y.shape).to(torch.float32)

    def decoded(self, outputs: Tensor) -> Tensor:
        """What a network says, as the targets are standardised.

        Shapes:
            (N, steps * values) -> the same, float64
        """
        if not self.is_transformed:
            return outputs.to(torch.float64)
        own = own_values(outputs, self.target)
        wide = own.reshape(len(own), -1, len(self.target["names"]))
        mean, std = _row(self.target["mean"], outputs), _row(self.target["std"], outputs)
        return ((wide - mean) / std).reshape(outputs.shape)


def encoded_targets(dataset: Dataset, recipe: Recipe, y: Tensor) -> Tensor:
    """Targets of one of its splits as a network is trained on them: as they are, but for values
    with a transform.
    """
    if recipe.target_transform == "none":
        return y
    return Values.of(dataset, recipe).encoded(y)


def transformed(dataset: Dataset, recipe: Recipe) -> Mapping[str, Any]:
    """The preprocessing of a bundle: the dataset's own, with the recipe's transform of values."""
    if recipe.target_transform == "none":
        return dataset.preprocessing
    return {**dataset.preprocessing, "target": Values.of(dataset, recipe).target}


def _as_they_are(outputs: int) -> dict[str, Any]:
    names = [str(index) for index in range(outputs)]
    return {"names": names, "mean": [0.0] * outputs, "std": [1.0] * outputs}


def _signed_log(values: Tensor) -> dict[str, Any]:
    """sign(v) log(1 + |v| / unit), standardised. The unit is the median size of what is not 0, so
    that the transform is the same in cents and in euros; beyond it, it is a logarithm.
    """
    sizes = values.abs()[values != 0]
    unit = sizes.median().item() if len(sizes) else 1.0
    scaled = values.sign() * (values.abs() / unit).log1p()
    deviation = scaled.std(correction=0).item()
    return {
        "op": "signed_log",
        "unit": unit,
        "mean": scaled.mean().item(),
        "std": deviation if deviation > 1e-12 * abs(scaled.mean().item()) else 1.0,
        "low": scaled.min().item() - 1,
        "high": scaled.max().item() + 1,
    }


def _quantile(values: Tensor) -> dict[str, Any]:
    knots, scores = normal_knots(values)
    return {"op": "quantile", "values": knots.tolist(), "scores": scores.tolist()}


_FITS = {"log": _signed_log, "quantile": _quantile}


def _encoded(own: Tensor, step: Mapping[str, Any]) -> Tensor:
    if step["op"] == "signed_log":
        scaled = own.sign() * (own.abs() / step["unit"]).log1p()
        standardised: Tensor = (scaled - step["mean"]) / step["std"]
        return standardised
    return piecewise_linear(own, _row(step["values"], own), _row(step["scores"], own))


def _row(numbers: Any, like: Tensor | None = None) -> Tensor:
    device = None if like is None else like.device
    return torch.tensor(numbers, dtype=torch.float64, device=device)
