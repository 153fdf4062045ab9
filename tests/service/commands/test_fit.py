"""From a file to a model: what is told from the file, and where the search runs. That the whole way
works is tested where a server with a dispatcher runs: tests/service/test_readme.py.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from nasmith.commands.output import UsageError
from service.commands.fit import _digest, _running
from service.commands.guessed_task import guessed_task
from tests.support.command_line import Nasmith

ROWS = 40


def table(path: Path, target: list[str], sign: str = ",") -> Path:
    rows = [f"{i * i % 17}{sign}{value}" for i, value in enumerate(target)]
    path.write_text("\n".join([f"size{sign}wanted", *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([("red", "green")[i % 2] for i in range(ROWS)], "tabular_classification"),
        ([("yes", "no")[i % 2] for i in range(ROWS)], "tabular_classification"),
        ([str(i % 20) for i in range(ROWS)], "tabular_classification"),
        ([str(i % 21) for i in range(2 * ROWS)], "tabular_regression"),  # 21 whole numbers
        ([f"{i % 3}.5" for i in range(ROWS)], "tabular_regression"),
        ([f"{i % 30},5" for i in range(ROWS)], "tabular_regression"),  # as German writes them
    ],
)
def test_the_task_is_told_from_the_target(tmp_path: Path, values: list[str], task: str) -> None:
    sign = ";" if "," in values[0] else ","
    found, reason = guessed_task(table(tmp_path / "a.csv", values, sign), "wanted", {})
    assert found == task and "wanted" in reason


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", ["x", "y"] * 20)
    with pytest.raises(UsageError, match="there is no column 'other', known are size, wanted"):
        guessed_task(file, "other", {})
    with pytest.raises(UsageError, match=r"give --target, or --task of .*forecasting"):
        guessed_task(file, None, {})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.png", b"")
    assert guessed_task(tmp_path / "a.zip", None, {})[0] == "image_classification"
    with pytest.raises(UsageError, match="is no table with a column 'wanted'"):
        guessed_task(tmp_path / "a.zip", "wanted", {})


def test_what_stands_in_the_way_is_said_before_anything_starts(
    nasmith: Nasmith, tmp_path: Path
) -> None:
    missing = nasmith("fit", "none.csv", "--target", "wanted")
    assert missing.code == 2 and "there is no none.csv" in missing.err
    table(tmp_path / "a.csv", ["x", "y"] * 20)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    full = nasmith("fit", "a.csv", "--target", "wanted", "--out", "full")
    assert full.code == 2 and "holds something else than a model" in full.err
    assert "Starting" not in missing.err + full.err


def test_a_server_that_is_gone_is_none(tmp_path: Path) -> None:
    assert _running(tmp_path) is None
    (tmp_path / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    assert _running(tmp_path) is None


def test_the_name_of_an_upload_is_of_its_content(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", ["x", "y"] * 20)
    first = _digest(file, "tabular_classification", {"target": "wanted"})
    assert first == _digest(file, "tabular_classification", {"target": "wanted"})
    assert first != _digest(file, "tabular_classification", {"target": "size"})
    assert first != _digest(file, "tabular_regression", {"target": "wanted"})
    file.write_text(file.read_text() + "\n1,x")
    assert first != _digest(file, "tabular_classification", {"target": "wanted"})
