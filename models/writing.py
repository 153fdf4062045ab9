"""Modules as text, the way that people write them: blocks of lines, 100 columns."""

from __future__ import annotations

from collections.abc import Iterable

WIDTH = 100 - 8
"""Of a line in a method."""


def module_text(
    name: str,
    docstring: Iterable[str],
    parameters: Iterable[str],
    constructor: Iterable[str],
    inputs: Iterable[str],
    forward: Iterable[str],
) -> str:
    """A module class."""
    signature = ", ".join(["self", *parameters])
    tensors = ", ".join(["self", *(f"{name}: Tensor" for name in inputs)])
    first, *more = docstring
    lines = [
        f"class {name}(nn.Module):",
        *_indented([f'"""{first}', *more, '"""'] if more else [f'"""{first}"""']),
        "",
        f"    def __init__({signature}) -> None:",
        *_indented(["super().__init__()", *constructor], 2),
        "",
        f"    def forward({tensors}) -> Tensor:",
        *_indented(forward, 2),
    ]
    return "\n".join(lines) + "\n"


def _indented(lines: Iterable[str], level: int = 1) -> list[str]:
    indent = "    " * level
    return [indent + part if part else "" for line in lines for part in line.split("\n")]
