"""What a file of values says of them when it is uploaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kurtosis

from models.datasets import Dataset
from models.datasets.findings import HEAVY_TAIL
from models.datasets.formats import FormatError
from models.datasets.target import own_values
from models.remarks import Remark
from tests.models.support.uploads import csv, read

ROWS = 300


def prices() -> np.ndarray:
    """Of houses, two of them a hundredfold, and one `99999999`."""
    values = np.random.default_rng(0).normal(200_000, 30_000, ROWS)
    values[[3, 50]] *= 100
    values[120] = 99_999_999
    return values


def told(folder: Path, values: np.ndarray) -> tuple[Dataset, dict[str, Remark]]:
    folder.mkdir(exist_ok=True)
    columns = {"x": [str(row) for row in range(len(values))], "y": [repr(float(v)) for v in values]}
    dataset = read(folder, csv(columns), "tabular_regression", target="y")
    return dataset, {remark.code: remark for remark in dataset.remarks}


def test_values_far_from_the_rest_are_told(tmp_path: Path) -> None:
    _, remarks = told(tmp_path / "far", prices())
    remark = remarks["heavy_tail"]
    assert (remark.where, remark.count) == ("y", 3)
    assert "up to 1e+08 where the median is" in remark.message
    assert "target_resolution" not in remarks
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=ROWS), rng.uniform(size=ROWS), rng.exponential(size=ROWS)):
        assert kurtosis(values, fisher=False) < HEAVY_TAIL
        assert "heavy_tail" not in told(tmp_path / "near", values)[1]
    claims = np.where(rng.random(ROWS) < 0.7, 0.0, rng.lognormal(3, 1.5, ROWS))
    assert kurtosis(claims, fisher=False) > HEAVY_TAIL
    _, remarks = told(tmp_path / "claims", claims)
    assert remarks["mostly_one_value"].count == (claims == 0).sum()
    assert "heavy_tail" not in remarks, "the absolute error is least at 0, whatever the inputs say"


def test_values_that_are_one_in_float32_are_told(tmp_path: Path) -> None:
    values = np.arange(ROWS) / 7
    values[5] = 1e12
    _, remarks = told(tmp_path / "large", values)
    count = remarks["target_resolution"].count
    assert count is not None and count > 0.9 * ROWS
    tiny = np.arange(1, ROWS + 1) * 1e-200  # their squares are none
    assert told(tmp_path / "tiny", tiny)[1]["target_resolution"].count == ROWS - 1


@pytest.mark.parametrize(
    ("written", "factor", "code", "unit"),
    [
        ("{:.1f} kg", 1.0, "units", "kg"),
        ("€ {:.1f}", 1.0, "number_marks", "€"),
        ("{:.1f}%", 0.01, "number_marks", "shares, of which 1 is 100 %"),
        ("{:,.1f}", 1000.0, "number_marks", None),
        ("{:.1f}", 1.0, None, None),
        ("{:.0f}:30:00", 3600.0, "clock_times", "seconds"),
        ("comma", 1.0, "decimal_guessed", None),
    ],
)
def test_a_target_is_read_as_any_column_of_numbers(
    written: str, factor: float, code: str | None, unit: str | None, tmp_path: Path
) -> None:
    plain = np.arange(ROWS) % 90 + 10.5
    if written == "comma":
        texts = [f'"{value}"'.replace(".", ",") for value in plain]
    elif written == "{:,.1f}":
        texts = [f'"{value * 1000:,.1f}"' for value in plain]
    else:
        texts = [written.format(value - 0.5 * (code == "clock_times")) for value in plain]
    x = [f"{row}.5" for row in range(ROWS)]
    dataset = read(tmp_path, csv({"x": x, "y": texts}), "tabular_regression", target="y")
    target, raw = dataset.preprocessing["target"], dataset.raw_test
    assert raw is not None
    own = own_values(raw.y, target)[:, 0].numpy()
    rows = raw.x[:, 0].int().numpy()
    assert own == pytest.approx(factor * plain[rows], rel=1e-5)
    assert {r.code for r in dataset.remarks if r.where and "'y'" in r.message} == {code} - {None}
    assert target.get("units") == ([unit] if unit else None)
    (column,) = [column for column in dataset.columns if column.name == "y"]
    assert column.note == (f"in {unit}" if unit else None)


def test_a_target_that_is_of_another_task_is_told_or_refused(tmp_path: Path) -> None:
    x = [str(row % 7) for row in range(ROWS)]
    with pytest.raises(FormatError, match=f"each of the {ROWS} rows has a class of its own in 'y'"):
        read(tmp_path, csv({"x": x, "y": [f"c{row}" for row in range(ROWS)]}),
             "tabular_classification", target="y")  # fmt: skip
    found = read(tmp_path, csv({"x": x, "y": ["0", "1"] * (ROWS // 2)}),
                 "tabular_regression", target="y")  # fmt: skip
    (remark,) = [r for r in found.remarks if r.code == "two_values"]
    assert remark.message.startswith("'y' is 0 or 1, as of two classes")


def test_a_target_of_dates_is_none(tmp_path: Path) -> None:
    columns = {"x": [str(i) for i in range(60)], "y": [f"2024-01-{i % 28 + 1}" for i in range(60)]}
    with pytest.raises(FormatError, match="row 2, column 'y': '2024-01-1' is no number that can"):
        read(tmp_path, csv(columns), "tabular_regression", target="y")


def test_targets_that_no_network_can_learn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="column 'y' is 5 in every row"):
        told(tmp_path, np.full(ROWS, 5.0))
    with pytest.raises(
        FormatError, match=r"row 2, column 'y': '1e\+200' is no number that can be .* beyond"
    ):
        told(tmp_path, np.array([1e200, 1.0, 2.0] * 50))
    dataset, _ = told(tmp_path, np.linspace(-2.9e38, 2.9e38, ROWS))
    assert dataset.train.y.isfinite().all()


@pytest.mark.parametrize(
    ("spellings", "first", "rarer"),
    [
        (["Yes", "no", "yes", "no", "YES", "Yes"], "Yes", 100),
        (["New  York", "Rome", "NewYork", "New York", "New York", "Rome"], "New York", 100),
        (["1", "2", "1.0", "2", "1", "2"], "1", 50),
    ],
)
def test_classes_that_differ_in_spelling_alone_are_told(
    spellings: list[str], first: str, rarer: int, tmp_path: Path
) -> None:
    columns = {"x": [str(row) for row in range(ROWS)], "y": spellings * (ROWS // 6)}
    dataset = read(tmp_path, csv(columns), "tabular_classification", target="y")
    assert len(dataset.preprocessing["classes"]) == len(set(spellings)), "they are not merged"
    (remark,) = [remark for remark in dataset.remarks if remark.code == "similar_classes"]
    assert (remark.where, remark.count) == (first, rarer)
    assert all(repr(word) in remark.message for word in {*spellings} - {"no", "Rome", "2"})


def test_values_of_an_input_that_differ_in_spelling_alone_are_told(tmp_path: Path) -> None:
    columns = {
        "city": ["Rome", "rome ", "ROME", "Oslo", "Oslo", "Li ma"] * (ROWS // 6),
        "code": ["01", "1", "A", "B", "C", "D"] * (ROWS // 6),
        "y": ["a", "b", "c"] * (ROWS // 3),
    }
    dataset = read(tmp_path, csv(columns), "tabular_classification", target="y")
    (remark,) = [r for r in dataset.remarks if r.code == "similar_categories"]
    assert (remark.where, remark.count) == ("city", 2 * ROWS // 6)
    assert "1 value of 'city' in several spellings, as 'Rome' (50 rows)" in remark.message
    assert len(dataset.preprocessing["columns"][0]["values"]) == 5, "they are not merged"


@pytest.mark.parametrize("task", ["tabular_classification", "tabular_regression"])
def test_equal_rows_with_different_targets_are_told(task: str, tmp_path: Path) -> None:
    x = [str(row // 2) for row in range(ROWS)]  # each twice
    y = [str(row // 2 % 3) for row in range(ROWS)]
    y[1], y[5] = "1", "1"  # of the pairs 0 and 2, which have 0 and 2
    dataset = read(tmp_path, csv({"x": x, "z": x[::-1], "y": y}), task, target="y")
    told = {remark.code: remark.count for remark in dataset.remarks}
    assert (told["duplicates"], told["contradictions"]) == (ROWS // 2, 4)
    dataset = read(tmp_path, csv({"x": x, "y": x}), "tabular_regression", target="y")
    assert "contradictions" not in {remark.code for remark in dataset.remarks}


def test_a_code_with_a_zero_in_front_is_no_other_spelling(tmp_path: Path) -> None:
    columns = {"x": [str(row) for row in range(ROWS)], "y": ["01", "1", "C", "D"] * (ROWS // 4)}
    dataset = read(tmp_path, csv(columns), "tabular_classification", target="y")
    assert not any(remark.code == "similar_classes" for remark in dataset.remarks)


def test_a_given_split_that_lacks_a_class_is_told(tmp_path: Path) -> None:
    parts = ["train"] * 240 + ["val"] * 30 + ["test"] * 30
    classes = ["a", "b", "c"] * 80 + ["a", "b"] * 30
    columns = {"x": [str(row) for row in range(ROWS)], "part": parts, "y": classes}
    task = "tabular_classification"
    dataset = read(tmp_path, csv(columns), task, target="y", split_column="part")
    found = [r for r in dataset.remarks if r.code == "class_missing_from_split"]
    assert [(remark.where, remark.count) for remark in found] == [("c", 80)]
    assert "none of them in validation and test" in found[0].message
