"""Datasets as a search finds them: stored, and known by their facts."""

from __future__ import annotations

from pathlib import Path

from models.datasets import Dataset
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.storage import sha256_of_file
from models.training.baseline import baseline
from search.request.dataset_facts import DatasetFacts


def stored(dataset: Dataset, folder: Path) -> DatasetFacts:
    save(dataset, folder / "data")
    kept = StoredDataset(str(folder / "data"), sha256_of_file(folder / "data"))
    return DatasetFacts(
        dataset.task,
        dataset.sizes,
        dataset.fingerprint,
        kept,
        baseline(dataset, "val"),
        dataset.remarks,
        [len(fold.train) for fold in dataset.folds],
    )
