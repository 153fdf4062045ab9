"""Steps in time, one instant at a time: grids, what comes next, what the calendar says. The same
text runs in a bundle: nothing here needs more than the standard library.
"""

from __future__ import annotations

import calendar
import datetime
import math
import re
from collections.abc import Sequence

from models.datasets.dates import date_of

TOLERANCE = 0.1
"""Share of the usual step that a step may differ from it: months, leap years, clocks that drift."""

FREQUENCIES = "15min, 1h, D (with any count before s, min, h and D), W, B, MS, ME, QS or YS"

MONTH_NUMBERS = "year_and_month"
"""The order of a year and a month in six digits."""

SIZES = {"s": 1.0, "min": 60.0, "h": 3600.0, "D": 86_400.0}
MONTHS = {"MS": 1, "ME": 1, "QS": 3, "YS": 12}


def frequency_of(text: str) -> tuple[int, str]:
    """The count and the unit of a regular step, in the words of pandas.

    Raises:
        ValueError: it is none of `FREQUENCIES`.
    """
    match = re.fullmatch(r"(\d{0,6})(s|min|h|D|W|B|MS|ME|QS|YS)", text.strip())
    count = int(match.group(1) or 1) if match else 0
    if match is None or count < 1 or (count > 1 and match.group(2) not in SIZES):
        raise ValueError(f"{text!r} is no step; allowed are {FREQUENCIES}")
    return count, match.group(2)


def step_of(frequency: str) -> tuple[float, str]:
    """The length of a step, and the unit that it is counted in."""
    count, unit = frequency_of(frequency)
    if unit in SIZES:
        return count * SIZES[unit], "seconds"
    if unit == "W":
        return 7 * SIZES["D"], "seconds"
    return (1.0, "weekdays") if unit == "B" else (float(MONTHS[unit]), "months")


def on_grid(time: datetime.datetime, frequency: str, origin: float) -> datetime.datetime:
    """The step that an instant lies in, by the name that pandas gives it: its beginning, or the
    end of a week (Sunday) and of a month (ME). A weekend belongs to Friday's step B.

    origin: days since 1970 at whose midnight steps of seconds to days begin.
    """
    count, unit = frequency_of(frequency)
    if unit in SIZES:
        size = datetime.timedelta(seconds=count * SIZES[unit])
        start = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=origin)
        return start + (time - start) // size * size
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "W":
        return day + datetime.timedelta(days=6 - day.weekday())
    if unit == "B":
        return day - datetime.timedelta(days=max(day.weekday() - 4, 0))
    if unit == "ME":
        return day.replace(day=calendar.monthrange(day.year, day.month)[1])
    return day.replace(month=(day.month - 1) // MONTHS[unit] * MONTHS[unit] + 1, day=1)


def instant_of(text: str, order: str | None, *, is_zoned: bool = False) -> datetime.datetime | None:
    """The instant that a text shows, in UTC where it has a zone; ISO 8601, or day and month in
    `order`, or with the month's name; of an interval its beginning. An order may say what numbers
    are, `MONTH_NUMBERS` or as of `dates.date_of`. None where it shows none, or one of two.

    is_zoned: whether zones behind times that are not ISO 8601 count.
    """
    text = beginning_of(text.strip())
    if order is None:
        try:
            is_month = re.fullmatch(r"\d{4}-\d{2}", text)
            found = datetime.datetime.fromisoformat(f"{text}-01" if is_month else text)
        except ValueError:
            dates = [date_of(text, either) for either in ("dmy", "mdy")]
            is_open = "/" in text and None not in dates and dates[0] != dates[1]
            zone = offset_of(text) or datetime.timedelta()
            return None if is_open or dates[0] is None else dates[0] - zone
        if found.tzinfo is None:
            return found
        return found.astimezone(datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017 - 3.10 too
    if order == MONTH_NUMBERS:
        return date_of(f"{text[:4]}-{text[4:]}") if len(text) == 6 else None
    if order.endswith("seconds"):
        return numbered_instant(text, order)
    date = date_of(text, order)
    offset = offset_of(text) if is_zoned else datetime.timedelta()
    if date is None or offset is None:
        return None
    return date + fraction_of(text) - offset


def joined(cells: Sequence[str], names: Sequence[str]) -> str:
    """A time that stands in several cells, as one text: a date, or year, month and day, or year and
    week by the `names` of their columns; behind it a clock, the number of an hour (24 ends the
    day), or of hour, minute and second.
    """
    cells = [re.sub(r"^(\d+)\.0+$", r"\1", cell.strip()) for cell in cells]
    date, clock = cells[0], cells[1:]
    of_weeks = r"(?:week|wk|kw|woche|semaine|semana)(?:_?(?:no|nr|number|num))?"
    week = rf"(?i)(?:.*[_\s.-])?(?:iso_?)?{of_weeks}"
    if re.fullmatch(r"\d{4}", date) and re.fullmatch(week, names[1].strip()):
        date, clock = f"{date}-W{cells[1].upper().lstrip('KW'):0>2}", clock[1:]
    elif re.fullmatch(r"\d{4}", date) and ":" not in cells[1]:
        month, day, clock = cells[1], (cells[2:3] or ["1"])[0], cells[3:]
        is_number = month.isdecimal()
        date = f"{date}-{month:0>2}-{day:0>2}" if is_number else f"{day} {month} {date}"
    if len(clock) == 1 and clock[0].isdecimal():
        digits = clock[0] if len(clock[0]) < 3 else clock[0].zfill(4)
        clock = [digits[:2], digits[2:4] or "00", *([digits[4:]] if digits[4:] else [])]
    if not all(clock):
        return ""
    return " ".join([date, ":".join(f"{part:0>2}" for part in clock)] if clock else [date])


def beginning_of(text: str) -> str:
    """Of an interval, as 00:00 - 01:00 with a date before, or two instants or days, the first; any
    other text as it is.
    """
    between = r"\s+(?:[-\u2013\u2014]|to|bis)\s+"
    clocks = rf"(.*\d:\d\d\S*?)(?:{between}|\s*/\s*)\d[\d./T-]*[\d\s]*:\d\d.*"
    day = r"\d{1,4}([-./])\d{1,2}\2\d{1,4}"
    found = re.fullmatch(clocks, text) or re.fullmatch(rf"({day}){between}\d[-./\d]+", text)
    return text if found is None else found.group(1)


def fraction_of(text: str) -> datetime.timedelta:
    """The part of a second that a time of day has behind its seconds."""
    found = re.search(r"\d:\d\d:\d\d[.,](\d{1,9})", text)
    share = 0.0 if found is None else float(f"0.{found.group(1)}")
    return datetime.timedelta(microseconds=round(share * 1e6))


def offset_of(text: str) -> datetime.timedelta | None:
    """How far the zone behind a time of day is from UTC; None where it has none that is known."""
    found = re.search(
        r"(?i):\d\d(?:[.,]\d+)?\s*(?:[ap]m)?\s*(?:(?:utc|gmt)?\s?([-+])(\d\d):?(\d\d)?|([a-z]{1,4}))$",
        text,
    )
    if found is None:
        return None
    if found.group(4) is None:
        size = datetime.timedelta(hours=int(found.group(2)), minutes=int(found.group(3) or 0))
        return -size if found.group(1) == "-" else size
    hours = {
        "z": 0, "utc": 0, "gmt": 0, "wet": 0, "bst": 1, "west": 1, "cet": 1, "mez": 1, "cest": 2,
        "mesz": 2, "eet": 2, "eest": 3, "msk": 3, "est": -5, "edt": -4, "cst": -6, "cdt": -5,
        "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
    }  # fmt: skip
    known = hours.get(found.group(4).lower())
    return None if known is None else datetime.timedelta(hours=known)


def numbered_instant(text: str, order: str) -> datetime.datetime | None:
    """The instant that a number stands for, to the microsecond."""
    sizes = {"seconds": 1e0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
    try:
        passed = datetime.timedelta(
            microseconds=round(float(text.replace(",", ".")) / sizes[order] * 1e6)
        )
        return datetime.datetime(1970, 1, 1) + passed
    except (ValueError, OverflowError):
        return None


def counted(time: datetime.datetime, unit: str) -> float:
    """An instant as a number of `unit`, since 1970."""
    if unit == "months":
        return float((time.year - 1970) * 12 + time.month - 1)
    if unit == "weekdays":
        weeks, day = divmod(time.toordinal() - 719_163 + 3, 7)
        return float(weeks * 5 + min(day, 5))
    return (time - datetime.datetime(1970, 1, 1)).total_seconds()


def later(
    time: datetime.datetime, amount: float, unit: str, *, month_end: bool = False
) -> datetime.datetime:
    """The instant `amount` of `unit` after another; on the last day of its month, where so asked
    and where the month has no such day.
    """
    if unit == "seconds":
        return time + datetime.timedelta(seconds=amount)
    if unit == "weekdays":
        weeks, day = divmod(min(time.weekday(), 4) + round(amount), 5)
        return time + datetime.timedelta(days=7 * weeks + day - time.weekday())
    years, month = divmod(time.month - 1 + round(amount), 12)
    last = calendar.monthrange(time.year + years, month + 1)[1]
    day = last if month_end else min(time.day, last)
    return time.replace(year=time.year + years, month=month + 1, day=day)


def cycles_of(step: float, unit: str) -> list[str]:
    """The cycles of the calendar that such steps go through."""
    if unit == "months":
        return ["year"] if step % 12 else []
    if unit == "weekdays":
        return ["week", "year"]
    longest = {"day": 86_400.0, "week": 604_800.0, "year": 31_536_000.0}
    cycles = [name for name, size in longest.items() if step < size]
    return cycles if step % 86_400 else [name for name in cycles if name != "day"]


def calendar_of(time: datetime.datetime, cycles: Sequence[str]) -> list[float]:
    """Where an instant is in each cycle: the sine and the cosine of its turn."""
    day = (time.hour * 3600 + time.minute * 60 + time.second) / 86_400
    turns = {
        "day": day,
        "week": (time.weekday() + day) / 7,
        "year": (time.timetuple().tm_yday - 1 + day) / 365.25,
    }
    angles = [2 * math.pi * turns[name] for name in cycles]
    return [part(angle) for angle in angles for part in (math.sin, math.cos)]


def leads(window: int, horizon: int) -> list[int]:
    """Steps ahead at which a window holds values that are known in advance, so that it holds them
    for all steps of the horizon.
    """
    return list(range(horizon, 0, -window))
