"""Values that stand for none, and values that only look so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.datasets.kinds import ReadColumn, read_column
from models.datasets.preprocess import encode_column
from models.remarks import Remark
from tests.models.support.uploads import csv, read

ROWS = 400


def column(texts: list[str], missing: list[str] | None = None) -> ReadColumn:
    array = pa.chunked_array([pa.array(texts, pa.string())])
    return read_column("c", array, decimal=".", missing=missing)


def told(found: ReadColumn) -> Remark | None:
    return next((r for r in found.remarks if r.code == "sentinel_values"), None)


def numbers(rng: np.random.Generator) -> list[str]:
    return [f"{value:.3f}" for value in rng.uniform(0, 90, ROWS)]


def days(rng: np.random.Generator, first: str = "1950-01-01") -> list[str]:
    span = np.datetime64("2006-01-01") - np.datetime64(first)
    return [str(np.datetime64(first) + span * share) for share in rng.random(ROWS)]


@pytest.mark.parametrize(
    ("words", "make"),
    [
        (["-999"], numbers),
        (["9999.0"], numbers),
        (["-999", "9999"], numbers),
        (["997", "998", "999"], numbers),
        (["-1000000"], numbers),
        (["500"], numbers),
        (["9999-12-31"], days),
        (["1900-01-01"], days),
        (["0001-01-01 00:00:00"], days),
        (["1900-01-01", "2999-12-31"], days),
    ],
)
def test_values_far_from_all_others_are_told_and_may_be_missing(
    words: list[str], make: Callable[[np.random.Generator], list[str]]
) -> None:
    rng = np.random.default_rng(0)
    texts = make(rng)
    for place in range(0, ROWS, 20):
        texts[place] = words[place // 20 % len(words)]
    found = column(texts)
    remark = told(found)
    assert remark is not None and remark.where == "c" and remark.count == ROWS // 20
    assert all(repr(word) in remark.message for word in words)
    assert found.column.missing == 0, "they are told, not taken out"
    named = column(texts, missing=words)
    assert named.column.missing == ROWS // 20 and told(named) is None


def test_a_date_of_another_age_may_stand_alone_and_a_number_may_not() -> None:
    rng = np.random.default_rng(0)
    assert told(column(["9999-12-31", *days(rng)[1:]])) is not None
    assert told(column(["-999", *numbers(rng)[1:]])) is None


@pytest.mark.parametrize("seed", range(2))
def test_what_is_merely_large_is_not_told(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [
        rng.normal(size=ROWS), rng.exponential(size=ROWS), rng.lognormal(3, 2, ROWS),
        rng.poisson(2.0, ROWS), rng.geometric(0.3, ROWS), rng.standard_t(2, ROWS),
        np.minimum(rng.lognormal(3, 1, ROWS), 60.0),  # as questionnaires and sensors cut off
        np.where(rng.random(ROWS) < 0.9, 0, rng.uniform(100, 1000, ROWS)),
        rng.integers(0, 100, ROWS), rng.integers(0, 2, ROWS) * 999,
    ]  # fmt: skip
    for values in drawn:
        assert told(column([f"{value:.6g}" for value in values])) is None
    assert told(column(days(rng, "1899-01-01"))) is None


def test_a_program_may_give_it_as_a_float() -> None:
    texts = numbers(np.random.default_rng(0))
    texts[::20] = ["-9999.0"] * (ROWS // 20)
    remark = told(column(texts))
    assert remark is not None and "missing=['-9999.0', '-9999'] has" in remark.message
    found = column(texts, missing=["-9999.0", "-9999"])
    described = {"name": "c", "kind": "number", **found.extra}
    assert encode_column(["-9999.0", -9999.0, -9999, "3"], described)[:, 0].isnan().tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_targets_are_told_too(tmp_path: Path) -> None:
    prices = np.random.default_rng(0).normal(200, 30, ROWS)
    prices[::50] = 99_999
    columns = {"x": [f"{i}.5" for i in range(ROWS)], "y": [f"{price:.2f}" for price in prices]}
    dataset = read(tmp_path, csv(columns), "tabular_regression", target="y")
    (remark,) = [remark for remark in dataset.remarks if remark.code == "sentinel_values"]
    assert remark.count == 8 and "rows should be left out" in remark.message


def test_those_of_a_series_are_told_and_may_be_missing(tmp_path: Path) -> None:
    load = [f"{step % 24 + 0.5}" for step in range(ROWS)]
    load[100] = load[200] = load[300] = "-999"
    content = csv({"t": [str(step) for step in range(ROWS)], "load": load})
    of = {"time": "t", "target": "load", "window": 4, "horizon": 2}
    dataset = read(tmp_path, content, "forecasting", **of)
    found = [r for r in dataset.remarks if r.code == "sentinel_values"]
    assert [(remark.where, remark.count) for remark in found] == [("load", 3)]
    dataset = read(tmp_path, content, "forecasting", missing=["-999"], **of)
    assert not [r for r in dataset.remarks if r.code == "sentinel_values"]
    (column,) = [column for column in dataset.columns if column.name == "load"]
    assert column.missing == 3
    assert dataset.preprocessing["reading"]["load"]["missing"] == ["", "-999"]
