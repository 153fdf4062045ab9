"""What texts are cut into is decided by a search where the dataset has more than one way."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from models.cost import cost
from models.datasets import Dataset
from models.datasets.text import classification
from models.domains import Choice
from models.recipe import Recipe
from models.task import Task
from search.problems import SpecError
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import Resolved, resolve

LABELS = np.arange(60) % 2


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return classification("mine", [f"{'un' * (n % 2)}kind text {n % 9}" for n in range(60)], LABELS)


def resolved(dataset: Dataset, task: Task | None = None, **body: Any) -> Resolved:
    facts = DatasetFacts(
        task or dataset.task, dataset.sizes, dataset.fingerprint, "mine", None, dataset.remarks
    )
    request = {
        "dataset": "mine",
        "space": {"family": "transformer", "width": 16},
        "strategy": {"name": "random"},
    }
    return resolve({**request, **body}, lambda name: facts)


def refused(dataset: Dataset, task: Task | None = None, **body: Any) -> str:
    with pytest.raises(SpecError) as caught:
        resolved(dataset, task, **body)
    return {found.pointer: found.message for found in caught.value.problems}["/training/tokens"]


def test_a_choice_gives_each_network_its_vocabulary(dataset: Dataset) -> None:
    choice = {"choice": ["words", "subwords", "characters"]}
    found = resolved(dataset, training={"tokens": choice})
    architecture = found.space.sample(Random(0)).architecture
    known = {size.tokens: size.vocabulary for size in dataset.task.readings}
    costs = {
        tokens: cost(architecture, dataset.task, Recipe(tokens=tokens))["parameters"]
        for tokens in known
    }
    for one, other in (("words", "subwords"), ("words", "characters")):
        assert costs[one] - costs[other] == (known[one] - known[other]) * 16


def test_what_the_dataset_has_not_is_refused(dataset: Dataset) -> None:
    older = replace(dataset.task, readings=())
    assert "stored by an older version" in refused(dataset, older, training={"tokens": "subwords"})
    supernet = {"name": "gdas"}
    choice = {"tokens": {"choice": ["words", "subwords"]}}
    message = refused(dataset, training=choice, strategy=supernet)
    assert "by one vocabulary, so that tokens has one value" in message
    table = Task("multilabel_classification", (3,), 2)
    space = {"family": "mlp"}
    known = refused(dataset, table, training={"tokens": "words"}, space=space)
    assert known.startswith('"words" is for text_classification, multilabel_classification, and')


def test_where_many_words_are_unknown_their_parts_are_tried() -> None:
    texts = [f"{'un' * (n % 2)}kind{n} text{n}" for n in range(60)]
    found = classification("mine", texts, LABELS)
    training: Any = resolved(found).spec.training
    assert training.tokens == Choice(("words", "subwords"))
    training = resolved(found, training={"tokens": "characters"}).spec.training
    assert training.tokens == "characters"


def test_else_they_are_the_datasets_own(dataset: Dataset) -> None:
    training: Any = resolved(dataset).spec.training
    assert training.tokens == "dataset"
