"""Sixty easy texts, whose class one word says, are learned by the default recipe."""

from __future__ import annotations

from random import Random

import numpy as np
import torch

from models.architecture import Architecture
from models.datasets import text
from models.training.defaults import default_recipe
from models.training.initialization import build
from models.training.trainer import evaluate, train

FILLING = "the a this that one it was is with from over some film book day room".split()


def test_sixty_easy_texts_are_told_apart() -> None:
    """A linear model of the counts of words has 0.97 on such data, as cross-validation says;
    a guess has 0.5.
    """
    torch.set_num_threads(1)
    rng, texts = Random(0), []
    for number in range(60):
        words = rng.choices(FILLING, k=rng.randint(4, 12))
        words.insert(rng.randrange(len(words)), ("bad", "good")[number % 2])
        texts.append(" ".join(words))
    dataset = text.classification("easy", texts, np.arange(60) % 2)
    recipe = default_recipe(dataset.task.name, len(dataset.train))
    network = build(Architecture("bag", {"ngrams": 1, "width": 64}), dataset.task, recipe, 0)
    *_, last = train(network, dataset, recipe, seed=0, keep_best=True)
    tested = evaluate(network, dataset.test, dataset.task, "test")
    assert last["val_accuracy"] >= 0.8 and tested["test_accuracy"] >= 0.8
