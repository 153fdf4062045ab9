"""models <- search <- service: imports run in one direction, and light parts stay light."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "models": {"models"},
    "search": {"models", "search"},
    "service": {"models", "search", "service", "migrations"},
    "migrations": {"service", "migrations"},
}
WEB_AND_SQL = {"fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "httpx2", "typer"}
FORBIDDEN = {"models": WEB_AND_SQL | {"ray"}, "search": WEB_AND_SQL}


def imported(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """The full names of all modules that a file of `package` imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *([node.module] if node.module else [])])


def imported_by(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    return imported(path.read_text(encoding="utf-8"), package)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_run_in_one_direction(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"{package} has no Python files"
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported_by(path)
        if (name.split(".")[0] in ALLOWED and name.split(".")[0] not in ALLOWED[package])
        or name.split(".")[0] in FORBIDDEN.get(package, set())
    ]
    assert wrong == []


def test_the_api_does_not_import_ray() -> None:
    """Ray belongs to the engine and to the driver; everything else of the service is without."""
    with_ray = {
        str(path.relative_to(ROOT))
        for package in ("models", "search", "service")
        for path in (ROOT / package).rglob("*.py")
        if any(name.split(".")[0] == "ray" for name in imported_by(path))
    }
    assert not {
        path for path in with_ray if path.startswith(("models/", "service/api", "service/sql"))
    }


def test_the_walk_sees_nested_and_relative_imports() -> None:
    source = "def f():\n    from search.space import SearchSpace\nfrom ..service import app\n"
    assert set(imported(source, ("models", "families"))) == {"search.space", "models.service"}
