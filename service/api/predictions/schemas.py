"""Rows to predict from, and what the best model says of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ROWS = 1000

Cell = str | float | int | bool | None


class PredictionRequest(BaseModel):
    """Samples as people write them: rows of a table or of a series by column, or texts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: list[dict[str, Cell] | str] = Field(
        min_length=1,
        max_length=MAX_ROWS,
        description="a mapping from a column to what its cell holds each, or a text each",
    )
    missing: Literal["error", "fill"] = Field(
        "error", description="fill has a column that is not given count as missing"
    )


class PredictionRead(BaseModel):
    """`unknown`, `unreadable` and `empty` count cells by column."""

    trial: int = Field(description="whose weights have predicted")
    predictions: list[dict[str, Any]] = Field(
        description="a row each, of a forecast a step each: label and the probability of every "
        "class, or the values in the target's own unit"
    )
    unknown: dict[str, int] = Field(description="values that training had not")
    unreadable: dict[str, int] = Field(description="that show no number, date, or yes or no")
    empty: dict[str, int] = Field(description="without a value")
    filled: list[str] = Field(description="columns that were not given and count as missing")
    ignored: list[str] = Field(description="columns that the model does not know")
    turned: bool = Field(description="the rows of a series came newest first and were turned round")
