"""Samples without a label: where they come from, and what is fitted on them."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.datasets import Dataset
from models.datasets.formats import FormatError
from models.datasets.stored import load, save
from tests.models.support.uploads import csv, npz, people, read

IMAGES = np.random.default_rng(0).integers(0, 255, (30, 6, 6), dtype=np.uint8)
LABELS = np.arange(20) % 2
EMPTY = ["" if row % 3 else "yes no".split()[row % 2] for row in range(60)]


def zipped(folders: dict[str, str]) -> bytes:
    """Of each file the value of its pixels, 0 to 255."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in folders.items():
            content = io.BytesIO()
            Image.new("L", (4, 4), int(value)).save(content, "PNG")
            archive.writestr(name, content.getvalue())
    return buffer.getvalue()


def test_rows_without_a_target_are_unlabelled_where_they_may_be(tmp_path: Path) -> None:
    columns = people(label=EMPTY)
    given = {"target": "label", "unlabelled": True}
    found = read(tmp_path, csv(columns), "tabular_classification", **given)
    assert found.unlabelled is not None
    assert found.sizes == {"train": 12, "validation": 4, "test": 4, "unlabelled": 40}
    ages = np.array([float(age) for age in columns["age"]])
    known = {age for age, label in zip(ages, EMPTY, strict=True) if label}
    raw_test = {round(age, 1) for age in found.raw_test.x[:, 0].tolist()}
    assert raw_test <= known
    # standardised as the train split, of which they are part
    step = found.preprocessing["steps"][-1]
    standard = found.unlabelled[:, 0].double() * step["std"][0] + step["mean"][0]
    empty = ages[[not label for label in EMPTY]]
    np.testing.assert_allclose(standard, empty, atol=1e-4)
    fitted = torch.cat([found.train.x[:, 0], found.unlabelled[:, 0]])
    assert fitted.mean().abs() < 1e-5 and (fitted.std(correction=0) - 1).abs() < 1e-5


def test_a_value_that_only_unlabelled_rows_have_is_known(tmp_path: Path) -> None:
    city = ["Atlantis" if not label else "Rome" for label in EMPTY]
    given = {"target": "label", "unlabelled": True}
    content = csv(people(label=EMPTY, city=city))
    found = read(tmp_path, content, "tabular_classification", **given)
    assert found.preprocessing["columns"][2]["values"] == ["Atlantis", "Rome"]


def test_a_regression_takes_them_too_and_half_a_target_is_an_error(tmp_path: Path) -> None:
    score = ["" if row % 3 else f"{row / 7:.3f}" for row in range(60)]
    given: dict[str, Any] = {"target": "score", "unlabelled": True}
    found = read(tmp_path, csv(people(score=score)), "tabular_regression", **given)
    assert found.sizes == {"train": 12, "validation": 4, "test": 4, "unlabelled": 40}
    given["target"] = ["score", "age"]
    with pytest.raises(ValueError, match="row 3, column 'score': the number is missing"):
        read(tmp_path, csv(people(score=score)), "tabular_regression", **given)


def test_a_wrong_label_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    labels = ["" if row % 3 else str(row % 2) for row in range(60)]
    labels[30] = "0.5"
    given = {"target": "label", "unlabelled": True}
    with pytest.raises(ValueError, match=re.escape("row 32, column 'label': 0.5 is no class")):
        read(tmp_path, csv(people(label=labels)), "tabular_classification", **given)
    with pytest.raises(FormatError, match="no row has a value in label"):
        read(tmp_path, csv(people(label=[""] * 60)), "tabular_classification", **given)


def test_texts_without_a_class_bring_their_words(tmp_path: Path) -> None:
    texts = [f"sure thing number{row}" if label else "whale" for row, label in enumerate(EMPTY)]
    content = csv({"text": texts, "label": EMPTY})
    given = {"target": "label", "unlabelled": True}
    found = read(tmp_path, content, "text_classification", **given)
    assert found.unlabelled is not None and len(found.unlabelled) == 40
    whale = found.preprocessing["vocabulary"].index("whale")
    assert (found.unlabelled[:, 0] == whale).all()


def test_equal_texts_are_in_one_split_whatever_their_class(tmp_path: Path) -> None:
    """A text, in another case or spacing or of another class, is no test of what learned it; nor
    is it one more to pretrain on.
    """
    rng = np.random.default_rng(0)
    texts, labels = [], []
    for number in range(150):
        for spelling in range(rng.integers(1, 4)):
            text = f"opinion {number}, good"
            texts.append((text, text.upper(), text.replace(" ", "  "))[spelling])
            labels.append("pro" if number % 3 else "con" if spelling else "pro")
    plain = len(texts)
    texts += [f"Opinion {number} , good" for number in range(150)] + ["another opinion"] * 5
    labels += [""] * (len(texts) - plain)
    content = csv({"label": labels, "text": [f'"{text}"' for text in texts]})
    given: dict[str, Any] = {"target": "label", "text": "text", "unlabelled": True, "window": 4}
    found = read(tmp_path, content, "text_classification", **given)
    splits = (found.train, found.validation, found.test)
    assert sum(map(len, splits)) == plain
    again = read(tmp_path, content, "text_classification", **given)
    assert again.fingerprint == found.fingerprint

    def numbers(x: torch.Tensor) -> set[int]:  # 1: an opinion of validation or test alone
        return {token for token in x[:, 1].tolist() if token != 1}

    for split, share in zip(splits, (0.6, 0.2, 0.2), strict=True):
        for label in (0, 1):
            there = np.count_nonzero(split.y == label)
            assert abs(there - share * labels[:plain].count(("con", "pro")[label])) <= 2
    # the vocabulary is that of train and of what has no class: no number of it is scored
    assert found.unlabelled is not None
    assert not numbers(found.validation.x) and not numbers(found.test.x)
    assert numbers(found.train.x) == numbers(found.unlabelled[:-5])
    assert len(found.unlabelled) - 5 == len(numbers(found.train.x))


@pytest.mark.parametrize("with_split", [False, True])
def test_arrays_of_images_have_them_beside(tmp_path: Path, with_split: bool) -> None:
    arrays = {"x": IMAGES[:20], "y": LABELS}
    if with_split:
        arrays = {"x_train": IMAGES[:20], "y_train": LABELS, "x_test": IMAGES[:4]}
        arrays["y_test"] = LABELS[:4]
    plain = read(tmp_path, npz(**arrays), "image_classification")
    found = read(tmp_path, npz(**arrays, x_unlabelled=IMAGES[20:]), "image_classification")
    assert found.unlabelled is not None and plain.unlabelled is None
    step = found.preprocessing["steps"][-1]
    pixels = (found.unlabelled * step["std"][0] + step["mean"][0]) * 255
    np.testing.assert_allclose(pixels[:, 0], IMAGES[20:], atol=1e-3)
    fitted = torch.cat([found.train.x, found.unlabelled])
    assert fitted.mean().abs() < 1e-5 and (fitted.std(correction=0) - 1).abs() < 1e-5
    assert torch.equal(found.train.y, plain.train.y) and found.fingerprint != plain.fingerprint
    other = read(tmp_path, npz(**arrays, x_unlabelled=IMAGES[19:29]), "image_classification")
    assert other.fingerprint != found.fingerprint
    with pytest.raises(ValueError, match="x_unlabelled has samples of uint8"):
        read(tmp_path, npz(**arrays, x_unlabelled=IMAGES[:, :5]), "image_classification")


def test_sequences_have_them_beside(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal([3, -7], [2, 5], (30, 9, 2))
    content = npz(x=x[:20], y=LABELS, x_unlabelled=x[20:])
    found = read(tmp_path, content, "sequence_classification")
    assert found.unlabelled is not None and found.unlabelled.shape == (10, 9, 2)
    fitted = torch.cat([found.train.x, found.unlabelled])
    torch.testing.assert_close(fitted.mean((0, 1)), torch.zeros(2), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"x_unlabelled has samples of \(8, 2\)"):
        content = npz(x=x[:20], y=LABELS, x_unlabelled=x[20:, :8])
        read(tmp_path, content, "sequence_classification")


def test_a_folder_of_that_name_holds_pictures_without_a_class(tmp_path: Path) -> None:
    pictures = {f"{'ab'[n % 2]}/{n}.png": str(n) for n in range(20)}
    pictures |= {f"unlabelled/{n}.png": str(100 + n) for n in range(8)}
    content = zipped(pictures)
    found = read(tmp_path, content, "image_classification", unlabelled=True)
    assert found.preprocessing["classes"] == ["a", "b"]
    assert found.unlabelled is not None and len(found.unlabelled) == 8
    asked = read(tmp_path, content, "image_classification")
    assert asked.preprocessing["classes"] == ["a", "b", "unlabelled"] and asked.unlabelled is None
    tested = {f"train/{name}": value for name, value in pictures.items()}
    tested |= {"test/a/1.png": "1", "test/b/2.png": "2", "test/unlabelled/3.png": "3"}
    with pytest.raises(FormatError, match=r"unlabelled/3\.png: a picture of the test split"):
        read(tmp_path, zipped(tested), "image_classification", unlabelled=True)


def test_a_stored_dataset_keeps_them(tmp_path: Path) -> None:
    content = npz(x=IMAGES[:20], y=LABELS, x_unlabelled=IMAGES[20:])
    found = read(tmp_path, content, "image_classification")
    save(found, tmp_path / "stored")
    stored = load(tmp_path / "stored")
    assert isinstance(stored, Dataset) and stored.sizes == found.sizes
    assert stored.unlabelled is not None and found.unlabelled is not None
    assert torch.equal(stored.unlabelled, found.unlabelled)
