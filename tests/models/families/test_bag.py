"""Bags of n-grams, beside sums over the tokens of each text in plain Python."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.architecture import Architecture
from models.datasets.text import classification
from models.exporters.source import source
from models.families.bag import Bag
from models.family import families
from models.presets import preset
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import build
from models.training.trainer import train

FAMILY = families["bag"]


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_it_is_the_mean_of_all_tokens_and_ngrams(ngrams: int, root: bool) -> None:
    bag = Bag(9, 4, ngrams, 64, root)
    texts = [[3, 1, 4, 1, 5], [8, 2], [6], []]
    x = torch.zeros(4, 5, dtype=torch.int64)
    for row, text in enumerate(texts):
        x[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
        parts: list[Tensor] = [bag.tokens.weight[token] for token in text]
        for count in range(2, ngrams + 1):
            for start in range(len(text) - count + 1):
                place = text[start]
                for token in text[start + 1 : start + count]:
                    place = (place * 31_337 + token) % 64
                parts.append(bag.ngrams.weight[place])
        mean = torch.stack(parts).mean(dim=0) if parts else torch.zeros(4)
        torch.testing.assert_close(bag(x)[row], mean * len(parts) ** 0.5 if root else mean)


def test_what_stands_after_the_end_of_a_text_counts_for_nothing() -> None:
    bag = Bag(9, 4, 3, 64)
    short, long = torch.tensor([[3, 1, 4]]), torch.tensor([[3, 1, 4, 0, 0, 0]])
    torch.testing.assert_close(bag(short), bag(long))
    torch.testing.assert_close(bag(long[:, :1]), bag.tokens(long[:, 0]))


def test_pairs_tell_an_order_that_words_do_not() -> None:
    """The same five words in each text; the class is whether `not` stands before `good`."""
    orders = [" ".join(order) for order in itertools.permutations(["not", "good", "a", "b", "c"])]
    labels = np.array(["not good" in text for text in orders]).astype(int)
    dataset = classification("orders", orders, labels)
    recipe = preset("fasttext").recipe_for(dataset.task, epochs=25, batch_size=16)
    scores = {}
    for ngrams in (1, 2):
        values: dict[str, Any] = {"ngrams": ngrams, "width": 10}
        values |= {"buckets": 512} if ngrams > 1 else {}
        network = build(Architecture("bag", values), dataset.task, recipe, 0)
        *_, last = train(network, dataset, recipe, seed=0)
        scores[ngrams] = last["val_auc"]
        said = network.eval()(dataset.train.x)
        assert (said.std(dim=0).max() < 1e-5) == (ngrams == 1), "a bag of words is the same for all"
    assert scores[2] == 1.0


def test_words_that_are_rare_say_little_before_they_are_trained() -> None:
    """fastText draws embeddings between -1/width and 1/width; torch's have the deviation 1."""
    weight = Bag(1000, 20).tokens.weight
    assert weight.abs().max() <= 1 / 20
    assert weight.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.05)


def test_the_pooling_is_searched_where_it_is_left_open_and_was_the_mean_before() -> None:
    task = Task("text_classification", (12,), 3, vocabulary=7)
    values = {"ngrams": 1, "width": 5}
    old, new = FAMILY.Settings(), FAMILY.Settings().for_task(task)
    assert "pooling" not in {d.name for d in FAMILY.decisions(old, task)}
    (pooling,) = [d for d in FAMILY.decisions(new, task) if d.name == "pooling"]
    assert (pooling.domain.values(), pooling.absent) == (("mean", "root"), "mean")
    mean = Architecture("bag", {**values, "pooling": "mean"})
    assert FAMILY.canonical(mean) == Architecture("bag", values)
    network = FAMILY.build(Architecture("bag", {**values, "pooling": "root"}), task, Recipe())
    assert "Bag(7, 5, root=True)" in source(network, mean, task)


def test_buckets_are_decided_for_pairs_alone() -> None:
    task = Task("text_classification", (12,), 3, vocabulary=7)
    settings = FAMILY.Settings.model_validate({"ngrams": 1})
    assert [d.name for d in FAMILY.decisions(settings, task)] == ["ngrams", "width"]
    network = FAMILY.build(Architecture("bag", {"ngrams": 1, "width": 5}), task, Recipe())
    assert sum(p.numel() for p in network.parameters()) == 7 * 5 + 6 * 3
