"""Names that people may have meant to be one: told, not merged."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from models.datasets.raw_table import shown
from models.remarks import Remark

_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?")
"""Without zeros in front: 01 is no 1."""

MOST = 20
"""Names that are told of."""


def similar(names: Sequence[object], counts: Sequence[int]) -> Iterator[Remark]:
    """Classes, or labels, that differ only in case, in blanks, or as 1 and 1.0 do.

    counts: samples of each.
    """
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        groups[_meant(str(name))].append(place)
    several = [places for places in groups.values() if len(places) > 1]
    for places in several[:MOST]:
        ordered = sorted(places, key=lambda place: -counts[place])
        spelled = ", ".join(f"{shown(str(names[p]))} ({counts[p]} samples)" for p in ordered[:10])
        message = (
            f"{spelled} differ only in how they are written, and are classes of their own; if they "
            "mean one, the file should spell it in one way"
        )
        rarer = sum(counts[place] for place in ordered[1:])
        yield Remark("similar_classes", message, str(names[ordered[0]]), rarer)


def _meant(name: str) -> str:
    """What is left of a name without its spelling."""
    name = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return f"{float(name):.15g}" if _NUMBER.fullmatch(name) else name
