"""Columns that alone give the target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models.support.uploads import csv, read

ROWS = 400


def told(folder: Path, target: list[str], task: str, **columns: list[str]) -> set[str | None]:
    dataset = read(folder, csv({**columns, "y": target}), task, target="y")
    return {remark.where for remark in dataset.remarks if remark.code == "possible_leak"}


def test_a_column_that_gives_a_class_is_told_whatever_its_kind(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=ROWS)
    is_up = (cause > 0).tolist()
    found = told(
        tmp_path,
        ["up" if up else "down" for up in is_up],
        "tabular_classification",
        noise=[f"{value:.3f}" for value in rng.normal(size=ROWS)],
        split=[f"{value:.6f}" for value in cause],
        word=["bought" if up else "left" for up in is_up],
        code=[str(rng.choice([1, 4, 6]) if up else rng.choice([2, 3, 5])) for up in is_up],
        paid=[str(row % 70) if up else "" for row, up in enumerate(is_up)],
        closed=[f"2024-03-{row % 28 + 1:02d}" if up else "" for row, up in enumerate(is_up)],
        nearly=[("a" if up else "b") if row % 50 else "a" for row, up in enumerate(is_up)],
    )
    assert found == {"split", "word", "code", "paid", "closed"}


def test_equal_rows_count_once(tmp_path: Path) -> None:
    """Sixty rows five times: each value has one class, as it is of one row."""
    rng = np.random.default_rng(0)
    noise = [f"{value:.3f}" for value in rng.normal(size=60)] * 5
    labels = [str(value) for value in rng.integers(0, 2, 60)] * 5
    assert not told(tmp_path, labels, "tabular_classification", noise=noise)


def test_a_column_that_rises_with_a_value_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=ROWS)
    found = told(
        tmp_path,
        [f"{v:.5f}" for v in value],
        "tabular_regression",
        noise=[f"{v:.3f}" for v in rng.normal(size=ROWS)],
        cents=[f"{100 * v + 7:.3f}" for v in value],
        power=[f"{np.exp(-2 * v):.7f}" for v in value],
        near=[f"{v + 0.1 * e:.4f}" for v, e in zip(value, rng.normal(size=ROWS), strict=True)],
    )
    assert found == {"cents", "power"}


@pytest.mark.parametrize("rare", [2, 3])
def test_where_nearly_all_are_of_one_class_no_column_gives_it(rare: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = 4000
    target = ["yes" if row % (rows // rare) == 17 else "no" for row in range(rows)]
    columns = {
        "word": rng.choice(["a", "b"], rows).tolist(),
        "few": rng.integers(0, 9, rows).astype(str).tolist(),
    }
    assert told(tmp_path, target, "tabular_classification", **columns) == set()
