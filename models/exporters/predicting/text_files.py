"""Files of text and tables in them, as people write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from models.datasets.dialect import unmarked_utf16
from models.exporters.predicting.predictor import PredictionError

SEPARATORS = (",", ";", "\t", "|")
TITLES = 20
MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def decoded(path: str, encoding: str) -> str:
    """A mark at its beginning says how a file is written, whatever else is said; UTF-16 without
    one is known by its zeros.
    """
    content = Path(path).read_bytes()
    for mark, marked in MARKS:
        if content.startswith(mark):
            return content.decode(marked)
    if encoding == "utf-8":
        encoding = unmarked_utf16(content[:4096]) or encoding
    return content.decode(encoding).removeprefix("\ufeff")


def read_table(text: str, known: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a CSV. Its header is the line, of the first few, that names the most known
    columns when the best sign divides it; what stands above is a title.

    Raises:
        PredictionError: a row has more or fewer cells than the header, or the header has a column
            twice.
        csv.Error: a cell is longer than a cell may be.
    """
    separator, line = header_of(text, known)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [cell.strip() for cell in next(islice(reader, line, None), [])]
    while names and not names[-1]:
        names.pop()  # as where each line ends with a separator
    if twice := [name for name in known if names.count(name) > 1]:
        raise PredictionError(f"the header has column {twice[0]!r} more than once")
    width = len(names)
    whole: list[str] = []  # row after row: as many lists take the collector longer
    for number, cells in enumerate(reader, line + 2):
        if len(cells) >= width and not any(map(str.strip, cells[width:])):
            whole += cells[:width]
        elif any(map(str.strip, cells)):
            raise PredictionError(f"row {number} has {len(cells)} cells, the header {width}")
    return {name: whole[place::width] for place, name in enumerate(names)}


def header_of(text: str, known: Sequence[str]) -> tuple[str, int]:
    """The sign that divides the cells, and the line, from 0 on, that names the columns."""
    heads = {}
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        heads[separator] = [{cell.strip() for cell in row} for row in islice(reader, TITLES)]
    places = [(sign, line) for sign, rows in heads.items() for line in range(len(rows))]
    named = set(known)
    return max(
        places, key=lambda place: len(heads[place[0]][place[1]] & named), default=(SEPARATORS[0], 0)
    )
