"""Columns of a table that say how its rows are divided: into splits, or into groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset, findings
from models.datasets.cells import EMPTY_WORDS, MISSING_WORDS, boolean_of
from models.datasets.formats import LEFT_OUT, FormatError, Options
from models.datasets.kinds import read_column
from models.datasets.raw_table import FIRST_ROW, RawTable, Texts, shown
from models.datasets.spellings import of_categories
from models.datasets.splits import CELL_WORDS, PARTS, WORDS, Division, Indices, joined, part_of
from models.remarks import Column, Remark, Role, in_number

COLUMNS = ("split_column", "group_column")

_NUMBER = re.compile(r"[0-3](\.0)?")

DIVIDING = frozenset({*COLUMNS, "validation"})
"""The options of this module."""


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """`columns`: those that are no input, and what is told of them."""

    division: Division
    columns: Mapping[str, Column]
    remarks: tuple[Remark, ...] = ()


def read_division(
    table: RawTable, options: Options, others: Iterable[str], rows: NDArray[np.int64]
) -> Divided:
    """What `split_column` and `group_column` say of the labelled `rows`, counted from 0.

    others: columns that have another meaning.

    Raises:
        FormatError: a column is not there, or means something else; a cell of one is no part, or
            empty; a group is in two parts, or there are too few groups.
    """
    others = tuple(others)
    _check(table, options, others)
    parts = groups = None
    columns: dict[str, Column] = {}
    remarks: list[Remark] = list(_of_unused(table, options, others))
    if (name := options.split_column) is not None:
        parts, guessed = _parts(name, table.texts[name], rows)
        remarks += guessed
        _check_shares(options, parts)
        columns[name] = _ignored(table, name, "divides the rows into train, validation and test")
    if (name := options.group_column) is not None:
        groups, names = _groups(name, table.texts[name], rows, options)
        remarks += of_categories(name, names, np.bincount(groups).tolist())
        remarks.append(_of_groups(name, groups, len(names), parts))
        if parts is not None:
            _check_groups(name, names, groups, parts, rows)
        if name not in options.columns:
            columns[name] = _ignored(table, name, "rows with the same value are in one split")
    division = Division(parts, groups, options.folding)
    if division.folding is not None and "validation" not in division.drawn:
        raise FormatError(
            f"{options.split_column!r} gives the rows of validation, which folds would cut anew",
            "validation",
        )
    return Divided(division, columns, tuple(remarks))


def _of_unused(table: RawTable, options: Options, others: Sequence[str]) -> Iterator[Remark]:
    """Of a column that seems to divide the rows where nobody says so: it is one like any other."""
    import pyarrow.compute as pc

    if options.split_column is not None:
        return
    for name, texts in table.texts.items():
        is_open = name not in (*others, options.group_column, *options.columns)
        if not is_open or len(pc.unique(texts.slice(0, 1000))) > 6:
            continue
        words = [text.lower() for text in pc.unique(texts).to_pylist()]
        parts = {part_of(word) for word in words}
        by_name = re.match(r"(?i)(?:is|in|for|use)_?t", name) and _by_name(name, words)
        if by_name or (None not in parts and "train" in parts and len(parts) > 1):
            message = (
                f"{name!r} seems to divide the rows, into {', '.join(map(shown, words[:6]))}; "
                f"split_column={name} has it do so, else rows are drawn"
            )
            yield Remark("split_column_unused", message, name)


def _check(table: RawTable, options: Options, others: tuple[str, ...]) -> None:
    given = {option: getattr(options, option) for option in COLUMNS}
    for option, name in given.items():
        if name is None:
            continue
        if name not in table.texts:
            known = ", ".join(list(table.texts)[:50])
            raise FormatError(f"there is no column {name!r}, the columns are {known}", option)
        if name in others:
            raise FormatError(f"{name!r} is what the network predicts, or sees", option)
    if options.split_column is None:
        return
    if options.split_column == options.group_column:
        raise FormatError("is the split_column as well; two columns are needed", "group_column")
    if options.columns.get(options.split_column, "ignore") not in LEFT_OUT:
        raise FormatError(f"{options.split_column!r} divides the rows and is no input", "columns")
    if options.unlabelled:
        raise FormatError(
            "cannot be combined with unlabelled: rows without a target are in no split",
            "split_column",
        )


def _check_shares(options: Options, parts: Indices) -> None:
    for place, name in enumerate(PARTS):
        if name in options.split.model_fields_set and (parts == place).any():
            raise FormatError(
                f"{name} has no meaning where {options.split_column!r} gives its rows", "split"
            )


def _parts(name: str, texts: Texts, rows: NDArray[np.int64]) -> tuple[Indices, list[Remark]]:
    words = np.array([text.lower() for text in texts.take(rows).to_pylist()], dtype=object)
    found, places, counts = np.unique(words, return_inverse=True, return_counts=True)
    meant: Sequence[str | None] = [part_of(word, CELL_WORDS) for word in found]
    remarks = []
    if guess := _by_name(name, found.tolist()) or _by_numbers(found.tolist(), counts.tolist()):
        meant = guess
        parts_of_words = zip(found, guess, counts, strict=True)
        said = ", ".join(
            f"{word} is {part} ({in_number(count, 'row', 'rows')})"
            for word, part, count in parts_of_words
        )
        remarks = [Remark("split_guessed", f"of {name!r} {said}", name)]
    known = np.array([-1 if part is None else PARTS.index(part) for part in meant])
    parts: Indices = known[places].astype(np.int64)
    if (wrong := np.flatnonzero(parts < 0)).size:
        row = int(rows[wrong[0]])
        raise FormatError(
            f"row {row + FIRST_ROW}, column {name!r}: {shown(texts[row].as_py())} is no part of a "
            f"split; known are {', '.join(WORDS)}, yes and no in a column called is_train, is_test "
            "or the like, and 0, 1 and 2, for train, validation and test, where 0 has most rows",
            "split_column",
        )
    present = sorted({PARTS[part] for part in np.unique(parts)}, key=PARTS.index)
    if "train" not in present or len(present) < 2:
        raise FormatError(
            f"{name!r} divides the rows into train, and validation, test or both; got only "
            f"{', '.join(present)}",
            "split_column",
        )
    return parts, remarks


def _by_name(name: str, words: Sequence[str]) -> list[str] | None:
    """The part that each of two words for yes and no means in a column such as `is_train`."""
    letters = re.sub(r"[\W_]", "", name.lower())
    part = part_of(re.sub(r"^(is|in|for|use)(?=.)|(?<=.)(flag|yn)$", "", letters), CELL_WORDS)
    said = [boolean_of(word) for word in words]
    if part is None or sorted(said, key=str) != [0.0, 1.0]:
        return None
    return [part if is_it else ("test" if part == "train" else "train") for is_it in said]


def _by_numbers(words: Sequence[str], counts: Sequence[int]) -> list[str] | None:
    """The part of each of three numbers that count them, of which the first has most rows."""
    numbers = [float(word) if _NUMBER.fullmatch(word) else None for word in words]
    if numbers not in ([0, 1, 2], [1, 2, 3]) or int(np.argmax(counts)) != 0:
        return None
    return list(PARTS)


def _groups(
    name: str, texts: Texts, rows: NDArray[np.int64], options: Options
) -> tuple[Indices, list[str]]:
    """The words of a missing group are those of a column of numbers where all others are."""
    values = np.array(texts.take(rows).to_pylist(), dtype=object)
    names, groups = np.unique(values, return_inverse=True)
    words = {word.strip().lower() for word in options.missing or EMPTY_WORDS} | {""}
    if options.missing is None:
        others = [text for text in names if text.lower() not in MISSING_WORDS]
        words |= set(MISSING_WORDS if all(map(str.isdecimal, others)) else ())
    is_missing = np.array([text.lower() in words for text in names])[groups]
    if is_missing.any():
        row = int(rows[is_missing.argmax()])
        raise FormatError(
            f"row {row + FIRST_ROW}, column {name!r}: the group is missing, got "
            f"{shown(texts[row].as_py())}; one of its own stays alone",
            "group_column",
        )
    return groups.astype(np.int64), names.tolist()


def _of_groups(name: str, groups: Indices, count: int, parts: Indices | None) -> Remark:
    """
    Raises:
        FormatError: there is not one group for each split that is drawn.
    """
    if parts is None and count < len(PARTS):
        raise FormatError(
            f"three splits need three groups or more, {name!r} has {count}", "group_column"
        )
    largest = int(np.bincount(groups).max())
    message = (
        f"{in_number(count, 'group', 'groups')} of {in_number(len(groups), 'row', 'rows')} by "
        f"{name!r}, the largest of {largest}; each is in one split"
    )
    return Remark("groups", message, name, count)


def _check_groups(
    name: str, names: list[str], groups: Indices, parts: Indices, rows: NDArray[np.int64]
) -> None:
    """A division that comes with the data keeps groups together."""
    first = np.zeros(len(names), dtype=np.int64)
    first[groups[::-1]] = np.arange(len(groups))[::-1]
    crossing = np.flatnonzero(parts != parts[first[groups]])
    if crossing.size:
        row, group = int(crossing[0]), groups[crossing[0]]
        other = int(first[group])
        raise FormatError(
            f"group {shown(names[group])} is in {PARTS[parts[other]]} in row "
            f"{rows[other] + FIRST_ROW} and in {PARTS[parts[row]]} in row {rows[row] + FIRST_ROW}; "
            "split_column says otherwise than group_column",
            "group_column",
        )


def _ignored(table: RawTable, name: str, note: str) -> Column:
    of_file = table.kinds.get(name)
    found = read_column(
        name, table.texts[name], decimal=table.decimal, of_file=of_file, wanted="ignore"
    )
    return replace(found.column, role=Role.IGNORED, note=note)


def told_of_division(
    divided: Divided, dataset: Dataset, equal: Indices | None = None
) -> Iterator[Remark]:
    """What a person is told of how rows were divided. `equal`: the number of each one's group of
    equal ones, None where all differ, or where that is told already.
    """
    division = divided.division
    yield from divided.remarks
    yield from findings.of_equal_samples(equal, sum(dataset.labelled_sizes), "rows", division.parts)
    if division.parts is not None:
        yield from findings.of_drawn_parts(division.drawn, dataset.labelled_sizes)
    yield from findings.of_folds(dataset)
    both = joined(equal, division.groups)
    if division.groups is not None and equal is not None and both is not None:
        before, after = len(np.unique(division.groups)), len(np.unique(both))
        if after < before:
            message = f"{before} groups are {after}, since they have equal rows"
            yield Remark("groups_joined", message, None, before - after)
