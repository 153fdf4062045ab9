"""A search whose results are looked up in a table of known ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.settings import Settings
from search.evaluation import Evaluator
from search.evaluators.tabular import SCORES, Table, TableEvaluator
from search.objectives import Objective
from search.problems import SpecProblem, problem, shown
from search.request.dataset_facts import DatasetFacts
from search.request.read import Draft
from search.space import SearchSpace
from search.spaces import TABLE, TableSettings
from search.spec import SIMPLE, SearchSpec
from search.strategy import ScoredSettings
from search.trial import Candidate

FINAL: Mapping[str, Any] = {"seeds": 1, "epochs": None, "patience": None, "data": "train"}
"""A look at the score that no strategy sees: one an architecture, without training."""


@dataclass(frozen=True, slots=True)
class Tabular:
    """Implements `search.request.source.Source`."""

    dataset: DatasetFacts
    table: Table

    @property
    def trains(self) -> bool:
        return False

    @property
    def metrics(self) -> Sequence[str]:
        return self.table.metrics

    def defaults(self, draft: Draft[SearchSpec]) -> Draft[SearchSpec]:
        spec = draft.spec
        if draft.has("space") and spec.space is None:
            draft = draft.filled(space=TableSettings(family=TABLE))
        if draft.has("baselines") and spec.baselines == (SIMPLE,):  # of which a table has none
            draft = draft.filled(baselines=())
        open_fields = FINAL.keys() - spec.final.model_fields_set
        return draft.filled(
            objectives=tuple(
                objective.towards("maximize" if objective.metric in SCORES else "minimize")
                for objective in spec.objectives
            )
            or (Objective(metric=SCORES[0]),),
            final=spec.final.model_copy(update={name: FINAL[name] for name in open_fields}),
        )

    def name(self, spec: SearchSpec) -> str:
        return f"{spec.dataset}-{spec.strategy.name}"

    def problems(self, draft: Draft[SearchSpec]) -> Iterator[SpecProblem]:
        spec = draft.spec
        if draft.has("space") and spec.families != (TABLE,):
            got = " and ".join(map(shown, spec.families))
            where = ("space",) if len(spec.families) > 1 else ("space", "family")
            yield problem(f"must be {shown(TABLE)}, as the dataset is, got {got}", *where)
        if draft.has("training"):
            training: Settings = spec.training
            for name in sorted(training.model_fields_set):
                yield problem("a table has nothing to train: leave it out", "training", name)
        if draft.has("final"):
            for name, value in FINAL.items():
                if (given := getattr(spec.final, name)) != value:
                    message = f"must be {shown(value)}: nothing is trained, got {shown(given)}"
                    yield problem(message, "final", name)
        if draft.has("strategy"):
            if isinstance(spec.strategy, ScoredSettings) and spec.strategy.proxies:
                yield problem("a table has no networks to score", "strategy", "proxies")
        if draft.has("proxies") and spec.proxies:
            yield problem("a table has no networks to score", "proxies")
        if draft.has("ensemble") and spec.ensemble is not None:
            yield problem("a table has no networks to put together", "ensemble")
        if draft.has("baselines") and spec.baselines:
            yield problem("a table has no networks to train", "baselines")

    def space(self, spec: SearchSpec) -> SearchSpace:
        return self.table.space()

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """Parameters, FLOPs and latency, where the table has them."""
        return self.table.cost(candidate)

    def work(
        self, spec: SearchSpec, space: SearchSpace, trials: int, finals: int
    ) -> tuple[float, float | None]:
        return 0.0, None

    def steps(self, spec: SearchSpec) -> float | None:
        return None

    def evaluator(self, spec: SearchSpec, checkpoints: str) -> Callable[[], Evaluator]:
        return functools.partial(TableEvaluator, self.table)
