"""The decimal sign of a column and of its file, and that a bundle reads a cell alike."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from torch import Tensor

from models.datasets import Dataset, Split
from models.datasets.decimals import sign_of, sign_of_file
from models.datasets.preprocess import encode
from models.exporters.predicting.recent_rows import recent_of
from tests.models.support.uploads import read

COLUMNS: list[tuple[list[str], str]] = [
    (["1.037", "12,5"], ","),
    (["1.037", "0.5"], "."),
    (["1.037", "0.037"], "."),
    (["1,037", "12.50"], "."),
    (["1.234.567", "12"], ","),
    (["1,234,567", "12"], "."),
    (["€ 1.234,50", "7"], ","),
    (["12.5 kg", "1.037 kg"], "."),
    (["1'234.5", "7"], "."),
    (["1.037e3"], "."),
    (["1.037", "1,037", "100.000", "12", "x", "01.02.2024", ""], "?"),
]


@pytest.mark.parametrize(("texts", "sign"), COLUMNS)
def test_numbers_that_can_be_read_in_one_way_say_the_sign(texts: list[str], sign: str) -> None:
    assert sign_of(pa.chunked_array([texts]), "?") == sign


FILES: list[tuple[str, dict[str, list[str]], str, set[str | None]]] = [
    (";", {"a": ["1.037", "12,5"], "b": ["1.037", "2.512"]}, ",", {None}),
    (";", {"a": ["1.037", "2.512"]}, ".", {"a"}),
    (";", {"a": ["1,037", "2,512"]}, ",", {None, "a"}),
    (",", {"a": ["1,037", "2,512"]}, ".", {"a"}),
    (",", {"a": ["1.037", "2.51"]}, ".", set()),
    (";", {"a": ["0,5", "1,5"], "b": ["0.5", "7"], "c": ["1.037", "9"]}, ",", {None, "c"}),
]


@pytest.mark.parametrize(("separator", "columns", "sign", "told"), FILES)
def test_a_file_has_the_sign_of_its_columns_and_what_stays_open_is_told(
    separator: str, columns: dict[str, list[str]], sign: str, told: set[str | None]
) -> None:
    texts = {name: pa.chunked_array([cells]) for name, cells in columns.items()}
    found, remarks = sign_of_file(texts, separator)
    assert found == sign
    assert {remark.code for remark in remarks} <= {"decimal_guessed"}
    assert {remark.where for remark in remarks} == told


PRICES = ["1.037", "12,5", "2.000", "999,9"]
SHARES = ["1.037", "0.5", "0.25", "odd"]


@pytest.fixture
def content() -> bytes:
    rows = [f"{PRICES[i % 4]};{SHARES[i % 4]};{i};{'ab'[i % 2]}" for i in range(60)]
    return "\n".join(["price;share;n;label", *rows]).encode()


def test_a_thousands_mark_and_a_point_stand_in_one_file(tmp_path: Path, content: bytes) -> None:
    dataset = read(tmp_path, content, "tabular_classification", target="label")
    row = {"price": "1.037", "share": "1.037", "n": "3"}
    assert encode([row], dataset.preprocessing)[0].tolist() == [1037, 1.037, 3]
    assert _told(dataset) == {"price"}
    (bad,) = (remark for remark in dataset.remarks if remark.code == "bad_cells")
    assert bad.where == "row 5, column 'share'" and bad.count == 15


def test_a_target_has_the_sign_of_its_own_column(tmp_path: Path, content: bytes) -> None:
    content = content.replace(b"odd", b"0.75")
    dataset = read(tmp_path, content, "tabular_regression", target="share")
    mean, std = (dataset.preprocessing["target"][key][0] for key in ("mean", "std"))
    values = {round(v * std + mean, 4) for v in dataset.test.y[:, 0].tolist()}
    assert values <= {1.037, 0.5, 0.25, 0.75}


def test_a_series_reads_each_column_by_its_sign(tmp_path: Path) -> None:
    rows = [f"{i};{PRICES[i % 4]};{SHARES[i % 3]}" for i in range(60)]
    content = "\n".join(["t;price;share", *rows]).encode()
    options = {"time": "t", "target": "price", "window": 4, "horizon": 1}
    dataset = read(tmp_path, content, "forecasting", **options)
    assert isinstance(dataset.raw_test, Split) and isinstance(dataset.raw_test.x, Tensor)
    (first, *_) = dataset.raw_test.x[0].tolist()
    at = next(iter(dataset.raw_rows["t"]))
    prices, shares = [1037, 12.5, 2000, 999.9], [1.037, 0.5, 0.25]
    assert first == pytest.approx([prices[int(at) % 4], shares[int(at) % 3]])
    signs = {name: how["decimal"] for name, how in dataset.preprocessing["reading"].items()}
    assert signs == {"price": ",", "share": "."}
    assert _told(dataset) == {"price"}
    own = {"t": str(at), "price": "1.037", "share": "1.037"}
    rows_of = [{**own, "t": str(number)} for number in range(4)]
    assert recent_of(rows_of, dataset.preprocessing)[0].window[0] == [1037, 1.037]


def _told(dataset: Dataset) -> set[str | None]:
    return {remark.where for remark in dataset.remarks if remark.code == "decimal_guessed"}
