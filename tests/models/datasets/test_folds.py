"""Datasets whose train and validation are cut anew for every network: what is in which fold."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from models.datasets import Dataset, Split
from models.datasets.formats import Options
from models.datasets.input_transform import with_inputs
from models.datasets.splits import Division, Folding
from models.datasets.stored import load, save
from models.recipe import Recipe
from tests.models.support.uploads import csv, npz, read

ROWS = 100
CLASSES = ["abb"[row % 3] for row in range(ROWS)]
FIVE = {"validation": {"folds": 5}}


def table(**more: list[str]) -> bytes:
    return csv({"n": [str(row) for row in range(ROWS)], "label": CLASSES, **more})


def tabular(folder: Path, content: bytes, **options: Any) -> Dataset:
    return read(folder, content, "tabular_classification", target="label", **options)


def numbers(split: Split, preprocessing: Any) -> list[int]:
    """The first column as it stood in the file."""
    (step,) = [step for step in preprocessing["steps"] if step["op"] == "standardize"]
    assert isinstance(split.x, torch.Tensor)
    return (split.x[:, 0].double() * step["std"][0] + step["mean"][0]).round().int().tolist()


def test_each_sample_of_train_and_validation_is_validated_once_a_repeat(tmp_path: Path) -> None:
    found = tabular(tmp_path, table(), validation={"folds": 5, "repeats": 2})
    pool = sorted(
        numbers(found.train, found.preprocessing) + numbers(found.validation, found.preprocessing)
    )
    assert len(found.folds) == 10 and found.labelled_sizes == (60, 20, 20)
    for folds in (found.folds[:5], found.folds[5:]):
        parts = [numbers(fold.validation, fold.preprocessing) for fold in folds]
        assert sorted(itertools.chain(*parts)) == pool
        for fold, part in zip(folds, parts, strict=True):
            assert sorted(numbers(fold.train, fold.preprocessing) + part) == pool
    first, second = ({frozenset(numbers(f.validation, f.preprocessing)) for f in folds}
                     for folds in (found.folds[:5], found.folds[5:]))  # fmt: skip
    assert not first & second
    y = np.concatenate([found.train.y, found.validation.y])
    counts = [np.bincount(y[test]) for _, test in StratifiedKFold(5).split(y, y)]
    for fold in found.folds:
        assert np.abs(np.bincount(fold.validation.y) - counts[0]).max() <= 1
    assert [remark.count for remark in found.remarks if remark.code == "validation_folds"] == [10]


def test_what_a_fold_validates_on_is_unknown_to_its_preprocessing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cities = ["Oslo" if row == 0 else ("Rome", "Lima")[row % 2] for row in range(ROWS)]
    values = [repr(v) for v in rng.normal(5, 2, ROWS).tolist()]
    content = csv({"n": [str(r) for r in range(ROWS)], "v": values, "city": cities, "y": values})
    found = read(tmp_path, content, "tabular_regression", target="y", **FIVE)
    assert {fold.train.x.shape[1] for fold in found.folds} == set(found.task.input_shape)
    assert found.preprocessing["columns"][2]["name"] == "city"
    oslo = found.preprocessing["columns"][2]["values"].index("Oslo") + 2
    for fold in found.folds:
        rows = numbers(fold.train, fold.preprocessing)
        raw = np.array([[row, float(values[row])] for row in rows])
        np.testing.assert_allclose(
            fold.train.x[:, :2], StandardScaler().fit_transform(raw), atol=1e-5
        )
        target = fold.preprocessing["target"]
        assert target["mean"] == pytest.approx([raw[:, 1].mean()])
        assert target["std"] == pytest.approx([raw[:, 1].std()])
        held_out = numbers(fold.validation, fold.preprocessing)
        if 0 in held_out:  # the only row from Oslo is as one from nowhere
            assert fold.validation.x[held_out.index(0), 2:].tolist() == [0, 0, 0]
        elif 0 in rows:
            assert fold.train.x[rows.index(0), oslo] == 1


def test_ranks_of_numbers_are_those_in_a_folds_train_part(tmp_path: Path) -> None:
    found = tabular(tmp_path, table(), **FIVE)
    save(found, tmp_path / "stored")
    again = load(tmp_path / "stored")
    assert isinstance(again, Dataset)
    for fold in again.folds:
        rows = numbers(fold.train, fold.preprocessing)
        ranked = with_inputs(again.in_fold(fold), Recipe(input_transform="quantile"))
        assert isinstance(ranked.train.x, torch.Tensor)
        order = np.argsort(np.argsort(rows))
        expected = norm.ppf((order + 0.5) / len(rows))
        np.testing.assert_allclose(ranked.train.x[:, 0], expected, atol=1e-5)


def test_words_that_a_folds_train_part_lacks_are_unknown(tmp_path: Path) -> None:
    texts = [f"every w{row // 2}" for row in range(0, 2 * ROWS, 2)]
    content = csv({"text": texts, "label": CLASSES})
    found = read(tmp_path, content, "text_classification", target="label", **FIVE)
    for fold in found.folds:
        assert isinstance(fold.validation.x, torch.Tensor)
        assert fold.validation.x.unique().tolist() == [1, 2]  # what is unknown, and `every`


def test_pictures_and_sequences_have_folds_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    pictures = rng.integers(0, 255, (40, 6, 6), dtype=np.uint8)
    steps = rng.normal(3, 2, (40, 5, 2))
    for task, x in (("image_classification", pictures), ("sequence_classification", steps)):
        found = read(tmp_path, npz(x_train=x, y_train=y), task, validation={"folds": 4})
        assert [len(fold.validation) for fold in found.folds] == [8] * 4
        for fold in found.folds:
            assert isinstance(fold.train.x, torch.Tensor)
            assert abs(float(fold.train.x.mean())) < 1e-5
            assert float(fold.train.x.std(correction=0)) == pytest.approx(1, abs=1e-3)


def test_groups_and_equal_samples_stay_in_one_fold() -> None:
    groups = np.repeat(np.arange(20), 5)
    equal = np.arange(100)
    equal[4] = equal[5]  # joins the first two groups
    y = np.arange(100) % 2
    division = Division(groups=groups, folding=Folding(4))
    sets = division.sets(100, (0.2, 0.2), 0, y, equal)
    together = np.where(groups == 1, 0, groups)
    for train, validation in division.cuts(sets, 0, y, equal):
        assert not set(together[train]) & set(together[validation])
        assert not set(validation) & set(sets[2]) and not set(train) & set(sets[2])


def test_a_sample_alone_of_its_class_is_trained_on_in_every_fold() -> None:
    y = np.array([0, 1] * 30 + [2])
    division = Division(folding=Folding(5))
    sets = division.sets(61, (0.2, 0.2), 0, y)
    for train, validation in division.cuts(sets, 0, y):
        assert 60 in train and 60 not in validation


def test_folds_are_stored_and_make_another_dataset(tmp_path: Path) -> None:
    found, plain = tabular(tmp_path, table(), **FIVE), tabular(tmp_path, table())
    assert found.fingerprint != plain.fingerprint and torch.equal(found.train.x, plain.train.x)
    save(found, tmp_path / "stored")
    again = load(tmp_path / "stored")
    assert isinstance(again, Dataset) and len(again.folds) == 5
    for before, after in zip(found.folds, again.folds, strict=True):
        assert after.preprocessing == before.preprocessing
        for one, other in ((before.train, after.train), (before.validation, after.validation)):
            assert isinstance(one.x, torch.Tensor) and isinstance(other.x, torch.Tensor)
            assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def test_few_samples_are_told_of_folds(tmp_path: Path) -> None:
    (plain,) = [r for r in tabular(tmp_path, table()).remarks if r.code == "few_samples"]
    assert '{"folds": 5}' in plain.message
    (with_folds,) = [r for r in tabular(tmp_path, table(), **FIVE).remarks
                     if r.code == "few_samples"]  # fmt: skip
    assert "folds" not in with_folds.message


@pytest.mark.parametrize(
    ("content", "task", "options", "message"),
    [
        (table(part=[("train", "val", "test")[r % 3] for r in range(ROWS)]),
         "tabular_classification", {"target": "label", "split_column": "part"},
         "'part' gives the rows of validation, which folds would cut anew"),
        (csv({"t": [str(r) for r in range(60)], "v": ["1"] * 60}), "forecasting",
         {"time": "t", "target": "v", "window": 2, "horizon": 1}, "has no meaning for forecasting"),
        (npz(edge_index=np.zeros((2, 3), int), y=np.arange(5) % 2), "node_classification", {},
         "has no meaning for node_classification"),
        (npz(x=np.arange(640, dtype=np.uint8).reshape(40, 4, 4), y=np.arange(40) % 2,
             x_val=np.full((9, 4, 4), 99, np.uint8), y_val=np.arange(9) % 2),
         "image_classification", {}, "validation comes with the data"),
        (csv({"n": list("123456"), "label": list("aabbab")}), "tabular_classification",
         {"target": "label"}, r"5 folds of train and validation: 5 samples are too few for sets"),
        (table(who=[str(row % 4) for row in range(ROWS)]), "tabular_classification",
         {"target": "label", "group_column": "who"},
         r"5 folds of train and validation: .* samples of 3 groups are too few .*equal samples"),
    ],
)  # fmt: skip
def test_folds_that_make_no_sense_are_refused(
    content: bytes, task: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content, task, **options, **FIVE)


def test_folds_and_unlabelled_samples_are_refused_together() -> None:
    with pytest.raises(ValueError, match="unlabelled has others"):
        Options.model_validate({**FIVE, "unlabelled": True})
