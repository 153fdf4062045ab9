"""CSV and Parquet: a row a sample, a column a feature, one or more columns to predict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, findings, leaks, tabular
from models.datasets.amounts import number_of
from models.datasets.array_forms import as_whole_numbers
from models.datasets.cells import MISSING_WORDS
from models.datasets.columns import is_text, read_table
from models.datasets.division import DIVIDING, read_division, told_of_division
from models.datasets.formats import FormatError, Options, Upload, formats
from models.datasets.inputs import Input
from models.datasets.kinds import ReadColumn, WrongKindError, read_column
from models.datasets.labels import are_missing, label_columns, read_labels
from models.datasets.parquet import is_parquet
from models.datasets.raw_table import FIRST_ROW, RawTable, is_missing, labels_of, strings
from models.datasets.target_values import TargetValues, target_values
from models.datasets.targets import LabelSet
from models.remarks import Column, Kind, Remark, Role
from models.task import MULTILABEL

WRITING = frozenset({"encoding", "separator", "header", "decimal", "missing"})
"""Options of how a table is written."""

_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,14})")


@formats.register("tabular")
class Tabular:
    tasks = frozenset({"tabular_classification", "tabular_regression", MULTILABEL})
    options = frozenset({"target", "unlabelled", "columns", "labels_separator"})
    options |= WRITING | DIVIDING
    description = "a CSV or Parquet file with a column to predict"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_parquet(path) or is_text(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        table, options = read_table(upload.path, upload.options), upload.options
        targets = chosen(table.texts, options.targets, "target")
        columns = {name: strings(table.texts[name]) for name in targets}
        if upload.task != MULTILABEL:  # where a word may stand among others
            usual = MISSING_WORDS if upload.task == "tabular_regression" else None
            columns = {name: without_missing(v, options, usual) for name, v in columns.items()}
        known = labelled_rows(upload, columns, targets)
        divided = read_division(table, options, targets, known)
        read = read_inputs(table, options, targets, divided.columns)
        inputs = {name: found.entry for name, found in read.items() if found.entry is not None}
        if not inputs:
            raise FormatError(
                f"a column beside {', '.join(targets)} is needed to predict from"
                + "".join(
                    f"; {column.column.name!r} is {column.column.note}" for column in read.values()
                )
            )
        more = None
        if len(known) < table.rows:
            others = np.delete(np.arange(table.rows), known)
            more = {name: entry.take(others) for name, entry in inputs.items()}
            inputs = {name: entry.take(known) for name, entry in inputs.items()}
        arguments = {
            "reading": {name: read[name].extra for name in inputs},
            "cells": {name: table.texts[name].take(known) for name in inputs},
            "division": divided.division,
            **upload.shares,
        }
        remarks = [*table.remarks, *(r for found in read.values() for r in found.remarks)]
        if upload.task == "tabular_regression":
            of = read_values(table, targets, known, options)
            values = {name: target.values for name, target in of.items()}
            dataset = tabular.regression(
                upload.name,
                inputs,
                values,
                more,
                units={name: target.unit for name, target in of.items()},
                **arguments,
            )
            of_target: NDArray[Any] = values[targets[0]]
            of_rows: NDArray[Any] = np.stack(list(values.values()), axis=1)
            own = {name: target.column for name, target in of.items()}
            remarks += [remark for target in of.values() for remark in target.remarks]
            remarks += findings.of_values(values)
        else:
            classes = read_classes(columns, known, upload, table)
            dataset = tabular.classification(
                upload.name, inputs, classes.y, more, labels=classes.labels, **arguments
            )
            of_rows = classes.y
            of_target = np.unique(classes.y, return_inverse=True, axis=0)[1].reshape(-1)
            own, remarks = dict(classes.columns), [*remarks, *classes.remarks]
        equal = tabular.groups_of(inputs)
        inputs, mute, of_mute = learnable(inputs, dataset, read)
        remarks += of_mute
        remarks += told_of_division(divided, dataset, equal)
        remarks += findings.of_contradictions(equal, of_rows, "rows")
        remarks += findings.of_tails(inputs)
        remarks += leaks.of_leaks(inputs, of_target, equal)
        remarks += findings.of_samples(dataset)
        told = (
            {name: found.column for name, found in read.items()}
            | dict(divided.columns)
            | own
            | mute
        )
        return replace(
            dataset,
            columns=tuple(told[name] for name in table.texts),
            remarks=tuple(remarks),
            preprocessing={**dataset.preprocessing, **unnamed(table, targets)},
        )


def learnable(
    inputs: Mapping[str, Input], dataset: Dataset, read: Mapping[str, ReadColumn]
) -> tuple[dict[str, Input], dict[str, Column], list[Remark]]:
    """The inputs that the dataset has, and the others as they are told: in its train split each of
    them is the same everywhere, or empty.
    """
    known = {column["name"] for column in dataset.preprocessing["columns"]}
    note = "left out: the same, or empty, in all rows of the train split"
    mute = {
        name: replace(read[name].column, role=Role.IGNORED, note=note)
        for name in inputs
        if name not in known
    }
    remarks = [Remark("constant_column", f"{name!r} is {note}", name) for name in mute]
    return {name: entry for name, entry in inputs.items() if name in known}, mute, remarks


def unnamed(table: RawTable, targets: Sequence[str]) -> dict[str, Any]:
    """What a bundle needs to know of a file whose rows have no header."""
    if table.header is None:
        return {}
    return {"header": {"columns": list(table.header), "targets": list(targets)}}


def read_inputs(
    table: RawTable, options: Options, targets: Iterable[str], others: Iterable[str]
) -> dict[str, ReadColumn]:
    """Every column beside the targets and `others`, read as the kind that it is.

    Raises:
        FormatError: the options name a column that is not there, or call one what it cannot be.
    """
    chosen(table.texts, tuple(options.columns), "columns", is_required=False)
    if named := sorted(set(options.columns) & set(targets)):
        raise FormatError(
            f"{named[0]!r} is the target, whose kind follows from the task", "columns"
        )
    found = {}
    for name, texts in table.texts.items():
        if name in (*targets, *others):
            continue
        try:
            found[name] = read_column(
                name,
                texts,
                decimal=table.decimal,
                of_file=table.kinds.get(name),
                wanted=options.columns.get(name),
                missing=options.missing,
            )
        except WrongKindError as error:
            raise FormatError(str(error), "columns") from None
    return found


def read_values(
    table: RawTable, targets: Iterable[str], known: NDArray[np.int64], options: Options
) -> dict[str, TargetValues]:
    """The numbers to predict in the `known` rows, from 0 on."""
    return {
        name: target_values(
            name, table.texts[name], known, decimal=table.decimal, missing=options.missing
        )
        for name in targets
    }


@dataclass(frozen=True, slots=True, eq=False)
class ReadClasses:
    """What columns say that samples are called. `labels`: of a multilabel classification.

    Shapes:
        y: (N,) classes as they are spelled, or (N, labels) bool
    """

    y: NDArray[Any]
    labels: LabelSet | None
    columns: Mapping[str, Column]
    remarks: Sequence[Remark] = ()


def read_classes(
    cells: Mapping[str, NDArray[Any]], known: NDArray[np.int64], upload: Upload, table: RawTable
) -> ReadClasses:
    """The target column of a classification, or the columns of labels, in the `known` rows, from 0
    on.

    Raises:
        FormatError: a cell says nothing, or there are several columns of classes.
    """
    options, rows = upload.options, known + FIRST_ROW
    if upload.task == MULTILABEL:
        of_known = {name: values[known].tolist() for name, values in cells.items()}
        y, labels, remarks = read_labels(of_known, rows.tolist(), options, table.separators)
        whole = {name: values.tolist() for name, values in cells.items()}
        return ReadClasses(y, labels, label_columns(whole, labels, options), remarks)
    if len(cells) > 1:
        raise FormatError(f"a classification has one, got {len(cells)}", "target")
    ((name, values),) = cells.items()
    column = {name: target_column(name, values, Kind.CATEGORY)}
    if upload.task == "text_classification":
        known_values = without_missing(values[known], options)
        y, remarks = as_whole_numbers(name, labels_of(name, known_values, rows))
    else:
        y, remarks = classes_of(name, values[known], rows)
    return ReadClasses(y, None, column, remarks)


def classes_of(
    name: str, values: NDArray[Any], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], list[Remark]]:
    """The classes as they are spelled; whole numbers as integers, as far as none has a zero in
    front: 01 and 1 are two.
    """
    values, remarks = as_whole_numbers(name, labels_of(name, values, rows))
    distinct = np.unique(values).tolist()
    if len(distinct) == len(values) > 2:
        raise FormatError(
            f"each of the {len(values)} rows has a class of its own in {name!r}, as identifiers "
            "have; a class has several rows, and numbers are predicted by tabular_regression",
            "target",
        )
    if all(_WHOLE.fullmatch(text) for text in distinct):
        return values.astype(np.int64), remarks
    fractions = [text for text in distinct if (number_of(text) or 0.0) % 1]
    if fractions and all(number_of(text) is not None for text in distinct):
        row = rows[np.flatnonzero(values == fractions[0])[0]]
        raise FormatError(
            f"row {row}, column {name!r}: {fractions[0]} is no class; classes are whole numbers or "
            "texts, and numbers are predicted by tabular_regression"
        )
    return values, remarks


def without_missing(
    values: NDArray[Any], options: Options, usual: Sequence[str] | None = None
) -> NDArray[Any]:
    """Texts, empty where the options call one missing, or `usual` if they do not say."""
    missing = usual if options.missing is None else options.missing
    if missing is None:
        return values
    words = [word.strip().lower() for word in missing]
    return np.where(np.isin(np.char.lower(values), words), "", values)


def target_column(name: str, values: NDArray[Any], kind: Kind) -> Column:
    missing = is_missing(values)
    known = np.unique(values[~missing]).tolist()
    example = known[0][:80] if known else None
    return Column(name, kind, Role.TARGET, int(missing.sum()), len(known), example)


def labelled_rows(
    upload: Upload, columns: Mapping[str, Any], targets: tuple[str, ...]
) -> NDArray[np.int64]:
    """The rows, from 0 on, that have one of the targets; all of them where none may be without."""
    if upload.task == MULTILABEL:
        missing = [are_missing(columns[name].tolist(), upload.options) for name in targets]
    else:
        missing = [is_missing(columns[name]) for name in targets]
    empty = np.all(missing, axis=0)
    if not upload.options.unlabelled:
        empty[:] = False
    known = np.flatnonzero(~empty)
    if not len(known):
        raise FormatError(f"no row has a value in {', '.join(targets)}", "target")
    return known


def chosen(
    columns: Iterable[str], names: tuple[str, ...], option: str, *, is_required: bool = True
) -> tuple[str, ...]:
    """The columns that an option names.

    Raises:
        FormatError: it names none, or one that the file lacks.
    """
    columns = list(columns)
    known = ", ".join(columns[:50])
    if not names and is_required:
        raise FormatError(f"is required, the columns are {known}", option)
    for name in names:
        if name not in columns:
            raise FormatError(f"there is no column {name!r}, the columns are {known}", option)
    return names
