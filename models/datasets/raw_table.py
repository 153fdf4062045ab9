"""The cells of a file as texts, by column, whatever it is written in.

Rows count as in a spreadsheet: the header of a CSV is row 1.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import EMPTY_WORDS
from models.datasets.decimals import sign_of
from models.datasets.dialect import Dialect
from models.remarks import Kind, Remark, in_number

MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 20_000_000, 10_000, 500_000_000
FIRST_ROW = 2

UNNAMED = "index"
"""What a first column without a name is called: the names of rows."""

Array = NDArray[Any]
Texts = Any
"""A `pyarrow.ChunkedArray` of strings without nulls and without blanks around them."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """The cells of a file as text, by column.

    kinds: what the file itself says of a column.
    decimal: the sign that most of its numbers are written with.
    separators: between the values of a target column whose cells are lists in the file.
    header: the names that columns were given where the file has none; else None.
    """

    texts: Mapping[str, Texts]
    kinds: Mapping[str, Kind]
    decimal: str
    remarks: list[Remark] = field(default_factory=list)
    separators: Mapping[str, str] = field(default_factory=dict)
    header: tuple[str, ...] | None = None

    @property
    def rows(self) -> int:
        return len(next(iter(self.texts.values())))

    def sign_of(self, name: str) -> str:
        """The decimal sign of a column, which may have one of its own."""
        return sign_of(self.texts[name], self.decimal)


def strings(column: Texts) -> Array:
    """A column as an array of numpy.

    Raises:
        ValueError: it would be too large, as a numpy string is as long as the longest.
    """
    values = column.to_pylist()
    longest = max(map(len, values), default=1)
    if longest * len(values) > MAX_CELLS:
        row = FIRST_ROW + next(i for i, text in enumerate(values) if len(text) == longest)
        raise ValueError(f"row {row}: a text of {longest:,} characters is too long for a table")
    return np.array(values, dtype=f"U{max(longest, 1)}")


def is_missing(values: Array) -> NDArray[np.bool_]:
    """Where a column is empty."""
    if values.dtype.kind != "U":
        return np.isnan(values)
    return np.isin(np.char.lower(values), EMPTY_WORDS)


def labels_of(name: str, values: Array, rows: NDArray[Any] | None = None) -> Array:
    """A column of classes as they are written; none may be missing."""
    rows = np.arange(FIRST_ROW, FIRST_ROW + len(values)) if rows is None else rows
    wrong = np.flatnonzero(is_missing(values))
    if len(wrong):
        raise ValueError(
            f"row {rows[wrong[0]]}, column {name!r}: the class is missing, in "
            f"{in_number(len(wrong), 'row', 'rows')} of {len(values)}; the option unlabelled takes "
            "such rows as samples without a class, or the file leaves them out"
        )
    return values


def shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def stripped(column: Any) -> Texts:
    """Without blanks around them, in NFC: as `cells.composed` has them."""
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column)
    if pc.all(pc.string_is_ascii(column)).as_py():
        return column
    unseen = " \t\r\n\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
    unseen += "\u202a\u202b\u202c\u202d\u202e"
    return pc.utf8_trim(pc.utf8_normalize(column, form="NFC"), characters=unseen)


def named(table: Any) -> Any:
    """With a header in NFC, without blanks around its names; a first one without a name is the
    index that a table was saved with, and gets one.
    """
    names = [unicodedata.normalize("NFC", name.strip()) for name in table.column_names]
    if names and not names[0] and UNNAMED not in names:
        names[0] = UNNAMED
    return table.rename_columns(names)


def check_size(table: Any) -> None:
    check_counts(table.num_rows, table.num_columns)
    names = table.column_names
    if not all(names):
        raise ValueError(f"column {names.index('') + 1} has no name in the header")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each column has a name of its own, got {repeated[0]!r} twice")
    if not table.num_rows:
        raise ValueError("there is no row below the header")


def check_counts(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise ValueError(
            f"at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} values are "
            f"allowed, got {rows:,} rows and {columns:,} columns"
        )


def plainer(message: str, dialect: Dialect | None = None) -> str:
    """The message without what only pyarrow's own users know."""
    message = re.sub(r"^CSV parse error: ", "", message.splitlines()[0] if message else "")
    message = re.sub(r"Row #(\d+): ", r"row \1: ", message)
    if dialect is not None and "columns" in message:
        message += f" (the separator is {dialect.separator!r}; options.separator says another)"
    return message[:300]
