"""Rows to predict from, and what the best model says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

MAX_ROWS = 1000

_CELLS = (str, float, int, bool, type(None))
_CELL_SCHEMA = {"anyOf": [{"type": t} for t in ("string", "number", "integer", "boolean", "null")]}

Row = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"additionalProperties": _CELL_SCHEMA, "type": "object"},
                {"type": "string"},
            ]
        }
    ),
]
"""Held to its form by `wrong_cells`: pydantic has five errors for each of 100,000 wrong cells."""


class PredictionRequest(BaseModel):
    """Samples as people write them: rows of a table or of a series by column, or texts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: list[Row] = Field(
        min_length=1,
        max_length=MAX_ROWS,
        description="a mapping from a column to what its cell holds each, or a text each",
    )
    missing: Literal["error", "fill"] = Field(
        "error", description="fill has a column that is not given count as missing"
    )


def wrong_cells(rows: object) -> Iterator[tuple[tuple[object, ...], str]]:
    """Where a row is none, or has something that is no cell, and what is allowed there."""
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, dict):
            for column, cell in row.items():
                if not isinstance(cell, _CELLS):
                    place = ("rows", number, column)
                    yield place, "a cell is a text, a number, true, false or null"
        elif not isinstance(row, str):
            yield ("rows", number), "a row is a mapping from columns to cells, or a text"


class PredictionRead(BaseModel):
    """`unknown`, `unreadable`, `empty` and `unsigned` count cells by column."""

    trial: int = Field(description="whose weights have predicted")
    predictions: list[dict[str, Any]] = Field(
        description="a row each, of a forecast a step each: label and the probability of every "
        "class, or the values in the target's own unit; of a series without a forecast one row "
        "with nothing but its name"
    )
    unknown: dict[str, int] = Field(description="values that training had not")
    unreadable: dict[str, int] = Field(description="that show no number, date, or yes or no")
    empty: dict[str, int] = Field(description="without a value")
    unsigned: dict[str, int] = Field(
        description="numbers without the percent sign that those of training had: 5 is 500 %"
    )
    filled: list[str] = Field(description="columns that were not given and count as missing")
    ignored: list[str] = Field(description="columns that the model does not know")
    turned: bool = Field(description="the rows of a series came newest first and were turned round")
    no_forecast: dict[str, str] = Field(
        description="series, of several, of which there is none, and why"
    )
