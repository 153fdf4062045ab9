import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasmith.cli import main

OPTIONS = ["none", "skip_connect", "nor_conv_3x3"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    codes = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    scores = codes @ np.array([9.0, 3.0, 1.0])
    file = tmp_path / "cells.npz"
    np.savez(
        file,
        dimensions=json.dumps([{"name": f"edge_{i}", "options": OPTIONS} for i in range(3)]),
        codes=codes.astype(np.int8),
        search_score=scores,
        final_score=scores / 2,
    )
    return file


@dataclass(frozen=True)
class Outcome:
    code: object
    out: str
    err: str


Nasmith = Callable[..., Outcome]


@pytest.fixture
def nasmith(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nasmith:
    def run(*arguments: object) -> Outcome:
        command = ["nasmith", "benchmark", "strategies", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        return Outcome(ended.value.code or 0, *capsys.readouterr())

    return run


def test_the_report_has_the_form_that_clients_depend_on(nasmith: Nasmith, table: Path) -> None:
    ended = nasmith(
        "--table", table, "--strategy", "regularized_evolution", "--setting", "population_size=5",
        "--setting", "sample_size=2", "--queries", 27, "--seeds", 2, "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    report: dict[str, Any] = json.loads(ended.out)
    assert report["strategy"] == "regularized_evolution" and report["table"] == "cells"
    assert {"population_size": 5, "sample_size": 2}.items() <= report["settings"].items()
    assert report["queries"] == [25, 27]
    for score in ("search_score", "final_score"):
        assert len(report[score]["mean"]) == len(report[score]["std"]) == 2
    top = report["queries_to_top"]
    assert top["fraction"] == 0.001 and top["cap"] == 27 and 1 <= top["mean"] <= 27
    assert report["ask_seconds_mean"] > 0
    assert ended.err.count("seed ") == 2


def test_a_person_gets_a_table(nasmith: Nasmith, table: Path) -> None:
    ended = nasmith("--table", table, "--strategy", "random", "--queries", 20, "--seeds", 1)
    assert ended.code == 0, ended.err
    assert "final score" in ended.out and "best 0.1% after" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "guess"], "unknown strategy 'guess', known are"),
        (
            ["--strategy", "tpe", "--setting", "speed=9"],
            "speed: there is no such setting, known are candidates, initial_samples",
        ),
        (["--strategy", "random", "--setting", "speed"], "--setting is KEY=VALUE, got 'speed'"),
        (
            ["--strategy", "regularized_evolution", "--setting", "population_size=many"],
            "population_size: Input should be a valid integer",
        ),
        (
            ["--strategy", "bananas", "--setting", 'proxies=["naswot"]'],
            "proxies: a table has no networks to score",
        ),
        (["--strategy", "darts"], "darts trains a supernet, which no table holds"),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(
    nasmith: Nasmith, table: Path, arguments: list[str], message: str
) -> None:
    ended = nasmith("--table", table, *arguments)
    assert ended.code == 2 and message in ended.err
    assert ended.out == "" and "Traceback" not in ended.err


@pytest.mark.parametrize(("content", "message"), [(None, "cannot read"), (b"x", "is no table")])
def test_a_file_that_is_no_table_is_a_usage_error(
    nasmith: Nasmith, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "x.npz").write_bytes(content)
    ended = nasmith("--table", tmp_path / "x.npz", "--strategy", "random")
    assert ended.code == 2 and message in ended.err
