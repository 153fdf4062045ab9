"""CSV and Parquet: a row a sample, a column a feature, one or more columns to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, tabular
from models.datasets.columns import (
    FIRST_ROW,
    is_missing,
    is_parquet,
    is_text,
    labels,
    numbers,
    read_columns,
)
from models.datasets.formats import FormatError, Upload, formats

MAX_CATEGORIES = 256
"""Different texts of a column that is no number; each becomes a feature."""


@formats.register("tabular")
class Tabular:
    tasks = frozenset({"tabular_classification", "tabular_regression"})
    options = frozenset({"target", "unlabelled"})
    description = "a CSV or Parquet file with a column to predict"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_parquet(path) or is_text(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        columns = read_columns(upload.path)
        targets = chosen(columns, upload.options.targets, "target")
        features = {name: values for name, values in columns.items() if name not in targets}
        if not features:
            raise FormatError(f"a column beside {', '.join(targets)} is needed to predict from")
        for name, column in features.items():
            _check_categories(name, column)
        known = labelled_rows(upload, columns, targets)
        rows = known + FIRST_ROW
        more = None
        if len(known) < len(columns[targets[0]]):
            more = {name: np.delete(column, known) for name, column in features.items()}
            features = {name: column[known] for name, column in features.items()}
        if upload.task == "tabular_classification":
            if len(targets) > 1:
                raise FormatError(f"a classification has one, got {len(targets)}", "target")
            (target,) = targets
            y = labels(target, columns[target][known], rows)
            return tabular.classification(upload.name, features, y, more, **upload.shares)
        values = {name: numbers(name, columns[name][known], rows) for name in targets}
        return tabular.regression(upload.name, features, values, more, **upload.shares)


def labelled_rows(
    upload: Upload, columns: dict[str, Any], targets: tuple[str, ...]
) -> NDArray[np.int64]:
    """The rows, from 0 on, that have one of the targets; all of them where none may be without."""
    empty = np.all([is_missing(columns[name]) for name in targets], axis=0)
    if not upload.options.unlabelled:
        empty[:] = False
    known = np.flatnonzero(~empty)
    if not len(known):
        raise FormatError(f"no row has a value in {', '.join(targets)}", "target")
    return known


def chosen(columns: dict[str, Any], names: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The columns that an option names.

    Raises:
        FormatError: it names none, or one that the file lacks.
    """
    known = ", ".join(list(columns)[:50])
    if not names:
        raise FormatError(f"is required, the columns are {known}", option)
    for name in names:
        if name not in columns:
            raise FormatError(f"there is no column {name!r}, the columns are {known}", option)
    return names


def _check_categories(name: str, values: NDArray[Any]) -> None:
    if values.dtype.kind != "U" or len(known := np.unique(values)) <= MAX_CATEGORIES:
        return
    for row, text in enumerate(values.tolist(), FIRST_ROW):
        try:
            float(text or "nan")
        except ValueError:
            raise FormatError(
                f"row {row}, column {name!r}: {text[:40]!r} is no number, and as a category the "
                f"column has {len(known):,} values; at most {MAX_CATEGORIES} are allowed"
            ) from None
