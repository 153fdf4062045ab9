"""What a person would try first, one a file: simple models beside which every search is reported.

They are fitted on the train split, as networks are, and scored on validation and test by the same
metrics; nothing about them is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from models.datasets import Dataset
from models.registry import Registry
from models.training.baseline import Predictor, scored


class SimpleModel(Protocol):
    """`tasks`: of the datasets that it fits, by `Task.name`."""

    tasks: frozenset[str]

    def fit(self, dataset: Dataset) -> Predictor:
        """On the train split."""


simple_models: Registry[SimpleModel] = Registry("simple model", __name__)


@dataclass(frozen=True, slots=True)
class SimpleResult:
    """`validation` and `test`: metrics with their prefixes; `seconds`: of fitting. `failure`: why
    there is no result, as of one class alone in the train split; else None.
    """

    name: str
    validation: Mapping[str, float]
    test: Mapping[str, float]
    seconds: float
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def simple_results(dataset: Dataset) -> Sequence[SimpleResult]:
    """Of each model for the task, by name. One that cannot be fitted says why.

    On one thread: others compute on this machine, and threads of OpenMP that wait for each other
    were measured to take thirty times as long there.
    """
    with threadpool_limits(1):
        return [
            _result(name, model, dataset)
            for name, model in simple_models.items()
            if dataset.task.name in model.tasks
        ]


def _result(name: str, model: SimpleModel, dataset: Dataset) -> SimpleResult:
    started = time.perf_counter()
    try:
        predict = model.fit(dataset)
        seconds = time.perf_counter() - started
        validation = scored(dataset, dataset.validation, predict, "val")
        test = scored(dataset, dataset.test, predict, "test")
    except Exception as error:  # of this model alone: a search is not held up by it
        failure = f"{type(error).__name__}: {error}"[:500]
        return SimpleResult(name, {}, {}, time.perf_counter() - started, failure)
    return SimpleResult(name, validation, test, seconds)
