"""`nasmith version`: of what is installed here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

import typer

from nasmith.commands.options import Json
from nasmith.commands.output import print_json

SHOWN = ("nasmith", "nasmith-server", "torch", "ray", "fastapi", "SQLAlchemy")


def version(as_json: Json = False) -> None:
    """Print the version; as JSON, with those of the server and of what it builds on."""
    if as_json:
        print_json({"python": platform.python_version(), **installed(*SHOWN)})
    else:
        print(version_of("nasmith"))


def print_and_exit(is_asked: bool) -> None:
    """What `--version` does."""
    if is_asked:
        print(version_of("nasmith"))
        raise typer.Exit


def installed(*names: str) -> dict[str, str]:
    """The versions of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            continue
    return found
