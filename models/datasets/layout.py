"""How the rows of a table in text lie: what divides and quotes cells, what stands above them, and
what the first rows are. The same text runs in a bundle: nothing here needs more than the standard
library.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

SEPARATORS = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "bars",
    "^": "carets",
    "~": "tildes",
    ":": "colons",
    " ": "blanks",
}
USUAL_SEPARATORS = (",", ";", "\t", "|")
SAMPLE_ROWS = 200

_VALUE = re.compile(r"[\W\d_]*\d[\W\d_]*(?:e[-+]?\d+)?|nan|inf|na", re.IGNORECASE)
_PLAIN = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[-+]?\d+)?%?", re.IGNORECASE)
_EMPTY = ("", "-", "--", "na", "n/a", "nan", "none", "null", "?")
_TOTAL = re.compile(
    r"(?:grand |sub)?totals?|sum|average|mean|count|(?:gesamt)?summe|gesamt|insgesamt|durchschnitt|"
    r"mittelwert|total général|totale|totaal|somme|moyenne|media|promedio|suma|итого|всего|"
    r"合计|总计|合計|総計|계|합계",
    re.IGNORECASE,
)
_RULE = re.compile(r"(?::?-{2,}:?|=+)?")
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


def cells_in(lines: Iterable[str], separator: str, quote: str = '"') -> Iterator[list[str]]:
    """The rows of a file; any number of blanks and tabs divides cells where a blank does."""
    if separator == " ":
        lines = (line.strip().replace("\t", " ") for line in lines)
    return csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=True)


def first_rows(text: str, separator: str, quote: str = '"') -> list[list[str]]:
    """Those of a sample, blank ones included; the last of them may be half a row."""
    rows = []
    try:
        for row in cells_in(io.StringIO(text, newline=""), separator, quote):
            rows.append(row)
            if len(rows) > SAMPLE_ROWS:
                break
    except csv.Error:  # a field longer than the sample
        return rows
    return rows


def separator_of(text: str) -> str:
    """What divides most rows into as many cells as the header, and into more than one; a sign that
    texts, times and numbers hold as well only where no other does.
    """

    def fit(separator: str) -> tuple[float, int]:
        rows = [row for row in first_rows(text, separator, quote_of(text, separator)) if row]
        if not rows or len(rows[0]) < 2:
            return 0.0, 0
        header, widths = len(rows[0]), Counter(map(len, rows[1:] or rows))
        of_rows = widths.most_common(1)[0][0]
        share = widths[header] / widths.total()
        # a header without a name for the rows' names, or that ends with a separator
        if of_rows == header + 1 or (of_rows == header - 1 > 1 and not rows[0][-1].strip()):
            share = max(share, 0.99 * widths[of_rows] / widths.total())
        is_even = len({len(row) for row in rows[1:4]}) == 1
        return share if is_even or separator in USUAL_SEPARATORS else 0.0, header

    text = text.lstrip("#")
    found = {separator: fit(separator) for separator in SEPARATORS}
    best = max(USUAL_SEPARATORS, key=lambda separator: (*found[separator], separator == ","))
    if found[best][0] <= 0.5:
        others = [
            sign for sign in SEPARATORS if sign not in USUAL_SEPARATORS and found[sign][0] >= 0.9
        ]
        best = max(others, key=lambda sign: found[sign], default=best)
    return best if found[best][0] > 0 else ","


def quote_of(text: str, separator: str) -> str:
    """A single quote where half of the lines have whole cells between two, and none between double
    ones.
    """
    sign = r"\s" if separator == " " else re.escape(separator)
    if "'" not in text or re.search(rf"(?m)(?:^|{sign})\"", text):
        return '"'
    lines = [line for line in text.splitlines()[:SAMPLE_ROWS] if line.strip()]
    quoted = re.compile(rf"(?:^|{sign})\s*'[^']*'\s*(?:{sign}|$)")
    count = sum(quoted.search(line) is not None for line in lines)
    return "'" if count > 1 and count >= 0.5 * len(lines) else '"'


def lines_above(text: str) -> int:
    """How many lines stand above the header: blank ones, comments, and titles, which are without a
    separator where most lines have one. A comment that names the columns is the header.
    """
    lines = text.splitlines()[:SAMPLE_ROWS]
    divided = [any(sign in line for sign in USUAL_SEPARATORS) for line in lines]
    if any(divided[:1]) and not lines[0].startswith("#") and lines[0].strip():
        return 0
    below = [line for line in lines if line.strip() and not line.startswith("#")]
    has_titles = (
        sum(divided) > 0.5 * len(below) and separator_of("\n".join(below)) in USUAL_SEPARATORS
    )
    count = 0
    for line, has_cells in zip(lines, divided, strict=True):
        is_comment = line.startswith("#")
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


def head_of(rows: Sequence[Sequence[str]], header: bool | Sequence[str] | None = None) -> Head:
    """What the first rows are; `header`: whether the first one names the columns, or their names.

    Raises:
        LayoutError: the first row looks like data, and nothing says what it is; or there are other
            names than cells.
    """
    filled = [place for place, row in enumerate(rows) if any(map(str.strip, row))]
    if not filled:
        return Head([], 0, [])
    first, below = filled[0], [rows[place] for place in filled[1:]]
    width = _width(below) or len(rows[first])
    if header is False or isinstance(header, Sequence):
        names = header or [f"column_{number}" for number in range(1, width + 1)]
        if len(names) != width:
            raise LayoutError(f"a row has {width} cells, and header {len(names)} names")
        return Head(list(names), first, [], is_named=False)
    cells = [cell.strip() for cell in rows[first]]
    if header is None and is_data(cells, below):
        shown = ", ".join(map(repr, cells[:4]))
        raise LayoutError(
            f"the first row, {shown}, looks like one of data; header=false has its columns called "
            "column_1, column_2 and so on, header as a list names them, and header=true says that "
            "the first row does"
        )
    told: list[tuple[str, str]] = []
    whole = [row for row in below if len(row) == width]
    if len(cells) + 1 == width:
        if not any(row[-1].strip() for row in whole):
            cells.append("")
        elif len(whole) > 1 and len({row[0] for row in whole}) == len(whole):
            cells.insert(0, "")  # of the names of rows, as R writes them
    while len(cells) > width and not cells[-1]:
        cells.pop()
    skipped = first + 1
    if below and (units := _second_header(below, len(cells))):
        skipped = filled[1] + 1
        told.append(("second_header", f"a second row of names, with {units!r}, is left out"))
    names = _each_once(cells)
    for old, new in zip(cells, names, strict=True):
        if old != new:
            told.append(("repeated_name", f"{old!r} names several columns; one is called {new!r}"))
    return Head(names, skipped, told)


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
    """Rows of `width` cells: without blank ones, empty cells at the end of too long ones, comments,
    and the lines below the table, which have one cell. Of the latter two it is told in `left_out`.

    first: the number of the first row.

    Raises:
        LayoutError: another row has more or fewer cells.
    """
    odd: tuple[int, list[str]] | None = None
    for number, cells in enumerate(rows, first):
        if odd is None and cells and len(cells) == width and cells[0].strip() > "$":
            yield cells  # as nearly all are, neither blank nor a comment
            continue
        filled = sum(bool(cell.strip()) for cell in cells)
        if not filled:
            continue
        if filled == 1 and cells[0].startswith("#"):
            left_out.append(f"row {number} is a comment and left out: {cells[0][:40]!r}")
            continue
        is_whole = len(cells) >= width and not any(map(str.strip, cells[width:]))
        if odd is not None and (is_whole or filled > 1):
            raise LayoutError(f"row {odd[0]} has {len(odd[1])} cells, the header {width}")
        if is_whole:
            yield cells[:width]
        elif filled > 1 or width < 3:
            raise LayoutError(f"row {number} has {len(cells)} cells, the header {width}")
        else:
            odd = odd or (number, cells)
            shown = next(filter(None, cells))[:40]
            left_out.append(f"row {number} stands below the table and is left out: {shown!r}")


def is_total(last: Sequence[str], column: Callable[[int], Sequence[str]]) -> bool:
    """Whether the last row sums up the ones above: it is called so and has an empty cell, or a
    number that is their sum or mean; or it begins with an empty cell and has their sum.

    column: the cells above, by the place of their column.
    """
    cells = [cell.strip() for cell in last]
    first = next((place for place, cell in enumerate(cells) if cell), None)
    if first is None or len(cells) < 2:
        return False
    is_called = _TOTAL.fullmatch(cells[first].rstrip(": ")) is not None
    if is_called:
        if any(_TOTAL.fullmatch(cell.strip().rstrip(": ")) for cell in column(first)):
            return False
        if not all(cells):
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
