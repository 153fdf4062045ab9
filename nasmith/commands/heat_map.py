"""A matrix of shares as characters: the darker, the larger; in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SHADES = " ░▒▓█"
COLOURS = ("blue", "cyan", "green", "yellow", "red")
MAX_COLUMNS = 60
"""More epochs than that are thinned."""


def heat_map(rows: Sequence[str], values: Sequence[Sequence[float | None]]) -> Iterator[str]:
    """One line a row, in Rich's markup; values in 0..1, `?` where there is none."""
    width = max(map(len, rows), default=0)
    for name, row in zip(rows, values, strict=True):
        yield f"{name:<{width}} {''.join(map(_cell, _thinned(row)))}"


def _cell(value: float | None) -> str:
    if value is None:
        return "?"
    level = min(len(SHADES) - 1, max(0, int(value * len(SHADES))))
    return f"[{COLOURS[level]}]{SHADES[level]}[/]"


def _thinned(row: Sequence[float | None]) -> list[float | None]:
    """Evenly, the last one always among them."""
    count = min(len(row), MAX_COLUMNS)
    return [row[(place + 1) * len(row) // count - 1] for place in range(count)]
