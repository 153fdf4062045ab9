"""What a request is held against: a dataset without its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from models.datasets import datasets
from models.datasets.reference import DatasetReference
from models.remarks import Remark
from models.task import Task
from models.training.baseline import baseline


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """`task` is None for a table of known results. `reference` is what workers load it by.

    baseline: what knows nothing scores on validation; it lacks a metric that is not defined there.
        None: unknown, as of a table and of what older versions stored.
    remarks: what the dataset tells of itself.
    fold_sizes: samples that each fold trains on; empty where a trial is one training.
    """

    task: Task | None
    sizes: Mapping[str, int]
    fingerprint: str
    reference: DatasetReference
    baseline: Mapping[str, float] | None = None
    remarks: Sequence[Remark] = ()
    fold_sizes: Sequence[int] = ()

    @property
    def networks_per_trial(self) -> int:
        """What a candidate is scored by the mean of."""
        return max(1, len(self.fold_sizes))


Lookup = Callable[[str], DatasetFacts]
"""By name. Raises `models.registry.UnknownNameError`, whose `known` are the names that exist, or
`models.datasets.UnavailableDatasetError`.
"""


@cache
def named_facts(name: str) -> DatasetFacts:
    """Of a dataset that Nasmith knows by name.

    Raises:
        models.registry.UnknownNameError: no such dataset.
        models.datasets.UnavailableDatasetError: it cannot be downloaded now.
    """
    dataset = datasets[name].load()
    known = baseline(dataset, "val")
    return DatasetFacts(
        dataset.task,
        dataset.sizes,
        dataset.fingerprint,
        name,
        known,
        fold_sizes=[len(fold.train) for fold in dataset.folds],
    )
