"""A downloaded bundle: unpacked into a directory only if every file is whole and stays inside."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from nasmith.errors import NasmithError
from nasmith.owned_folder import owned_folder, put_aside

CHECKSUMS = "SHA256SUMS"
_MAX_ENTRIES = 1000
_MAX_RATIO = 200  # weights do not compress; only a bomb goes beyond


class BundleError(NasmithError):
    """The bundle is damaged, incomplete, or names files outside of its directory."""


def save_bundle(chunks: Iterable[bytes], directory: Path, *, overwrite: bool = False) -> Path:
    """Unpack a zip that comes in chunks. The directory appears at once, when all is checked.

    Raises:
        FileExistsError: the directory has something in it and `overwrite` is off.
        BundleError: see the class. Nothing is left behind.
    """
    directory = directory.absolute()
    _refuse_existing(directory, overwrite)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with owned_folder(directory) as temporary:
        archive, unpacked = temporary / "bundle.zip", temporary / "bundle"
        with archive.open("wb") as file:
            file.writelines(chunks)
        unpack(archive, unpacked)
        verify_checksums(unpacked)
        unpacked.chmod(0o755)
        if directory.exists():
            _refuse_existing(directory, overwrite)
            put_aside(directory, temporary)
        os.replace(unpacked, directory)
    return directory


def unpack(archive: Path, directory: Path) -> None:
    """
    Raises:
        BundleError: no zip, or an entry that is a link, absolute, climbs out, comes twice, or
            unpacks to far more than it holds.
    """
    directory.mkdir()
    try:
        with zipfile.ZipFile(archive) as bundle:
            entries = [entry for entry in bundle.infolist() if not entry.is_dir()]
            if len(entries) > _MAX_ENTRIES:
                raise BundleError(f"a bundle has at most {_MAX_ENTRIES} files, got {len(entries)}")
            for entry in entries:
                target = directory / _inside(entry)
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(entry) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
    except FileExistsError as error:
        raise BundleError(f"the bundle holds {error.filename!r} twice") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise BundleError(f"the bundle is no whole zip: {error}") from None


def verify_checksums(directory: Path) -> None:
    """Hold every file to SHA256SUMS, and SHA256SUMS to every file.

    Raises:
        BundleError: names the file that differs, is missing or is not listed.
    """
    sums = directory / CHECKSUMS
    if not sums.is_file():
        raise BundleError(f"the bundle has no {CHECKSUMS}")
    expected: dict[str, str] = {}
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        expected[name.removeprefix("./")] = digest
    files = {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    } - {CHECKSUMS}
    if missing := sorted(set(expected) - files):
        raise BundleError(f"the bundle lacks {', '.join(missing)}")
    if unlisted := sorted(files - set(expected)):
        raise BundleError(f"{CHECKSUMS} does not list {', '.join(unlisted)}")
    for name, digest in expected.items():
        with (directory / name).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != digest:
            raise BundleError(f"{name} is damaged: its SHA-256 is {actual}, listed is {digest}")


def _inside(entry: zipfile.ZipInfo) -> PurePosixPath:
    """The relative path of an entry that may be written."""
    path = PurePosixPath(entry.filename)
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or any(character in entry.filename for character in "\\:\0")
    ):
        raise BundleError(f"the bundle names {entry.filename!r}, outside of its directory")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise BundleError(f"the bundle holds the link {entry.filename!r}")
    if entry.file_size > _MAX_RATIO * max(entry.compress_size, 1024):
        raise BundleError(f"{entry.filename!r} unpacks to {entry.file_size} bytes: a zip bomb")
    return path


def _refuse_existing(directory: Path, overwrite: bool) -> None:
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise FileExistsError(f"{directory} exists and is no directory")
    if directory.is_dir() and any(directory.iterdir()):
        if not overwrite:
            raise FileExistsError(f"{directory} is not empty")
        if not (directory / CHECKSUMS).is_file():
            raise FileExistsError(f"{directory} holds something else than a bundle: not replaced")
