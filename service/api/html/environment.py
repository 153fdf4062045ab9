"""The environment of all templates: every value is escaped, and one that is missing is an error."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from service.api.charts import svg
from service.api.charts.figures import Cell, Figure
from service.api.charts.scales import written

_PACKAGES = ("service.api.html", "service.api.reports", "service.api.dashboard")
_NOTHING = "-"


@cache
def environment() -> Environment:
    loaders = [PackageLoader(package) for package in _PACKAGES]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "duration": duration,
        "time": time,
        "pretty": pretty,
        "picture": picture,
    }
    return made


def read(package: str, name: str) -> str:
    """A file beside the templates."""
    return (files(package) / name).read_text("utf-8")


def source_of(style: str) -> str:
    """What a policy calls an inline style, by its hash: no other one is let in."""
    digest = hashlib.sha256(style.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def picture(figure: Figure) -> Markup:
    """An element tree, written: its texts are escaped."""
    return Markup(svg.svg(figure))  # noqa: S704


def number(value: Cell) -> str:
    """As it is for text, short for numbers, a dash for nothing."""
    if value is None or value == "":
        return _NOTHING
    return value if isinstance(value, str) else written(value)


def duration(seconds: float | None) -> str:
    """`1 h 02 min`, `3 min 20 s`, `4.2 s`; a dash where it is unknown."""
    if seconds is None:
        return _NOTHING
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def time(moment: datetime | None) -> str:
    return _NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def pretty(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
