"""CSV and Parquet with a text and a class in each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from models.datasets import Dataset, text
from models.datasets.cells import unicode_words
from models.datasets.columns import is_text, read_table
from models.datasets.division import DIVIDING, read_division, told_of_division
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.formats.tabular import (
    chosen,
    labelled_rows,
    read_classes,
    unnamed,
    without_missing,
)
from models.datasets.kinds import read_column
from models.datasets.parquet import is_parquet
from models.datasets.raw_table import FIRST_ROW, RawTable, strings
from models.remarks import Column, Kind, Remark, Role
from models.task import MULTILABEL

MAX_EMPTY = 0.5
"""Share of the texts that may have no word."""


@formats.register("labelled_texts")
class LabelledTexts:
    """With labels, `text` is needed: without it the file is a table."""

    tasks = frozenset({"text_classification", MULTILABEL})
    options = DIVIDING | {
        "text",
        "target",
        "labels_separator",
        "window",
        "tokens",
        "unlabelled",
        "encoding",
        "separator",
        "header",
        "missing",
    }
    description = "a CSV or Parquet file with a column of texts and one of classes or labels"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_parquet(path) or is_text(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        options = upload.options
        table = read_table(upload.path, options.model_copy(update={"decimal": "."}))
        targets, column = _chosen(table, upload)
        cells = {name: strings(table.texts[name]) for name in targets}
        if upload.task != MULTILABEL:
            cells = {name: without_missing(values, options) for name, values in cells.items()}
        known = labelled_rows(upload, cells, targets)
        classes = read_classes(cells, known, upload, table)
        divided = read_division(table, options, (*targets, column), known)
        if table.rows * (options.window or 1) > MAX_VALUES:
            raise FormatError(f"more than {MAX_VALUES:,} tokens", "window")
        words = {word.strip().lower() for word in options.missing or ()}
        given = table.texts[column].to_pylist()
        whole = ["" if t.lower() in words else t for t in given]
        empty = [row for row, found in enumerate(whole) if is_empty_text(found)]
        remarks = [*table.remarks, *classes.remarks, *_of_empty(column, empty, table.rows)]
        others = [n for n in table.texts if n not in (*targets, column, *divided.columns)]
        if others:
            message = f"left out: {', '.join(others[:20])}; a network sees {column!r} alone"
            remarks.append(Remark("columns_ignored", message, others[0], len(others)))
        has_class = set(known.tolist())
        dataset = text.classification(
            upload.name,
            [given[row] for row in known],
            classes.y,
            [found for row, found in enumerate(whole) if row not in has_class],
            labels=classes.labels,
            column=column,
            window=options.window,
            tokens=options.tokens,
            missing=sorted(words),
            division=divided.division,
            **upload.shares,
        )
        told = {name: left_out(name, table, f"a network sees {column!r} alone") for name in others}
        told |= {**divided.columns, **classes.columns}
        told[column] = text_column(column, whole, len(empty))
        return replace(
            dataset,
            columns=tuple(told[name] for name in table.texts),
            remarks=(*remarks, *told_of_division(divided, dataset), *dataset.remarks),
            preprocessing={**dataset.preprocessing, **unnamed(table, targets)},
        )


def _chosen(table: RawTable, upload: Upload) -> tuple[tuple[str, ...], str]:
    """The columns of the classes or labels, and that of the texts; the latter may be left out where
    it is the only other one that divides no rows.
    """
    targets = chosen(table.texts, upload.options.targets, "target")
    dividing = (upload.options.split_column, upload.options.group_column)
    others = [name for name in table.texts if name not in (*targets, *dividing)]
    given = upload.options.text or (others[0] if len(others) == 1 else None)
    (column,) = chosen(table.texts, (given,) if given else (), "text")
    if column in targets:
        raise FormatError(f"{column!r} is the target", "text")
    return targets, column


def is_empty_text(found: str) -> bool:
    return not any(map(str.isalnum, found)) and not unicode_words(found)


def _of_empty(name: str, empty: Sequence[int], rows: int) -> Iterator[Remark]:
    """
    Raises:
        FormatError: most texts have no word.
    """
    if not empty:
        return
    first = empty[0] + FIRST_ROW
    message = f"{len(empty)} of {rows} texts of {name!r} are empty, the first in row {first}"
    if len(empty) > MAX_EMPTY * rows:
        raise FormatError(message, "text")
    where = f"row {first}, column {name!r}"
    yield Remark("empty_texts", f"{message}; they are kept as they are", where, len(empty))


def text_column(name: str, texts: Sequence[str], empty: int) -> Column:
    distinct = {found for found in texts if found}
    example = next((found[:80] for found in texts if found), None)
    return Column(name, Kind.TEXT, Role.INPUT, empty, len(distinct), example)


def left_out(name: str, table: RawTable, reason: str) -> Column:
    """A column that is no input, as it is told."""
    of_file = table.kinds.get(name)
    column = read_column(name, table.texts[name], decimal=".", of_file=of_file, wanted="ignore")
    return replace(column.column, role=Role.IGNORED, note=f"left out: {reason}")
