"""How the house is built: which way imports run, and which parts stay light."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator

import pytest

from tests.support.imports import (
    PACKAGES,
    ROOT,
    back_up,
    circles,
    files_graph,
    floors,
    imported,
    imported_by,
    modules,
    rooms_graph,
)

ALLOWED = {
    "models": {"models"},
    "search": {"models", "search"},
    "nasmith": {"nasmith"},
    "service": {"models", "search", "nasmith", "service", "migrations"},
    "migrations": {"service", "migrations"},
}
WEB_AND_SQL = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "httpx2", "typer"}

FORBIDDEN = {
    "models": WEB_AND_SQL | {"ray"},
    "search": WEB_AND_SQL,
    "nasmith": {"torch", "ray", "fastapi", "starlette", "sqlalchemy", "uvicorn"},
    "service.refusals": {"fastapi", "starlette", "sqlalchemy", "uvicorn"},
    "service.sql": {"fastapi", "starlette", "uvicorn"},
    "service.store": {"fastapi", "starlette", "uvicorn"},
}
"""What the files under a name never import, wherever in them."""

WITH_RAY = ("search.engine", "service.running")

SERVICE = {
    "backoff": 0,
    "settings": 0,
    "home": 0,
    "logs": 0,
    "log_files": 0,
    "own_packages": 0,
    "identifiers": 0,
    "refusals": 0,
    "tracing": 1,
    "sql": 1,
    "store": 1,
    "webhooks": 1,
    "api": 2,
    "running": 2,
    "backup": 2,
    "server": 3,
    "commands": 4,
    "cli": 5,
}
"""The rooms of the service by floor; imports lead down. Those of one floor do not know each other,
but that the store asks SQL what is still in use.
"""


def is_in(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def imports_under(part: str) -> Iterator[tuple[str, str]]:
    """(file, what it imports) for every file under a name; those for type checkers included."""
    found = [
        (name, path)
        for name, path in modules(ROOT, part.split(".")[0]).items()
        if is_in(name, part)
    ]
    assert found, f"{part} has no Python files"
    for name, path in found:
        yield from ((name, other) for other in imported_by(name, path))


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_know_those_below_them(package: str) -> None:
    assert ALLOWED.keys() == set(PACKAGES)
    wrong = [
        f"{name} imports {other}"
        for name, other in imports_under(package)
        if other.split(".")[0] in ALLOWED.keys() - ALLOWED[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("part", FORBIDDEN)
def test_what_a_part_never_imports(part: str) -> None:
    wrong = [
        f"{name} imports {other}"
        for name, other in imports_under(part)
        if other.split(".")[0] in FORBIDDEN[part]
    ]
    assert wrong == []


def test_the_client_imports_what_its_distribution_names() -> None:
    project = tomllib.loads((ROOT / "nasmith" / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    named = {re.split("[^A-Za-z0-9_]", name)[0] for name in (*project["dependencies"], *extras)}
    known = {other.split(".")[0] for _, other in imports_under("nasmith")}
    assert known - sys.stdlib_module_names - {"nasmith"} == named


def test_ray_is_known_where_searches_run_and_nowhere_else() -> None:
    with_ray = {
        name
        for package in PACKAGES
        for name, other in imports_under(package)
        if is_in(other, "ray")
    }
    assert [name for name in with_ray if not any(is_in(name, part) for part in WITH_RAY)] == []
    assert {part for part in WITH_RAY for name in with_ray if is_in(name, part)} == set(WITH_RAY)


def test_the_rooms_of_the_service_know_those_below_them() -> None:
    """So the API and what runs searches never import each other, and what keeps knows neither."""
    files = files_graph(modules(ROOT, "service"), typing=True)
    rooms = {
        room.removeprefix("service."): {other.removeprefix("service.") for other in others}
        for room, others in rooms_graph("service", files).items()
    }
    assert rooms.keys() == SERVICE.keys(), "a new room of the service needs a floor"
    wrong = [
        f"{room} imports {other}"
        for room, others in rooms.items()
        for other in others
        if SERVICE[other] >= SERVICE[room] and (room, other) != ("store", "sql")
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside of functions count; those for type checkers alone do not happen."""
    files = {name: path for package in PACKAGES for name, path in modules(ROOT, package).items()}
    assert circles(files_graph(files)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_arrow_between_rooms_leads_back_up(package: str) -> None:
    rooms = rooms_graph(package, files_graph(modules(ROOT, package)))
    assert circles(rooms) == []


# the reading itself


def test_the_walk_sees_nested_and_relative_imports() -> None:
    source = (
        "def f():\n    from search.space import SearchSpace\n"
        "from ..service import app\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import ray.tune\n"
    )
    happens = {"search.space.SearchSpace", "models.service.app", "typing.TYPE_CHECKING"}
    assert set(imported(source, ("models", "families"))) == happens | {"ray.tune"}
    assert set(imported(source, ("models", "families"), typing=False)) == happens


def test_the_figures_of_a_small_house() -> None:
    """a -> b -> c -> b, d -> a: b and c are a circle on one floor of three, by one arrow."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == [["b", "c"]]
    assert (back_up(graph), floors(graph)) == (1, 3)
    whole = {"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}  # two ways round and three pairs
    assert (back_up(whole), floors(whole)) == (3, 1)
