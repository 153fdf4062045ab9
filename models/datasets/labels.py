"""Cells with several labels, as in "red;round", or a column a label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import EMPTY_WORDS, boolean_of
from models.datasets.formats import FormatError, Options
from models.datasets.targets import LabelSet
from models.remarks import Column, Kind, Remark, Role

_LIST = re.compile(r"\[.*\]|\(.*\)|\{.*\}", re.DOTALL)
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")

SEPARATORS = (";", "|", ",")
"""Between labels: the first that is in a cell, where the options name none."""


def are_missing(cells: Sequence[str], options: Options) -> NDArray[np.bool_]:
    """Which cells say nothing of a sample's labels: those of a word that the options call missing.
    An empty one says that it has none, unless that word is the empty one.

    Shapes:
        (cells,)
    """
    words = {word.strip().lower() for word in options.missing or ()}
    return np.array([_written(cell).lower() in words for cell in cells], dtype=bool)


def _written(cell: str) -> str:
    """The cell, or nothing where it is an empty one of a program."""
    return "" if cell.lower() in EMPTY_WORDS else cell


def read_labels(
    columns: Mapping[str, Sequence[str]],
    rows: Sequence[int],
    options: Options,
    separators: Mapping[str, str] | None = None,
) -> tuple[NDArray[np.bool_], LabelSet, list[Remark]]:
    """Which labels the samples have: of one column those in each cell, in ascending order, without
    blanks around them; of several a column a label, in their order, that says yes or no.

    rows: the number of each cell in the file, for what is told.
    separators: between the labels of a column whose cells were lists in the file.

    Shapes:
        (cells, labels)

    Raises:
        FormatError: a cell is missing, no cell has a label, none has two by no known separator, or
            one of several columns says neither yes nor no.
    """
    if len(columns) > 1:
        return _of_columns(columns, rows, options)
    ((name, cells),) = columns.items()
    if (missing := np.flatnonzero(are_missing(cells, options))).size:
        raise FormatError(f"row {rows[missing[0]]}, column {name!r}: the labels are missing")
    cells = [_written(cell) for cell in cells]
    given = (separators or {}).get(name) or options.labels_separator
    lists = None if given else _listed(cells)
    if lists is None:
        separator = given or _separator(name, cells)
        parts = [[part.strip() for part in cell.split(separator)] if cell else [] for cell in cells]
    else:
        able = [sign for sign in SEPARATORS if not any(sign in p for found in lists for p in found)]
        parts, separator = lists, (able or SEPARATORS)[0]
    names = tuple(sorted({part for found in parts for part in found if part}))
    if not names:
        raise FormatError(f"no cell of {name!r} has a label", "target")
    try:
        labels = LabelSet(names, separator)
    except ValueError as error:
        raise FormatError(f"column {name!r}: {error}", "labels_separator") from None
    places = {label: place for place, label in enumerate(names)}
    matrix = np.zeros((len(cells), len(names)), dtype=bool)
    for row, found in enumerate(parts):
        matrix[row, [places[part] for part in found if part]] = True
    is_guessed = given is None and lists is None
    remarks = list(_remarks(name, parts, rows, separator if is_guessed else None))
    if lists is not None:
        message = f"the labels of {name!r} are written as lists, as {cells[0][:40]}"
        remarks.append(Remark("labels_separator_guessed", message, name))
    return matrix, labels, remarks


def _of_columns(
    columns: Mapping[str, Sequence[str]], rows: Sequence[int], options: Options
) -> tuple[NDArray[np.bool_], LabelSet, list[Remark]]:
    read = []
    for name, cells in columns.items():
        values = [boolean_of(cell) for cell in cells]
        if None in values:
            place = values.index(None)
            raise FormatError(
                f"row {rows[place]}, column {name!r}: {cells[place][:40]!r} is neither yes nor no, "
                "as in 1 and 0; a target column for each label says whether a sample has it",
                "target",
            )
        read.append(values)
    able = [options.labels_separator] if options.labels_separator else SEPARATORS
    unused = [sign for sign in able if not any(sign in name for name in columns)]
    try:
        labels = LabelSet(tuple(columns), (unused or able)[0])
    except ValueError as error:
        raise FormatError(str(error), "labels_separator") from None
    matrix = np.array(read, dtype=bool).T
    without = [rows[place] for place in np.flatnonzero(~matrix.any(axis=1)).tolist()]
    return matrix, labels, list(_of_none(without, len(rows), None))


def label_columns(
    columns: Mapping[str, Sequence[str]], labels: LabelSet, options: Options
) -> dict[str, Column]:
    """The columns of the labels, as they are told; `distinct` counts labels, or of a column a label
    what its cells say.
    """
    if len(columns) > 1:
        return {name: _column_of_label(name, cells, options) for name, cells in columns.items()}
    ((name, cells),) = columns.items()
    missing = int(are_missing(cells, options).sum())
    example = next((cell[:80] for cell in cells if labels.separator in cell), None)
    note = f"labels divided by {labels.separator!r}"
    example = example or labels.names[0][:80]
    count = len(labels.names)
    return {name: Column(name, Kind.CATEGORY, Role.TARGET, missing, count, example, note)}


def _column_of_label(name: str, cells: Sequence[str], options: Options) -> Column:
    missing = int(are_missing(cells, options).sum())
    distinct, note = len({boolean_of(cell) for cell in cells} - {None}), "whether it has this label"
    return Column(name, Kind.BOOLEAN, Role.TARGET, missing, distinct, cells[0][:80], note)


def _listed(cells: Sequence[str]) -> list[list[str]] | None:
    """The labels of cells that programs write as lists: in brackets, in quotes or not, between
    commas or, as numpy has them, blanks. None of others.
    """
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled or not all(_LIST.fullmatch(cell) for cell in filled):
        return None
    found = []
    for cell in (cell.strip()[1:-1] for cell in cells):
        quoted = [first or second for first, second in _QUOTED.findall(cell)]
        found.append(quoted or [part for part in map(str.strip, re.split(r"[,\s]+", cell)) if part])
    return found


def _separator(name: str, cells: Sequence[str]) -> str:
    for sign in SEPARATORS:
        if any(sign in cell for cell in cells):
            return sign
    raise FormatError(
        f"no cell of {name!r} has {' or '.join(SEPARATORS)} between its labels; what divides them? "
        "A sample with one label each is for a classification with classes",
        "labels_separator",
    )


def _remarks(
    name: str,
    parts: Sequence[Sequence[str]],
    rows: Sequence[int],
    guessed: str | None,
) -> Iterator[Remark]:
    """`guessed`: the separator, where nobody has said it."""
    if guessed not in (None, SEPARATORS[0]):
        message = f"the labels of {name!r} are divided by {guessed!r}"
        yield Remark("labels_separator_guessed", message, name)
    without = [row for row, found in zip(rows, parts, strict=True) if not any(found)]
    yield from _of_none(without, len(parts), name)
    untidy = [
        row
        for row, found in zip(rows, parts, strict=True)
        if any(found) and len(set(found) - {""}) < len(found)
    ]
    if untidy:
        message = (
            f"{len(untidy)} cells of {name!r} have a label twice, or nothing beside a separator, "
            f"the first in row {untidy[0]}; a label counts once"
        )
        where = f"row {untidy[0]}, column {name!r}"
        yield Remark("untidy_labels", message, where, len(untidy))


def _of_none(rows: Sequence[int], count: int, name: str | None) -> Iterator[Remark]:
    """Of the rows without a label; `name`: of their column, where there is one."""
    if rows:
        message = f"{len(rows)} of {count} samples have no label, the first in row {rows[0]}"
        where = f"row {rows[0]}" + ("" if name is None else f", column {name!r}")
        yield Remark("no_labels", message, where, len(rows))
