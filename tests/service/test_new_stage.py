"""What a new kind of trial takes: a file in the folder of stages, and a field of the spec."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_new_stage_is_a_new_file_and_a_field(tmp_path: Path, database_url: str) -> None:
    program = [sys.executable, "-m", "tests.service.support.new_stage.search"]
    ended = subprocess.run(
        [*program, str(tmp_path), database_url], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])  # after the log of the API
    assert found["stages"] == ["Candidates", "Baseline", "Finals", "EnsembleStage", "Repeats"]
    assert found["phases"] == ["searching"] * 2 + ["final"] + ["repeating"] * 2
    assert found["trials"] == [
        ["candidate", "completed", 0],
        ["candidate", "completed", 0],
        ["final", "completed", 1],
        ["repeat", "completed", 2],
        ["repeat", "completed", 3],
    ]
    assert found["test"] == [False, False, True, True, True]
    assert found["told"] == [0, 1, 2, 2, 2] and found["done"] == [2, 0]
    assert found["failed"] is None and found["resumed"] == [True] * 10
    assert found["replayed"] == [True, 5] and found["to_workers"] is True
    assert found["listed"] == [[3, "repeat", found["best"]], [4, "repeat", found["best"]]]
    assert (
        "'baseline', 'candidate', 'ensemble', 'final', 'repeat' or 'supernet'" in found["refused"]
    )
