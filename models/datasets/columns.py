"""CSV and Parquet files as columns of texts, as a person sees them.

Rows count as in a spreadsheet: the header of a CSV is row 1. `pyarrow` reads both kinds.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import EMPTY_WORDS
from models.datasets.decimals import sign_of, sign_of_file
from models.datasets.dialect import Dialect, dialect_of, head_bytes
from models.datasets.encodings import is_binary
from models.datasets.formats import FormatError, Options
from models.datasets.layout import LayoutError, cells_in, is_total, rows_of
from models.remarks import Kind, Remark

MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 20_000_000, 10_000, 500_000_000
FIRST_ROW = 2

UNNAMED = "index"
"""What a first column without a name is called: the names of rows."""

LIST_SIGNS = (";", "|", ",")
"""Between the values of a list, as a person would write them: the first that no value has."""

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


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def is_text(path: Path) -> bool:
    """Whether it begins like a text: no NUL but those of UTF-16 and UTF-32, and not as any archive,
    document or database does; JSON and pages are texts, though no tables.
    """
    return not is_binary(head_bytes(path))


def read_table(path: Path, options: Options | None = None) -> RawTable:
    """Every column by name, as `options` say that it is written.

    Raises:
        ValueError: not such a file, or a larger one than is allowed; with row and column.
    """
    options = options or Options()
    return read_parquet(path, options) if is_parquet(path) else read_csv(path, options)


def read_csv(path: Path, options: Options) -> RawTable:
    """A text with a row a line, and most often a header.

    Raises:
        FormatError: the first row looks like data, and `options.header` does not say what it is.
    """
    named = {*options.targets, options.text, options.time, options.series, *options.columns}
    named |= {options.split_column, options.group_column}
    try:
        dialect, remarks = dialect_of(
            path,
            encoding=options.encoding,
            separator=options.separator,
            header=options.header,
            named={name for name in named if name is not None},
        )
    except LayoutError as error:
        raise FormatError(str(error), "header") from None
    if again := [name for name in dialect.head.names if f"{name}.1" in dialect.head.names]:
        if twice := sorted(set(again) & named):
            raise ValueError(f"each column has a name of its own, got {twice[0]!r} twice")
    table, below = _arrow_table(path, dialect)
    table, trailing = _without_trailing(_named(table))
    _check_size(table)
    remarks += [*below, *trailing]
    texts = {name: _stripped(table.column(name)) for name in table.column_names}
    if UNNAMED in texts and UNNAMED not in {*dialect.head.names, *named} and len(texts) > 1:
        message = "the first column has no name, as the names of rows have none, and is left out"
        remarks.append(Remark("index_ignored", message, UNNAMED))
        del texts[UNNAMED]
    texts, left_out = without_odd_rows(texts)
    remarks += [*left_out, *_of_similar(texts)]
    decimal: str | None = options.decimal
    if decimal is None:
        decimal, told = sign_of_file(texts, dialect.separator)
        remarks += told
    header = None if dialect.head.is_named else tuple(texts)
    return RawTable(texts, {}, decimal, remarks, header=header)


def _arrow_table(path: Path, dialect: Dialect) -> tuple[Any, list[Remark]]:
    """All cells of a file, and what is told of lines that are left out. What `pyarrow` has no way
    to read is written anew first.

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """
    import pyarrow as pa

    refused = ""
    if not dialect.is_spaced:
        try:
            return _arrow(path, dialect, dialect.skipped_lines, dialect.head.skipped), []
        except (pa.ArrowInvalid, UnicodeError) as error:
            refused = _plainer(str(error), dialect)
    try:
        anew, left_out = _written_anew(path, dialect)
        if not anew.getbuffer().nbytes:
            raise LayoutError("there is no row below the header")
        plain = replace(dialect, encoding="utf-8", separator=",", quote='"')
        remarks = [
            Remark("lines_skipped", message, message.split(" is ")[0]) for message in left_out
        ]
        return _arrow(anew, plain, 0, 0), remarks
    except (LayoutError, csv.Error, UnicodeError) as error:
        if "cells" in str(error):
            hint = f" (the separator is {dialect.separator!r}; options.separator says another)"
            raise ValueError(refused or f"{error}{hint}") from None
        raise ValueError(str(error)) from None


def _arrow(source: Any, dialect: Dialect, lines: int, rows: int) -> Any:
    """`lines` are skipped as they stand, then `rows`."""
    import pyarrow as pa
    from pyarrow import csv

    return csv.read_csv(
        source,
        read_options=csv.ReadOptions(
            use_threads=False,
            block_size=16 * 2**20,
            encoding=dialect.encoding,
            skip_rows=lines,
            skip_rows_after_names=rows,
            column_names=dialect.head.names,
        ),
        parse_options=csv.ParseOptions(
            delimiter=dialect.separator, quote_char=dialect.quote, newlines_in_values=True
        ),
        convert_options=csv.ConvertOptions(
            default_column_type=pa.string(), strings_can_be_null=False
        ),
    )


def _written_anew(path: Path, dialect: Dialect) -> tuple[io.BytesIO, list[str]]:
    """The rows below the header, with as many cells between commas, and what is told of others."""
    written, left_out = io.BytesIO(), list[str]()
    width = len(dialect.head.names)
    with path.open(encoding=dialect.encoding, newline="") as file:
        for _ in range(dialect.skipped_lines):
            next(file, "")
        found = cells_in(file, dialect.separator, dialect.quote)
        for _ in range(dialect.head.skipped):
            next(found, None)
        text = io.TextIOWrapper(written, "utf-8", newline="")
        csv.writer(text).writerows(rows_of(found, width, left_out))
        text.flush()
        text.detach()
    written.seek(0)
    return written, left_out


def without_odd_rows(texts: Mapping[str, Texts]) -> tuple[dict[str, Texts], list[Remark]]:
    """Without rows that have no value, that are the header once more, and a last one that sums up
    the others.
    """
    import pyarrow as pa

    remarks = []
    for code, value_of, what in (
        ("empty_rows", lambda _: "", "have no cell with a value"),
        ("repeated_header", lambda name: name, "are the header once more"),
    ):
        rows = _rows_with(texts, value_of)
        if len(rows):
            kept = np.delete(np.arange(len(next(iter(texts.values())))), rows)
            texts = {name: column.take(pa.array(kept)) for name, column in texts.items()}
            message = f"{len(rows)} rows {what} and are left out, the first is row "
            message += str(int(rows[0]) + FIRST_ROW)
            remarks.append(Remark(code, message, None, len(rows)))
    columns = list(texts.values())
    count = len(columns[0])
    if count > 2:
        last = [column[count - 1].as_py() for column in columns]
        if is_total(last, lambda place: columns[place][: count - 1].to_pylist()):
            texts = {name: column[: count - 1] for name, column in texts.items()}
            shown_cells = next(cell for cell in last if cell)
            message = f"the last row, with {shown_cells!r}, sums up the others and is left out"
            remarks.append(Remark("totals_row", message, f"row {count - 1 + FIRST_ROW}", 1))
    return dict(texts), remarks


def _rows_with(texts: Mapping[str, Texts], value_of: Callable[[str], str]) -> NDArray[np.int64]:
    """The rows each cell of which is what its column has as `value_of` its name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: NDArray[np.int64] | None = None
    for name, column in texts.items():
        cells = column if rows is None else column.take(pa.array(rows))
        is_it = pc.equal(cells, value_of(name)).to_numpy()
        rows = np.flatnonzero(is_it) if rows is None else rows[is_it]
        if not len(rows):
            break
    return np.zeros(0, dtype=np.int64) if rows is None else rows


def _of_similar(names: Iterable[str]) -> Iterator[Remark]:
    """Names that differ in case or blanks alone."""
    found: dict[str, str] = {}
    for name in names:
        plain = "".join(name.lower().split())
        if plain in found:
            message = f"{found[plain]!r} and {name!r} are two columns, of almost one name"
            yield Remark("similar_names", message, name)
        found.setdefault(plain, name)


def read_parquet(path: Path, options: Options) -> RawTable:
    """A Parquet file; the index that pandas keeps in one is no column. Target columns may hold
    lists of texts, the labels of each sample.
    """
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
    remarks = []
    table = _with_named_index(table, options)
    for name in _pandas_index(table):
        if name in _named_columns(options):
            continue
        remarks.append(
            Remark("index_ignored", "the index of pandas is no column of the data", name)
        )
        table = table.drop_columns([name])
    table = _named(table)
    _check_size(table)
    texts, kinds, separators = {}, {}, {}
    for name in table.column_names:
        column = table.column(name)
        if name in options.targets and _is_list(column.type):
            texts[name], separators[name] = _joined(name, column, options.labels_separator)
            continue
        if options.columns.get(name) == "ignore" and _is_nested(column.type):
            texts[name] = pa.chunked_array([[""] * len(column)], type=pa.string())
            continue
        texts[name], kind = _of_arrow(name, column)
        if kind is not None:
            kinds[name] = kind
    return RawTable(texts, kinds, ".", remarks, separators)


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
        raise ValueError(f"row {rows[wrong[0]]}, column {name!r}: the class is missing")
    return values


def shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _of_arrow(name: str, column: Any) -> tuple[Texts, Kind | None]:
    """A typed column as texts, and what its type says of it."""
    import pyarrow as pa

    kind: Kind | None = None
    if pa.types.is_dictionary(column.type):
        column, kind = column.cast(column.type.value_type), Kind.CATEGORY
    of = column.type
    if pa.types.is_boolean(of):
        kind = Kind.BOOLEAN
    elif pa.types.is_timestamp(of) or pa.types.is_date(of):
        column = column.cast(pa.timestamp("us"), safe=False)
        kind = Kind.DATE
    elif pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_decimal(of):
        if pa.types.is_float16(of):
            column = column.cast(pa.float32())
        if not pa.types.is_integer(of):
            kind = kind or Kind.NUMBER
    elif pa.types.is_time(of):
        column = column.cast(pa.time64("us"), safe=False).cast(pa.time32("s"), safe=False)
    elif pa.types.is_binary(of) or pa.types.is_large_binary(of):
        try:
            column = column.cast(pa.string())
        except pa.ArrowInvalid:
            raise ValueError(f"column {name!r} holds bytes that are no UTF-8") from None
    elif not (pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_null(of)):
        raise ValueError(
            f"column {name!r} holds {of}; numbers, texts, dates and booleans are allowed, and "
            "options.columns leaves it out by ignore"
        )
    return _stripped(column.cast(pa.string()).fill_null("")), kind


def _is_nested(of: Any) -> bool:
    """Whether it has no texts for its cells."""
    import pyarrow as pa

    return bool(pa.types.is_nested(of) or pa.types.is_duration(of) or pa.types.is_binary(of))


def _is_list(of: Any) -> bool:
    """Whether it is a type of lists of texts or integers."""
    import pyarrow as pa

    if not (pa.types.is_list(of) or pa.types.is_large_list(of)):
        return False
    kind = of.value_type.value_type if pa.types.is_dictionary(of.value_type) else of.value_type
    able = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    return any(is_able(kind) for is_able in able)


def _joined(name: str, column: Any, wanted: str | None) -> tuple[Texts, str]:
    """Lists as texts of their values, and the sign between these, which no value has."""
    import pyarrow as pa

    lists = [[str(v).strip() for v in found or () if v is not None] for found in column.to_pylist()]
    able = (wanted,) if wanted else LIST_SIGNS
    unused = [sign for sign in able if not any(sign in v for found in lists for v in found)]
    if not unused:
        raise ValueError(
            f"column {name!r} holds lists, of which a value has {' and another '.join(able)}; "
            "options.labels_separator names a sign that none has"
        )
    texts = pa.chunked_array([[unused[0].join(found) for found in lists]], type=pa.string())
    return texts, unused[0]


def _named_columns(options: Options) -> set[str]:
    """Those that options give a meaning of their own, which an index may have as well."""
    names = (options.time, options.series, options.text, options.split_column, options.group_column)
    return {name for name in (*names, *options.targets) if name is not None}


def _with_named_index(table: Any, options: Options) -> Any:
    """With the only index that has no name called `index`, where an option calls it so."""
    unnamed = [name for name in table.column_names if name.startswith("__index_level_")]
    if len(unnamed) != 1 or "index" not in _named_columns(options) - {*table.column_names}:
        return table
    names = ["index" if name == unnamed[0] else name for name in table.column_names]
    return table.rename_columns(names)


def _pandas_index(table: Any) -> list[str]:
    """The columns that pandas wrote for its index."""
    names = [name for name in table.column_names if re.fullmatch(r"__index_level_\d+__", name)]
    try:
        said = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
    except (ValueError, KeyError, TypeError):
        return names
    listed = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    return [*names, *(n for n in listed if n in table.column_names and n not in names)]


def _stripped(column: Any) -> Texts:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(column)


def _without_trailing(table: Any) -> tuple[Any, list[Remark]]:
    """Without last columns that have neither a name nor a cell: rows that end with a separator."""
    import pyarrow.compute as pc

    count = 0
    while count < table.num_columns - 1 and not table.column_names[-1 - count]:
        if pc.any(pc.not_equal(_stripped(table.column(table.num_columns - 1 - count)), "")).as_py():
            break
        count += 1
    if not count:
        return table, []
    message = "rows end with a separator: the last column has neither a name nor a cell"
    kept = list(range(table.num_columns - count))
    return table.select(kept), [Remark("empty_column", message, None, count)]


def _named(table: Any) -> Any:
    """With a header without blanks around its names; a first one without a name is the index that
    a table was saved with, and gets one.
    """
    names = [name.strip() for name in table.column_names]
    if names and not names[0] and UNNAMED not in names:
        names[0] = UNNAMED
    return table.rename_columns(names)


def _check_size(table: Any) -> None:
    _check_counts(table.num_rows, table.num_columns)
    names = table.column_names
    if not all(names):
        raise ValueError(f"column {names.index('') + 1} has no name in the header")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each column has a name of its own, got {repeated[0]!r} twice")
    if not table.num_rows:
        raise ValueError("there is no row below the header")


def _check_counts(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise ValueError(
            f"at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} values are "
            f"allowed, got {rows:,} rows and {columns:,} columns"
        )


def _plainer(message: str, dialect: Dialect | None = None) -> str:
    """The message without what only pyarrow's own users know."""
    message = re.sub(r"^CSV parse error: ", "", message.splitlines()[0] if message else "")
    message = re.sub(r"Row #(\d+): ", r"row \1: ", message)
    if dialect is not None and "columns" in message:
        message += f" (the separator is {dialect.separator!r}; options.separator says another)"
    return message[:300]
