"""Artifacts in SQL. Every query names the tenant that asks."""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from service.sql.tables import Artifact, Trial

BUNDLE = "bundle"


class ArtifactRepository:
    def __init__(self, session: Session, tenant_id: str) -> None:
        self._session, self._tenant_id = session, tenant_id

    def bundles(self, search_id: str) -> dict[int, Artifact]:
        """The bundles of a search by trial: by the final run whose weights they hold, and by the
        candidate that it retrained.
        """
        rows = self._session.execute(
            select(Artifact, Trial.source)
            .join(
                Trial,
                and_(Trial.search_id == Artifact.search_id, Trial.number == Artifact.number),
            )
            .where(
                Artifact.search_id == search_id,
                Artifact.tenant_id == self._tenant_id,
                Artifact.kind == BUNDLE,
            )
            .order_by(Artifact.number)
        )
        found: dict[int, Artifact] = {}
        for artifact, source in rows:
            found[artifact.number] = artifact
            if source is not None:
                found.setdefault(source, artifact)
        return found
