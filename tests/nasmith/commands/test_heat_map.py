"""Heat maps of the terminal."""

from __future__ import annotations

from rich.console import Console

from nasmith.commands.heat_map import MAX_COLUMNS, heat_map


def plain(lines: list[str]) -> list[str]:
    console = Console(width=200, color_system=None)
    return [console.render_str(line).plain for line in lines]


def test_larger_values_are_darker() -> None:
    lines = heat_map(["a", "long"], [[0.0, 0.25, 0.5, 0.75, 1.0], [None, 0.99, 0.0, 0.0, 0.2]])
    assert plain(list(lines)) == ["a     ░▒▓█", "long ?█  ░"]


def test_many_epochs_are_thinned_and_the_last_one_is_shown() -> None:
    (line,) = plain(list(heat_map(["a"], [[0.0] * 299 + [1.0]])))
    assert len(line) == 2 + MAX_COLUMNS and line.endswith(" █")
