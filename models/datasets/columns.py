"""CSV files as columns of texts, as a person sees them, and which reader a file is for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.decimals import sign_of_file
from models.datasets.dialect import Dialect, dialect_of, head_bytes
from models.datasets.encodings import is_binary
from models.datasets.formats import FormatError, Options
from models.datasets.layout import LAST_ROWS, LayoutError, below_table, nameless, rows_of
from models.datasets.parquet import is_parquet, read_parquet
from models.datasets.raw_table import (
    FIRST_ROW,
    UNNAMED,
    RawTable,
    Texts,
    check_size,
    named,
    plainer,
    shown,
    stripped,
)
from models.datasets.separators import cells_in, unwrapped
from models.remarks import Remark, in_number


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
    meant = {options.text, options.split_column, options.group_column}
    meant |= {*options.targets, *options.time_columns, *options.series_columns}
    meant |= {*options.columns, *options.known_columns}
    try:
        dialect, remarks = dialect_of(
            path,
            encoding=options.encoding,
            separator=options.separator,
            header=options.header,
            named={name for name in meant if name is not None},
        )
    except LayoutError as error:
        raise FormatError(str(error), "header") from None
    if again := [name for name in dialect.head.names if f"{name}.1" in dialect.head.names]:
        if twice := sorted(set(again) & meant):
            raise ValueError(f"each column has a name of its own, got {twice[0]!r} twice")
    table, below = _arrow_table(path, dialect)
    table, trailing = _without_trailing(named(table))
    table, unnamed = _with_names(table)
    check_size(table)
    remarks += [*below, *trailing, *unnamed]
    texts = {name: stripped(table.column(name)) for name in table.column_names}
    if UNNAMED in texts and UNNAMED not in {*dialect.head.names, *meant} and len(texts) > 1:
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
    if dialect.is_plain:
        try:
            return _arrow(path, dialect, dialect.skipped_lines, dialect.head.skipped), []
        except (pa.ArrowInvalid, UnicodeError) as error:
            refused = plainer(str(error), dialect)
    try:
        anew, left_out = _written_anew(path, dialect)
        if not anew.getbuffer().nbytes:
            raise LayoutError("there is no row below the header")
        plain = replace(dialect, encoding="utf-8", separator=",", quote='"')
        remarks = [
            Remark("lines_skipped", message, " ".join(message.split()[:2])) for message in left_out
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
        lines = unwrapped(file) if dialect.is_wrapped else file
        for _ in range(dialect.skipped_lines):
            next(lines, "")
        found = cells_in(lines, dialect.separator, dialect.quote, dialect.is_escaped)
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
        ("empty_rows", lambda _: "", ("row has", "rows have", "no cell with a value")),
        ("repeated_header", lambda name: name, ("row is", "rows are", "the header once more")),
    ):
        rows = _rows_with(texts, value_of)
        if len(rows):
            kept = np.delete(np.arange(len(next(iter(texts.values())))), rows)
            texts = {name: column.take(pa.array(kept)) for name, column in texts.items()}
            one, several, that = what
            message = f"{in_number(len(rows), one, several)} {that}, left out; the first is row "
            message += str(int(rows[0]) + FIRST_ROW)
            remarks.append(Remark(code, message, None, len(rows)))
    columns = list(texts.values())
    count = len(columns[0])
    if count > 2:
        ends = [column[max(count - LAST_ROWS, 0) :].to_pylist() for column in columns]
        rows_at_end = list(zip(*ends, strict=True))
        notes, totals = below_table(rows_at_end, lambda place: columns[place].to_pylist())
        kept_count = count - notes - totals
        texts = {name: column[:kept_count] for name, column in texts.items()}
        for place in range(kept_count, count):
            row = place + FIRST_ROW
            cells = filter(None, rows_at_end[place - count])
            if place < count - notes:
                message = f"the last row, with {next(cells)!r}, sums up the others and is left out"
                remarks.append(Remark("totals_row", message, f"row {row}", 1))
            else:
                message = f"row {row} stands below the table and is left out: {shown(next(cells))}"
                remarks.append(Remark("lines_skipped", message, f"row {row}"))
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


def _with_names(table: Any) -> tuple[Any, list[Remark]]:
    """With a name for columns that the header has none for, by their places."""
    given = table.column_names
    names = [name or nameless(place) for place, name in enumerate(given)]
    left = [name for name, own in zip(names, given, strict=True) if not own]
    if not left or len(set(names)) < len(names):
        return table, []
    message = f"columns without a name in the header are called {', '.join(left[:10])}"
    return table.rename_columns(names), [Remark("unnamed_columns", message, left[0], len(left))]


def _without_trailing(table: Any) -> tuple[Any, list[Remark]]:
    """Without last columns that have neither a name nor a cell: rows that end with a separator."""
    import pyarrow.compute as pc

    count = 0
    while count < table.num_columns - 1 and not table.column_names[-1 - count]:
        if pc.any(pc.not_equal(stripped(table.column(table.num_columns - 1 - count)), "")).as_py():
            break
        count += 1
    if not count:
        return table, []
    message = "rows end with a separator: the last column has neither a name nor a cell"
    kept = list(range(table.num_columns - count))
    return table.select(kept), [Remark("empty_column", message, None, count)]
