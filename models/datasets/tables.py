"""Tables of known results: every architecture of a space, already trained, in one `.npz` file.

`dimensions` is a JSON string, `[{"name": ..., "options": [...]}, ...]`; `codes` holds a row of
option indices an architecture; `search_score` is what a search may see, bigger is better;
`final_score` is what counts in the end. `parameters`, `flops` and `latency_ms` are optional. A
combination of options without a row is infeasible.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.architecture import Decision, canonical_json
from models.datasets.fingerprint import fingerprint
from models.datasets.npz import read_npz
from models.domains import Choice

SCORES = ("search_score", "final_score")
COSTS = ("parameters", "flops", "latency_ms")
MAX_BYTES = 2**30
"""Of a table in memory; a file that would unpack to more is refused unread."""

MAX_ROWS = 1_000_000

Column = NDArray[np.float64]


class TableError(ValueError):
    """A file that is no table; the message names the array, what it holds and what it should."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownResults:
    """A table in memory.

    Shapes:
        codes: (rows, decisions) int16, indices of options
        columns: (rows,) each; search_score, final_score and maybe costs
    """

    name: str
    decisions: tuple[Decision, ...]
    codes: NDArray[np.int16]
    columns: Mapping[str, Column]

    @property
    def sizes(self) -> dict[str, int]:
        return {"rows": len(self.codes)}

    @property
    def dimensions(self) -> list[dict[str, Any]]:
        """As they are written in a file."""
        return [{"name": d.name, "options": list(d.domain.values())} for d in self.decisions]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content."""
        dimensions = np.array(canonical_json(self.dimensions))
        return fingerprint({"dimensions": dimensions, "codes": self.codes, **self.columns})


def read_table(file: Path | BinaryIO, name: str) -> KnownResults:
    """
    Raises:
        TableError: not an `.npz`, or not a table.
        OSError: the file cannot be read.
    """
    try:
        found = read_npz(file, MAX_BYTES)
    except ValueError as error:
        raise TableError(str(error)) from None
    if missing := [key for key in ("dimensions", "codes", *SCORES) if key not in found]:
        raise TableError(f"a table needs {', '.join(missing)}, got {', '.join(found) or 'none'}")
    decisions = parsed_dimensions(found["dimensions"])
    columns = {key: found[key] for key in (*SCORES, *COSTS) if key in found}
    return checked(name, decisions, found["codes"], columns)


def checked(
    name: str,
    decisions: Sequence[Decision],
    codes: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
) -> KnownResults:
    """
    Raises:
        TableError: rows that are listed twice, or shapes and values that do not fit.
    """
    codes = _checked_codes(codes, decisions)
    found = {key: _checked_column(key, columns[key], len(codes)) for key in columns}
    repeated = len(codes) - len(np.unique(codes, axis=0))
    if repeated:
        raise TableError(f"codes lists {repeated} rows more than once")
    return KnownResults(name, tuple(decisions), codes, found)


def parsed_dimensions(array: NDArray[Any]) -> list[Decision]:
    """
    Raises:
        TableError: no JSON string of named options.
    """
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
    if not 0 < len(codes) <= MAX_ROWS or not codes.size:
        raise TableError(f"codes has 1 to {MAX_ROWS:,} rows, got an array of shape {codes.shape}")
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
