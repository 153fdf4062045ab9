"""Samples that stand in the columns of a table, whatever way the table comes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from models.exporters.predicting.predictor import Missing, PredictionError, Predictor, the_only
from models.exporters.predicting.text_files import check_is_table, decoded, plain, read_table


class RowsPredictor(Predictor):
    """Of rows as mappings, columns as a mapping or a data frame, or a CSV."""

    @property
    def columns(self) -> list[str]:
        return [column["name"] for column in self.preprocessing["columns"]]

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        path = the_only(paths)
        if path.endswith((".npz", ".npy")):
            return super().read(paths, encoding)
        self._check(path)
        return self._read(path, decoded(path, encoding))

    def _check(self, path: str) -> None:
        """
        Raises:
            PredictionError: the file is of another kind.
        """
        check_is_table(path)

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
        if hasattr(samples, "to_dict") and hasattr(samples, "columns"):
            samples = {name: list(samples[name]) for name in samples.columns}
        elif isinstance(samples, Mapping):
            first = next(iter(samples.values()), ())
            if isinstance(first, str) or not isinstance(first, Iterable):
                samples = [samples]
        if not isinstance(samples, Mapping):
            return self._of_rows(list(samples), missing)
        given = even(self._spelled(samples))
        count = max(map(len, given.values()), default=0)
        self._tell_columns(given, missing, "the table")
        nothing = [None] * count
        return {name: given.get(name, nothing) for name in self.columns}, count

    def _of_rows(
        self, rows: list[Mapping[str, Any]], missing: Missing
    ) -> tuple[dict[str, list[Any]], int]:
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise PredictionError(
                    f"row {number} is {type(row).__name__}, not a mapping from columns to values",
                    number,
                )
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
        known = {plain(name): name for name in self.columns}
        names = {name: known.get(plain(str(name)), name) for name in given}
        return {names[name]: value for name, value in given.items()}

    def _tell_columns(
        self, given: Iterable[Any], missing: Missing, where: str, row: int | None = None
    ) -> None:
        known, names = self.columns, list(map(str, given))
        self.ignored = [name for name in names if name not in known]
        self.filled = [name for name in known if name not in names]
        if missing == "fill" or not self.filled:
            return
        name = self.filled[0]
        others = {other.strip().lower(): other for other in names}
        near = get_close_matches(name.strip().lower(), others, 1)
        shown = ", ".join(names[:20]) or "none"
        has = f"it has {others[near[0]]!r}" if near else f"its columns are {shown}"
        raise PredictionError(
            f"{where} has no column {name!r}: {has}; missing='fill' has it count as missing",
            row,
            name,
        )


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
