"""Hashed n-grams of a language model, beside sums over the tokens of each place in plain Python."""

from __future__ import annotations

import math

import pytest
import torch

from models.architecture import Architecture
from models.datasets.text import language_modeling
from models.families.ngram import Ngrams
from models.family import families
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import build
from models.training.trainer import train


@pytest.mark.parametrize("length", [2, 6])
def test_it_is_the_sum_of_all_ngrams_that_end_at_a_token(length: int) -> None:
    """Of nine tokens there are 81 pairs, each with a place of its own, and 729 triples, which share
    100 by a hash, as longer ones do.
    """
    ngrams = Ngrams(9, 4, 4, 100)
    tokens = [3, 1, 4, 1, 5, 8][:length]
    found = ngrams(torch.tensor([tokens]))
    for end in range(length):
        places = [tokens[end]]
        if end >= 1:
            places.append(tokens[end] * 9 + tokens[end - 1])
        if end >= 2:
            places.append((places[1] * 31_337 + tokens[end - 2]) % 100)
        if end >= 3:
            places.append((places[2] * 31_337 + tokens[end - 3]) % 100)
        parts = [ngrams.tables[n].weight[place] for n, place in enumerate(places)]
        torch.testing.assert_close(found[0, end], torch.stack(parts).sum(dim=0))
    assert [len(table.weight) for table in ngrams.tables] == [9, 81, 100, 100]


@pytest.mark.parametrize("hidden", [0, 8])
def test_it_never_looks_ahead(hidden: int) -> None:
    task = Task("language_modeling", (7,), 9, vocabulary=9)
    values = {"longest": 4, "width": 6, "buckets": 64, "hidden": hidden}
    network = build(Architecture("ngram", values), task, Recipe(), 0).eval()
    tokens = torch.randint(9, (3, 7), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 9
    torch.testing.assert_close(network(tokens)[:, :4], network(changed)[:, :4])


def test_three_tokens_tell_what_two_do_not() -> None:
    """Each bit is the sum, modulo 2, of the second and the third before it: a cycle of seven. After
    three bits one alone may follow; after two, but for 00, either, as after a single 1.
    """
    after_two = 6 / 7 * math.log(2)
    after_one = 4 / 7 * math.log(2) + 3 / 7 * (math.log(3) - 2 / 3 * math.log(2))
    dataset = language_modeling("cycle", "1110100" * 80, window=15)
    recipe = Recipe(epochs=40, batch_size=8, optimizer="adam", learning_rate=0.05)
    for longest, expected in ((2, after_one + 14 * after_two), (3, after_one + after_two)):
        values = {"longest": longest, "width": 4, "buckets": 64, "hidden": 0}
        network = build(Architecture("ngram", values), dataset.task, recipe, 0)
        *_, last = train(network, dataset, recipe, seed=0)
        assert last["val_loss"] == pytest.approx(expected / 15, abs=0.05), longest


def test_a_window_that_is_shorter_than_the_ngrams_has_fewer_of_them() -> None:
    task = Task("language_modeling", (2,), 9, vocabulary=9)
    values = {"longest": 5, "width": 6, "buckets": 64, "hidden": 0}
    network = families["ngram"].build(Architecture("ngram", values), task, Recipe())
    assert sum(p.numel() for p in network.parameters()) == 9 * 6 + 64 * 6 + 7 * 9  # of 81 pairs
