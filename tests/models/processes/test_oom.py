from __future__ import annotations

from pathlib import Path

import pytest

from models.processes import oom


def test_the_kernel_says_how_many_processes_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = tmp_path / "vmstat"
    monkeypatch.setattr(oom, "COUNTERS", counters)
    assert oom.oom_kills() == 0
    counters.write_text("pgfault 12\noom_kill 3\nnuma_hit 1\n")
    assert oom.oom_kills() == 3
    counters.write_text("pgfault 12\n")
    assert oom.oom_kills() == 0
