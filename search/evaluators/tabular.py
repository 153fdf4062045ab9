"""Tabular benchmarks: results are looked up in a table (`models.datasets.tables`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from models.architecture import Architecture
from models.datasets.reference import DatasetReference, load_content
from models.datasets.tables import COSTS, SCORES, Column, KnownResults, TableError, read_table
from models.family import InfeasibleError
from search.evaluation import EvaluationError, Measurement
from search.space import SearchSpace
from search.spaces import TABLE
from search.trial import Candidate, FailureKind, Trial

__all__ = ["SCORES", "Table", "TableError", "TableEvaluator"]


class Table:
    """Architectures `{"family": "table", "decisions": {dimension: option}}` and their results.

    Rows that agree in every column, a cost among them, are one architecture that was measured once
    and listed under each of its encodings: NAS-Bench-Graph has 26,205 such groups in 59,040 rows.
    Isomorphic architectures that were measured apart, as those of NAS-Bench-201, differ in their
    columns and are one each: a table does not say what its options mean.
    """

    def __init__(self, results: KnownResults) -> None:
        self.name, self.decisions = results.name, results.decisions
        self._codes, self._columns = results.codes, results.columns
        self._rows = {code.tobytes(): row for row, code in enumerate(self._codes)}
        self._representatives = self._first_equals()
        self._indices = [
            {option: index for index, option in enumerate(decision.domain.values())}
            for decision in self.decisions
        ]

    @classmethod
    def load(cls, file: Path | BinaryIO, name: str = "") -> Self:
        """
        Raises:
            TableError: not an `.npz`, or not a table.
            OSError: the file cannot be read.
        """
        return cls(read_table(file, name or (file.stem if isinstance(file, Path) else "")))

    def __len__(self) -> int:
        """Rows, each an encoding of an architecture."""
        return len(self._codes)

    @property
    def distinct(self) -> int:
        """Distinct architectures."""
        return len(np.unique(self._representatives))

    def space(self) -> SearchSpace:
        """Architectures alone: there is nothing to train."""
        return SearchSpace(TABLE, self.decisions, self.canonical)

    @property
    def columns(self) -> Mapping[str, Column]:
        """All values of each column, row by row."""
        return MappingProxyType(dict(self._columns))

    def row(self, architecture: Architecture) -> int | None:
        """The row of a point of the space; None where the combination is infeasible."""
        code = [
            indices[architecture.decisions[decision.name]]
            for decision, indices in zip(self.decisions, self._indices, strict=True)
        ]
        return self._rows.get(np.array(code, dtype=np.int16).tobytes())

    def canonical(self, architecture: Architecture) -> Architecture:
        """The first encoding of the same architecture."""
        row = self.row(architecture)
        if row is None or self._representatives[row] == row:
            return architecture
        return Architecture(
            TABLE,
            {
                decision.name: decision.domain.values()[index]
                for decision, index in zip(
                    self.decisions, self._codes[self._representatives[row]], strict=True
                )
            },
        )

    def _first_equals(self) -> NDArray[np.intp]:
        """The first row that agrees in every column, for each row."""
        if not any(name in self._columns for name in COSTS):  # equal scores are often chance
            return np.arange(len(self))
        values = np.stack(list(self._columns.values()), axis=1)
        _, first, groups = np.unique(values, axis=0, return_index=True, return_inverse=True)
        rows: NDArray[np.intp] = first[groups.ravel()]
        return rows

    def visible(self, row: int) -> dict[str, float]:
        """What a search may see of a row."""
        return {name: float(self._columns[name][row]) for name in self.metrics}

    @property
    def metrics(self) -> list[str]:
        """The columns that a search may see."""
        return [name for name in ("search_score", *COSTS) if name in self._columns]

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """Parameters, FLOPs and latency, where the table has them.

        Raises:
            InfeasibleError: the table has no such row.
        """
        row = self.row(candidate.architecture)
        if row is None:
            raise InfeasibleError("", f"{self.name} has no row of this combination")
        return {name: value for name, value in self.visible(row).items() if name in COSTS}


@lru_cache(2)
def load_table(reference: DatasetReference) -> Table:
    """
    Raises:
        TypeError: the dataset is to train on, and no table.
        models.datasets.reference.DamagedDatasetError: it is not what was stored.
    """
    content = load_content(reference)
    if not isinstance(content, KnownResults):
        raise TypeError(f"{content.name} is a dataset to train on, and no table")
    return Table(content)


class TableEvaluator:
    """Looks results up; the final score is for final trials, which no strategy is told of."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        """One epoch that gives the whole row.

        Raises:
            EvaluationError: INFEASIBLE where the table has no such row.
        """
        row = self._table.row(trial.candidate.architecture)
        if row is None:
            message = f"{self._table.name} has no row of this combination"
            raise EvaluationError(FailureKind.INFEASIBLE, message)
        metrics = self._table.visible(row)
        if trial.kind.sees_test:
            metrics["final_score"] = float(self._table.columns["final_score"][row])
        yield Measurement(metrics)
