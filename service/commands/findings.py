"""What `nasmith doctor` finds out about the service: its settings, its store, its dispatcher."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from service.settings import ServiceSettings

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` says what to do where it is not ok."""

    check: str
    status: Status
    message: str
    advice: str = ""


def variables() -> Finding:
    """Of the environment, those that look like ours."""
    from service.settings import unknown_variables

    unknown = unknown_variables(os.environ)
    meant = {variable.nearest for variable in unknown if variable.nearest is not None}
    names = ", ".join(variable.name for variable in unknown)
    if meant:
        advice = f"Is {', '.join(sorted(meant))} meant?"
        return Finding("variables", "fail", f"there is no {names}", advice)
    if unknown:
        return Finding("variables", "warn", f"no settings of Nasmith, and ignored: {names}")
    return Finding("variables", "ok", "every NASMITH_... is known")


def admin_key(settings: ServiceSettings) -> Finding:
    """No wall stands around trials: what they run has the rights of who started the server."""
    file = settings.admin_key
    if not os.access(file, os.R_OK):
        return Finding("admin-key", "ok", f"no key of an admin can be read at {file}")
    return Finding(
        "admin-key",
        "warn",
        f"what a trial runs can read the key of an admin in {file}",
        "Keep the key elsewhere and remove the file, which nobody needs again; or have it where "
        "the API alone reads: NASMITH_ADMIN_KEY_FILE.",
    )


def store(settings: ServiceSettings) -> Finding:
    from service.store.store import Store, StoreError

    try:
        Store(settings.store_url).probe()
    except StoreError as error:
        return Finding("store", "fail", str(error), "Is NASMITH_STORE_URL right?")
    return Finding("store", "ok", "it can be reached and written")


def leftovers(settings: ServiceSettings) -> Finding:
    """Files that nothing refers to, and what refers to nothing."""
    from service.sql.database import connect, is_migrated
    from service.store.orphans import find_orphans
    from service.store.store import Store

    unused = Finding("leftovers", "ok", "nothing is stored")
    file = settings.database_file
    if file is not None and not file.exists():
        return unused
    sessions = connect(settings.database_url, connections=2)
    try:
        with sessions.connect() as connection:
            if not is_migrated(connection):
                return unused
        found = find_orphans(sessions, Store(settings.store_url))
    finally:
        sessions.engine.dispose()
    if not found:
        return Finding("leftovers", "ok", "every file has its row, every row its file")
    said = [_some("files that nothing refers to", found.files)] if found.files else []
    said += [_some("files that are not in the store", found.missing)] if found.missing else []
    said += [
        f"{count} rows of {table} without the row they need" for table, count in found.rows.items()
    ]
    advice = "`nasmith prune --yes` removes files that nothing refers to" if found.files else ""
    if found.missing:
        advice += f"{'; p' if advice else 'P'}ut missing ones back, or delete what names them"
    return Finding("leftovers", "warn", "; ".join(said), f"{advice}." if advice else "")


def _some(what: str, paths: list[str]) -> str:
    return f"{len(paths)} {what} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})"


def traces(settings: ServiceSettings) -> Finding:
    from service.tracing import is_answered

    url = settings.otel_endpoint
    if not url:
        return Finding("traces", "ok", "not asked for")
    if is_answered(url):
        return Finding("traces", "ok", "something listens at the collector's address")
    advice = "Is NASMITH_OTEL_ENDPOINT right? Searches run without it."
    return Finding("traces", "warn", "nothing listens at the collector's address", advice)


def dispatcher(settings: ServiceSettings) -> Finding:
    """Where a server of this home runs, something has to run its searches."""
    from models.processes.names import is_gone
    from service.sql.database import connect, is_migrated
    from service.sql.dispatchers import Dispatchers

    unused = Finding("dispatcher", "ok", "no server runs here, so none is needed")
    file = settings.database_file
    if file is not None and not file.exists():
        return unused
    sessions = connect(settings.database_url)
    try:
        with sessions.connect() as connection:
            if not is_migrated(connection):
                return unused
        alive = Dispatchers(sessions).alive(is_gone)
    finally:
        sessions.engine.dispose()
    if any(found.obstacle is None for found in alive):
        return Finding("dispatcher", "ok", f"{len(alive)} alive")
    if alive:
        return Finding("dispatcher", "warn", f"it waits for {alive[0].obstacle}")
    from service.server.port_file import served_url

    url = served_url(settings.home)
    if url is None:
        return unused
    advice = "`nasmith dispatch` starts one; `nasmith serve` has one of its own."
    return Finding("dispatcher", "fail", f"none is alive, and {url} takes searches", advice)
