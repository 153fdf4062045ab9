"""A log that is full makes room for what comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import log_files
from service.log_files import open_log


def test_the_newest_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 10)
    path = tmp_path / "logs" / "drivers.log"
    for number in range(8):
        with open_log(path) as log:
            log.write(b"start %d, " % number)  # two of them are too much
    found = {file.name: file.read_text() for file in path.parent.iterdir()}
    assert found == {
        "drivers.log": "start 6, start 7, ",
        "drivers.log.1": "start 4, start 5, ",
        "drivers.log.2": "start 2, start 3, ",
        "drivers.log.3": "start 0, start 1, ",
    }
    open_log(path).close()
    assert (path.parent / "drivers.log.3").read_text() == "start 2, start 3, "


def test_who_writes_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 10)
    path = tmp_path / "ray.log"
    with open_log(path) as running:
        running.write(b"more than ten")
        running.flush()
        with open_log(path) as later:
            later.write(b"new")
        running.write(b" bytes")
    assert path.read_text() == "new"
    assert (tmp_path / "ray.log.1").read_text() == "more than ten bytes"
