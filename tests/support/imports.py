"""Who imports whom, read from the sources: `python -m tests.support.imports [ROOT]` prints the
figures of each package.

A *room* of a package is a file or a folder directly in it. An *arrow* leads from a room to another
one of the same package that it imports, wherever in a file the import stands. A *circle* is a set
of rooms, or of files, each of which reaches all others. An arrow *back up* is one that has to be
left out, of as few as possible, so that no circle is left. *Floors* are the rooms on the longest
way down, a circle counted as one room. Imports under `TYPE_CHECKING` are left out of all of them:
they do not happen.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "search", "nasmith", "service", "migrations")

Graph = Mapping[str, set[str]]


@dataclass(frozen=True, slots=True)
class House:
    """The figures of a package."""

    files: int
    rooms: int
    floors: int
    arrows: int
    back_up: int
    circles: int


def modules(root: Path, package: str) -> dict[str, Path]:
    """Every file of a package by the name under which it is imported."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, package: tuple[str, ...], *, typing: bool = True) -> Iterator[str]:
    """The full names of all that a file of `package` imports, wherever in it: of a module, or of
    something that may be one. `typing`: with what only a type checker sees.
    """
    tree = ast.parse(source)
    unseen = set() if typing else _for_type_checkers(tree)
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _for_type_checkers(tree: ast.Module) -> set[ast.AST]:
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }


@cache
def imported_by(name: str, path: Path, *, typing: bool = True) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    package = parts if path.name == "__init__.py" else parts[:-1]
    return tuple(imported(path.read_text(encoding="utf-8"), package, typing=typing))


def files_graph(files: Mapping[str, Path], *, typing: bool = False) -> dict[str, set[str]]:
    """Which of the files imports which."""
    return {
        name: {_owner(other, files) for other in imported_by(name, path, typing=typing)}
        - {name, ""}
        for name, path in files.items()
    }


def _owner(name: str, files: Mapping[str, Path]) -> str:
    """The file that `name` is, or is in; empty: it is none of these."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name


def room(name: str) -> str:
    return ".".join(name.split(".")[:2])


def rooms_graph(package: str, files: Graph) -> dict[str, set[str]]:
    rooms: dict[str, set[str]] = {room(name): set() for name in files if name != package}
    for name, others in files.items():
        if name != package:
            rooms[room(name)] |= {room(o) for o in others if o != package} - {room(name)}
    return rooms


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of more than one node, by who reaches whom."""
    reach = {node: _reached(graph, node) for node in graph}
    found: dict[str, list[str]] = {}
    for node in sorted(graph):
        company = [other for other in sorted(reach[node]) if node in reach[other]]
        if company and company != [node]:
            found.setdefault(company[0], company)
    return list(found.values())


def _reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph[node]
    return seen


def back_up(graph: Graph) -> int:
    """The fewest arrows without which there is no circle, by trying; circles are small."""
    count = 0
    for company in circles(graph):
        inside = {node: graph[node] & set(company) for node in company}
        arrows = [(one, other) for one in inside for other in sorted(inside[one])]
        count += next(number for number in range(1, len(arrows)) if _breaks(inside, arrows, number))
    return count


def _breaks(graph: Graph, arrows: list[tuple[str, str]], number: int) -> bool:
    for left_out in combinations(arrows, number):
        kept = {node: {o for o in graph[node] if (node, o) not in left_out} for node in graph}
        if not circles(kept):
            return True
    return False


def floors(graph: Graph) -> int:
    home = {node: node for node in graph}
    for company in circles(graph):
        home |= dict.fromkeys(company, company[0])
    below: dict[str, set[str]] = {name: set() for name in home.values()}
    for node, others in graph.items():
        below[home[node]] |= {home[other] for other in others} - {home[node]}
    height: dict[str, int] = {}
    while len(height) < len(below):
        for name, others in below.items():
            if name not in height and others <= height.keys():
                height[name] = 1 + max((height[other] for other in others), default=0)
    return max(height.values(), default=0)


def house(root: Path, package: str) -> House:
    files = files_graph(modules(root, package))
    rooms = rooms_graph(package, files)
    return House(
        files=len(files),
        rooms=len(rooms),
        floors=floors(rooms),
        arrows=sum(map(len, rooms.values())),
        back_up=back_up(rooms),
        circles=len(circles(rooms)),
    )


def main(arguments: Iterable[str]) -> None:
    root = Path(next(iter(arguments), ROOT))
    for package in PACKAGES:
        if (root / package).is_dir():
            print(package, house(root, package))


if __name__ == "__main__":
    main(sys.argv[1:])
