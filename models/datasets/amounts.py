"""The number that one cell of a table shows: as people write numbers, with a unit, or as a clock.
The same text runs in a bundle: nothing here needs more than the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def number_of(text: str, decimal: str = ".") -> float | None:
    """The finite number that a cell shows, with thousands marks, a currency, a sign of percent or
    per mille, a minus behind it or accountants' parentheses; None where it shows none, or one
    beyond what float32 holds.
    """
    text = text.strip()
    point = re.escape(decimal)
    plain = rf"[-+]?(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d+)?"
    if not text.isascii():
        for sign, others in (
            ("-", "\u2010-\u2015\u2212\ufe63\uff0d"),
            (" ", "\u00a0\u2000-\u200a\u202f\u205f\u3000"),
            ("'", "\u2019\u02bc"),
            ("%", "\uff05"),
        ):
            text = re.sub(f"[{others}]", sign, text)
    negative, whole = False, 1
    if not re.fullmatch(plain, text):
        if inner := re.fullmatch(r"([^()\d]*)\(([^()]*\d[^()]*)\)([^()\d]*)", text):
            text, negative = inner[1] + inner[2].strip() + inner[3], True
        ends = text[:1] + text[-1:]
        whole = 100 if "%" in ends else 1000 if "\u2030" in ends else 1
        money = (
            r"(?:us|ca|au?|nz|hk|mx|nt|s|r)?\$|[£-¥\u0e3f\u20a0-\u20cf%\u2030]|usd|eur|gbp|chf|jpy|"
            r"cny|rmb|inr|cad|aud|nzd|hkd|sgd|twd|krw|brl|mxn|ars|clp|cop|zar|try|aed|sar|ils|rs\.?|kr\.?|"
            r"fr\.?"
        )
        behind = rf"{money}|sek|nok|dkk|isk|pln|czk|huf|ron|bgn|rub|uah|euro|zł|kč|ft|lei|[元円원]"
        text = re.sub(
            rf"(?i)^([-+]?)\s*(?:{money})\s*|\s*(?:{behind})$",
            lambda match: match.group(1) or "",
            text,
        )
        text = re.sub(r"(\d)[.,]--?$", r"\1", text)  # 12.- francs
        if re.fullmatch(r"\d.*[\d.,]-", text):
            text = f"-{text[:-1]}"
        mark = "," if decimal == "." else r"\."
        grouped = rf"[-+]?[1-9]\d{{0,2}}([{mark}' ])\d{{3}}(?:\1\d{{3}})*(?:{point}\d*)?"
        lakhs = r"[-+]?[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d*)?"
        if re.fullmatch(grouped, text) or (decimal == "." and re.fullmatch(lakhs, text)):
            text = re.sub(f"[{mark}' ]", "", text)
        elif not re.fullmatch(plain, text):
            return None
    value = float(text.replace(decimal, "."))
    if not abs(value) < 3e38:
        return None
    value = value / whole
    return -value if negative else value


def parted(text: str) -> tuple[str, str] | None:
    """The number and the unit of a cell such as 12 kg, 3.5km/h or 30 sq ft; None of any other."""
    found = re.fullmatch(
        r"([^\w]*\d(?:[\d.,' \u00a0\u202f]*\d)?[.,]?)\s*"
        r"((?!e[-+]?\d)(?:[^\W\d_]|[°µ])[\w°²³/%.·-]{0,15}(?: [^\W\d_][\w²³/.]{0,15})?|['\"])",
        text.strip(),
        re.IGNORECASE,
    )
    return None if found is None else (found[1], found[2])


def clock_of(text: str) -> float | None:
    """The seconds that a time of day or a duration has: 13:45, 1:05 PM, 13h45, 36:10:05,
    2 days 01:00:00, 1h 30m, PT1H30M; None of any other text.
    """
    text = text.strip().lower()
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.removeprefix("-")
    days = 0.0
    if found := re.fullmatch(r"(\d+) days?(,? *\+?)(.*)", text):
        days, text = float(found[1]), found[3] or "0:00"
        if sign < 0 and found[2].strip():  # -1 day, 23:00:00 of Python, -1 days +23:00:00 of pandas
            days, sign = -days, 1.0
    colons = re.fullmatch(
        r"(\d{1,4})(?::(\d{2})(?::(\d{2}(?:[.,]\d+)?))?|h(\d{2})|(?=\s*[ap]\.?m))"
        r"\s*(?:([ap])\.?\s?m\.?|uhr|h)?",
        text,
    )
    if colons:
        hour, minute = int(colons[1]), int(colons[2] or colons[4] or 0)
        second = float((colons[3] or "0").replace(",", "."))
        if colons[5]:
            if hour > 12:
                return None
            hour = hour % 12 + (12 if colons[5] == "p" else 0)
        if minute > 59 or second >= 60:
            return None
        return sign * (days * 86_400 + hour * 3600 + minute * 60 + second)
    parts = re.fullmatch(
        r"p?(?:(\d+(?:\.\d+)?) ?d(?:ays?)?,? ?)?t?(?:(\d+(?:\.\d+)?) ?h(?:(?:ou)?rs?)?\.?,? ?)?"
        r"(?:(\d+(?:\.\d+)?) ?m(?:in(?:ute)?s?)?\.?,? ?)?"
        r"(?:(\d+(?:\.\d+)?) ?s(?:ec(?:ond)?s?)?\.?)?",
        text,
    )
    if not parts or not any(parts.groups()):
        return None
    sizes = (86_400, 3600, 60, 1)
    return sign * sum(
        (float(part or 0) * size for part, size in zip(parts.groups(), sizes, strict=True)),
        days * 86_400,
    )


def unmarked(text: str) -> str:
    """A cell without what people and spreadsheets put around a number: the mark of a footnote, as
    in 680* or 680[1], the flags of statistical offices, as in 680 e or 680 bp, ~ before it or how
    far it may be off behind it, as in 680 \u00b1 5, or a formula for a text, as in ="680" or '680.
    Arabic decimal and thousands marks become a point and nothing.
    """
    text = text.strip()
    found = re.fullmatch(r"""=?\s*"(.*)"|[='](.*)""", text)
    if found is not None:
        text = (found[1] or found[2] or "").strip()
    text = text.replace("\u066b", ".").replace("\u066c", "")
    text = re.sub(r"^[~\u2248]\s*(?=[-+.,\d])|(?<=\d)\s*(?:\u00b1|\+/-)\s*[\d.,]+%?$", "", text)
    raised = r"[\u00b9\u00b2\u00b3\u2070-\u2079\u1d43-\u1d9c]+"
    note = rf"\*+|[\u2020\u2021\u00a7]+|\[[^\W_*]{{1,3}}\]|{raised}"
    return re.sub(rf"(?<=[\d%.)])(?:\s*(?:{note})|\s+[bcdefinprsuz]{{1,3}})$", "", text)


def amount_of(text: str, column: Mapping[str, Any]) -> float | None:
    """The number of a cell of a column, as `preprocessing.json` says that it is written: `decimal`,
    and one of `clock`, `marked` and `units`, what one of each is worth; that of no unit is called
    "".
    """
    if column.get("clock"):
        return clock_of(text)
    if column.get("marked"):
        text = unmarked(text)
    decimal, units = column.get("decimal", "."), column.get("units", {})
    number, unit = number_of(text, decimal), ""
    if number is None and units and (parts := parted(text)):
        number, unit = number_of(parts[0], decimal), parts[1]
        if unit not in units:
            unit = unit.lower()
    if number is None or (unit and unit not in units):
        return None
    return number * float(units.get(unit, 1.0))
