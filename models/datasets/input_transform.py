"""What a recipe makes of texts, and of the numbers of a table, before a network sees them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from models.datasets import Dataset, Split
from models.datasets.preprocess import at_quantiles
from models.datasets.quantile_map import normal_knots
from models.datasets.tabular import columns_of_features
from models.recipe import Recipe


def with_inputs(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The dataset with the inputs that the recipe asks for, also in its preprocessing: texts as its
    tokens, of which the task then speaks, and every number of a table by its rank in the train
    split, in scores of the normal distribution. The rest stays as it is, and so does a dataset that
    has them already.

    A number that is missing counts as the median.

    Raises:
        ValueError: the dataset has no such tokens.
    """
    dataset = dataset.read_as(recipe.tokens)
    steps = dataset.preprocessing["steps"] if recipe.input_transform != "standard" else ()
    if not steps or any(step["op"] == "quantile" for step in steps):
        return dataset
    places = _places(dataset.preprocessing)
    if not places:
        return dataset
    known = torch.cat([_numbers(dataset, "train", places), *_unlabelled(dataset, places)])
    steps = _fitted(steps, places, known)

    def split(name: str, of: Split) -> Split:
        assert isinstance(of.x, Tensor)  # noqa: S101 - a table's
        return Split(_mapped(of.x, _numbers(dataset, name, places), places, steps), of.y)

    more = _unlabelled(dataset, places)
    return replace(
        dataset,
        train=split("train", dataset.train),
        validation=split("validation", dataset.validation),
        test=split("test", dataset.test),
        unlabelled=_mapped(dataset.unlabelled, more[0], places, steps)
        if dataset.unlabelled is not None
        else None,
        preprocessing={**dataset.preprocessing, "steps": steps},
    )


def _places(preprocessing: Mapping[str, Any]) -> dict[int, int]:
    """The raw number of each feature that is a number of the file."""
    columns = preprocessing["columns"]
    of = columns_of_features(preprocessing).tolist()
    options = next((s["options"] for s in preprocessing["steps"] if s["op"] == "one_hot"), None)
    raw = [n for n, count in enumerate(options or [0] * len(of)) for _ in range(max(count, 1))]
    return {
        feature: raw[feature]
        for feature, column in enumerate(of)
        if columns[column]["kind"] == "number"
    }


def _numbers(dataset: Dataset, name: str, places: Mapping[int, int]) -> Tensor:
    """As they stand in the file; of a dataset that was stored without them, as exactly as they can
    be told from what is standardised.
    """
    if name in dataset.numbers:
        return dataset.numbers[name]
    x: Any = dataset.unlabelled if name == "unlabelled" else getattr(dataset, name).x
    step = dataset.preprocessing["steps"][-1]
    mean, deviation = (torch.tensor(step[n], dtype=torch.float64) for n in ("mean", "std"))
    numbers: Tensor = (x.to(torch.float64) * deviation + mean)[:, list(places)]
    return numbers


def _unlabelled(dataset: Dataset, places: Mapping[int, int]) -> list[Tensor]:
    return [] if dataset.unlabelled is None else [_numbers(dataset, "unlabelled", places)]


def _fitted(
    steps: list[dict[str, Any]], places: Mapping[int, int], numbers: Tensor
) -> list[dict[str, Any]]:
    """The steps for numbers as they stand in the file, which are in the order of `places`."""
    steps = copy.deepcopy(steps)
    impute, standardize = steps[0], steps[-1]
    maps = []
    for (feature, raw), column in zip(places.items(), numbers.unbind(dim=1), strict=True):
        present = column[~column.isnan()]
        present = present if len(present) else torch.zeros(1, dtype=torch.float64)
        impute["values"][raw] = present.median().item()
        standardize["mean"][feature], standardize["std"][feature] = 0.0, 1.0
        maps.append(normal_knots(present))
    step = {
        "op": "quantile",
        "features": list(places),
        "values": [values.tolist() for values, _ in maps],
        "scores": [scores.tolist() for _, scores in maps],
    }
    return [*steps, step]


def _mapped(
    x: Tensor, numbers: Tensor, places: Mapping[int, int], steps: list[dict[str, Any]]
) -> Tensor:
    """Features with these numbers by their rank in place of the standardised ones."""
    medians = torch.tensor(steps[0]["values"], dtype=torch.float64)[list(places.values())]
    filled = torch.where(numbers.isnan(), medians, numbers)
    mapped = x.clone()
    step = {**steps[-1], "features": range(len(places))}
    mapped[:, list(places)] = at_quantiles(filled, step).to(torch.float32)
    return mapped
