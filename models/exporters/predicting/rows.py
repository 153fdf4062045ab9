"""Samples that stand in the columns of a table, whatever way the table comes."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from models.datasets.cells import composed
from models.exporters.predicting.predictor import (
    Missing,
    PredictionError,
    Predictor,
    listed,
    the_only,
)
from models.exporters.predicting.text_files import (
    HEAD,
    check_is_table,
    decoded,
    read_table,
)


class RowsPredictor(Predictor):
    """Of rows as mappings, columns as a mapping or a data frame, or a CSV."""

    @property
    def columns(self) -> list[str]:
        return [column["name"] for column in self.preprocessing["columns"]]

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        path = the_only(paths)
        if path.endswith((".npz", ".npy")):
            return super().read(paths, encoding)
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        path = "standard input" if path == "-" else path
        self._check(path, content[:HEAD])
        text = decoded(content, encoding)
        if not text.strip():
            raise PredictionError(f"{path} is empty")
        return self._read(path, text)

    def _check(self, path: str, head: bytes) -> None:
        """
        Raises:
            PredictionError: the file, which begins so, is of another kind.
        """
        check_is_table(path, head)

    def _read(self, path: str, text: str) -> Any:
        try:
            found, self.left_out = read_table(text, self.columns, self.preprocessing.get("header"))
        except csv.Error as error:
            raise PredictionError(f"{path}: {error}") from None
        return found

    def _columns(self, samples: Any, missing: Missing) -> tuple[dict[str, list[Any]], int]:
        """The columns that the model knows, of rows, of a mapping of columns or of a data frame;
        and how many rows there are.
        """
        given = self._given(samples)
        if not isinstance(given, Mapping):
            return self._of_rows(given, missing)
        count = max(map(len, given.values()), default=0)
        self._tell_columns(given, missing, "the table")
        nothing = [None] * count
        return {name: given.get(name, nothing) for name in self.columns}, count

    def _given(self, samples: Any) -> dict[str, list[Any]] | list[Mapping[str, Any]]:
        """Columns of one length, by the model's own names, or rows. A mapping of cells is one row,
        and so is a row of a data frame.
        """
        if hasattr(samples, "to_dict"):
            is_frame = hasattr(samples, "columns")
            samples = self._of_frame(samples) if is_frame else samples.to_dict()
        if isinstance(samples, Mapping):
            first = next(iter(samples.values()), ())
            if isinstance(first, Iterable) and not isinstance(first, str):
                return even(self._spelled(samples))
            samples = [samples]
        rows = listed(samples)
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise PredictionError(
                    f"row {number} is {type(row).__name__}, not a mapping from columns to values",
                    number,
                )
        return rows

    def _of_frame(self, frame: Any) -> dict[Any, list[Any]]:
        names = list(frame.columns)
        if twice := [name for name in self.columns if names.count(name) > 1]:
            raise PredictionError(
                f"the table has column {twice[0]!r} more than once", None, twice[0]
            )
        return {name: list(frame[name]) for name in dict.fromkeys(names)}

    def _of_rows(
        self, rows: list[Mapping[str, Any]], missing: Missing
    ) -> tuple[dict[str, list[Any]], int]:
        try:
            columns = {name: [row[name] for row in rows] for name in self.columns}
        except KeyError:
            rows = [self._spelled(row) for row in rows]
            if missing == "error":
                for number, row in enumerate(rows):
                    self._tell_columns(row, missing, f"row {number}", number)
            columns = {name: [row.get(name) for row in rows] for name in self.columns}
        given = dict.fromkeys(name for row in rows for name in row)
        if rows:
            self._tell_columns(given, missing, "the rows")
        return columns, len(rows)

    def _spelled(self, given: Mapping[Any, Any]) -> dict[Any, Any]:
        """By the model's own names, which others may write in letters and accents of their own."""
        known = {composed(name): name for name in self.columns}
        names = {name: known.get(composed(str(name)), name) for name in given}
        return {names[name]: value for name, value in given.items()}

    def _tell_columns(
        self, given: Iterable[Any], missing: Missing, where: str, row: int | None = None
    ) -> None:
        known, names = self.columns, list(map(str, given))
        self.ignored = [name for name in names if name not in known]
        self.filled = [name for name in known if name not in names]
        if missing == "fill" or not self.filled:
            return
        absent = self._absent(names, where)
        raise PredictionError(
            f"{absent}; missing='fill' (--missing fill, of nasmith predict --fill) has "
            f"{'it' if len(self.filled) == 1 else 'them'} count as missing",
            row,
            self.filled[0],
        )

    def _absent(self, names: Sequence[str], where: str) -> str:
        """That what is given has not all columns, and which it has that may be meant."""
        absent = [name for name in self.columns if name not in names]
        free = {name.strip().lower(): name for name in names if name not in self.columns}
        near = [get_close_matches(name.strip().lower(), free, 1) for name in absent]
        meant = [repr(free[found[0]]) for found in near if found]
        shown = ", ".join(names[:20]) or "none"
        has = f"it has {', '.join(meant)}" if all(near) else f"its columns are {shown}"
        listed_names = ", ".join(map(repr, absent))
        return f"{where} has no column{'s' if len(absent) > 1 else ''} {listed_names}: {has}"


def even(columns: Mapping[Any, Iterable[Any]]) -> dict[str, list[Any]]:
    """
    Raises:
        PredictionError: a column has fewer cells than another.
    """
    given = {str(name): list(values) for name, values in columns.items()}
    count = max(map(len, given.values()), default=0)
    for name, values in given.items():
        if len(values) != count:
            raise PredictionError(f"column {name!r} has {len(values)} rows, others have {count}")
    return given
