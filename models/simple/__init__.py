"""What a person would try first, one a file: simple models beside which every search is reported.

They are fitted on the train split, as networks are, and scored on validation and test by the same
metrics; nothing about them is chosen on validation. Of a large train split they are fitted on a
part, which the result says: nobody waits minutes for what stands beside a search.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import torch
from threadpoolctl import threadpool_limits

from models.datasets import Dataset, Split
from models.registry import Registry
from models.training.baseline import Predictor, scored

MOST_VALUES, LEAST_SAMPLES = 10_000_000, 1_000
"""Of the samples that simple models are fitted on: 12,755 pictures of 28 x 28, 200,000 rows of 50
columns; and no fewer samples, however large.
"""


class SimpleModel(Protocol):
    """`tasks`: of the datasets that it fits, by `Task.name`."""

    tasks: frozenset[str]

    def fit(self, dataset: Dataset, until: float) -> Predictor:
        """On the train split. `until`: by `time.perf_counter`, when one that is trained step by
        step ends with what it has; others take the seconds that they need.
        """


simple_models: Registry[SimpleModel] = Registry("simple model", __name__)


@dataclass(frozen=True, slots=True)
class SimpleResult:
    """`samples`: of the train split that it was fitted on. `validation` and `test`: metrics with
    their prefixes; `seconds`: of fitting. `failure`: why there is no result, as of one class alone
    in the train split; else None.
    """

    name: str
    samples: int
    validation: Mapping[str, float]
    test: Mapping[str, float]
    seconds: float
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def simple_results(dataset: Dataset, seconds: float = math.inf) -> Sequence[SimpleResult]:
    """Of each model for the task, by name. One that cannot be fitted says why, and so does one that
    would begin after so many seconds.

    On one thread: others compute on this machine, and threads of OpenMP that wait for each other
    were measured to take thirty times as long there.
    """
    dataset, until = replace(dataset, train=_some(dataset.train)), time.perf_counter() + seconds
    with threadpool_limits(1):
        return [
            _result(name, model, dataset, until)
            for name, model in simple_models.items()
            if dataset.task.name in model.tasks
        ]


def _some(train: Split) -> Split:
    """The samples to fit on: all, or as many as may be, at even distances."""
    most = max(MOST_VALUES * len(train) // max(_values(train), 1), LEAST_SAMPLES)
    if len(train) <= most:
        return train
    chosen = torch.arange(most) * len(train) // most
    return Split(train.x.index_select(0, chosen), train.y.index_select(0, chosen))


def _values(train: Split) -> int:
    return train.x.numel() if isinstance(train.x, torch.Tensor) else 0


def _result(name: str, model: SimpleModel, dataset: Dataset, until: float) -> SimpleResult:
    started, samples = time.perf_counter(), len(dataset.train)
    if started >= until:
        return SimpleResult(name, samples, {}, {}, 0.0, "no time of the budget was left for it")
    try:
        predict = model.fit(dataset, until)
        seconds = time.perf_counter() - started
        validation = scored(dataset, dataset.validation, predict, "val")
        test = scored(dataset, dataset.test, predict, "test")
    except Exception as error:  # of this model alone: a search is not held up by it
        failure = f"{type(error).__name__}: {error}"[:500]
        return SimpleResult(name, samples, {}, {}, time.perf_counter() - started, failure)
    return SimpleResult(name, samples, validation, test, seconds)
