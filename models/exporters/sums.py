"""`SHA256SUMS`: whether the files are whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from models.exporters import BundleError, Export, Turn, exporters

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle

SUMS = "SHA256SUMS"


@exporters.register("sums")
class Sums:
    files = (SUMS,)
    card = "`sha256sum -c SHA256SUMS` shows whether the files are whole"
    is_required = True
    turn = Turn.SUMS

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        write_sums(folder)

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It has the SHA-256 of every other file."""
        import hashlib

        sums = {}
        for line in (bundle.folder / "SHA256SUMS").read_text().splitlines():
            digest, _, name = line.partition("  ")
            sums[name] = digest
        for path in bundle.folder.iterdir():
            if path.name == "SHA256SUMS":
                continue
            if sums.pop(path.name, None) != hashlib.sha256(path.read_bytes()).hexdigest():
                raise ValueError(f"SHA256SUMS has another sum for {path.name}, or none")
        if sums:
            raise ValueError(f"SHA256SUMS lists {sorted(sums)}, which are not there")


def write_sums(directory: Path) -> None:
    """Write `SHA256SUMS` of every file in the folder, for `sha256sum -c`."""
    (directory / SUMS).write_text(_sums(directory))


def check_sums(directory: Path) -> None:
    """
    Raises:
        BundleError: a file is missing, unlisted, or not as it was written.
    """
    try:
        recorded = (directory / SUMS).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{directory} has no {SUMS}") from None
    actual = _sums(directory)
    if recorded == actual.encode():
        return
    differing = set(recorded.decode(errors="replace").splitlines()) ^ set(actual.splitlines())
    names = sorted({line.partition("  ")[2] for line in differing})
    raise BundleError(f"not as {SUMS} says: {', '.join(names)}")


def _sums(directory: Path) -> str:
    return "".join(f"{_sha256(path)}  {path.name}\n" for path in _files(directory))


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.name != SUMS)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
