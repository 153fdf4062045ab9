"""The time of a row that stands in several columns: one text of all, and what may be a part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from models.datasets.raw_table import RawTable, Texts
from models.datasets.steps import joined

_PART = re.compile(
    r"(?i)(?:.*[_\s.-])?(?:year|yr|week|wk|kw|month|mon|mo|mnth|day|date|hour|hr|he|hrs|hrmn|minute|min|second|"
    r"time|clock|jahr|monat|tag|datum|stunde|std|uhrzeit|zeit|année|annee|mois|jour|heure|año|mes|"
    r"día|hora|fecha)"
)
"""The name of a column that has a part of the time."""
_CLOCK = re.compile(r"(?i)\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[ap]m)?")
_SAMPLE = 200


def with_time(table: RawTable, columns: Sequence[str]) -> tuple[RawTable, str]:
    """The table, and the name of its column of times: an added one where `columns` are several."""
    import pyarrow as pa

    if len(columns) == 1:
        return table, columns[0]
    cells = zip(*(table.texts[name].to_pylist() for name in columns), strict=True)
    texts: Texts = pa.chunked_array([[joined(parts, columns) for parts in cells]], pa.string())
    name = " + ".join(columns)
    return replace(table, texts={**table.texts, name: texts}), name


def parts_of_time(table: RawTable, time: str, others: Iterable[str]) -> str:
    """What a refusal of the times says where other columns than `others` look like parts of them:
    clocks, or such as are called so. Else nothing.
    """
    parts = [
        name
        for name in table.texts
        if name == time
        or (name not in others and (_PART.fullmatch(name) or _is_clock(table, name)))
    ]
    if len(parts) < 2:
        return ""
    return f"; a time that stands in several columns is options.time as a list: {parts}"


def _is_clock(table: RawTable, name: str) -> bool:
    texts = table.texts[name].slice(0, _SAMPLE).to_pylist()
    return all(map(_CLOCK.fullmatch, texts))
