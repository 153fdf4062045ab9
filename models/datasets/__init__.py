"""Data for training: one source or format a file.

A dataset is split once into train, validation and test; the split is part of its fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from models.datasets.raw_files import RawFiles
from models.graph_samples import Graphs, Nodes
from models.plugins import require
from models.registry import Registry
from models.remarks import Column, Remark
from models.task import TASK_NAMES, Task

Samples = Tensor | Nodes | Graphs
"""They have a length, slices, `index_select` and `to`; what those give, a network takes."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Split:
    """Preprocessed samples, in memory or mapped into it; views may overlap, so nobody writes.

    Shapes:
        x: (N, *task.input_shape) float32; int64 token ids of a text task, 0 after its end
            tables: (N, features), numbers standardised, categories one-hot
            images: (N, C, H, W); series and sequences: (N, T, channels); texts: (N, T)
            graphs: N nodes of one graph, or N graphs
        y: (N,) int64 class index; (N, outputs) float32, standardised, of a regression or a
            forecast; (N, length) int64 of a language model, the token after each of x
    """

    x: Samples
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def joined(self, other: Split) -> Split:
        """These samples, then the others, of the same kind."""
        return Split(_joined(self.x, other.x), torch.cat([self.y, other.y]))


def _joined(x: Samples, other: Samples) -> Samples:
    if isinstance(x, Tensor) and isinstance(other, Tensor):
        return torch.cat([x, other])
    if isinstance(x, Nodes) and isinstance(other, Nodes):
        return x.joined(other)
    if isinstance(x, Graphs) and isinstance(other, Graphs):
        return x.joined(other)
    raise TypeError(f"cannot join {type(x).__name__} with {type(other).__name__}")


@dataclass(frozen=True, slots=True, eq=False)
class RawGraphs:
    """Graphs as a user has them: the tensors that `datasets.graphs.preprocess` takes, by name.

    Shapes:
        y: (N,) of the nodes or graphs that are asked for
    """

    x: Mapping[str, Tensor]
    y: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Train and validation of a dataset, cut anew; `preprocessing` is fitted on this train part
    alone, and gives the network the same shape. `numbers`: as `Dataset.numbers`.
    """

    train: Split
    validation: Split
    preprocessing: Mapping[str, Any]
    numbers: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The texts of a dataset cut into other tokens; what it has is as `Dataset` has it."""

    task: Task
    train: Split
    validation: Split
    test: Split
    preprocessing: Mapping[str, Any]
    unlabelled: Tensor | None = None
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """`preprocessing` is the JSON with which a bundle turns raw samples into the network's input;
    it is fitted on the train split alone. `raw_test` holds the raw samples of the test split, as a
    user has them, for the check of a bundle.

    `fingerprint`: SHA-256 of the content and of the split.

    `unlabelled`: more samples of the train split, whose labels nobody knows, or None; what is
    fitted on the train split is fitted on them too. Pretraining alone looks at them.

    `folds`: where a candidate is scored by the mean over several cuts of train and validation,
    those cuts; else empty. Models that are handed out are trained on `train`.

    `raw_rows`: of a table, of texts in one, or of series, the cells of the test split by column, as
    they stood in the file. `raw_files`: of pictures, sequences and graphs, the files that have it.
    `numbers`: of its columns that are numbers, as they stand in the file, by split; NaN where one
    is missing. `columns` and `remarks`: what the dataset tells of itself (`models.remarks`).
    `readings`: of texts to be classified, by kind of token, those beside its own.

    Shapes:
        unlabelled: (M, *task.input_shape), as `Split.x`
        numbers: (N, columns) float64 each
    """

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split
    raw_test: Split | RawGraphs
    preprocessing: Mapping[str, Any]
    fingerprint: str
    unlabelled: Tensor | None = None
    raw_rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    raw_files: RawFiles | None = None
    numbers: Mapping[str, Tensor] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    remarks: tuple[Remark, ...] = ()
    folds: tuple[Fold, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)

    def read_as(self, tokens: str) -> Dataset:
        """The same texts cut into `tokens`; itself for `dataset`, which are its own.

        Raises:
            ValueError: it has no such tokens.
        """
        if tokens == "dataset" or self.preprocessing.get("tokens") == f"unicode_{tokens}":
            return self
        if tokens not in self.readings:
            known = ", ".join(self.readings) or "none"
            raise ValueError(f"{self.name} has no {tokens}; beside its own tokens it has {known}")
        found = self.readings[tokens]
        return replace(
            self,
            task=found.task,
            train=found.train,
            validation=found.validation,
            test=found.test,
            raw_test=found.test,
            preprocessing=found.preprocessing,
            unlabelled=found.unlabelled,
            folds=found.folds,
            readings={},
        )

    def in_fold(self, fold: Fold) -> Dataset:
        """The same with another train and validation split; the test split is not of its form."""
        return replace(
            self,
            train=fold.train,
            validation=fold.validation,
            preprocessing=fold.preprocessing,
            numbers={**self.numbers, **fold.numbers},
            folds=(),
            readings={},
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Samples per split, and those without a label where there are some."""
        sizes = {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
        }
        return sizes if self.unlabelled is None else sizes | {"unlabelled": len(self.unlabelled)}

    @property
    def labelled_sizes(self) -> tuple[int, int, int]:
        """Samples of train, validation and test."""
        return len(self.train), len(self.validation), len(self.test)


class UnavailableDatasetError(RuntimeError):
    """The dataset is known by name and cannot be had now; the message says what to do instead."""


class DatasetSource(Protocol):
    """A dataset known by name."""

    task_name: str
    description: str

    def load(self) -> Dataset: ...


def _check(entry: Any) -> None:
    require(entry, "task_name", "description", "load")
    if entry.task_name not in TASK_NAMES:
        known = ", ".join(TASK_NAMES)
        raise ValueError(f"{entry!r} is for the task {entry.task_name!r}, known are {known}")


datasets: Registry[DatasetSource] = Registry(
    "dataset",
    __name__,
    plugins="nasmith.datasets",
    check=_check,
)
