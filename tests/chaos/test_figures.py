from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.figures import ELSEWHERE, PROMISES, ROOM, Figures, Run

EARLIER = Run("2026-01-02", "8 cores, 16 GiB, Linux, Python 3.11.7", 7, 100)


def row(page: Path, promise: str) -> str:
    (line,) = [line for line in page.read_text().splitlines() if line.startswith(f"| {promise} |")]
    return line


def test_what_another_run_has_measured_stays_with_the_run_that_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, file = tmp_path / "page.md", tmp_path / "measured.json"
    page.write_text(f"# Words\n\n{ROOM}\nwhat was there\n")
    monkeypatch.setattr("tests.chaos.figures.Run.now", lambda: EARLIER)
    earlier = Figures.read(file)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "test_kill.py::test_a (call)")
    earlier.add("R1", "sqlite", "1 kill")
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "test_kill.py::test_b (call)")
    earlier.add("R1", "sqlite", "2 kills")
    earlier.write(page, file)

    monkeypatch.undo()
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "test_kill.py::test_b (call)")
    later = Figures([])  # it began when nothing had been written yet
    later.add("R1", "sqlite", "3 kills")
    later.write(page, file)
    text = page.read_text()
    assert text.startswith(f"# Words\n\n{ROOM}\na. {EARLIER}\nb. 20") and "was there" not in text
    measured = row(page, "R1").split(" | ")[-1]
    assert [part.split(", ")[0] for part in measured.split("; ")] == [
        "sqlite: 1 kill (a",
        "sqlite: 3 kills (b",
    ]


def test_a_promise_without_a_figure_names_tests_that_are_there() -> None:
    assert set(ELSEWHERE) <= set(PROMISES)
    root = Path(__file__).parents[2]
    for said in ELSEWHERE.values():
        for name in said.split("`")[1::2]:
            if "/" in name:
                assert (root / name).exists(), name
