"""Uploaded datasets in SQL. Every query names the tenant that asks."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.refusals import NotFoundError, ProblemError
from service.sql.states import ENDED
from service.sql.tables import Dataset, Search


class DatasetRepository:
    def __init__(self, session: Session, tenant_id: str) -> None:
        self._session, self._tenant_id = session, tenant_id

    def find(self, name: str, *, lock: bool = False) -> Dataset | None:
        query = select(Dataset).where(Dataset.tenant_id == self._tenant_id, Dataset.name == name)
        return self._session.scalar(query.with_for_update() if lock else query)

    def get(self, name: str, *, lock: bool = False) -> Dataset:
        """
        Raises:
            NotFoundError: the tenant has uploaded no such dataset.
        """
        dataset = self.find(name, lock=lock)
        if dataset is None:
            raise NotFoundError("dataset", name)
        return dataset

    def names(self) -> list[str]:
        return list(
            self._session.scalars(
                select(Dataset.name)
                .where(Dataset.tenant_id == self._tenant_id)
                .order_by(Dataset.name)
                .limit(100)
            )
        )

    def after(self, name: str, number: int) -> Sequence[Dataset]:
        """The first datasets whose names come after `name`, by name."""
        return self._session.scalars(
            select(Dataset)
            .where(Dataset.tenant_id == self._tenant_id, Dataset.name > name)
            .order_by(Dataset.name)
            .limit(number)
        ).all()

    def hold(self, name: str, fingerprint: str) -> None:
        """Keep a dataset from being deleted until the transaction ends.

        Raises:
            NotFoundError: it has been deleted, or is no longer what it was.
        """
        held = self._session.scalar(
            select(Dataset.fingerprint)
            .where(Dataset.tenant_id == self._tenant_id, Dataset.name == name)
            .with_for_update(read=True)
        )
        if held != fingerprint:
            raise NotFoundError("dataset", name)

    def delete(self, name: str) -> str:
        """Delete a dataset that no search needs; the path of its file, which is to be removed when
        the transaction has committed.

        Raises:
            NotFoundError: the tenant has uploaded no such dataset.
            ProblemError: 409, a search that has not ended uses it.
        """
        dataset = self.get(name, lock=True)
        user = self._session.scalar(
            select(Search.id)
            .where(
                Search.tenant_id == self._tenant_id,
                Search.state.not_in([state.value for state in ENDED]),
                Search.dataset == name,
            )
            .limit(1)
        )
        if user is not None:
            raise ProblemError(
                409,
                f"dataset {name!r} is in use by {user}, which has not ended; cancel it or wait",
                search=user,
            )
        self._session.delete(dataset)
        return dataset.path
