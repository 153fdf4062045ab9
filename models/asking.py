"""Bundles' `predict.py` asked in processes of their own, with limits that the kernel holds.

`WarmModels` starts this module as a child for a bundle, and has it answer while somebody asks. It
has no environment of ours, little memory, little time for an answer, and ends with its parent.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

from models.processes.cage import allow, environment, restrict
from models.processes.children import child_command
from models.processes.conversation import Conversation, EndedError, answering
from models.processes.folders import OwnedFolder
from models.processes.walls import enclose

MODELS_AT_A_TIME = 2

_TOLD = ("unknown", "unreadable", "empty", "filled", "ignored", "turned")
"""By every `predict.py`."""

_OF_ROWS = frozenset({"columns", "series", "vocabulary"})
"""What the preprocessing of tables, series and texts has: other models would take a text for the
path of a file, and would read it.
"""

_ERROR_BYTES = 2**20
"""Of what a child may write: its last words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes`: beyond what the process has with its libraries and the model; `cpu_seconds`
    and `seconds`: of one answer.
    """

    memory_bytes: int = 4 * 2**30
    cpu_seconds: int = 60
    seconds: float = 120.0


class NoPredictorError(ValueError):
    """A bundle that predicts no rows."""


class RowsError(ValueError):
    """Rows that the model cannot take; says the row and column where they are known."""

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row, self.column = row, column


class TooMuchError(RuntimeError):
    """The answer takes more time or memory than it may."""


class BusyError(RuntimeError):
    """All children answer others."""


class _Child:
    """A child that holds the model of one bundle."""

    def __init__(self, key: str, unpack: Callable[[Path], None]) -> None:
        self.key, self.since = key, 0.0
        self._home = OwnedFolder("ask")
        try:
            self._bundle = self._home.path / "bundle"
            self._bundle.mkdir()
            unpack(self._bundle)
            if not (self._bundle / "predict.py").is_file():
                raise NoPredictorError("its model predicts no rows")
            if _OF_ROWS.isdisjoint(json.loads((self._bundle / "preprocessing.json").read_bytes())):
                raise NoPredictorError(
                    "its model predicts from pictures, arrays or graphs, and not from rows: "
                    "download it, and its predict.py does"
                )
            command, env = child_command("models.asking"), environment(self._home.path)
            self._talk = Conversation.begin(command, self._home.path, env, self._home.path)
        except BaseException:
            self._home.remove()
            raise

    def ask(self, rows: Sequence[Any], missing: str, limits: Limits) -> dict[str, Any]:
        question = {
            "folder": str(self._bundle),
            "rows": list(rows),
            "missing": missing,
            "limits": [limits.memory_bytes, limits.cpu_seconds],
        }
        return self._talk.ask(question, limits.seconds)

    @property
    def has_ended(self) -> bool:
        return self._talk.has_ended

    def end(self) -> None:
        self._talk.end()
        self._home.remove()


class WarmModels:
    """Models that answer: the first question to one starts its child, the next ones find it warm.

    most: children at a time; a question to another model ends the one that has waited longest.
    idle_seconds: without a question, after which a child ends.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        most: int = MODELS_AT_A_TIME,
        idle_seconds: float = 300.0,
    ) -> None:
        self._limits, self._most = limits or Limits(), most
        self._idle_seconds = idle_seconds
        self._idle: list[_Child] = []  # the one that has waited longest first
        self._busy = 0
        self._lock = threading.Lock()
        self._look: threading.Timer | None = None
        # A child ends with the thread that has started it, and those of a server come and go.
        self._starter = ThreadPoolExecutor(1, "warm-models")

    def ask(
        self, key: str, unpack: Callable[[Path], None], rows: Sequence[Any], missing: str
    ) -> dict[str, Any]:
        """What a model predicts of the rows, and what it tells of them: `predictions`, `unknown`,
        `unreadable`, `empty`, `unsigned`, `filled`, `ignored`, `turned`, `no_forecast`.

        key: of the bundle's content; unpack: writes its files into a folder, if no child has it.

        Raises:
            NoPredictorError, RowsError, TooMuchError, BusyError: see the classes.
        """
        with self._child(key, unpack) as child:
            try:
                answer = child.ask(rows, missing, self._limits)
            except EndedError as error:
                raise TooMuchError(self._reason(error)) from None
        if "error" in answer:
            raise RowsError(answer["error"], answer["row"], answer["column"])
        return answer

    def close(self) -> None:
        """End the children that wait; one that answers ends with its answer."""
        with self._lock:
            self._most, idle, self._idle = 0, self._idle, []
            if self._look is not None:
                self._look.cancel()
        for child in idle:
            child.end()
        self._starter.shutdown(wait=False)

    @contextmanager
    def _child(self, key: str, unpack: Callable[[Path], None]) -> Iterator[_Child]:
        found = self._taken(key)
        try:
            child = found or self._starter.submit(_Child, key, unpack).result()
        except BaseException:
            self._give_back(None)
            raise
        try:
            yield child
        except BaseException:
            self._give_back(None)
            child.end()
            raise
        self._give_back(child)

    def _taken(self, key: str) -> _Child | None:
        """A warm child of the model, or a place for a new one."""
        with self._lock:
            if self._busy >= self._most:
                raise BusyError(f"{self._most} predictions at a time; try again")
            self._busy += 1
            ended = [child for child in self._idle if child.has_ended]
            self._idle = [child for child in self._idle if child not in ended]
            found = next((child for child in self._idle if child.key == key), None)
            if found is not None:
                self._idle.remove(found)
            surplus = max(self._busy + len(self._idle) - self._most, 0)
            ended += self._idle[:surplus]
            del self._idle[:surplus]
        for child in ended:
            child.end()
        return found

    def _give_back(self, child: _Child | None) -> None:
        with self._lock:
            self._busy -= 1
            if child is not None and self._most:
                child.since = monotonic()
                self._idle.append(child)
                self._look_later()
                child = None
        if child is not None:
            child.end()

    def _look_later(self) -> None:
        """Look for idle children when the one that has waited longest may be."""
        if self._look is None and self._idle:
            left = self._idle[0].since + self._idle_seconds - monotonic()
            self._look = threading.Timer(max(left, 0.0), self._end_idle)
            self._look.daemon = True
            self._look.start()

    def _end_idle(self) -> None:
        with self._lock:
            self._look = None
            old = monotonic() - self._idle_seconds
            ended = [child for child in self._idle if child.since <= old]
            self._idle = [child for child in self._idle if child.since > old]
            self._look_later()
        for child in ended:
            child.end()

    def _reason(self, ended: EndedError) -> str:
        if ended.is_late:
            return f"predicting takes more than {self._limits.seconds:g} s"
        if ended.code == -signal.SIGXCPU:
            return f"predicting takes more than {self._limits.cpu_seconds} s of a processor"
        return f"the model gave no answer: {ended.last_words()[:300]}"


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The child process."""
    memory_bytes, cpu_seconds = question["limits"]
    predict, model = _loaded(question["folder"], memory_bytes)
    allow(cpu_seconds)
    try:
        predictions = model.predict(question["rows"], missing=question["missing"])
    except predict.PredictionError as error:
        return {"error": str(error), "row": error.row, "column": error.column}
    told = {name: getattr(model, name) for name in _TOLD}
    without = getattr(model, "no_forecast", {})  # bundles of before refused all series for one
    unsigned = getattr(model, "unsigned", {})
    return {"predictions": predictions, **told, "unsigned": unsigned, "no_forecast": without}


@cache
def _loaded(folder: str, memory_bytes: int) -> tuple[Any, Any]:
    """`predict.py` and its model, after which the limits count."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    predict = importlib.import_module("predict")
    model = predict.load(folder)
    restrict(memory_bytes, None, _ERROR_BYTES)
    enclose([Path(folder)], [])
    return predict, model


if __name__ == "__main__":
    answering(answer)
