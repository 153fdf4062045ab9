"""Cells with several labels, as in "red;round"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import EMPTY_WORDS
from models.datasets.formats import FormatError, Options
from models.datasets.targets import LabelSet
from models.remarks import Column, Kind, Remark, Role

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
    name: str, cells: Sequence[str], rows: Sequence[int], options: Options
) -> tuple[NDArray[np.bool_], LabelSet, list[Remark]]:
    """Which labels the samples have; labels are in ascending order, without blanks around them.

    rows: the number of each cell in the file, for what is told.

    Shapes:
        (cells, labels)

    Raises:
        FormatError: a cell is missing, no cell has a label, or none has two by no known separator.
    """
    if (missing := np.flatnonzero(are_missing(cells, options))).size:
        raise FormatError(f"row {rows[missing[0]]}, column {name!r}: the labels are missing")
    cells = [_written(cell) for cell in cells]
    separator = options.labels_separator or _separator(name, cells)
    parts = [[part.strip() for part in cell.split(separator)] if cell else [] for cell in cells]
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
    return matrix, labels, list(_remarks(name, parts, rows, separator, options))


def label_column(name: str, cells: Sequence[str], labels: LabelSet, options: Options) -> Column:
    """The column of the labels, as it is told; `distinct` counts labels."""
    missing = int(are_missing(cells, options).sum())
    example = next((cell[:80] for cell in cells if labels.separator in cell), None)
    note = f"labels divided by {labels.separator!r}"
    example = example or labels.names[0][:80]
    return Column(name, Kind.CATEGORY, Role.TARGET, missing, len(labels.names), example, note)


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
    separator: str,
    options: Options,
) -> Iterator[Remark]:
    if options.labels_separator is None and separator != SEPARATORS[0]:
        message = f"the labels of {name!r} are divided by {separator!r}"
        yield Remark("labels_separator_guessed", message, name)
    without = [row for row, found in zip(rows, parts, strict=True) if not any(found)]
    if without:
        message = f"{len(without)} of {len(parts)} samples have no label, the first in row "
        where = f"row {without[0]}, column {name!r}"
        yield Remark("no_labels", f"{message}{without[0]}", where, len(without))
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
