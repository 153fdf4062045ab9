"""Rows to predict from as people have them in Python, as JSON holds them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

Cell = str | int | float | bool | None


def rows_of(given: Any) -> list[dict[str, Cell] | str]:
    """Mappings from columns to cells, texts, or a data frame.

    Raises:
        TypeError: neither, or a cell of another kind; says row and column.
        ValueError: a number is infinite.
    """
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        given = given.to_dict("records")
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"rows are a list of them, or a data frame, got {type(given).__name__}")
    return [_row(number, row) for number, row in enumerate(given)]


def _row(number: int, row: Any) -> dict[str, Cell] | str:
    if isinstance(row, str):
        return row
    if not isinstance(row, Mapping):
        raise TypeError(
            f"row {number} is {type(row).__name__}, and neither a mapping from columns to cells "
            "nor a text"
        )
    found: dict[str, Cell] = {}
    for name, value in row.items():
        try:
            found[str(name)] = cell_of(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"row {number}, column {name!r}: {error}") from None
    return found


def cell_of(value: Any) -> Cell:
    """Dates and times in ISO 8601, numbers of NumPy as those of Python; NaN, NaT and NA are None.

    Raises:
        TypeError: no cell shows such a value.
        ValueError: a number is infinite.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError(f"got {value}, allowed is a finite number")
        return None if math.isnan(value) else float(value)
    if isinstance(value, Decimal | datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):  # a time with its date among them
        return value.isoformat()
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in ("M", "m"):
        text = str(value)
        return None if text == "NaT" else text
    if kind is not None and getattr(value, "shape", None) == ():
        return cell_of(value.item())
    raise TypeError(
        f"a cell is a text, a number, a date, true, false or None, got {type(value).__name__}"
    )
