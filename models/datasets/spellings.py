"""Names that people may have meant to be one: told, not merged."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from models.datasets.raw_table import shown
from models.remarks import Remark, in_number

_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?")
"""Without zeros in front: 01 is no 1."""

MOST = 20
"""Names that are told of."""


def of_categories(name: str, values: Sequence[str], counts: Sequence[int]) -> Iterator[Remark]:
    """Values of a column of inputs that differ so.

    counts: cells of each.
    """
    if several := _groups(values):
        places = max(several, key=lambda found: sum(counts[place] for place in found))
        ordered = sorted(places, key=lambda place: -counts[place])
        spelled = ", ".join(f"{shown(values[p])} ({counts[p]} rows)" for p in ordered[:10])
        count = in_number(len(several), "value", "values")
        message = (
            f"{count} of {name!r} in several spellings, as {spelled}; "
            "each counts as one of its own; if they mean one, the file should spell it in one way"
        )
        rarer = sum(
            sum(counts[p] for p in found) - max(counts[p] for p in found) for found in several
        )
        yield Remark("similar_categories", message, name, rarer)


def similar(names: Sequence[object], counts: Sequence[int]) -> Iterator[Remark]:
    """Classes, or labels, that differ only in case, in blanks, or as 1 and 1.0 do.

    counts: samples of each.
    """
    for places in _groups(names)[:MOST]:
        ordered = sorted(places, key=lambda place: -counts[place])
        spelled = ", ".join(f"{shown(str(names[p]))} ({counts[p]} samples)" for p in ordered[:10])
        message = (
            f"{spelled} differ only in how they are written, and are classes of their own; if they "
            "mean one, the file should spell it in one way"
        )
        rarer = sum(counts[place] for place in ordered[1:])
        yield Remark("similar_classes", message, str(names[ordered[0]]), rarer)


def _groups(names: Sequence[object]) -> list[list[int]]:
    """The places of names that mean one, where there are several."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        groups[_meant(str(name))].append(place)
    return [places for places in groups.values() if len(places) > 1]


def _meant(name: str) -> str:
    """What is left of a name without its spelling."""
    name = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return f"{float(name):.15g}" if _NUMBER.fullmatch(name) else name
