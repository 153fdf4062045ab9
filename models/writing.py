"""Modules as text, the way that people write them: blocks of lines, 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 100 - 8
"""Of a line in a method."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as text; its arguments are texts or calls."""

    function: str
    arguments: Sequence[str | Call]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


def call_lines(before: str, call: Call, after: str = "", width: int = WIDTH) -> list[str]:
    """The call between `before` and `after`, broken as a formatter breaks it."""
    if len(f"{before}{call}{after}") <= width:
        return [f"{before}{call}{after}"]
    inner = ", ".join(map(str, call.arguments))
    if len(inner) <= width - 4:
        lines = [inner]
    else:
        lines = [line for argument in call.arguments for line in _argument_lines(argument, width)]
    return [f"{before}{call.function}(", *(f"    {line}" for line in lines), f"){after}"]


def _argument_lines(argument: str | Call, width: int) -> list[str]:
    if isinstance(argument, Call):
        return call_lines("", argument, ",", width - 4)
    return [f"{argument},"]


def module_text(
    name: str,
    docstring: Iterable[str],
    parameters: Iterable[str],
    constructor: Iterable[str],
    inputs: Iterable[str],
    forward: Iterable[str],
) -> str:
    """A module class. `inputs` are tensors where they do not say otherwise."""
    signature = ", ".join(["self", *parameters])
    tensors = ", ".join(["self", *(name if ":" in name else f"{name}: Tensor" for name in inputs)])
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


def output_lines(features: str, dropout: float, inputs: int, outputs: int) -> tuple[list[str], str]:
    """Of a module that ends with a linear map `output` of `features`, behind a dropout where there
    is one: what its constructor makes for them, and what it returns.
    """
    made = []
    if dropout:
        made.append(f"self.dropout = nn.Dropout({dropout})")
        features = f"self.dropout({features})"
    return [*made, f"self.output = nn.Linear({inputs}, {outputs})"], f"self.output({features})"


def _indented(lines: Iterable[str], level: int = 1) -> list[str]:
    indent = "    " * level
    return [indent + part if part else "" for line in lines for part in line.split("\n")]
