"""From the name in a request to the facts that it is held against, for one tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.sql.database import Sessions
from service.sql.datasets import DatasetRepository
from service.sql.tables import Dataset
from service.sql.uploads import UploadRepository

if TYPE_CHECKING:
    from search.request.dataset_facts import DatasetFacts


class TenantDatasets:
    """A `search.request.dataset_facts.Lookup`: the tenant's own datasets, then those by name."""

    def __init__(self, sessions: Sessions, tenant_id: str, store_url: str) -> None:
        self._sessions, self._tenant_id, self._store_url = sessions, tenant_id, store_url

    def __call__(self, name: str) -> DatasetFacts:
        """
        Raises:
            models.registry.UnknownNameError: there is no such dataset; lists those that are.
            models.datasets.UnavailableDatasetError: its file is being read, or could not be.
        """
        from models.datasets import UnavailableDatasetError
        from models.registry import UnknownNameError
        from search.request.dataset_facts import named_facts

        with self._sessions.read() as session:
            upload = UploadRepository(session, self._tenant_id).find(name)
            repository = DatasetRepository(session, self._tenant_id)
            row = repository.find(name)
            own = [] if row is not None else repository.names()
        if row is not None:
            return facts_of(row, self._store_url)
        if upload is not None:
            why = "is being read; ask for it until it is ready"
            if upload.reason is not None:
                why = f"could not be read: {upload.reason}"
            raise UnavailableDatasetError(f"dataset {name!r} {why}")
        try:
            return named_facts(name)
        except UnknownNameError as error:
            raise UnknownNameError("dataset", name, [*own, *error.known]) from None


def baseline_of(facts: Mapping[str, Any]) -> dict[str, float] | None:
    """None where an older version had the errors of values in deviations."""
    known: dict[str, float] | None = facts.get("baseline")
    is_older = known is not None and "val_mse" in known and "val_rmse" not in known
    return None if is_older else known


def facts_of(row: Dataset, store_url: str) -> DatasetFacts:
    from models.datasets.reference import StoredDataset
    from models.remarks import Remark
    from models.task import Task
    from search.request.dataset_facts import DatasetFacts

    return DatasetFacts(
        None if row.facts["task"] is None else Task.from_json(row.facts["task"]),
        row.facts["samples"],
        row.fingerprint,
        StoredDataset(f"{store_url.rstrip('/')}/{row.path}", row.sha256),
        baseline_of(row.facts),
        [Remark.from_json(found) for found in row.facts.get("warnings", ())],
        row.facts.get("folds", ()),
    )
