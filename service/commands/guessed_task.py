"""What a file is for, where nobody says it: told from the column to predict, or from its form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasmith.commands.output import UsageError

FEW_VALUES = 20
"""Whole numbers that are so many at most are classes, as 0 to 9 of a digit."""


def guessed_task(file: Path, target: str | None, options: dict[str, Any]) -> tuple[str, str]:
    """The task, and why. A folder or a zip is of pictures in class folders; a table is to predict
    values where its target is a column of many numbers, else classes.

    Raises:
        UsageError: it could be for several tasks, or cannot be read.
    """
    from models.datasets.columns import is_text, read_table
    from models.datasets.formats import Options, uploadable_tasks
    from models.datasets.parquet import is_parquet

    if target is None:
        if file.is_dir() or file.suffix.lower() == ".zip":
            return "image_classification", "pictures in folders, one a class"
        tasks = ", ".join(uploadable_tasks())
        raise UsageError(f"{file} may be for several tasks: give --target, or --task of {tasks}")
    if file.is_dir() or not (is_parquet(file) or is_text(file)):
        raise UsageError(f"{file} is no table with a column {target!r}; --task says what it is for")
    known = {name: value for name, value in options.items() if name in Options.model_fields}
    try:
        table = read_table(file, Options.model_validate(known))
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from None
    if target not in table.texts:
        raise UsageError(f"there is no column {target!r}, known are {', '.join(table.texts)}")
    return _of_column(target, table.texts[target], table.decimal)


def _of_column(name: str, texts: Any, decimal: str) -> tuple[str, str]:
    from models.datasets.kinds import read_column
    from models.remarks import Kind

    column = read_column(name, texts, decimal=decimal).column
    if column.kind is not Kind.NUMBER:
        return (
            "tabular_classification",
            f"{name} is a {column.kind}, so that its values are classes",
        )
    distinct = [text for text in texts.unique().to_pylist() if text]
    if len(distinct) <= FEW_VALUES and all(text.lstrip("+-").isdigit() for text in distinct):
        return (
            "tabular_classification",
            f"{name} has {len(distinct)} whole numbers, so that they are classes",
        )
    return "tabular_regression", f"{name} is a column of {column.distinct:,} numbers"
