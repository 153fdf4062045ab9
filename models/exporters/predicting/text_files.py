"""Files of text and tables in them, as people write them."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from models.datasets.cells import composed
from models.datasets.encodings import foreign, is_windows_1252, known_encoding
from models.datasets.layout import (
    LAST_ROWS,
    Head,
    LayoutError,
    below_table,
    head_of,
    lines_above,
    nameless,
    rows_of,
)
from models.datasets.separators import (
    SEPARATORS,
    cells_in,
    has_escapes,
    is_wrapped,
    may_cut_texts,
    quote_of,
    separator_of,
    unwrapped,
)
from models.exporters.predicting.predictor import PredictionError

TITLES = 20
UNNAMED = "index"
SAMPLE = 64 * 1024
"""Characters from which it is seen how a table is written."""
HEAD = 4096
"""Bytes by which a kind of file is known."""


def decoded(content: bytes, encoding: str) -> str:
    """A mark at its beginning says how a file is written, whatever else is said; UTF-16 and UTF-32
    without one are known by their zeros, and Latin-1 may be that of Windows.

    Raises:
        PredictionError: there is no such encoding, or a byte is none of it.
    """
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise PredictionError(str(error)) from None
    known = known_encoding(content[:HEAD])
    if known in ("utf-8-sig", "utf-16", "utf-32") or (known and encoding == "utf-8"):
        encoding = known
    if codecs.lookup(encoding).name == "iso8859-1" and is_windows_1252([content]):
        encoding = "cp1252"
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise PredictionError(
            f"the text is no {encoding}{at}; say how it is written, as encoding='latin-1' "
            "(--encoding latin-1) of older programs"
        ) from None


def check_is_table(path: str, head: bytes) -> None:
    """
    Raises:
        PredictionError: the file is of another kind; says which, and what to do.
    """
    found = foreign(head)
    if found is not None:
        raise PredictionError(f"{path} is {found[0]}, no table in text; {found[1]}")


def read_table(
    text: str, known: Sequence[str], header: Mapping[str, Any] | None = None
) -> tuple[dict[str, list[str]], list[str]]:
    """The columns of a CSV, and what is told of rows that are none. Its header is the line, of the
    first few, that names the most known columns when the best sign divides it; what stands above is
    a title.

    known: columns, by the names that they are given in what is returned.
    header: the `columns` of files that have none, and which of them are `targets`.

    Raises:
        PredictionError: a row has more or fewer cells than the header, or the header has a column
            twice.
        csv.Error: a cell is longer than a cell may be.
    """
    if is_wrapped(text[:SAMPLE]):
        text = "".join(unwrapped(text.splitlines()))
    above = lines_above(text[:SAMPLE])
    if above:
        text = "".join(islice(io.StringIO(text, newline=""), above, None))
    text = text.lstrip("#")
    separator, line, count = header_of(text, known)
    if not count and header is not None:
        separator = separator_of(text[:SAMPLE])
    sample = text[:SAMPLE]
    quote = quote_of(sample, separator)
    is_escaped = has_escapes(sample, separator, quote)
    reader = cells_in(io.StringIO(text, newline=""), separator, quote, is_escaped)
    first = list(islice(reader, line, line + 200))
    if not count and header is not None:
        head = Head(_names_without_header(first, header), 0, [], is_named=False)
    else:
        try:
            head = head_of(first, True, are_cut=may_cut_texts(sample, separator, quote))
        except LayoutError as error:
            raise PredictionError(str(error)) from None
    names = [UNNAMED if not n and UNNAMED in known else n for n in head.names[:1]] + head.names[1:]
    while names and not names[-1] and nameless(len(names) - 1) not in known:
        names.pop()  # as where each line ends with a separator
    names = [
        nameless(place) if not name and nameless(place) in known else name
        for place, name in enumerate(names)
    ]
    if twice := [n for n in known if f"{n}.1" in names and f"{n}.1" not in known]:
        raise PredictionError(f"the header has column {twice[0]!r} more than once")
    told = [message for code, message in head.told if code == "second_header"]
    rows: Iterable[list[str]] = chain(first[head.skipped :], reader)
    if head.is_named:
        rows = _without(next(filter(None, first), []), rows, told)
    columns = _columns(rows, names, line + 2, told)
    whole = list(columns.values())
    at_end = list(zip(*(cells[-LAST_ROWS:] for cells in whole), strict=True))
    notes, totals = below_table(at_end, whole.__getitem__)
    if left_out := notes + totals:
        for place, row in enumerate(at_end[-left_out:]):
            shown = repr(next(cell for cell in row if cell.strip()))
            is_sum = f"the last row, with {shown}, sums up the others and is left out"
            is_note = f"a row below the table is left out: {shown}"
            told.append(is_sum if place < totals else is_note)
        columns = {name: cells[:-left_out] for name, cells in columns.items()}
    spelled = {composed(name): name for name in known}
    return {spelled.get(name, name): cells for name, cells in columns.items() if name}, told


def _without(header: list[str], rows: Iterable[list[str]], told: list[str]) -> Iterator[list[str]]:
    """The rows but those that are the header once more."""
    again = 0
    for row in rows:
        if row and row == header:
            again += 1
        else:
            yield row
    if again:
        told.append(f"rows that are the header once more are left out: {again}")


def _columns(
    rows: Iterable[list[str]], names: Sequence[str], first: int, told: list[str]
) -> dict[str, list[str]]:
    """
    Raises:
        PredictionError: a row has more or fewer cells than names.
    """
    width = len(names)
    whole: list[str] = []  # row after row: as many lists take the collector longer
    try:
        for cells in rows_of(rows, width, told, first):
            whole += cells
    except LayoutError as error:
        raise PredictionError(str(error)) from None
    return {name: whole[place::width] for place, name in enumerate(names)}


def _names_without_header(rows: Sequence[Sequence[str]], header: Mapping[str, Any]) -> list[str]:
    """Of the cells of a row, in a file without a header.

    Raises:
        PredictionError: there are as many cells neither with the targets nor without.
    """
    columns, targets = header["columns"], header["targets"]
    inputs = [name for name in columns if name not in targets]
    width = len(next((row for row in rows if row), ()))
    for names in (columns, inputs):
        if len(names) == width:
            return list(names)
    raise PredictionError(
        f"a row has {width} cells; without a header it has those of {', '.join(columns)}, with or "
        f"without {', '.join(targets)}"
    )


def header_of(text: str, known: Sequence[str]) -> tuple[str, int, int]:
    """The sign that divides the cells, the line, from 0 on, that names the columns, and how many it
    names.
    """
    heads, file = {}, io.StringIO(text, newline="")
    for separator in SEPARATORS:
        file.seek(0)
        reader = cells_in(file, separator, quote_of(text[:SAMPLE], separator))
        heads[separator] = [{composed(cell.strip()) for cell in row} for row in _begin(reader)]
    named = set(map(composed, known))
    places = [
        (sign, line, len(cells & named))
        for sign, rows in heads.items()
        for line, cells in enumerate(rows)
    ]
    return max(places, key=lambda place: place[2], default=(",", 0, 0))


def _begin(reader: Iterable[list[str]]) -> list[list[str]]:
    """The first rows, as far as they can be read."""
    rows: list[list[str]] = []
    try:
        for row in islice(reader, TITLES):
            rows.append(row)
    except csv.Error:
        pass
    return rows
