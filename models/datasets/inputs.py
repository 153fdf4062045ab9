"""The columns of a table that a network predicts from: what each kind is fitted to on the train
split, and the raw numbers that it becomes.

An entry's `describe` gives the column as `preprocessing.json` has it, and `raw` the same numbers,
for many rows at once, as `models.datasets.preprocess.encode` gives in a bundle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.datasets.cells import bucket_of
from models.datasets.many_cells import text_parts_of

Array = NDArray[Any]
Rows = NDArray[np.int64]

MAX_VALUES = 256
"""Values of a category that have a feature each; the rest share `BUCKETS`."""

BUCKETS, TEXT_BUCKETS = 32, 256

_KNOWN = 128
"""Values that a category of more than `MAX_VALUES` keeps, its most frequent ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Input(ABC):
    """One column; a kind of column is a subclass.

    Shapes:
        values: (N,)
    """

    values: Array

    def take(self, rows: Rows) -> Self:
        return type(self)(self.values[rows])

    def joined(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.values, other.values]))

    def content(self) -> Array:
        """What the fingerprint of a dataset is of."""
        if self.values.dtype.kind == "O":
            return np.frombuffer("\0".join(self.values.tolist()).encode(), dtype=np.uint8)
        return self.values.view(np.int64) if self.values.dtype.kind == "M" else self.values

    def codes(self) -> NDArray[np.uint64]:
        """A number of each row, the same where the values are.

        Shapes:
            (N,)
        """
        if self.values.dtype.kind in "OU":
            return _distinct(self.values)[1].astype(np.uint64)
        return self.values.astype(self.values.dtype.newbyteorder("=")).view(np.uint64)

    @property
    @abstractmethod
    def is_mute(self) -> bool:
        """Whether these rows leave nothing to learn from: all say the same number, or none."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The column fitted to these rows, as JSON; without its name."""

    @staticmethod
    @abstractmethod
    def options(spec: Mapping[str, Any]) -> list[int]:
        """Of each raw number: how many values it has, if it is the place of one; 0: a number."""

    @abstractmethod
    def raw(self, spec: Mapping[str, Any]) -> NDArray[np.float64]:
        """The raw numbers of every row: NaN where a number is missing, -1 where a place is.

        Shapes:
            (N, len(options(spec)))
        """


class Numbers(Input):
    """Floats of 64 bits, NaN where one is missing."""

    @property
    def is_mute(self) -> bool:
        present = self.values[~np.isnan(self.values)]
        return not len(present) or bool(np.ptp(present) <= 1e-12 * np.abs(present).max())

    def describe(self) -> dict[str, Any]:
        return {"kind": "number"}

    @staticmethod
    def options(spec: Mapping[str, Any]) -> list[int]:
        return [0]

    def raw(self, spec: Mapping[str, Any]) -> NDArray[np.float64]:
        return self.values.astype(np.float64)[:, None]


class Booleans(Numbers):
    """1.0 or 0.0, NaN where it is missing."""

    def describe(self) -> dict[str, Any]:
        return {"kind": "boolean"}


class Categories(Input):
    """Strings, empty where one is missing."""

    @property
    def is_mute(self) -> bool:
        return not any(self.values)

    def describe(self) -> dict[str, Any]:
        counts = Counter(value for value in self.values.tolist() if value)
        if len(counts) <= MAX_VALUES:
            return {"kind": "category", "values": sorted(counts)}
        known = sorted(counts, key=lambda value: (-counts[value], value))[:_KNOWN]
        return {"kind": "category", "values": sorted(known), "buckets": BUCKETS}

    @staticmethod
    def options(spec: Mapping[str, Any]) -> list[int]:
        return [len(spec["values"]) + spec.get("buckets", 0)]

    def raw(self, spec: Mapping[str, Any]) -> NDArray[np.float64]:
        distinct, places = _distinct(self.values)
        known, buckets = spec["values"], spec.get("buckets", 0)
        index = {value: float(place) for place, value in enumerate(known)}

        def place(text: str) -> float:
            if text in index or not text or not buckets:
                return index.get(text, -1.0)
            return float(len(known) + bucket_of(text, buckets))

        return np.array([place(text) for text in distinct])[places][:, None]


class Dates(Input):
    """`datetime64[s]`, NaT where one is missing."""

    @property
    def is_mute(self) -> bool:
        present = self.values[~np.isnat(self.values)]
        return not len(present) or bool((present == present[0]).all())

    def describe(self) -> dict[str, Any]:
        present = self.values[~np.isnat(self.values)]
        days = present.astype("datetime64[D]")
        origin = float(days.min().astype(np.int64)) if len(days) else 0.0
        return {"kind": "date", "origin": origin, "time": bool((present != days).any())}

    @staticmethod
    def options(spec: Mapping[str, Any]) -> list[int]:
        return [0, 0, 0, 0, *([0, 0] if spec["time"] else []), 7]

    def raw(self, spec: Mapping[str, Any]) -> NDArray[np.float64]:
        missing = np.isnat(self.values)
        values = np.where(missing, np.datetime64(0, "s"), self.values)
        seconds = values.astype(np.int64).astype(np.float64)
        days, years = values.astype("datetime64[D]"), values.astype("datetime64[Y]")
        of_year = (days - years.astype("datetime64[D]")).astype(np.int64) + 1
        turn = 2 * np.pi * of_year / 365.25
        parts = [
            seconds / 86_400 - spec["origin"],
            years.astype(np.int64) + 1970.0,
            np.sin(turn),
            np.cos(turn),
        ]
        if spec["time"]:
            turn = 2 * np.pi * (seconds % 86_400) / 86_400
            parts += [np.sin(turn), np.cos(turn)]
        numbers = np.where(missing[:, None], np.nan, np.stack(parts, axis=1))
        weekday = np.where(missing, -1.0, (days.astype(np.int64) + 3) % 7)
        return np.concatenate([numbers, weekday[:, None]], axis=1)


class LongTexts(Input):
    """Strings of many words, hashed."""

    @property
    def is_mute(self) -> bool:
        return not any(self.values)

    def describe(self) -> dict[str, Any]:
        return {"kind": "text", "buckets": TEXT_BUCKETS, "tokens": "unicode_words"}

    @staticmethod
    def options(spec: Mapping[str, Any]) -> list[int]:
        return [0] * int(spec["buckets"])

    def raw(self, spec: Mapping[str, Any]) -> NDArray[np.float64]:
        distinct, places = _distinct(self.values)
        return text_parts_of(distinct, spec["buckets"], spec.get("tokens", "words"))[places]


INPUTS: Mapping[str, type[Input]] = {
    "number": Numbers,
    "boolean": Booleans,
    "category": Categories,
    "date": Dates,
    "text": LongTexts,
}
"""By the kind of a column in `preprocessing.json`."""


def input_of(values: Array | Input) -> Input:
    """A column of floats as numbers, one of strings as categories."""
    if not isinstance(values, np.ndarray):
        return values
    is_text = values.dtype.kind == "U"
    return Categories(values) if is_text else Numbers(values.astype(np.float64, copy=False))


def _distinct(texts: Array) -> tuple[list[str], NDArray[np.int64]]:
    """As `np.unique` with its inverse, which sorts all of them and not only those that differ."""
    values = texts.tolist()
    distinct = sorted(set(values))
    place = {text: index for index, text in enumerate(distinct)}
    return distinct, np.fromiter((place[text] for text in values), np.int64, len(values))
