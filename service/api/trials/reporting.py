"""The report of a search, without loading all of its trials."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.engine.stages.baseline import BASELINE
from search.engine.stages.candidates import CANDIDATE
from service.api.trials.ranking import best_items
from service.sql.database import Sessions
from service.sql.dataset_facts import TenantDatasets
from service.sql.searches import SearchRepository
from service.sql.trials import Outcome, TrialRepository

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from search.request.dataset_facts import Lookup
    from search.results.comparison import Run
    from search.results.families import FamilyTrial
    from search.spec import SearchSpec
    from search.trial import Trial

REMEMBERED = 100

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Material:
    spec: SearchSpec
    outcomes: list[Outcome]
    presets: dict[int, str]
    retrained: list[tuple[Trial, list[Trial]]]
    finals: dict[int, list[Trial]]
    results: list[Trial]
    scored: list[tuple[dict[str, float], tuple[float, ...]]]
    floor: dict[str, float] | None
    of_families: list[FamilyTrial]
    ensemble: Document | None
    memory: list[Document]


@dataclass(frozen=True, slots=True)
class _Runs:
    """The fitness of every trial that counts, in the order of asking, by metric and goal."""

    dataset: str
    by_objective: Mapping[tuple[str, str], Run]


class Reports:
    """The items of `search.results.report.report`, one an objective, the rank correlations of
    `search.results.rank_correlation`, and how far the ranking can be trusted
    (`search.results.reliability`).

    A report takes a second of a core. They are worked out one at a time, with no connection held,
    and kept until something has ended in their search, be it a trial that had ended before.
    """

    def __init__(self, sessions: Sessions, store_url: str) -> None:
        self._sessions, self._store_url = sessions, store_url
        self._working = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Document] = OrderedDict()  # by search, last end

    def of(self, tenant_id: str, search_id: str) -> Document:
        """
        Raises:
            NotFoundError: the tenant has no such search.
        """
        key = search_id, self._last_end(tenant_id, search_id)
        with self._working:
            if key not in self._kept:
                lookup = TenantDatasets(self._sessions, tenant_id, self._store_url)
                self._kept[key] = _report(self._read(tenant_id, search_id), lookup)
            self._kept.move_to_end(key)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
            return {
                **self._judged(tenant_id, search_id),
                **self._kept[key],
                "supernets": self._supernets(tenant_id, search_id),
            }

    def differences(self, tenant_id: str, first_id: str, second_id: str) -> list[Document]:
        """Of two searches on the same data, for each objective that both have.

        Raises:
            NotFoundError: the tenant has no such searches.
        """
        first, second = (self._runs(tenant_id, search_id) for search_id in (first_id, second_id))
        if first.dataset != second.dataset:
            return []
        with self._working:
            return list(_differences(first.by_objective, second.by_objective))

    def _runs(self, tenant_id: str, search_id: str) -> _Runs:
        from search.request.read import stored_spec
        from search.results.report import column

        with self._sessions.read() as session:
            search = SearchRepository(session, tenant_id).get(search_id)
            outcomes = TrialRepository(session, tenant_id, search_id).outcomes()
            spec, dataset = stored_spec(search.spec), search.dataset_fingerprint
        scores = [o.fitness for o in outcomes if o.counts and o.kind == CANDIDATE.name]
        return _Runs(
            dataset,
            {(o.metric, o.goal): column(scores, index) for index, o in enumerate(spec.objectives)},
        )

    def _last_end(self, tenant_id: str, search_id: str) -> int:
        with self._sessions.read() as session:
            SearchRepository(session, tenant_id).check(search_id)
            return TrialRepository(session, tenant_id, search_id).last_end()

    def _judged(self, tenant_id: str, search_id: str) -> Document:
        """The verdict on the winner, and the simple models beside it."""
        from search.request.read import stored_spec
        from search.results.report import simple_verdict

        with self._sessions.read() as session:
            search = SearchRepository(session, tenant_id).get(search_id)
            items = best_items(search, TrialRepository(session, tenant_id, search_id))
            spec, simple = search.spec, list(search.simple or ())
        verdict = items[0]["verdict"] if items else None
        if verdict is None and simple:
            verdict = simple_verdict(stored_spec(spec), items, simple)
        return {"verdict": verdict, "simple": simple}

    def _supernets(self, tenant_id: str, search_id: str) -> list[Document]:
        """Always as they are now: their curves grow."""
        from search.results.supernets import course

        with self._sessions.read() as session:
            trials = TrialRepository(session, tenant_id, search_id)
            rows = trials.supernets()
            curves = trials.curves([row.number for row in rows])
            return [
                {
                    "trial": row.number,
                    "method": row.proposal["method"],
                    "state": row.state,
                    **course(
                        row.metrics,
                        [(p.epoch, p.metrics, p.derived) for p in curves.get(row.number, ())],
                        None if row.failure is None else row.failure["message"],
                        not row.state.has_ended,
                    ),
                }
                for row in rows
            ]

    def _read(self, tenant_id: str, search_id: str) -> _Material:
        from search.request.read import stored_spec
        from search.results.ensemble import told
        from search.results.importance import thinned
        from search.results.report import final_runs
        from service.sql.trial_rows import trial_of

        with self._sessions.read() as session:
            search = SearchRepository(session, tenant_id).get(search_id)
            trials = TrialRepository(session, tenant_id, search_id)
            outcomes = trials.outcomes()
            first = trials.first_of_baseline()
            spec = stored_spec(search.spec)
            presets = {} if first is None else dict(enumerate(spec.presets, first))
            numbers = [
                o.number
                for o in outcomes
                if o.fitness is not None and o.is_new and o.number not in presets
            ]
            results = [trial_of(row) for row in trials.of_numbers(thinned(numbers))]
            # A preset that the strategy had trained was answered from there, and so are its finals.
            handed_out = [trial_of(row) for row in trials.finals()]
            runs = final_runs(handed_out)
            chosen = [trial_of(row) for row in trials.of_numbers(list(runs))]
            retrained = [(trial, runs[trial.number]) for trial in chosen if trial.kind.competes]
            rows = trials.of_numbers(list(presets))
            finals = {
                row.number: next((runs[n] for n in (row.number, row.source) if n in runs), [])
                for row in rows
            }
            return _Material(
                spec,
                outcomes,
                presets,
                retrained,
                finals,
                results,
                trials.results(),
                search.floor,
                trials.of_families() if len(spec.families) > 1 else [],
                told(spec, handed_out),
                _memory(session, tenant_id, search_id) if spec.memory else [],
            )


def _memory(session: Session, tenant_id: str, search_id: str) -> list[Document]:
    """What is remembered, and how well it ranked the results."""
    from search.results.memory import of_memory
    from service.sql.memory import memory_of, summaries

    memory = memory_of(session, tenant_id, search_id)
    results = TrialRepository(session, tenant_id, search_id).identities()
    told = zip(summaries(memory), of_memory(memory, results), strict=True)
    return [{**summary, **judged} for summary, judged in told]


def _differences(
    first: Mapping[tuple[str, str], Run], second: Mapping[tuple[str, str], Run]
) -> Iterator[Document]:
    from search.results.comparison import paired_difference

    for metric, goal in sorted(first.keys() & second.keys()):
        difference = paired_difference(first[metric, goal], second[metric, goal])
        if difference is not None:
            yield {"metric": metric, "goal": goal, **difference}


def _report(material: _Material, lookup: Lookup) -> Document:
    from search.request.resolve import SpecError, reopen
    from search.results.families import by_family
    from search.results.importance import importance
    from search.results.rank_correlation import rank_correlations
    from search.results.report import report

    spec = material.spec
    counted = [outcome for outcome in material.outcomes if outcome.counts]
    strategy = [outcome.fitness for outcome in counted if outcome.kind == CANDIDATE.name]
    baseline = [
        outcome.fitness
        for outcome in counted
        if outcome.kind == BASELINE.name and outcome.number not in material.presets
    ]
    presets = [
        (material.presets[outcome.number], outcome.number, outcome.fitness)
        for outcome in material.outcomes
        if outcome.number in material.presets
    ]
    importances: list[dict[str, float]] = [{} for _ in spec.objectives]
    try:
        space = reopen(spec, lookup).space
        importances = [importance(space, material.results, i) for i in range(len(importances))]
    except SpecError:  # the dataset is not here any more
        pass
    return {
        "objectives": report(
            spec, strategy, baseline, presets, material.finals, importances, material.floor
        ),
        "rank_correlations": rank_correlations(material.scored),
        "reliability": _reliability(spec, material.retrained),
        "ensemble": material.ensemble,
        "memory": material.memory,
        "families": by_family(
            spec.objectives, spec.families if len(spec.families) > 1 else (), material.of_families
        ),
    }


def _reliability(spec: SearchSpec, retrained: list[tuple[Trial, list[Trial]]]) -> Document:
    """Of each objective that the finals score on validation."""
    from search.results.reliability import reliability

    found = {}
    for metric in (o.metric for o in spec.objectives if o.metric.startswith("val_")):
        scores = [
            (trial.metrics[metric], [run.metrics[metric] for run in runs if metric in run.metrics])
            for trial, runs in retrained
        ]
        if (known := reliability(scores)) is not None:
            found[metric] = known
    return found
