"""Numbers of a table by their rank, beside scikit-learn's QuantileTransformer."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer

from models.datasets import Dataset, datasets
from models.datasets.input_transform import with_inputs
from models.datasets.preprocess import apply, encode
from models.datasets.stored import load, save
from models.recipe import Recipe
from tests.models.support.uploads import read

ROWS = 1000
QUANTILE = Recipe(input_transform="quantile")


@pytest.fixture(scope="module")
def incomes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A column with a heavy tail and sentinels, one of few values, a category, a hole."""
    rng = np.random.default_rng(0)
    income = np.exp(rng.normal(0, 3, ROWS))
    income[:8] = 99_999_999
    children = rng.integers(0, 4, ROWS)
    label = np.where(income + rng.normal(0, 0.3, ROWS) > 1, "rich", "poor")
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["income", "children", "town", "label"])
    for i in range(ROWS):
        rows.writerow(["" if i % 50 == 9 else income[i], children[i], "ab"[i % 2], label[i]])
    folder = tmp_path_factory.mktemp("incomes")
    return read(folder, out.getvalue().encode(), "tabular_classification", target="label")


def test_the_scores_are_those_of_scikit_learn(incomes: Dataset) -> None:
    found = with_inputs(incomes, QUANTILE)
    theirs = QuantileTransformer(n_quantiles=257, output_distribution="normal", subsample=None)
    theirs.fit(incomes.numbers["train"][:, :1].numpy())
    expected = torch.from_numpy(theirs.transform(incomes.numbers["test"][:, :1].numpy()))[:, 0]
    usual = expected.abs() < 2
    assert usual.sum() > 150
    torch.testing.assert_close(found.test.x[usual, 0], expected[usual].float(), atol=0.05, rtol=0)
    assert found.train.x[:, 0].abs().max() < 4, "the sentinels are near the rest"
    assert incomes.train.x[:, 0].abs().max() > 10
    assert torch.equal(found.test.x[:, 2:], incomes.test.x[:, 2:]), "a category stays"
    assert len(found.train.x[:, 1].unique()) == 4, "equal values stay equal"


def test_heavy_tails_are_told(incomes: Dataset) -> None:
    (told,) = [remark for remark in incomes.remarks if remark.code == "heavy_tailed_column"]
    assert told.where == "income", "and not of `children`"


def test_a_row_of_the_file_gives_the_same_in_a_bundle(incomes: Dataset, tmp_path: Path) -> None:
    save(incomes, tmp_path / "stored")
    stored = load(tmp_path / "stored")
    assert isinstance(stored, Dataset)
    found = with_inputs(stored, QUANTILE)
    assert with_inputs(found, QUANTILE) is found
    names = list(found.raw_rows)
    rows = [
        dict(zip(names, cells, strict=True)) for cells in zip(*found.raw_rows.values(), strict=True)
    ]
    again = apply(encode(rows, found.preprocessing), found.preprocessing)
    torch.testing.assert_close(again, found.test.x, atol=1e-6, rtol=0)
    one = apply(encode([{**rows[0], "income": "1e30"}], found.preprocessing), found.preprocessing)
    assert one[0, 0] == found.train.x[:, 0].max(), "beyond the train split: as its largest"


def test_the_map_knows_the_train_split_alone(incomes: Dataset) -> None:
    step = with_inputs(incomes, QUANTILE).preprocessing["steps"][-1]
    assert step["features"] == [0, 1]
    assert set(step["values"][0]) <= set(incomes.numbers["train"][:, 0].tolist())


def test_other_recipes_and_other_data_are_left_as_they_are(incomes: Dataset) -> None:
    assert with_inputs(incomes, Recipe()) is incomes
    assert Recipe.from_json({"epochs": 3}).input_transform == "standard"
    wine = datasets["wine"].load()
    assert with_inputs(wine, QUANTILE).train.x.shape == wine.train.x.shape
