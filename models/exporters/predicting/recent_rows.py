"""The recent rows of series as people have them: what a network is asked, and for which times.

The same text runs in a bundle, as a part of `predict.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from models.datasets.amounts import amount_of, clock_of, number_of
from models.datasets.cells import boolean_of, composed, real_of, text_of
from models.datasets.steps import (
    TOLERANCE,
    beginning_of,
    calendar_of,
    counted,
    instant_of,
    joined,
    later,
    offset_of,
    on_grid,
)


class SeriesError(ValueError):
    """Rows that no forecast can be made from; the message names the row and the column, `row` and
    `column` say which where it is one.
    """

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        if row is not None and column is not None:
            message = f"row {row}, column {column!r}: {message}"
        super().__init__(message)
        self.row, self.column = row, column


class Recent(NamedTuple):
    """A series by its names (none of the only one): its latest rows, a number a channel, and the
    times to forecast, where the steps between its rows are regular. `turned`: they came newest
    first. `unknown`: how many words training had not, by column.
    """

    names: tuple[str, ...]
    window: list[list[float]]
    times: list[Any] | None
    turned: bool = False
    unknown: Mapping[str, int] = {}


class History(NamedTuple):
    """A series by its names, a number a channel of each step, and the places at which windows begin
    that a whole horizon follows: what can be held against what came.
    """

    names: tuple[str, ...]
    channels: list[list[float]]
    begins: list[int]
    turned: bool = False


class _Channel:
    """How the cells of a channel are read: as numbers, as yes and no, or whether they are one of
    the words of a category, of whose other words all channels of the column have 0.
    """

    def __init__(self, name: str, preprocessing: Mapping[str, Any]) -> None:
        usual = preprocessing.get("decimal", ".")
        sign = preprocessing.get("decimals", {}).get(name, usual)
        whole = {"kind": "number", "decimal": sign, "missing": preprocessing.get("missing", ())}
        self._of = preprocessing.get("reading", {}).get(name, whole)
        self.name, self.column = name, str(self._of.get("column", name))
        self.word, self.kind = self._of.get("word"), self._of["kind"]
        self.missing = {"", *self._of["missing"]}

    def value(self, cell: Any) -> float | None:
        """None where it is missing, or shows none."""
        written = text_of(cell)
        text = composed(written)
        if self.word is not None:
            return float(self.word in (text, written))
        if text.lower() in self.missing:
            return None
        if self.kind == "boolean":
            return boolean_of(text)
        real = None if self._of.get("clock") else real_of(cell)
        if real is not None:
            return _number(real * float(self._of.get("units", {}).get("", 1.0)), ".")
        return amount_of(text, self._of)


class _Reader:
    """What the cells of a row say, channel by channel.

    filled: columns that are not given. A number counts as its mean of the train split in each row,
        a category as none of its words.
    """

    def __init__(self, preprocessing: Mapping[str, Any], filled: Collection[str] = ()) -> None:
        self._filled, self._means = filled, preprocessing["steps"][0]["mean"] if filled else ()
        self.channels = [_Channel(name, preprocessing) for name in preprocessing["series"]]
        self.columns = list(dict.fromkeys(channel.column for channel in self.channels))
        self._words: dict[str, tuple[set[str], set[str]]] = {}
        for channel in self.channels:
            if channel.word is not None:
                known, _ = self._words.setdefault(channel.column, (set(), channel.missing))
                known.add(channel.word)

    def read(self, row: Mapping[str, Any], step: _Step) -> None:
        """What the row says at a step: by channel a value or none, and what cannot be read."""
        for place, channel in enumerate(self.channels):
            if channel.column in self._filled:
                step.values[channel.name] = [self._means[place] if channel.word is None else 0.0]
                continue
            cell = row.get(channel.column)
            value = channel.value(cell)
            step.values[channel.name] = [] if value is None else [value]
            if value is None and (text := text_of(cell)).lower() not in channel.missing:
                step.unreadable[channel.name] = f"{text[:40]!r} is no {channel.kind}"
        step.unknown += self.unknown(row)

    def unknown(self, row: Mapping[str, Any]) -> list[str]:
        """The columns whose word is none that training had."""
        return [
            column
            for column, (known, missing) in self._words.items()
            if composed(text := text_of(row.get(column))) not in known
            and text not in known
            and text.lower() not in missing
        ]


class _Step:
    """A row, or the mean of those in one step of a grid; `at` and `time` say when."""

    def __init__(
        self, row: int, text: str, at: float | None, time: datetime.datetime | None
    ) -> None:
        self.row, self.text, self.at, self.time = row, text, at, time
        self.values: dict[str, list[float]] = {}
        self.unknown: list[str] = []
        self.unreadable: dict[str, str] = {}

    def lack(self, name: str) -> SeriesError:
        """That a channel has no value here."""
        return SeriesError(self.unreadable.get(name, "the number is missing"), self.row, name)

    def value(self, name: str) -> float | None:
        shown = self.values[name]
        return sum(shown) / len(shown) if shown else None


def recent_of(
    rows: Sequence[Mapping[str, Any]],
    preprocessing: Mapping[str, Any],
    filled: Collection[str] = (),
    unable: dict[tuple[str, ...], SeriesError] | None = None,
) -> list[Recent]:
    """Each series of the rows, in the order in which they begin there.

    Rows after the last one with a value of a target tell of the steps to forecast.

    filled: columns that are not given and count as missing.
    unable: takes, by name, the series that give no forecast where others do: they have too few
        rows, a gap or a cell that cannot be read in the window, or it is not known of their steps
        to forecast what should be.

    Raises:
        SeriesError: a column or a time is missing, or the rows are in no order; there is a series
            without a forecast and no `unable`, or there are no others.
    """
    able: list[Recent] = []
    found: dict[tuple[str, ...], SeriesError] = {}
    for names, steps in _series(rows, preprocessing, filled):
        try:
            able.append(_recent(names, *steps, preprocessing))
        except SeriesError as error:
            found[names] = error
    if found and (unable is None or not able):
        raise next(iter(found.values()))
    if unable is not None:
        unable |= found
    return able


def history_of(
    rows: Sequence[Mapping[str, Any]], preprocessing: Mapping[str, Any]
) -> list[History]:
    """Each series of the rows, in the order in which they begin there. No window crosses a gap, or
    a row that lacks a number.

    Raises:
        SeriesError: a column or a time is missing, or the rows are in no order.
    """
    return [_history(names, *found, preprocessing) for names, found in _series(rows, preprocessing)]


def time_columns(preprocessing: Mapping[str, Any]) -> list[str]:
    """The column of the time, or those of its parts; none where rows have no time."""
    time = preprocessing.get("time", {})
    return list(time.get("columns", [time["name"]] if time else []))


def series_columns(preprocessing: Mapping[str, Any]) -> list[str]:
    """Those that tell series apart."""
    found = preprocessing.get("series_column") or []
    return [found] if isinstance(found, str) else list(found)


def _series(
    rows: Sequence[Mapping[str, Any]],
    preprocessing: Mapping[str, Any],
    filled: Collection[str] = (),
) -> Iterator[tuple[tuple[str, ...], tuple[list[_Step], bool]]]:
    """The steps of each series, oldest first, and whether its rows came newest first."""
    several, reader = series_columns(preprocessing), _Reader(preprocessing, filled)
    needed = [*time_columns(preprocessing), *several, *reader.columns]
    given = dict.fromkeys(str(name) for row in rows for name in row)
    for name in needed:
        if name not in given and name not in filled:
            raise SeriesError(f"there is no column {name!r}: the rows have {', '.join(given)}")
    groups: dict[tuple[str, ...], list[_Step]] = {}
    for number, row in enumerate(rows):
        series = tuple(composed(text_of(row.get(name))) for name in several)
        for name, own in zip(several, series):  # noqa: B905 - older Pythons have no strict
            if not own and name not in filled:
                raise SeriesError("the series is missing", number, name)
        groups.setdefault(series, []).append(_step(number, row, preprocessing, reader))
    time = preprocessing.get("time")
    for names, steps in groups.items():
        turned = bool(time) and len(steps) > 1 and (steps[0].at or 0.0) > (steps[-1].at or 0.0)
        yield names, (_in_steps(_ascending(steps, time), time) if time else steps, turned)


def _step(
    number: int, row: Mapping[str, Any], preprocessing: Mapping[str, Any], reader: _Reader
) -> _Step:
    text, at, time = "", None, None
    if "time" in preprocessing:
        name, unit = preprocessing["time"]["name"], preprocessing["time"]["unit"]
        usual = preprocessing.get("decimal", ".")  # of datasets from before columns were read apart
        columns = time_columns(preprocessing)
        parts = [text_of(row.get(part)) for part in columns]
        text = joined(parts, columns) if len(parts) > 1 else parts[0]
        if preprocessing["time"].get("clock"):
            at = clock_of(text)
        elif unit == "number":
            at = _number(row.get(name), preprocessing["time"].get("decimal", usual))
        else:
            is_zoned = preprocessing["time"].get("zoned", False)
            time = instant_of(text, preprocessing["time"]["order"], is_zoned=is_zoned)
            at = None if time is None else counted(time, "seconds")
        if at is None:
            raise SeriesError(f"{text!r} is no time", number, name)
        _check_zone(number, text, preprocessing)
    step = _Step(number, text, at, time)
    reader.read(row, step)
    return step


def _check_zone(number: int, text: str, preprocessing: Mapping[str, Any]) -> None:
    """
    Raises:
        SeriesError: a time has a zone and those of training had none, or the other way round, where
            the hour of the day counts.
    """
    time = preprocessing["time"]
    has_clock = preprocessing.get("known", {}).get("cycles") or time.get("frequency")
    if has_clock and "has_zone" in time and time["order"] is None:
        has_zone = _zone(beginning_of(text), time) is not None
        if has_zone != time["has_zone"]:
            has = ("no zone", "a zone") if time["has_zone"] else ("a zone", "none")
            message = f"{text!r} has {has[0]}, the times of training had {has[1]}"
            raise SeriesError(message, number, time["name"])


def _number(cell: Any, decimal: str) -> float | None:
    real = real_of(cell)
    if real is not None:
        return real if abs(real) < 3e38 else None
    return number_of(text_of(cell), decimal)


def _history(
    names: tuple[str, ...], steps: list[_Step], turned: bool, preprocessing: Mapping[str, Any]
) -> History:
    horizon, time = preprocessing["target"]["horizon"], preprocessing.get("time")
    reach = preprocessing["input"]["shape"][0] + horizon
    step = time["step"] if time else None
    breaks, count = [0], 0
    for before, after in zip(steps, steps[1:]):  # noqa: B905, RUF007 - older Pythons have neither
        is_whole = all(before.values.values()) and all(after.values.values())
        count += not (is_whole and (step is None or _is_usual(before, after, step)))
        breaks.append(count)
    begins = [
        begin
        for begin in range(len(steps) - reach + 1)
        if breaks[begin] == breaks[begin + reach - 1]
    ]
    recent, future = steps[: len(steps) - horizon], steps[len(steps) - horizon :]
    times = [after.time for after in future]
    return History(names, _channels(recent, future, times, preprocessing), begins, turned)


def _recent(
    names: tuple[str, ...], steps: list[_Step], turned: bool, preprocessing: Mapping[str, Any]
) -> Recent:
    of = f" of {', '.join(map(repr, names))}" if names else ""
    time = preprocessing.get("time")
    targets, length = preprocessing["target"]["names"], preprocessing["input"]["shape"][0]
    last = max(
        (n for n, step in enumerate(steps) if any(step.values[target] for target in targets)),
        default=-1,
    )
    recent, future = steps[: last + 1], steps[last + 1 :]
    for step in future:
        for target in targets:
            if target in step.unreadable:
                raise step.lack(target)
    if len(recent) < length:
        raise SeriesError(f"{length} rows of the series are needed, got {len(recent)}{of}")
    recent = recent[-length:]
    for step in recent:
        for column, shown in step.values.items():
            if not shown:
                raise step.lack(column)
    times: list[datetime.datetime] | None = None
    if time and time["step"] is not None:
        _check_steps(recent, time)
        times = _times(recent[-1], preprocessing)
    shown_times = None
    if time and time["step"] is not None:
        shown_times = _shown(recent[-1], times, preprocessing)
    ahead = _future(recent, future, preprocessing, of)
    words = [column for step in (*recent, *ahead) for column in step.unknown]
    unknown = {column: words.count(column) for column in dict.fromkeys(words)}
    window = _channels(recent, ahead, times, preprocessing)
    return Recent(names, window, shown_times, turned, unknown)


def _ascending(steps: list[_Step], time: Mapping[str, Any]) -> list[_Step]:
    """Oldest first, whichever end the rows begin at; those of one time together, where there may be
    several.
    """
    at = [step.at or 0.0 for step in steps]
    if len(at) > 1 and at[0] > at[-1]:
        steps, at = steps[::-1], at[::-1]
    if time.get("repeated"):
        steps, at = sorted(steps, key=lambda step: step.at or 0.0), sorted(at)
    elif not _merges(time) and sorted(set(at)) != at:
        steps = _without_copies(steps)
        at = [step.at or 0.0 for step in steps]
    for place in range(1, len(at)):
        is_same = at[place] == at[place - 1] and _merges(time)
        if at[place] <= at[place - 1] and not is_same:
            before = steps[place - 1]
            message = f"{steps[place].text} is not later than {before.text} in row {before.row}"
            raise SeriesError(message, steps[place].row, time["name"])
    return steps


def _without_copies(steps: Sequence[_Step]) -> list[_Step]:
    """The first of rows that say the same of one time."""
    known = set()
    found = []
    for step in steps:
        said = (step.at, *map(tuple, step.values.values()))
        if said not in known:
            found.append(step)
        known.add(said)
    return found


def _in_steps(steps: list[_Step], time: Mapping[str, Any]) -> list[_Step]:
    """Rows as the steps of the grid, if there is one, with times in their unit."""
    found: list[_Step] = []
    for step in steps:
        if step.time is not None:
            if time.get("frequency"):
                step.time = on_grid(step.time, time["frequency"], time["origin"])
            step.at = counted(step.time, time["unit"])
        if found and _merges(time) and found[-1].at == step.at:
            for name, shown in step.values.items():
                found[-1].values[name] = found[-1].values[name] + shown
            found[-1].unknown += step.unknown
            found[-1].unreadable |= step.unreadable
        else:
            found.append(step)
    return found


def _merges(time: Mapping[str, Any]) -> bool:
    """Whether rows of one time are one step, their mean."""
    return bool(time.get("frequency") or time.get("repeated"))


def _check_steps(steps: Sequence[_Step], time: Mapping[str, Any]) -> None:
    for before, step in zip(steps, steps[1:]):  # noqa: B905, RUF007 - older Pythons have neither
        if not _is_usual(before, step, time["step"]):
            passed = (step.at or 0.0) - (before.at or 0.0)
            raise SeriesError(
                f"between {before.text} and {step.text} are {passed:g} {_unit(time)}, the usual "
                f"step is {time['step']:g}; a forecast needs rows without a gap",
                step.row,
                time["name"],
            )


def _is_usual(before: _Step, after: _Step, step: float) -> bool:
    passed = (after.at or 0.0) - (before.at or 0.0)
    return bool(abs(passed - step) <= TOLERANCE * step)


def _unit(time: Mapping[str, Any]) -> str:
    return "" if time["unit"] == "number" else str(time["unit"])


def _times(last: _Step, preprocessing: Mapping[str, Any]) -> list[datetime.datetime] | None:
    """Of the steps to forecast; None where times are numbers."""
    if last.time is None:
        return None
    time = preprocessing["time"]
    return [
        later(last.time, step * time["step"], time["unit"], month_end=time.get("month_end", False))
        for step in range(1, preprocessing["target"]["horizon"] + 1)
    ]


def _shown(
    last: _Step, times: list[datetime.datetime] | None, preprocessing: Mapping[str, Any]
) -> list[Any]:
    """Times as ISO 8601 has them, in the zone of the last row; days where that is one."""
    step = preprocessing["time"]["step"]
    if times is None:
        ahead = range(1, preprocessing["target"]["horizon"] + 1)
        numbers = [(last.at or 0.0) + number * step for number in ahead]
        return [int(number) if number.is_integer() else number for number in numbers]
    zone = _zone(beginning_of(last.text), preprocessing["time"])
    if zone is not None:
        utc = datetime.timezone.utc  # noqa: UP017 - 3.10 too
        return [time.replace(tzinfo=utc).astimezone(zone).isoformat() for time in times]
    midnight = datetime.time(0)
    if ":" not in last.text and all(time.time() == midnight for time in times):
        return [time.date().isoformat() for time in times]
    return [time.isoformat(sep=" ") for time in times]


def _zone(text: str, time: Mapping[str, Any]) -> datetime.tzinfo | None:
    """That of a time, where it counts."""
    if time.get("zoned") and (offset := offset_of(text)) is not None:
        return datetime.timezone(offset)
    try:
        return datetime.datetime.fromisoformat(text).tzinfo
    except ValueError:
        return None


def _future(
    recent: Sequence[_Step],
    future: Sequence[_Step],
    preprocessing: Mapping[str, Any],
    of: str,
) -> Sequence[_Step]:
    """The steps to forecast, where columns are known for them.

    Raises:
        SeriesError: there are fewer, at other times, or without a number.
    """
    columns = preprocessing.get("known", {}).get("columns", ())
    if not columns:
        return ()
    horizon = preprocessing["target"]["horizon"]
    if len(future) < horizon:
        reading = preprocessing.get("reading", {})
        known = dict.fromkeys(reading.get(name, {}).get("column", name) for name in columns)
        raise SeriesError(
            f"{', '.join(known)} must be known for the {horizon} steps to forecast: rows{of} "
            f"after the last with a value of {preprocessing['target']['names'][0]!r}, got "
            f"{len(future)}"
        )
    future = future[:horizon]
    time = preprocessing.get("time")
    if time and time["step"] is not None:
        _check_steps([recent[-1], *future], time)
    for step in future:
        for column in columns:
            if not step.values[column]:
                raise step.lack(column)
    return future


def _channels(
    recent: Sequence[_Step],
    future: Sequence[_Step],
    times: Sequence[datetime.datetime | None] | None,
    preprocessing: Mapping[str, Any],
) -> list[list[float]]:
    """The columns, where the row is in the calendar, and what is known some steps ahead."""
    window = [[step.value(name) or 0.0 for name in preprocessing["series"]] for step in recent]
    known = preprocessing.get("known")
    if not known:
        return window
    ahead = [[step.value(c) or 0.0 for c in known["columns"]] for step in [*recent, *future]]
    instants = [step.time for step in recent] + list(times or ())
    if known["cycles"]:
        turns = [calendar_of(time, known["cycles"]) for time in instants if time is not None]
        window = [row + turn for row, turn in zip(window, turns)]  # noqa: B905
        ahead = [
            (ahead[place] if known["columns"] else []) + turn for place, turn in enumerate(turns)
        ]
    for place, row in enumerate(window):
        for lead in known["leads"]:
            row.extend(ahead[place + lead])
    return window
