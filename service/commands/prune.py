"""`nasmith prune`: what has been kept long enough, and what nobody needs, goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.options import Json
from nasmith.commands.output import AwayError, UsageError, note, print_json, print_table
from service.commands.options import Home, database_is_needed, settings_of

if TYPE_CHECKING:
    from service.settings import ServiceSettings


def prune(
    older_than: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="DAYS", help="Since their search ended. [NASMITH_RETENTION_DAYS]"
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; else they are listed.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Remove bundles of searches that ended long ago, and files that nothing refers to.

    Searches, trials and scores stay; who asks for a bundle that was removed is told so (410).
    """
    settings = settings_of(home)
    if settings.database_file is not None and not settings.database_file.exists():
        raise UsageError(f"there is no database at {settings.database_file}")
    days = settings.retention_days if older_than is None else older_than
    with database_is_needed(settings):
        found = _pruned(settings, days, yes)
    if as_json:
        print_json(found)
        return
    rows = [
        [bundle["search"], bundle["trial"], bundle["tenant"], bundle["ended_at"], bundle["path"]]
        for bundle in found["bundles"]
    ]
    if rows:
        print_table(["search", "trial", "tenant", "ended", "bundle"], rows)
    for path in found["orphans"]:
        print(path)
    count, size = len(rows) + len(found["orphans"]), found["bundle_bytes"] / 2**20
    done = "Removed" if yes else "--yes removes"
    note(f"{done} {count} files, of bundles {size:.1f} MiB")
    if days is None:
        note("No bundle is old: --older-than or NASMITH_RETENTION_DAYS says how long they stay.")


def _pruned(settings: ServiceSettings, days: float | None, yes: bool) -> dict[str, Any]:
    """A row is marked before its file goes: what breaks off leaves a file that is an orphan."""
    from service.sql.database import connect
    from service.sql.retention import mark_removed, old_bundles
    from service.store.holds import is_held
    from service.store.orphans import find_orphans
    from service.store.store import Store

    sessions, store = connect(settings.database_url, connections=2), Store(settings.store_url)
    try:
        with sessions.read() as session:
            bundles = [] if days is None else old_bundles(session, days)
        orphans = find_orphans(sessions, store).files
        if yes:
            if is_held(store):
                raise AwayError("a backup is being made, and nothing is removed meanwhile")
            with sessions.begin() as session:
                mark_removed(session, bundles)
            store.remove([*(bundle.path for bundle in bundles), *orphans])
    finally:
        sessions.engine.dispose()
    return {
        "removed": yes,
        "bundles": [
            {
                "search": bundle.search_id,
                "trial": bundle.number,
                "tenant": bundle.tenant_id,
                "ended_at": bundle.ended_at.isoformat(timespec="seconds"),
                "path": bundle.path,
                "size_bytes": bundle.size_bytes,
            }
            for bundle in bundles
        ],
        "bundle_bytes": sum(bundle.size_bytes for bundle in bundles),
        "orphans": orphans,
    }
