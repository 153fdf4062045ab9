"""Bundles that have been kept long enough, in SQL, of all tenants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import Session

from service.sql.states import ENDED
from service.sql.tables import Artifact, Search


@dataclass(frozen=True, slots=True)
class OldBundle:
    search_id: str
    number: int
    tenant_id: str
    path: str
    size_bytes: int
    ended_at: datetime


def old_bundles(session: Session, days: float) -> list[OldBundle]:
    """Of searches that ended longer ago, the oldest first."""
    rows = session.execute(
        select(
            Artifact.search_id,
            Artifact.number,
            Artifact.tenant_id,
            Artifact.path,
            Artifact.size_bytes,
            Search.ended_at,
        )
        .join(Search, Search.id == Artifact.search_id)
        .where(
            Artifact.removed_at.is_(None),
            Search.state.in_(ENDED),
            Search.ended_at < datetime.now(UTC) - timedelta(days=days),
        )
        .order_by(Search.ended_at, Artifact.search_id, Artifact.number)
    )
    return [
        OldBundle(search_id, number, tenant_id, path, size_bytes, ended_at)
        for search_id, number, tenant_id, path, size_bytes, ended_at in rows
        if ended_at is not None
    ]


def mark_removed(session: Session, bundles: Sequence[OldBundle]) -> None:
    """Their rows stay, and say since when there is no file."""
    for bundle in bundles:
        key = tuple_(Artifact.search_id, Artifact.number) == (bundle.search_id, bundle.number)
        session.execute(update(Artifact).where(key).values(removed_at=datetime.now(UTC)))
