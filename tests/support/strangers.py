"""A folder whose modules have the names of our packages, and tell when they are imported."""

from __future__ import annotations

from pathlib import Path

FILES = ("models.py", "search.py", "service/__init__.py", "migrations/__init__.py")
LOG = "imported"


def strange_folder(folder: Path) -> Path:
    """Made with all four modules. Each, when imported, says so in a log and ends the process."""
    for name in FILES:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"import sys\nopen({str(folder / LOG)!r}, 'a').write(__name__ + ' ')\n"
            "sys.exit(f'{__name__} of somebody else')\n"
        )
    return folder


def imported_strangers(folder: Path) -> list[str]:
    log = folder / LOG
    return log.read_text().split() if log.exists() else []
