"""Networks of several architectures in one file, in which every name is of one thing."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping, Sequence
from types import FunctionType

from models.ensemble import Averaged
from models.exporters.definitions import text_of, used_by, with_what_they_use
from models.family import Definition
from models.task import Task
from models.writing import module_text

NETWORK = "Network"


def joined(definitions: Sequence[Definition]) -> tuple[list[str], list[str]]:
    """The texts of all classes and functions, each before its users, and the name of the network of
    each definition. Equal definitions share one; of different things with one name the later ones
    get a number.
    """
    file, names = _File(), dict[tuple[object, str], str]()
    for definition in definitions:
        same = definition.classes, definition.text
        if same not in names:
            names[same] = file.add(definition)
    return file.parts, [names[one.classes, one.text] for one in definitions]


def averaged_text(names: Sequence[str], network: Averaged, task: Task) -> str:
    """The class of the whole network, whose members are of the classes of these names."""
    numbers = range(1, len(names) + 1)
    of_graph = task.graph is not None
    x = "graph" if of_graph else "x"
    shares = "[" + ", ".join(map(str, network.shares)) + "]"
    shape = "Graphs" if of_graph else f"(N, {', '.join(map(str, task.input_shape))})"
    return module_text(
        NETWORK,
        [
            f"The mean of {len(names)} networks.",
            "",
            "Shapes:",
            f"    {shape} -> as of each of them",
        ],
        [],
        [f"self.member_{number} = {name}()" for number, name in zip(numbers, names, strict=True)],
        ["graph: Graph" if of_graph else "x"],
        [
            "outputs = [",
            *(f"    self.member_{number}({x})," for number in numbers),
            "]",
            f"return {network.average.__name__}(outputs, {shares})",
        ],
    )


class _File:
    """The texts so far, and the names that are taken."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._names: dict[type | FunctionType, str] = {}
        self._taken = {NETWORK}

    def add(self, definition: Definition) -> str:
        """The name of its network."""
        for entry in with_what_they_use(definition.classes):
            if entry not in self._names:
                self._names[entry] = self._free(entry.__name__)
                names = self._own([*used_by(entry), entry])
                self.parts.append(renamed(text_of(entry), names))
        own = {name: self._free(name) for name in _defined(definition.text)}
        names = self._own(definition.classes) | own
        self.parts.append(renamed(definition.text, names))
        return own[NETWORK]

    def _own(self, entries: Sequence[type | FunctionType]) -> dict[str, str]:
        return {entry.__name__: self._names[entry] for entry in entries}

    def _free(self, name: str) -> str:
        """The name itself where nothing else has it."""
        numbered = (f"{name}{number}" for number in range(1 if name == NETWORK else 2, 1000))
        found = next(one for one in (name, *numbered) if one not in self._taken)
        self._taken.add(found)
        return found


def _defined(text: str) -> list[str]:
    """The names of the classes and functions of a module."""
    body = ast.parse(text).body
    return [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The source with other names; attributes and texts stay as they are."""
    lines = text.splitlines(keepends=True)
    changes: list[tuple[int, int, int, str]] = []
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = names.get(token.string, token.string)
        if token.type == tokenize.NAME and before != "." and name != token.string:
            (line, start), (_, end) = token.start, token.end
            changes.append((line - 1, start, end, name))
        before = token.string
    for line, start, end, name in reversed(changes):
        lines[line] = lines[line][:start] + name + lines[line][end:]
    return "".join(lines)
