"""CSV and Parquet files as columns: floats, NaN where one is missing, or strings.

Rows count as in a spreadsheet: the header of a CSV is row 1. `pyarrow` reads both kinds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 20_000_000, 10_000, 500_000_000
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?")
FIRST_ROW = 2

Array = NDArray[Any]


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def is_text(path: Path) -> bool:
    """Whether it begins like a text: no NUL, and not as any archive does."""
    with path.open("rb") as file:
        head = file.read(4096)
    return b"\0" not in head and not head.startswith((b"PK", b"\x1f\x8b", b"PAR1"))


def read_columns(path: Path) -> dict[str, Array]:
    """Every column by name.

    Raises:
        ValueError: not such a file, or a larger one than is allowed; with row and column.
    """
    return read_parquet(path) if is_parquet(path) else read_csv(path)


def read_csv(path: Path) -> dict[str, Array]:
    """A comma-separated file in UTF-8 with a header."""
    texts = read_texts(path)
    return {name: _typed(name, values) for name, values in texts.items()}


def read_texts(path: Path) -> dict[str, Array]:
    """The columns of a CSV as they are written."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False, block_size=16 * 2**20),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                default_column_type=pa.string(), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(_plainer(str(error))) from None
    _check_size(table)
    return {name: _strings(table.column(name)) for name in table.column_names}


def read_parquet(path: Path) -> dict[str, Array]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        metadata = file.metadata
        _check_counts(metadata.num_rows, metadata.num_columns)
        groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
        if sum(group.total_byte_size for group in groups) > 4 * 2**30:
            raise ValueError("the file unpacks to more than 4 GiB")
        table = file.read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"not a Parquet file: {_plainer(str(error))}") from None
    _check_size(table)
    return {name: _of_arrow(name, table.column(name)) for name in table.column_names}


def is_missing(values: Array) -> NDArray[np.bool_]:
    """Where a column is empty."""
    return np.isin(values, MISSING) if values.dtype.kind == "U" else np.isnan(values)


def numbers(name: str, values: Array, rows: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """A column in which every row has a finite number; `rows` are their numbers in the file.

    Raises:
        ValueError: with the first row that has none.
    """
    rows = np.arange(FIRST_ROW, FIRST_ROW + len(values)) if rows is None else rows
    if values.dtype.kind == "U":
        for row, text in zip(rows.tolist(), values.tolist(), strict=True):
            try:
                float(text)
            except ValueError:
                raise ValueError(
                    f"row {row}, column {name!r}: {_shown(text)} is no number"
                ) from None
        values = values.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(f"row {rows[wrong[0]]}, column {name!r}: the number is missing")
    return values.astype(np.float64)


def labels(name: str, values: Array, rows: NDArray[Any] | None = None) -> Array:
    """A column of classes: whole numbers as integers, else strings; none may be missing."""
    rows = np.arange(FIRST_ROW, FIRST_ROW + len(values)) if rows is None else rows
    wrong = np.flatnonzero(is_missing(values))
    if len(wrong):
        raise ValueError(f"row {rows[wrong[0]]}, column {name!r}: the class is missing")
    if values.dtype.kind == "U":
        return values
    broken = np.flatnonzero((values != np.round(values)) | (np.abs(values) > 2**53))
    if len(broken):
        raise ValueError(
            f"row {rows[broken[0]]}, column {name!r}: {values[broken[0]]:g} is no class; "
            "classes are whole numbers or texts"
        )
    return values.astype(np.int64)


def _typed(name: str, texts: Array) -> Array:
    """Floats where every value is a number or missing, else the texts."""
    missing = np.isin(texts, MISSING)
    try:
        values = np.full(len(texts), np.nan)
        values[~missing] = texts[~missing].astype(np.float64)
    except ValueError:
        return np.where(missing, "", texts)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0]) + FIRST_ROW
        raise ValueError(f"row {row}, column {name!r}: infinity is no value")
    return values


def _of_arrow(name: str, column: Any) -> Array:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
        return _strings(column.cast(pa.string()).fill_null(""))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _strings(column.cast(pa.string()).fill_null(""))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy()
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0]) + FIRST_ROW
            raise ValueError(f"row {row}, column {name!r}: infinity is no value")
        return np.asarray(values, dtype=np.float64)
    raise ValueError(f"column {name!r} holds {column.type}; numbers and texts are allowed")


def _strings(column: Any) -> Array:
    values = column.to_pylist()
    longest = max(map(len, values), default=1)
    if longest * len(values) > MAX_CELLS:  # a numpy string is as long as the longest
        row = FIRST_ROW + next(i for i, text in enumerate(values) if len(text) == longest)
        raise ValueError(f"row {row}: a text of {longest:,} characters is too long for a table")
    return np.array(values, dtype=f"U{max(longest, 1)}")


def _check_size(table: Any) -> None:
    _check_counts(table.num_rows, table.num_columns)
    names = table.column_names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each column has a name of its own, got {repeated[0]!r} twice")
    if not all(names):
        raise ValueError(f"column {names.index('') + 1} has no name in the header")


def _check_counts(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise ValueError(
            f"at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} values are "
            f"allowed, got {rows:,} rows and {columns:,} columns"
        )


def _plainer(message: str) -> str:
    """The message without what only pyarrow's own users know."""
    message = re.sub(r"^CSV parse error: ", "", message.splitlines()[0] if message else "")
    message = re.sub(r"Row #(\d+): ", r"row \1: ", message)
    return message[:300]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
