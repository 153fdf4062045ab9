"""Whether the packages that would be imported are the server's own.

They have names that other people use too. A `models.py` on the path, or another distribution with a
`search`, would have the server say ready, take searches and never run one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import FileHash, PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

DISTRIBUTION = "nasmith-server"
PACKAGES = ("models", "search", "service", "migrations")
_HOME = Path(__file__).resolve().parents[1]


class ForeignPackageError(RuntimeError):
    """A package of the server would be imported from somebody else."""


def refuse_foreign_packages() -> None:
    """
    Raises:
        ForeignPackageError: names each, where it is, and where it should be.
    """
    found = [f"{name} is {where}" for name, where in foreign_packages()]
    if found:
        raise ForeignPackageError(
            f"{'; '.join(found)}, and not that of the server in {_HOME}. Is there a folder too "
            "many in PYTHONPATH, or another distribution with such a package in this environment?"
        )


def foreign_packages() -> Iterator[tuple[str, str]]:
    """(name, what would be imported) of every package that is not the one beside `service`, or
    that another distribution has written over.
    """
    installed = _installed_files()
    for name in PACKAGES:
        spec, file = find_spec(name), _HOME / name / "__init__.py"
        if spec is None or spec.origin is None:  # a folder without __init__.py has no origin
            yield name, "missing"
        elif Path(spec.origin).resolve() != file:
            yield name, spec.origin
        elif name in installed and not _has(file, installed[name]):
            yield name, f"{file} of another distribution"


def _installed_files() -> Mapping[str, FileHash]:
    """What the distribution put where each package begins; empty where it links to a checkout."""
    try:
        found = {str(path): path.hash for path in files(DISTRIBUTION) or ()}
    except PackageNotFoundError:
        return {}
    of_packages = {name: found.get(f"{name}/__init__.py") for name in PACKAGES}
    return {name: recorded for name, recorded in of_packages.items() if recorded}


def _has(file: Path, recorded: FileHash) -> bool:
    digest = hashlib.new(recorded.mode, file.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=") == recorded.value
