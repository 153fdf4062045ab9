"""What a dry run answers, as a person reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasmith.commands.requests import print_estimate
from search.evaluators.tabular import Table
from search.request import source
from search.request.dataset_facts import DatasetFacts
from search.request.dry_run import estimate
from search.request.resolve import resolve
from tests.search.support.tables import written


def test_what_a_table_does_not_know_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of scores alone: no parameters, no FLOPs, nothing trained."""
    table = Table.load(written(tmp_path))
    monkeypatch.setattr(source, "load_table", lambda reference: table)
    body = {"dataset": "small", "strategy": {"name": "random"}}
    resolved = resolve(body, lambda name: DatasetFacts(None, {"rows": 5}, "f" * 64, name))
    print_estimate({"spec": resolved.spec.to_json(), "warnings": [], **estimate(resolved)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "search  small-random" and "space   6 points" in lines
    assert "  1." in lines and any(line.strip().startswith("a=") for line in lines)
