"""Units that numbers are written with: which of them can be one column, and what each is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from models.datasets.amounts import parted

_COUNTS = {
    "k": 1e3, "tsd": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6,
    "millions": 1e6, "b": 1e9, "bn": 1e9, "mrd": 1e9, "billion": 1e9, "billions": 1e9,
}  # fmt: skip
FAMILIES: Sequence[Mapping[str, float]] = (
    _COUNTS,
    {"mg": 1e-3, "g": 1.0, "kg": 1e3, "t": 1e6, "oz": 28.349523125, "lb": 453.59237,
     "lbs": 453.59237},
    {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3, "in": 0.0254, '"': 0.0254, "ft": 0.3048,
     "'": 0.3048, "mi": 1609.344, "miles": 1609.344},
    {"ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "mins": 60.0, "minutes": 60.0,
     "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0,
     "day": 86400.0, "days": 86400.0, "week": 604800.0, "weeks": 604800.0, "month": 2629800.0,
     "months": 2629800.0, "yr": 31557600.0, "yrs": 31557600.0, "year": 31557600.0,
     "years": 31557600.0, "tag": 86400.0, "tage": 86400.0, "woche": 604800.0, "wochen": 604800.0,
     "monat": 2629800.0, "monate": 2629800.0, "jahr": 31557600.0, "jahre": 31557600.0},
    {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    {"ml": 1e-3, "cl": 1e-2, "dl": 0.1, "l": 1.0},
    {"w": 1.0, "kw": 1e3, "mw": 1e6},
    {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9},
)  # fmt: skip
"""What each unit is worth, in lower case; a month is a twelfth of 365.25 days."""


def units_of(texts: Sequence[str], counts: Sequence[int], plain: int) -> dict[str, float]:
    """What `amount_of` needs to read numbers with units, in the one that most have; none where the
    units cannot be told to measure the same, or are too rare to be meant.

    counts: rows of each text; plain: rows of numbers without a unit.
    """
    found: Counter[str] = Counter()
    for text, count in zip(texts, counts, strict=True):
        if (parts := parted(text)) is not None:
            found[parts[1]] += count
    share = found.total() / max(plain + found.total(), 1)
    lower = {unit.lower() for unit in found}
    is_known = any(lower <= family.keys() for family in FAMILIES)
    if share <= (0.1 if is_known else 0.5):
        return {}
    if len({unit.rstrip("s") for unit in lower}) == 1:
        (only, *_) = lower
        if plain and only in _COUNTS:
            return {"": 1.0, **_COUNTS}
        return dict.fromkeys(sorted({"", *found, *lower}), 1.0)
    main = found.most_common(1)[0][0].lower()
    for family in FAMILIES:
        if lower <= family.keys():
            if family is _COUNTS:
                return {"": 1.0, **_COUNTS}
            worth = {unit: size / family[main] for unit, size in family.items()}
            return {"": 1.0, **worth}
    return {}
