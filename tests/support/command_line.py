"""Commands run in this process, and what they are given."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nasmith.cli import main

REQUEST: dict[str, Any] = {
    "name": "from-a-test",
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "random"},
}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Nasmith = Callable[..., Outcome]


@pytest.fixture
def nasmith(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Nasmith:
    """Runs a command in this process, in an empty folder, with nothing in the environment."""
    for name in [name for name in os.environ if name.startswith("NASMITH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nasmith", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run
