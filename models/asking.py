"""A bundle's `predict.py` asked in a process of its own, with limits that the kernel holds.

`ask` starts this module as a child that gets the question as JSON on stdin and answers on stdout.
It has no environment of ours, little memory, little time, and ends with its parent.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.processes.cage import environment, restrict
from models.processes.children import child_command
from models.processes.folders import temporary_folder


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes`: beyond what the process has with its libraries, before it sees the rows."""

    memory_bytes: int = 4 * 2**30
    cpu_seconds: int = 60
    seconds: float = 120.0


class RowsError(ValueError):
    """Rows that the model cannot take; says the row and column where they are known."""

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row, self.column = row, column


class TooMuchError(RuntimeError):
    """The answer takes more time or memory than it may."""


def ask(
    folder: Path, rows: Sequence[Any], missing: str, limits: Limits | None = None
) -> dict[str, Any]:
    """What the bundle in `folder` predicts of the rows, and what it tells of them: `predictions`,
    `unknown`, `unreadable`, `empty`, `filled`, `ignored`, `turned`.

    Raises:
        RowsError: the model cannot take them.
        TooMuchError: see the class.
    """
    limits = limits or Limits()
    question = {
        "folder": str(folder.absolute()),
        "rows": list(rows),
        "missing": missing,
        "limits": [limits.memory_bytes, limits.cpu_seconds, 0],
    }
    with temporary_folder("ask") as home:
        try:
            done = subprocess.run(  # noqa: S603 - our interpreter, our module
                child_command("models.asking"),
                input=json.dumps(question),
                capture_output=True,
                text=True,
                timeout=limits.seconds,
                cwd=home,
                env=dict(environment(home)),
            )
        except subprocess.TimeoutExpired:
            raise TooMuchError(f"predicting takes more than {limits.seconds:g} s") from None
    if done.returncode == -signal.SIGXCPU:
        raise TooMuchError(f"predicting takes more than {limits.cpu_seconds} s of a processor")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise TooMuchError(f"the model gave no answer: {last[0][:300]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise RowsError(answer["error"], answer["row"], answer["column"])
    return answer


def main() -> None:
    """The child process."""
    question = json.loads(sys.stdin.read())
    os.chdir(question["folder"])
    sys.path.insert(0, question["folder"])
    predict = importlib.import_module("predict")
    model = predict.load(question["folder"])
    restrict(*question["limits"])
    try:
        predictions = model.predict(question["rows"], missing=question["missing"])
    except predict.PredictionError as error:
        said = {"error": str(error), "row": error.row, "column": error.column}
        print(json.dumps(said))
        return
    told = {
        name: getattr(model, name)
        for name in ("unknown", "unreadable", "empty", "filled", "ignored", "turned")
    }
    print(json.dumps({"predictions": predictions, **told}))


if __name__ == "__main__":
    main()
