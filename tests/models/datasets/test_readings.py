"""Texts as words, as parts of words and as characters, whichever a recipe chooses."""

# ruff: noqa: RUF001 - letters of many scripts

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.datasets import Dataset
from models.datasets.cells import subwords, unicode_words
from models.datasets.input_transform import with_inputs
from models.datasets.preprocess import encode, source
from models.datasets.splits import Division, Folding
from models.datasets.stored import load, save
from models.datasets.subwords import BEGINNING, LONGEST, MOST_MERGES, learned
from models.datasets.text import classification
from models.exporters.source import STANDARD_LIBRARY
from models.recipe import Recipe
from models.task import Task

KINDS = ("words", "subwords", "characters")

STEMS = ("walk", "talk", "jump", "Überraschung", "真棒", "ดีมาก", "👩🏽‍💻", "e\u0301te\u0301")
ENDINGS = ("ing", "ed", "er", "", "s!")

STRANGE = st.text(
    st.sampled_from(
        "aAıİßẞéwalking 真棒ก็👩🏽\u200d💻🇩🇪\ufe0f\u0301\u2581\u200b\x00\n\t\xa0１²ﬁ\ufffd"
    ),
    max_size=30,
) | st.text(max_size=20)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = Random(0)
    words = [rng.choice(STEMS) + rng.choice(ENDINGS) + str(number % 40) for number in range(600)]
    return ["", *(" ".join(words[start : start + 3]) for start in range(0, 597, 3))]


@pytest.fixture(scope="module")
def dataset(texts: list[str]) -> Dataset:
    return classification("mine", texts, np.arange(len(texts)) % 2)


@pytest.fixture(scope="module")
def in_bundle() -> Callable[..., torch.Tensor]:
    """`encode` of a bundle's model.py, which has torch and the standard library."""
    bundle: dict[str, Any] = {}
    modules = "\n".join(f"import {name}" for name in STANDARD_LIBRARY)
    text = source("text_classification")
    exec(f"from __future__ import annotations\nimport torch\n{modules}\n{text}", bundle)  # noqa: S102
    assert "sentencepiece" not in text
    found: Callable[..., torch.Tensor] = bundle["encode"]
    return found


def by_hand(text: str, vocabulary: list[str], length: int) -> list[int]:
    """The longest part first, by trying all of the vocabulary at each place."""
    ids = []
    for word in unicode_words(text):
        rest = word if len(word) == 1 else BEGINNING + word
        while rest:
            fitting = [part for part in vocabulary[2:] if rest.startswith(part)]
            part = max(fitting, key=len, default=rest[0])
            ids.append(vocabulary.index(part) if fitting else 1)
            rest = rest[len(part) :]
    return [*ids, *[0] * length][:length]


@settings(max_examples=40)
@given(text=STRANGE)
def test_a_text_is_the_same_parts_in_training_in_a_bundle_and_by_hand(
    dataset: Dataset, in_bundle: Callable[..., torch.Tensor], text: str
) -> None:
    found = dataset.read_as("subwords").preprocessing
    (here,), (there,) = encode([text], found), in_bundle([text], found)
    assert torch.equal(here, there)
    length = found["input"]["shape"][0]
    assert here.tolist() == by_hand(text, found["vocabulary"], length)
    for kind in ("words", "characters"):
        other = dataset.read_as(kind).preprocessing
        assert torch.equal(encode([text], other), in_bundle([text], other))


@settings(max_examples=40)
@given(text=STRANGE)
def test_parts_make_up_the_word_again(dataset: Dataset, text: str) -> None:
    vocabulary = dataset.read_as("subwords").preprocessing["vocabulary"]
    known = {part: number for number, part in enumerate(vocabulary)}
    for word in unicode_words(text):
        marked = word if len(word) == 1 else BEGINNING + word
        assert "".join(subwords([word], known)) == marked


def test_merges_are_those_of_byte_pair_encoding() -> None:
    """The example of Sennrich, Haddow and Birch, section 3.2, but that a word is marked at its
    beginning: e s, es t (9 times), then l o (7, before the beginning of a word), ...
    """
    words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    parts = learned(words, 1000)
    assert parts[:1] == [BEGINNING]
    assert set(parts[1:11]) == set("lowernstid") and parts[1] == "e"
    assert parts[11:] == ["es", "est"]  # half as many merges as there are words
    assert learned(dict(reversed(words.items())), 1000) == parts


def test_there_are_no_more_parts_than_asked_for() -> None:
    rng = Random(0)
    words = {"".join(rng.choices("abcdefgh", k=12)): 1 + rng.randrange(9) for _ in range(8_400)}
    parts = learned(words, 20_000)
    assert len(parts) == len(set(parts)) == 1 + 8 + MOST_MERGES
    assert max(map(len, parts)) <= LONGEST
    assert learned({"真": 3, "棒": 5}, 1000) == [BEGINNING, "棒", "真"]
    assert learned({"真": 3, "棒": 5}, 2) == [BEGINNING, "棒"]
    assert learned({}, 1000) == [BEGINNING]


def test_the_recipe_says_which_tokens_a_network_sees(dataset: Dataset, tmp_path: Path) -> None:
    save(dataset, tmp_path / "data")
    again = load(tmp_path / "data")
    assert isinstance(again, Dataset) and again.task == dataset.task
    assert Task.from_json(dataset.task.to_json()) == dataset.task
    assert [size.tokens for size in dataset.task.readings] == list(KINDS)
    sizes = {}
    for kind in KINDS:
        found, loaded = (with_inputs(d, Recipe(tokens=kind)) for d in (dataset, again))
        task = dataset.task.read_as(kind)
        assert task.vocabulary == len(found.preprocessing["vocabulary"])
        for name in ("train", "validation", "test"):
            x, other = getattr(found, name).x, getattr(loaded, name).x
            assert torch.equal(x, other) and x.max() < task.vocabulary
            assert x.shape[1:] == task.input_shape
            assert torch.equal(getattr(found, name).y, getattr(dataset, name).y)
        assert with_inputs(found, Recipe(tokens=kind)) is found
        sizes[kind] = task.input_shape[0]
    assert sizes["words"] < sizes["subwords"] < sizes["characters"]
    assert with_inputs(dataset, Recipe()) is dataset is dataset.read_as("words")
    with pytest.raises(ValueError, match=r"mine has no characters; .* it has none"):
        dataset.read_as("subwords").read_as("characters")


def test_what_the_train_part_of_a_fold_lacks_is_unknown_in_it(texts: list[str]) -> None:
    y = np.arange(len(texts)) % 2
    folded = classification("mine", texts, y, division=Division(folding=Folding(2)))
    read = folded.read_as("subwords")
    assert len(read.folds) == len(folded.folds) == 2
    for fold, own in zip(read.folds, folded.folds, strict=True):
        assert torch.equal(fold.validation.y, own.validation.y)
        assert isinstance(fold.train.x, torch.Tensor)
        assert isinstance(fold.validation.x, torch.Tensor)
        seen = {0, 1, *fold.train.x.flatten().tolist()}
        assert set(fold.validation.x.flatten().tolist()) <= seen
        assert folded.in_fold(own).readings == {}


def test_rows_without_a_label_teach_parts(texts: list[str]) -> None:
    more = ["unbelievably"] * 9 + ["unbelievable", "believe"] * 5
    found = classification("mine", texts, np.arange(len(texts)) % 2, unlabelled=more)
    read = found.read_as("subwords")
    assert "believ" in "".join(read.preprocessing["vocabulary"])
    assert read.unlabelled is not None and found.unlabelled is not None
    assert len(read.unlabelled) == len(found.unlabelled) == len(more)


def test_what_would_be_too_large_is_left_out_and_told(
    texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.datasets.readings.MAX_TOKENS", 20 * len(texts))
    found = classification("mine", texts, np.arange(len(texts)) % 2)
    assert list(found.readings) == ["subwords"]
    (told,) = [remark for remark in found.remarks if remark.code == "tokens_left_out"]
    assert told.message.startswith("the texts are not kept as characters too")
