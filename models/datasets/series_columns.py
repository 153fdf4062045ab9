"""The columns of a series beside its time, as channels: one of numbers, or of yes and no, is a
channel, one of a few words has a channel for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.formats import FormatError, Options
from models.datasets.inputs import Categories, Numbers
from models.datasets.kinds import ReadColumn, WrongKindError, read_column
from models.datasets.raw_table import FIRST_ROW, RawTable, shown
from models.datasets.statistics import ROUNDING
from models.remarks import Column, Remark, Role

MAX_WORDS = 64
"""Values of a category; a column with more is no input."""

KINDS = ("number", "boolean", "category", "identifier", "ignore")
"""What `options.columns` may say of a column of a series."""


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """What networks see of the rows, a channel each.

    reading: by channel, how its cells are read: `kind` and what belongs to it as
        `preprocessing.json` has it for the columns of a table; of a category the `column` and the
        `word` that the channel stands for.
    told: every column, as it is told.

    Shapes:
        values: (rows of the file, channels), NaN where a cell shows none
    """

    values: NDArray[np.float64]
    reading: Mapping[str, Mapping[str, Any]]
    told: Mapping[str, Column]
    remarks: tuple[Remark, ...] = ()

    @property
    def names(self) -> list[str]:
        return list(self.reading)

    @property
    def columns(self) -> list[str]:
        """The columns of the file that are read."""
        return list(dict.fromkeys(map(self.column, self.names)))

    def column(self, channel: str) -> str:
        return str(self.reading[channel].get("column", channel))

    def of(self, columns: Iterable[str]) -> list[str]:
        """The channels of columns, in their order."""
        return [name for column in columns for name in self.names if self.column(name) == column]

    def without(self, channels: Sequence[str], note: str) -> Channels:
        """Columns none of whose channels is left are ignored, as `note` says."""
        kept = [place for place, name in enumerate(self.names) if name not in channels]
        reading = {name: of for name, of in self.reading.items() if name not in channels}
        left = replace(self, values=self.values[:, kept], reading=reading)
        gone = set(self.columns) - set(left.columns)
        told = {
            name: replace(column, role=Role.IGNORED, note=note) if name in gone else column
            for name, column in self.told.items()
        }
        return replace(left, told=told)


def read_channels(
    table: RawTable, options: Options, columns: Iterable[str], targets: Sequence[str]
) -> Channels:
    """The `columns` of a file, each as the kind that its cells are; targets are numbers.

    Raises:
        FormatError: a target, or what the options call a column, it cannot be.
    """
    values, reading = list[NDArray[np.float64]](), dict[str, dict[str, Any]]()
    told, remarks = dict[str, Column](), list[Remark]()
    for name in columns:
        found = _read(table, options, name, is_target=name in targets)
        if name in targets:
            found = replace(found, column=replace(found.column, role=Role.TARGET))
        found = _without_what_is_no_channel(found)
        for channel, numbers, of in _channels(name, found):
            if channel in reading or (channel != name and channel in table.texts):
                raise FormatError(f"two columns would be called {channel!r}: rename one")
            values.append(numbers)
            reading[channel] = of
        told[name] = found.column
        remarks += [remark for remark in found.remarks if remark.code != "bad_cells"]
    return Channels(np.stack(values, axis=1), reading, told, tuple(remarks))


def _read(table: RawTable, options: Options, name: str, *, is_target: bool) -> ReadColumn:
    wanted = "number" if is_target else options.columns.get(name)
    try:
        found = read_column(
            name,
            table.texts[name],
            decimal=table.decimal,
            of_file=table.kinds.get(name),
            wanted=wanted,
            missing=options.missing,
        )
    except WrongKindError:
        text = shown(table.texts[name][0].as_py())
        message = (
            f"row {FIRST_ROW}, column {name!r}: {text} is no {wanted}, as all cells of the column"
        )
        raise FormatError(message, "target" if is_target else "columns") from None
    if is_target and found.entry is None:
        raise FormatError(f"column {name!r} is {found.column.example} in every row", "target")
    return found


def _without_what_is_no_channel(found: ReadColumn) -> ReadColumn:
    """Dates and texts beside the time, and categories of many values, are left out, and told."""
    if found.entry is None or isinstance(found.entry, Numbers):
        return found
    kind, distinct = found.column.kind.value, found.column.distinct
    if isinstance(found.entry, Categories) and distinct <= MAX_WORDS:
        return found
    is_what = f"{distinct} different values, more than {MAX_WORDS}"
    what = is_what if isinstance(found.entry, Categories) else f"a {kind}, which is no channel"
    note = f"left out: {what}"
    message = f"{found.column.name!r} is {note}; columns says otherwise"
    column = replace(found.column, role=Role.IGNORED, note=note)
    return ReadColumn(column, None, {}, (Remark("columns_ignored", message, column.name),))


def _channels(
    name: str, found: ReadColumn
) -> Iterator[tuple[str, NDArray[np.float64], dict[str, Any]]]:
    """The channels of a column, how each is called and read. A category without a value is no gap:
    of its words it has none.
    """
    if found.entry is None:
        return
    of: dict[str, Any] = {"kind": found.column.kind.value, **found.extra}
    if isinstance(found.entry, Numbers):
        yield name, found.entry.values.astype(np.float64), of
        return
    texts = found.entry.values
    for word in sorted(set(texts.tolist()) - {""}):
        yield (
            f"{name}={word}",
            (texts == word).astype(np.float64),
            of
            | {
                "column": name,
                "word": word,
            },
        )


def constant_in(channels: Channels, values: NDArray[np.float64]) -> list[str]:
    """The channels that are the same in all of some rows.

    Shapes:
        values: (rows, channels)
    """
    whole = values[np.isfinite(values).all(axis=1)]
    if not len(whole):
        return []
    is_same = whole.std(axis=0) <= ROUNDING * np.abs(whole).max(axis=0)
    return [name for name, same in zip(channels.names, is_same, strict=True) if same]


def of_constant_in_train(channels: Channels, constant: Sequence[str]) -> Iterator[Remark]:
    """What is told of channels that are left out, as networks learn nothing of them."""
    of_column: dict[str, list[str]] = {}
    for channel in constant:
        of_column.setdefault(channels.column(channel), []).append(channel)
    for name, gone in of_column.items():
        if len(gone) == len(channels.of([name])):
            message = f"{name!r} is the same in every row of the train split and is left out"
            yield Remark("constant_column", message, name)
            continue
        words = ", ".join(shown(str(channels.reading[channel]["word"])) for channel in gone[:5])
        message = f"{name!r}: {words} is in no row of the train split, and counts as no value"
        yield Remark("unseen_values", message, name, len(gone))
