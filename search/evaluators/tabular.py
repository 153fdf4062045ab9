"""Tabular benchmarks: a space whose architectures have all been trained, in one `.npz` file.

`dimensions` is a JSON string, `[{"name": ..., "options": [...]}, ...]`; `codes` holds a row of
option indices an architecture; `search_score` is what a search may see, bigger is better;
`final_score` is what counts in the end. `parameters`, `flops` and `latency_ms` are optional. A
combination of options without a row is infeasible.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from models.architecture import Architecture, Choice, Decision
from search.evaluators import EvaluationError, Metrics
from search.space import SearchSpace
from search.trial import FailureKind, Trial, TrialKind

FAMILY = "table"
SCORES = ("search_score", "final_score")
COSTS = ("parameters", "flops", "latency_ms")
MAX_BYTES = 2**30
"""Of a table in memory; a file that would unpack to more is refused unread."""

Column = NDArray[np.float64]


class TableError(ValueError):
    """A file that is no table; the message names the array, what it holds and what it should."""


class Table:
    """Architectures `{"family": "table", "decisions": {dimension: option}}` and their results.

    Rows that agree in every column, a cost among them, are one architecture that was measured once
    and listed under each of its encodings: NAS-Bench-Graph has 26,205 such groups in 59,040 rows.
    Isomorphic architectures that were measured apart, as those of NAS-Bench-201, differ in their
    columns and are one each: a table does not say what its options mean.
    """

    def __init__(
        self,
        name: str,
        decisions: Sequence[Decision],
        codes: NDArray[Any],
        columns: Mapping[str, NDArray[Any]],
    ) -> None:
        """
        Shapes:
            codes: (rows, decisions), indices of options
            columns: (rows,) each; search_score, final_score and maybe costs
        Raises:
            TableError: rows that are listed twice, or shapes and values that do not fit.
        """
        self.name, self.decisions = name, tuple(decisions)
        self._codes = _checked_codes(codes, self.decisions)
        self._columns = {key: _checked_column(key, columns[key], len(codes)) for key in columns}
        self._rows = {code.tobytes(): row for row, code in enumerate(self._codes)}
        if len(self._rows) < len(self):
            raise TableError(f"codes lists {len(self) - len(self._rows)} rows more than once")
        self._representatives = self._first_equals()
        self._indices = [
            {option: index for index, option in enumerate(decision.domain.values())}
            for decision in self.decisions
        ]

    @classmethod
    def load(cls, file: Path | BinaryIO, name: str = "") -> Self:
        """
        Raises:
            TableError: not an `.npz`, or not a table.
            OSError: the file cannot be read.
        """
        if isinstance(file, Path):
            with file.open("rb") as opened:
                return cls.load(opened, name or file.stem)
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                raise TableError(f"a table has at most {MAX_BYTES:,} bytes unpacked, got {size:,}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                found = {key: arrays[key] for key in arrays.files}
        except TableError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
            raise TableError(f"not an .npz of plain arrays: {error}") from None
        if missing := [key for key in ("dimensions", "codes", *SCORES) if key not in found]:
            raise TableError(
                f"a table needs {', '.join(missing)}, got {', '.join(found) or 'none'}"
            )
        columns = {key: found[key] for key in (*SCORES, *COSTS) if key in found}
        return cls(name, _parsed_dimensions(found["dimensions"]), found["codes"], columns)

    def __len__(self) -> int:
        """Rows, each an encoding of an architecture."""
        return len(self._codes)

    @property
    def distinct(self) -> int:
        """Distinct architectures."""
        return len(np.unique(self._representatives))

    def space(self) -> SearchSpace:
        """Architectures alone: there is nothing to train."""
        return SearchSpace(FAMILY, self.decisions, self.canonical)

    @property
    def columns(self) -> Mapping[str, Column]:
        """All values of each column, row by row."""
        return MappingProxyType(self._columns)

    def row(self, architecture: Architecture) -> int | None:
        """The row of a point of the space; None where the combination is infeasible."""
        code = [
            indices[architecture.decisions[decision.name]]
            for decision, indices in zip(self.decisions, self._indices, strict=True)
        ]
        return self._rows.get(np.array(code, dtype=np.int16).tobytes())

    def canonical(self, architecture: Architecture) -> Architecture:
        """The first encoding of the same architecture."""
        row = self.row(architecture)
        if row is None or self._representatives[row] == row:
            return architecture
        return Architecture(
            FAMILY,
            {
                decision.name: decision.domain.values()[index]
                for decision, index in zip(
                    self.decisions, self._codes[self._representatives[row]], strict=True
                )
            },
        )

    def _first_equals(self) -> NDArray[np.intp]:
        """The first row that agrees in every column, for each row."""
        if not any(name in self._columns for name in COSTS):  # equal scores are often chance
            return np.arange(len(self))
        values = np.stack(list(self._columns.values()), axis=1)
        _, first, groups = np.unique(values, axis=0, return_index=True, return_inverse=True)
        rows: NDArray[np.intp] = first[groups.ravel()]
        return rows


class TableEvaluator:
    """Looks results up; the final score is for final trials, which no strategy is told of."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._visible = [name for name in ("search_score", *COSTS) if name in table.columns]

    def evaluate(self, trial: Trial) -> Iterator[Metrics]:
        """One epoch that gives the whole row.

        Raises:
            EvaluationError: INFEASIBLE where the table has no such row.
        """
        row = self._table.row(trial.candidate.architecture)
        if row is None:
            raise EvaluationError(
                FailureKind.INFEASIBLE, f"{self._table.name} has no row of this combination"
            )
        names = self._visible
        if trial.kind is TrialKind.FINAL:
            names = [*names, "final_score"]
        yield {name: float(self._table.columns[name][row]) for name in names}


def _parsed_dimensions(array: NDArray[Any]) -> list[Decision]:
    try:
        if array.ndim or array.dtype.kind != "U":
            raise TypeError(f"an array of {array.dtype} with shape {array.shape}")
        entries = json.loads(str(array))
        decisions = [Decision(str(e["name"]), Choice(tuple(e["options"]))) for e in entries]
        for decision in decisions:
            if len(set(decision.domain.values())) < decision.domain.size:
                raise ValueError(f"options of {decision.name!r} are equal but for their type")
        if len({decision.name for decision in decisions}) < len(decisions):
            raise ValueError("two dimensions have one name")
        return decisions
    except (TypeError, KeyError, ValueError) as error:
        raise TableError(
            f'dimensions must be a JSON string [{{"name": ..., "options": [...]}}, ...]: {error!r}'
        ) from None


def _checked_codes(codes: NDArray[Any], decisions: Sequence[Decision]) -> NDArray[np.int16]:
    if codes.dtype.kind not in "iu" or codes.ndim != 2 or codes.shape[1] != len(decisions):
        raise TableError(
            f"codes must be integers of shape (rows, {len(decisions)}), "
            f"got {codes.dtype} of shape {codes.shape}"
        )
    if not codes.size:
        raise TableError("codes is empty")
    for column, decision in enumerate(decisions):
        low, high = int(codes[:, column].min()), int(codes[:, column].max())
        if low < 0 or high >= decision.domain.size:
            raise TableError(
                f"codes of dimension {decision.name!r} must be in 0..{decision.domain.size - 1}, "
                f"got {low}..{high}"
            )
    return np.ascontiguousarray(codes, dtype=np.int16)


def _checked_column(name: str, values: NDArray[Any], rows: int) -> Column:
    if values.dtype.kind not in "fiu" or values.shape != (rows,):
        raise TableError(
            f"{name} must be numbers of shape ({rows},), got {values.dtype} of {values.shape}"
        )
    if not np.isfinite(values).all():
        raise TableError(f"{name} is not finite in row {int(np.argmin(np.isfinite(values)))}")
    return values.astype(np.float64)
