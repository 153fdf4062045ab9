"""Would a search that is posted now run? Asked of each part that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from models.processes.names import is_gone
from service.sql.database import Sessions, is_migrated
from service.sql.dispatchers import NOBODY, Alive, Dispatchers
from service.sql.outages import is_outage
from service.store.store import Store, StoreError

RAY = "Ray: "
"""How an obstacle of a dispatcher begins that is not its own."""


class Part(BaseModel):
    name: Literal["database", "migrations", "store", "dispatcher", "ray"]
    status: Literal["ok", "missing", "unknown"] = Field(
        description="unknown: what would tell is missing itself"
    )
    detail: str | None = Field(None, description="what is wrong")


def examine(sessions: Sessions, store: Store) -> list[Part]:
    """Every part as it is now."""
    database, migrations, *running = _database(sessions)
    return [database, migrations, _store(store), *running]


def _database(sessions: Sessions) -> list[Part]:
    """What the database can tell: of itself, its schema, dispatchers and Ray."""
    database = Part(name="database", status="ok")
    try:
        with sessions.read() as session:
            is_current = is_migrated(session.connection())
        alive = Dispatchers(sessions).alive(is_gone) if is_current else []
    except SQLAlchemyError as error:
        if not is_outage(error):
            raise
        database = Part(name="database", status="missing", detail="it cannot be reached")
        return [database, Part(name="migrations", status="unknown"), *_UNKNOWN]
    if not is_current:
        detail = "it has another schema than this version needs: `nasmith migrate`"
        return [database, Part(name="migrations", status="missing", detail=detail), *_UNKNOWN]
    return [database, Part(name="migrations", status="ok"), *_running(alive)]


_UNKNOWN = (Part(name="dispatcher", status="unknown"), Part(name="ray", status="unknown"))


def _running(alive: Sequence[Alive]) -> list[Part]:
    if not alive:
        detail = NOBODY.removeprefix("a dispatcher: ")
        return [
            Part(name="dispatcher", status="missing", detail=detail),
            Part(name="ray", status="unknown"),
        ]
    obstacles = [dispatcher.obstacle for dispatcher in alive]
    obstacle = None if None in obstacles else obstacles[0]
    is_ray = obstacle is not None and obstacle.startswith(RAY)
    dispatcher = Part(name="dispatcher", status="ok")
    ray = Part(name="ray", status="ok")
    if obstacle is not None and is_ray:
        ray = Part(name="ray", status="missing", detail=obstacle.removeprefix(RAY))
    elif obstacle is not None:
        dispatcher = Part(name="dispatcher", status="missing", detail=f"it waits for {obstacle}")
    return [dispatcher, ray]


def _store(store: Store) -> Part:
    try:
        store.check()
    except StoreError as error:
        return Part(name="store", status="missing", detail=str(error))
    return Part(name="store", status="ok")
