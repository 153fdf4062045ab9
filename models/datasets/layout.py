"""How the rows of a table in text lie: what stands above and below them, and what are the first.
The same text runs in a bundle: nothing here needs more than the standard library.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from models.datasets.separators import (
    SAMPLE_ROWS,
    USUAL_SEPARATORS,
    cells_in,
    first_rows,
    separator_of,
)

_VALUE = re.compile(r"[\W\d_]*\d[\W\d_]*(?:e[-+]?\d+)?|nan|inf|na", re.IGNORECASE)
_PLAIN = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[-+]?\d+)?%?", re.IGNORECASE)
_EMPTY = ("", "-", "--", "na", "n/a", "nan", "none", "null", "?")
_TOTAL = re.compile(
    r"(?:(?:grand |sub)?totals?|sum|average|mean|count|(?:gesamt)?summe|gesamt|insgesamt|"
    r"durchschnitt|mittelwert|total général|totale|totaal|somme|moyenne|media|promedio|suma|"
    r"итого|всего|合计|总计|合計|総計|계|합계)\b",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"(?:sources?|notes?|footnotes?|remarks?|data sources?|last updated?|copyright|quellen?|"
    r"anmerkung(?:en)?|stand|fuentes?|nota|notas|fonte|note|bron|kilde|källa)\b ?[:.].*|"
    r"data from .*|[*©†‡].*",
    re.IGNORECASE | re.DOTALL,
)
_COMMENTS = ("#", "%", "//")
LAST_ROWS = 10
"""At the end of a table that are looked at: notes, and sums of the others."""
_HEADERS = 4
"""Rows that may name or explain columns, the header among them."""
_TITLES = 20
"""Rows among which the header is, where titles stand above it."""
_RULE = re.compile(r"(?::?-{2,}:?|=+)?")
_LINE = re.compile(r"[-+=|: ]{3,}")
"""Drawn between rows, by programs that show tables."""
_UNIT = re.compile(r"[\[(].*[\])]|[^\W\d_]{1,3}[²³]?|%|.*[/%°²³].*|[^\W\d_]+ ?\(.*\)")


class LayoutError(ValueError):
    """A row that is none of the table; the message names it."""


class Head(NamedTuple):
    """The first rows of a table.

    names: one for each cell of a row, none of them twice; "" of cells without a name.
    skipped: rows above the first one of data, blank ones among them.
    told: what was found out, as a code and a message each.
    is_named: whether the file names its columns.
    """

    names: list[str]
    skipped: int
    told: list[tuple[str, str]]
    is_named: bool = True


def nameless(place: int) -> str:
    """What a column is called that has no name in the header; `place` counts from 0."""
    return f"column_{place + 1}"


def lines_above(text: str) -> int:
    """How many lines stand above the header: blank ones, comments, drawn ones, and titles, which
    are without a separator where most lines have one, or have another number of cells than all
    below. A comment that names the columns is the header.
    """
    lines = text.splitlines()[:SAMPLE_ROWS]
    drawn = sum(1 for _ in itertools.takewhile(_LINE.fullmatch, lines))
    if 0 < drawn < len(lines):
        return drawn + lines_above("\n".join(lines[drawn:]))
    if count := _of_other_width(lines):
        return count
    divided = [any(sign in line for sign in USUAL_SEPARATORS) for line in lines]
    if any(divided[:1]) and not lines[0].startswith(_COMMENTS) and lines[0].strip():
        return 0
    below = [line for line in lines if line.strip() and not line.startswith(_COMMENTS)]
    separator = separator_of("\n".join(below))
    has_titles = sum(divided) > 0.5 * len(below) and separator[0] in USUAL_SEPARATORS
    count = 0
    for line, has_cells in zip(lines, divided, strict=True):
        is_comment = line.startswith("#") or (
            line.startswith(_COMMENTS) and not _is_whole(line, below, separator)
        )
        is_title = has_titles and not has_cells and '"' not in line
        if not is_comment and not is_title and line.strip():
            break
        count += 1
    if count == len(lines):
        return 0
    named = count - 1
    while named > 0 and not lines[named].strip():
        named -= 1
    if named >= 0 and lines[named].startswith("#") and _names_columns(lines[named], lines[count:]):
        return named
    return count


def _of_other_width(lines: Sequence[str]) -> int:
    """How many first lines have other numbers of cells than all below, which begin with names and
    have values in the column of one.
    """
    for sign in USUAL_SEPARATORS:
        if (
            min(counts := [line.count(sign) for line in lines[:4]], default=0)
            == max(counts, default=0)
            > 0
        ):
            return 0  # as nearly every file begins
    for count in range(1, min(_HEADERS, len(lines) - 3) + 1):
        text = "\n".join(lines[count:])
        separator = separator_of(text)
        rows = [row for row in first_rows(text, separator) if row]
        width = len(rows[0]) if rows else 0
        above = [len(row) for row in first_rows("\n".join(lines[:count]), separator)]
        if width < 3 or any(abs(other - width) < 2 for other in above) or len(rows) < 4:
            continue
        if separator not in USUAL_SEPARATORS or min(above, default=0) < 2:
            continue
        if {len(row) for row in rows[:-1]} == {width} and not any(map(is_value, rows[0])):
            values = [[row[place] for row in rows[1:-1]] for place in range(width)]
            if any(all(map(is_value, filter(str.strip, column))) for column in values):
                return count
    return 0


def _is_whole(line: str, others: Sequence[str], separator: str) -> bool:
    """Whether a line has as many cells as most others, and more than one."""
    cells = first_rows(line, separator)
    return len(cells[0] if cells else ()) == _width(first_rows("\n".join(others), separator)) > 1


def _names_columns(comment: str, lines: Sequence[str]) -> bool:
    """Whether a comment is the header of the lines below."""
    text = "\n".join(lines)
    separator = separator_of(text)
    names, first = (
        [cell.strip() for cell in next(cells_in([part], separator), [])]
        for part in (comment.lstrip("#"), text.partition("\n")[0])
    )
    return (
        len(names) == len(first) > 1 and any(map(is_value, first)) and not any(map(is_value, names))
    )


def is_value(cell: str) -> bool:
    """Whether a cell shows a number, a date or a time, and no word."""
    return _VALUE.fullmatch(cell.strip()) is not None


def is_data(first: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> bool:
    """Whether the first row is no header: it has no word above values, but values, or words that
    stand again in their column or above cells that differ all. Dates above numbers, and numbers as
    they name columns, are names.
    """
    cells = [cell.strip() for cell in first]
    values = [cell for cell in cells if is_value(cell)]
    if _are_names(values, sum(map(bool, cells))):
        values = []
    again, is_new = 0, False
    for place, cell in enumerate(cells):
        below = [row[place].strip() for row in rows if len(row) > place]
        below = [text for text in below if text]
        if not cell or not below or _PLAIN.fullmatch(cell):
            continue
        are_numbers = sum(_PLAIN.fullmatch(text) is not None for text in below) > 0.5 * len(below)
        if are_numbers or (not is_value(cell) and sum(map(is_value, below)) > 0.5 * len(below)):
            return False
        if is_value(cell):
            continue
        if below.count(cell) > 1 and len(set(below)) > 1:
            again += 1
        elif len(set(below)) < 0.9 * len(below):
            is_new = True
    return bool(values) or (again > 0 and not is_new)


def _are_names(values: Sequence[str], cells: int) -> bool:
    """Whether the numbers of a first row count columns, or are years, or go on in one direction as
    the wavelengths of a spectrum do.
    """
    if not all(map(_PLAIN.fullmatch, values)):
        return False
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return False
    if len(numbers) < 2:
        return values == ["0"] or (len(values) == cells) or all(1900 <= n <= 2100 for n in numbers)
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(numbers) >= 10 and (min(steps) > 0 or max(steps) < 0):
        return True
    if len(steps) > 1 or 0 in steps or not all(number.is_integer() for number in numbers):
        return False
    return len(numbers) > 2 or steps <= {1.0, -1.0} or all(1900 <= n <= 2100 for n in numbers)


def head_of(
    rows: Sequence[Sequence[str]],
    header: bool | Sequence[str] | None = None,
    *,
    are_cut: bool = False,
) -> Head:
    """What the first rows are; `header`: whether the first one names the columns, or their names.
    Names are in NFC, whatever the program that wrote them.

    are_cut: whether a cell may be a part of a text that has the separator in it.

    Raises:
        LayoutError: the first row looks like data, and nothing says what it is; there are other
            names than cells; or each row has one cell more than the header, which may be the name
            of the row or not.
    """
    filled = [place for place, row in enumerate(rows) if any(map(str.strip, row))]
    if not filled:
        return Head([], 0, [])
    told: list[tuple[str, str]] = []
    if header is None and (titles := _titles(rows, filled)):
        shown = next(cell.strip() for cell in rows[filled[0]] if cell.strip())[:40]
        above = "row above the header is" if titles == 1 else "rows above the header are"
        told = [("lines_skipped", f"{titles} {above} left out, the first is {shown!r}")]
        filled = filled[titles:]
    first, below = filled[0], [rows[place] for place in filled[1:]]
    width = _width(below) or len(rows[first])
    if header is False or isinstance(header, Sequence):
        names = header or [f"column_{number}" for number in range(1, width + 1)]
        if len(names) != width:
            raise LayoutError(f"a row has {width} cells, and header {len(names)} names")
        return Head(list(names), first, _of_names_in_data(rows[first], below), is_named=False)
    cells = [unicodedata.normalize("NFC", cell.strip()) for cell in rows[first]]
    if header is None and is_data(cells, below):
        shown = ", ".join(map(repr, cells[:4]))
        raise LayoutError(
            f"the first row, {shown}, looks like one of data; header=false has its columns called "
            "column_1, column_2 and so on, header as a list names them, and header=true says that "
            "the first row does"
        )
    whole = [row for row in below if len(row) == width]
    if len(cells) + 1 == width:
        if not any(row[-1].strip() for row in whole):
            cells.append("")
        elif _are_row_names(whole, are_cut):
            cells.insert(0, "")  # as R writes them
        else:
            place = filled[1:][below.index(whole[0])]
            shown = ", ".join(map(repr, whole[0][:4]))
            raise LayoutError(
                f"row {place + 1} has {width} cells, the header {len(cells)}: {shown}; a cell that "
                "has the separator in it stands in quotes, and a column of the names of rows has a "
                "name in the header"
            )
    while len(cells) > width and not cells[-1]:
        cells.pop()
    skipped, of_units = first + 1, list[tuple[str, str]]()
    for count in range(1, _HEADERS):
        units = [_second_header([row, *below[count:]], len(cells)) for row in below[:count]]
        if len(units) == count < len(below) and all(units):
            skipped = filled[count] + 1
            what = (
                "a second row of names, with" if count == 1 else f"{count} more rows of names, with"
            )
            of_units = [("second_header", f"{what} {units[0]!r}, is left out")]
    told += of_units
    names = _each_once(cells)
    for old, new in zip(cells, names, strict=True):
        if old != new:
            told.append(("repeated_name", f"{old!r} names several columns; one is called {new!r}"))
    return Head(names, skipped, told)


def _titles(rows: Sequence[Sequence[str]], filled: Sequence[int]) -> int:
    """How many of the `filled` rows are titles above the header, padded with empty cells as a
    spreadsheet writes them: at most half of the first one's cells are filled, and each has an empty
    one; the header has none, and below it are no more such rows than others.
    """
    width = len(rows[filled[0]])
    counts = [sum(bool(cell.strip()) for cell in rows[place]) for place in filled[:_TITLES]]
    if width < 3 or counts[0] > width // 2 or not rows[filled[0]][0].strip():
        return 0
    count = next((number for number, known in enumerate(counts) if known == width), 0)
    if not count or any(len(rows[place]) != width for place in filled[: count + 1]):
        return 0
    names, below = rows[filled[count]], [rows[place] for place in filled[count + 1 :]]
    return 0 if is_data([name.strip() for name in names], below) else count


def _of_names_in_data(first: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """That a first row which is read as data has words above columns of values."""
    for place, cell in enumerate(first):
        below = [row[place].strip() for row in rows if len(row) > place]
        below = [text for text in below if text.lower() not in _EMPTY]
        is_word = cell.strip().lower() not in _EMPTY and not is_value(cell)
        if is_word and len(below) > 2 and all(map(is_value, below)):
            message = (
                f"the first row is read as data, as header says, and has {cell.strip()!r} above"
            )
            return [("names_in_data", f"{message} values; header=true has it name the columns")]
    return []


def _are_row_names(rows: Sequence[Sequence[str]], are_cut: bool) -> bool:
    """Whether the first cells of rows are their names and, where texts may be cut, no part of one:
    they count the rows, or are numbers or codes before what no text goes on with.
    """
    names, seconds = [row[0].strip() for row in rows], [row[1] for row in rows]
    if len(names) < 2 or len(set(names)) < len(names):
        return False
    if not are_cut:
        return True
    if all(map(str.isdecimal, names)):
        steps = {int(after) - int(before) for before, after in itertools.pairwise(names)}
        return steps <= {1} or not all(cell.strip().isdecimal() for cell in seconds)
    are_codes = all(re.fullmatch(r"[^\W\d_]*[-_.]?\d+", name) for name in names)
    return are_codes and all(map(is_value, seconds))


def _width(rows: Sequence[Sequence[str]]) -> int:
    """How many cells most rows have."""
    widths = Counter(len(row) for row in rows if row)
    return widths.most_common(1)[0][0] if widths else 0


def _second_header(rows: Sequence[Sequence[str]], width: int) -> str | None:
    """The first word of a row that has units, or other names, above columns of values; None of one
    that is data.
    """
    second, others = [cell.strip() for cell in rows[0]], [r for r in rows[1:] if len(r) == width]
    if len(second) != width or not others:
        return None
    if any(second) and all(_RULE.fullmatch(cell) for cell in second):
        return next(filter(None, second))
    words = []
    count = 0
    for place, cell in enumerate(second):
        below = [row[place].strip() for row in others]
        below = [text for text in below if text.lower() not in _EMPTY]
        is_empty = cell.lower() in _EMPTY
        if below and sum(map(is_value, below)) >= 0.9 * len(below):
            count += 1
            if is_value(cell) and not is_empty:
                return None
            words += [] if is_empty else [cell]
        elif not is_empty and (cell in below or len(set(below)) > 0.9 * len(below)):
            return None
    if (
        len(others) < 3
        or not words
        or (len(words) < 2 and not (count == 1 or _UNIT.fullmatch(words[0])))
    ):
        return None
    return words[0] if len(words) > 1 or _UNIT.fullmatch(words[0]) else None


def _each_once(names: Sequence[str]) -> list[str]:
    """Names with a number behind those that were there before, as pandas has them."""
    found: list[str] = []
    for name in names:
        number, own = 0, name
        while name and own in found:
            number += 1
            own = f"{name}.{number}"
        found.append(own)
    return found


def rows_of(
    rows: Iterable[list[str]], width: int, left_out: list[str], first: int = 2
) -> Iterator[list[str]]:
    """Rows of `width` cells: without blank ones, drawn lines, empty cells at the end of too long
    ones, comments, and the lines below the table. Of the latter two it is told in `left_out`.

    first: the number of the first row.

    Raises:
        LayoutError: another row has more or fewer cells.
    """
    odd: tuple[int, list[str]] | None = None
    last: list[str] = []
    is_apart, are_apart = False, False  # whether a blank row is before this one; before others
    for number, cells in enumerate(rows, first):
        if odd is None and cells and len(cells) == width and cells[0].strip() > "$":
            if is_apart:
                are_apart, is_apart = are_apart or bool(last), False
            last = cells
            yield cells  # as nearly all are, neither blank nor a comment
            continue
        filled = sum(bool(cell.strip()) for cell in cells)
        if not filled:
            is_apart = True
            continue
        if filled == 1 and len(cells) < width and _LINE.fullmatch("".join(cells).strip()):
            continue
        if filled == 1 and cells[0].startswith(_COMMENTS) and len(cells) < max(width, 2):
            left_out.append(f"row {number} is a comment and left out: {cells[0][:40]!r}")
            continue
        if len(cells) >= width and not any(map(str.strip, cells[width:])):
            if odd is not None:
                raise LayoutError(f"row {odd[0]} has {len(odd[1])} cells, the header {width}")
            are_apart, is_apart, last = are_apart or (is_apart and bool(last)), False, cells
            yield cells[:width]
        elif odd or (last and ((is_apart and not are_apart) or _is_below(cells, last, width))):
            odd = odd or (number, cells)
            shown = ", ".join(cell.strip() for cell in cells if cell.strip())[:40]
            left_out.append(f"row {number} stands below the table and is left out: {shown!r}")
        else:
            raise LayoutError(f"row {number} has {len(cells)} cells, the header {width}")


def _is_below(cells: Sequence[str], last: Sequence[str], width: int) -> bool:
    """Whether a row with too few cells is none of the table: one cell of three or more, or words
    alone, one of them where the `last` row has a value.
    """
    filled = [cell for cell in cells if cell.strip()]
    are_words = len(cells) < width and not any(map(is_value, filled))
    if width > 2 and len(filled) == 1:
        return True
    return are_words and any(map(is_value, last[: len(cells)]))


def below_table(
    rows: Sequence[Sequence[str]], column: Callable[[int], Sequence[str]]
) -> tuple[int, int]:
    """How many of the last rows are notes below the table, and how many above them sum up the
    others. A note is one cell, as a spreadsheet writes it, that is called so or stands in a column
    of values.

    rows: the last ones, up to `LAST_ROWS` of more; column: the whole of one, by its place.
    """
    notes, at_most = 0, len(rows) - 1
    while notes < at_most and _is_note(rows[-1 - notes], column, notes + 1):
        notes += 1
    for totals in range(min(3, at_most - notes), 0, -1):
        end = notes + totals
        above = _above(column, end)
        if all(is_total(row, above) for row in rows[len(rows) - end : len(rows) - notes]):
            return notes, totals
    return notes, 0


def _above(column: Callable[[int], Sequence[str]], end: int) -> Callable[[int], Sequence[str]]:
    """The cells of a column without the last ones."""
    return lambda place: column(place)[:-end]


def _is_note(row: Sequence[str], column: Callable[[int], Sequence[str]], end: int) -> bool:
    filled = [place for place, cell in enumerate(row) if cell.strip()]
    if len(row) < 2 or len(filled) != 1 or is_value(row[filled[0]]):
        return False
    cell = row[filled[0]].strip()
    if cell.lower() in _EMPTY or _TOTAL.fullmatch(cell.rstrip(": ")):
        return False
    if len(row) > 2 and _NOTE.fullmatch(cell):
        return True
    others = [text.strip() for text in column(filled[0])[:-end]]
    others = [text for text in others if text and not _TOTAL.match(text)]
    return len(others) > 2 and sum(map(is_value, others)) >= 0.9 * len(others)


def is_total(last: Sequence[str], column: Callable[[int], Sequence[str]]) -> bool:
    """Whether the last row sums up the ones above: it is called so and has an empty cell, or a
    number that is their sum or mean; or it begins with an empty cell and has their sum.

    column: the cells above, by the place of their column.
    """
    cells = [cell.strip() for cell in last]
    first = next((place for place, cell in enumerate(cells) if cell), None)
    if first is None or len(cells) < 2:
        return False
    name = cells[first].rstrip(": ")
    is_called = _TOTAL.match(name) is not None
    if is_called:
        if any(_TOTAL.fullmatch(cell.strip().rstrip(": ")) for cell in column(first)):
            return False
        if not all(cells) and _TOTAL.fullmatch(name):
            return True
    elif first == 0 or not all(map(str.strip, column(0))):
        return False
    return any(_sums_up(cell, column(place), is_called) for place, cell in enumerate(cells) if cell)


def _sums_up(text: str, cells: Sequence[str], or_mean: bool) -> bool:
    for sign in (".", ","):
        last, numbers = _plain_number(text, sign), [_plain_number(cell, sign) for cell in cells]
        known = [number for number in numbers if number is not None]
        if last is None or len(known) < 3 or len(known) < 0.9 * len(cells) or not any(known):
            continue
        ways = [sum(known), *([sum(known) / len(known)] if or_mean else [])]
        if any(abs(last - way) <= 1e-3 * abs(way) for way in ways):
            return True
    return False


def _plain_number(text: str, sign: str) -> float | None:
    other = "," if sign == "." else "."
    try:
        return float(re.sub(r"[^\d.,eE+-]", "", text).replace(other, "").replace(sign, "."))
    except ValueError:
        return None
