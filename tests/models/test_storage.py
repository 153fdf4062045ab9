"""A stored file is whole, whoever dies in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.storage import read_file, write_file

WRITER = """
import sys
from models.storage import write_file
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        write_file(sys.argv[1], letter * 4_000_000)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path, rng = tmp_path / "weights", random.Random(0)
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.1 * rng.random())
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        if path.exists():
            content = read_file(str(path))
            assert content in (b"a" * 4_000_000, b"b" * 4_000_000)
    assert path.exists()
    write_file(str(path), b"after")  # what the dead left behind is in nobody's way
    assert read_file(str(path)) == b"after"


def test_a_reader_beside_a_writer_sees_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_file(str(path), b"old" * 1000)
    with path.open("rb") as reader:
        first = reader.read(10)
        write_file(str(path), b"new" * 1000)
        assert first + reader.read() == b"old" * 1000
    assert read_file(str(path)) == b"new" * 1000


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "none"))
