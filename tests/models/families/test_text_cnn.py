"""Convolutions over texts, beside sums over the tokens of each in plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from models.architecture import Architecture
from models.datasets.text import classification
from models.families.text_cnn import Filters
from models.training.defaults import default_recipe
from models.training.initialization import build
from models.training.trainer import train


def test_it_is_the_largest_value_of_each_filter_over_the_text() -> None:
    filters = Filters(9, 4, 2, 2, 2)
    texts = [[3, 1, 4, 1, 5], [8, 2], [6], []]
    x = torch.zeros(4, 5, dtype=torch.int64)
    for row, text in enumerate(texts):
        x[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
        expected: list[Tensor] = []
        for linear, length in zip(filters.filters, (2, 3), strict=True):
            weight, bias = linear.weight.view(2, length, 4), linear.bias
            for one in range(2):
                values = [torch.zeros(())]
                for start in range(len(text)):
                    seen = text[start : start + length]
                    parts = [weight[one, i] @ filters.tokens.weight[t] for i, t in enumerate(seen)]
                    values.append(torch.stack([bias[one], *parts]).sum())
                expected.append(torch.stack(values).max())
        torch.testing.assert_close(filters(x)[row], torch.stack(expected))


def test_filters_of_two_tokens_tell_an_order() -> None:
    """The same five words in each text; the class is whether `not` stands before `good`."""
    orders = [" ".join(order) for order in itertools.permutations(["not", "good", "a", "b", "c"])]
    labels = np.array(["not good" in text for text in orders]).astype(int)
    dataset = classification("orders", orders, labels)
    recipe = default_recipe("text_classification").model_copy(
        update={"epochs": 15, "batch_size": 16, "learning_rate": 0.02}
    )
    values = {"width": 8, "filters": 8, "shortest": 2, "lengths": 1}
    network = build(Architecture("text_cnn", values), dataset.task, recipe, 0)
    *_, last = train(network, dataset, recipe, seed=0)
    assert last["val_auc"] == 1.0
