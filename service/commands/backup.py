"""Commands that keep what a service has: backup, restore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasmith.commands.options import Json
from nasmith.commands.output import UsageError, note, print_json
from service.commands.options import Home, database_is_needed, settings_of

if TYPE_CHECKING:
    from service.settings import ServiceSettings

_SHOWN = 20


def backup(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write all searches, datasets, keys and bundles to a file, while the server runs.

    Who has the file has everything but the keys themselves, of which there are hashes alone.
    """
    settings = settings_of(home)
    from service.backup.making import make_backup

    with _told(settings):
        if settings.database_file is not None and not settings.database_file.exists():
            raise UsageError(f"there is no database at {settings.database_file}")
        report = make_backup(settings, file)
    if as_json:
        print_json({"file": str(file), **asdict(report)})
        return
    print(file)
    note(f"{report.searches} searches, {report.files} files, {report.size_bytes / 2**20:.1f} MiB")
    _tell_missing(report.missing)


def restore(
    file: Annotated[Path, typer.Argument(help="Of `nasmith backup`.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Fill an empty home, or an empty database and store, from a backup.

    Of either kind of database into either. Searches that were running go on when a server starts.
    """
    settings = settings_of(home)
    from service.backup.restoring import restore_backup

    with _told(settings):
        contents = restore_backup(settings, file)
    if as_json:
        print_json({"home": str(settings.home), **asdict(contents)})
        return
    print(settings.home)
    note(f"As it was at {contents.created_at}. `nasmith serve` goes on from there.")
    note("API keys are good as they were; `nasmith admin-key` writes a new one where none is left.")
    _tell_missing(contents.missing)


def _tell_missing(paths: list[str]) -> None:
    for path in paths[:_SHOWN]:
        note(f"nasmith: {path} was not in the store; who asks for it is told so (410)")
    if len(paths) > _SHOWN:
        note(f"nasmith: and {len(paths) - _SHOWN} more, see --json")


@contextmanager
def _told(settings: ServiceSettings) -> Iterator[None]:
    from service.backup.archive import BackupError

    try:
        with database_is_needed(settings):
            yield
    except BackupError as error:
        raise UsageError(str(error)) from None
