"""What divides the cells of a line, quotes them, and escapes a quote in one. The same text runs in
a bundle: nothing here needs more than the standard library.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator

SEPARATORS = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "||": "double bars",
    "|": "bars",
    "^": "carets",
    "~": "tildes",
    "::": "double colons",
    ":": "colons",
    " ": "blanks",
}
USUAL_SEPARATORS = (",", ";", "\t", "|")
"""Signs that hardly stand in texts, times and numbers."""
SAMPLE_ROWS = 200
LONGEST_CELL = 2**27
"""Characters: as many as a table is read with that needs no reading cell by cell."""

NO_QUOTE = "\x1e"
"""In place of a quote where none is around cells: a sign that no text has."""

_DOUBLE = "\x1f"
"""What stands for a separator of two signs where a reader takes one alone."""
_WRAPPED = re.compile(r'\s*"((?:[^"]|"")+)"[,;\t ]*')
_DECIMAL = re.compile(r"[-+]?\d+,\d+")


def cells_in(
    lines: Iterable[str], separator: str, quote: str = '"', is_escaped: bool = False
) -> Iterator[list[str]]:
    """The rows of a file; any number of blanks and tabs divides cells where a blank does.

    is_escaped: whether a backslash before a quote or a separator makes it one of the text; before
        any other sign it is a backslash.
    """
    if separator == " ":
        lines = (line.strip().replace("\t", " ") for line in lines)
    sign = separator if len(separator) == 1 else _DOUBLE
    if sign != separator:
        lines = (line.replace(separator, sign) for line in lines)
    if is_escaped:
        pairs = re.compile(rf"\\([\\{quote}{re.escape(sign)}]?)")
        lines = (pairs.sub(lambda pair: pair[0] if pair[1] else "\\\\", line) for line in lines)
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    rows = csv.reader(
        lines,
        delimiter=sign,
        quotechar=quote,
        escapechar="\\" if is_escaped else None,
        skipinitialspace=True,
    )
    if sign == separator:
        return rows
    return ([cell.replace(sign, separator) for cell in row] for row in rows)


def is_wrapped(text: str) -> bool:
    """Whether each line of a sample is a whole row in quotes, as when a table was written as cells
    of another one.
    """
    lines = [line for line in text.splitlines()[:SAMPLE_ROWS] if line.strip()]
    lines = lines[:-1] if len(lines) > 2 else lines  # which may be cut
    if not lines or not all(map(_WRAPPED.fullmatch, lines)):
        return False
    inner = list(unwrapped(lines))
    separator = separator_of("".join(inner))
    widths = Counter(len(row) for row in first_rows("".join(inner), separator) if row)
    width, count = widths.most_common(1)[0]
    return width > 1 and separator in USUAL_SEPARATORS and count >= 0.9 * widths.total()


def unwrapped(lines: Iterable[str]) -> Iterator[str]:
    """The rows that are in the quotes of whole lines."""
    for line in lines:
        found = _WRAPPED.fullmatch(line.rstrip("\r\n"))
        yield (line.rstrip("\r\n") if found is None else found[1].replace('""', '"')) + "\n"


def first_rows(
    text: str, separator: str, quote: str = '"', is_escaped: bool = False
) -> list[list[str]]:
    """Those of a sample, blank ones included; the last of them may be half a row."""
    rows = []
    try:
        for row in cells_in(io.StringIO(text, newline=""), separator, quote, is_escaped):
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
    if found.get(2 * best, (0.0, 0))[0] >= max(found[best][0], 0.5):
        best *= 2
    if best == ",":
        best = next((sign for sign in ";\t| " if _has_decimals(text, sign, found[sign][0])), best)
    return best if found[best][0] > 0 else ","


def _has_decimals(text: str, separator: str, share: float) -> bool:
    """Whether each comma of a text is that of a number alone in its cell, divided so; `share`: of
    rows with as many cells as the first one.
    """
    if share < 0.9:
        return False
    cells = [cell.strip() for row in first_rows(text, separator) for cell in row if "," in cell]
    return bool(cells) and all(map(_DECIMAL.fullmatch, cells))


def quote_of(text: str, separator: str) -> str:
    """A single quote where half of the lines have whole cells between two, and none between double
    ones. Between tabs none, where a quote that begins a cell has no other at its end and each line
    is a row: it is of the text, and would swallow the rows up to the next one.
    """
    if separator == "\t" and _are_of_text(text):
        return NO_QUOTE
    sign = r"\s" if separator == " " else re.escape(separator)
    if "'" not in text or re.search(rf"(?m)(?:^|{sign})\"", text):
        return '"'
    lines = [line for line in text.splitlines()[:SAMPLE_ROWS] if line.strip()]
    quoted = re.compile(rf"(?:^|{sign})\s*'[^']*'\s*(?:{sign}|$)")
    count = sum(quoted.search(line) is not None for line in lines)
    return "'" if count > 1 and count >= 0.5 * len(lines) else '"'


def _are_of_text(text: str) -> bool:
    """Of the quotes that begin cells between tabs, by lines but the last, which may be cut."""
    rows = [line.split("\t") for line in text.splitlines()[:-1] if line.strip()]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return False
    cells = [cell.strip() for row in rows for cell in row if '"' in cell]
    return any(c.startswith('"') and (len(c) < 2 or not c.endswith('"')) for c in cells)


def has_escapes(text: str, separator: str, quote: str) -> bool:
    """Whether a backslash stands before quotes, or separators, of a cell's own text: where a quoted
    cell would end in the middle otherwise, or most rows would have more cells than the header.
    """
    if "\\" not in text:
        return False
    sign = re.escape(separator)
    if re.search(
        rf"(?m)(?:^|{sign})[ ]*{quote}[^{quote}\n]*\\{quote}(?! *(?:{sign}|{quote}|\r|$))", text
    ):
        return True
    if f"\\{separator}" not in text:
        return False

    def even(escaped: bool) -> int:
        rows = [row for row in first_rows(text, separator, quote, escaped) if row]
        return sum(len(row) == len(rows[0]) for row in rows)

    return even(True) > even(False)


def may_cut_texts(text: str, separator: str, quote: str) -> bool:
    """Whether the first cell of a row may be part of a text that has the separator in it: not
    behind a tab, nor where rows begin with a quote.
    """
    lines = [line for line in text.splitlines()[1:SAMPLE_ROWS] if line.strip()]
    quoted = sum(line.lstrip().startswith(quote) for line in lines)
    return separator != "\t" and quoted < 0.9 * len(lines)
