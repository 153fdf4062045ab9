"""Zero-cost scores in a search: as its suggestions, as a filter, and beside the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from models.datasets.reference import load_dataset
from models.family import InfeasibleError
from models.proxies import Batch, proxies
from models.training.initialization import build
from search.engine.journal import MemoryJournal, TrialEnded, TrialStarted
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stage import Given
from search.engine.stages.candidates import CANDIDATE
from search.request.resolve import SpecError, resolve
from search.request.screening import Screening
from search.results.rank_correlation import rank_correlations
from search.space import SearchSpace
from search.spec import SearchSpec
from search.strategy import Strategy, strategies
from search.streams import SearchPurpose, rng_for, seed_for
from search.trial import Candidate, FailureKind, Trial, TrialState
from tests.search.support.spaces import Scored, letters, share_of_a, spec_of

SPACE = letters(5)


def count_a(candidate: Candidate) -> Mapping[str, float]:
    """A proxy in closed form; no network of the letters may have more than three b."""
    values = list(candidate.architecture.decisions.values())
    if values.count("b") > 3:
        raise InfeasibleError("d0", "too many b")
    return {"synflow": -math.inf if "c" not in values else float(values.count("a"))}


def no_cost(candidate: Candidate) -> dict[str, float]:
    raise AssertionError("nobody limits the cost, so nobody counts it")


def strategy_of(spec: SearchSpec, space: SearchSpace = SPACE) -> Strategy:
    return strategies[spec.strategy.name](space, spec.strategy, spec.seed)


def screened(spec: SearchSpec) -> Screening:
    return Screening(spec, SPACE, no_cost, count_a)


def run_of(spec: SearchSpec, journal: MemoryJournal) -> SearchRun:
    screening = screened(spec)
    return SearchRun(
        spec,
        SPACE,
        strategy_of(spec),
        journal,
        no_cost,
        suggestions=screening.suggestions,
        screen=screening,
    )


def proxy(**settings: Any) -> SearchSpec:
    return spec_of(
        12,
        proxies=[{"name": "synflow", **settings}],
        strategy={"name": "regularized_evolution", "population_size": 4},
    )


def sample(spec: SearchSpec, draws: int) -> list[tuple[float, Candidate]]:
    """The distinct networks that can be built, with their scores."""
    found: dict[str, tuple[float, Candidate]] = {}
    for draw in range(draws):
        candidate = SPACE.sample(rng_for(spec.seed, SearchPurpose.SCREENING, draw))
        try:
            score = count_a(candidate)["synflow"]
        except InfeasibleError:
            continue
        found.setdefault(candidate.architecture.key, (score, candidate))
    return list(found.values())


def test_the_best_of_the_sample_are_tried_first_and_the_strategy_is_told() -> None:
    spec = proxy(samples=40, top=6)
    ranked = sorted(sample(spec, 40), key=lambda pair: -pair[0])
    journal = MemoryJournal()
    run_serial(run_of(spec, journal), Scored(share_of_a))
    trials = run_of(spec, journal).trials
    assert [trial.candidate for trial in trials[:6]] == [candidate for _, candidate in ranked[:6]]
    assert [trial.origin for trial in trials[:7]] == ["proxy:synflow"] * 6 + [None]
    assert sum(trial.costs_budget for trial in trials) == 12
    told = strategy_of(spec)
    for trial in trials[:6]:
        told.tell(trial)
    assert trials[6].candidate == told.ask(6, ())  # a mutation of the best, not a sample
    for trial in trials:
        if trial.kind is CANDIDATE and trial.state is TrialState.COMPLETED:
            score = count_a(trial.candidate)["synflow"]
            assert trial.metrics.get("synflow", -math.inf) == score


def test_suggestions_go_on_after_a_crash_and_a_replay_proves_it() -> None:
    spec = proxy(samples=40, top=6)
    whole = MemoryJournal()
    run_serial(run_of(spec, whole), Scored(share_of_a))
    events = whole.history()
    for length in range(0, len(events), 3):
        journal = MemoryJournal()
        for event in events[:length]:
            journal.append(event)
        run_serial(run_of(spec, journal), Scored(share_of_a))
        assert [plain(event.trial) for event in journal.history()] == [
            plain(event.trial) for event in events
        ]
    found = screened(spec).suggestions()
    proof = replay(Given(spec, SPACE, strategy_of(spec), lambda: found), events)
    asked = [event for event in events if isinstance(event, TrialStarted)]
    assert proof.is_same and proof.asks == len(asked)
    others = [found[1], found[0], *found[2:5]]
    other = replay(Given(spec, SPACE, strategy_of(spec), lambda: others), events)
    assert [difference.number for difference in other.differences] == [0, 1, 5]


def plain(trial: Trial) -> Trial:
    return replace(trial, seconds=0.0)


def test_suggestions_are_worked_out_once_and_only_where_they_are_needed() -> None:
    spec = proxy(samples=40, top=2)
    calls: list[int] = []

    def suggestions() -> Any:
        calls.append(1)
        return screened(spec).suggestions()

    journal = MemoryJournal()
    for _ in range(2):
        run = SearchRun(spec, SPACE, strategy_of(spec), journal, no_cost, suggestions)
        run.prepare()
        run_serial(run, Scored(share_of_a))
    assert calls == [1]


def test_a_filter_refuses_what_scores_below_the_sample_and_costs_no_budget() -> None:
    spec = proxy(use="filter", samples=60, quantile=0.5)
    scores = sorted(score for score, _ in sample(spec, 60))
    least = scores[len(scores) // 2]
    assert math.isfinite(least)
    journal, evaluator = MemoryJournal(), Scored(share_of_a)
    run_serial(run_of(spec, journal), evaluator)
    assert all(count_a(trial.candidate)["synflow"] >= least for trial in evaluator.seen)
    ended = [event.trial for event in journal.history() if isinstance(event, TrialEnded)]
    refused = [trial for trial in ended if trial.state is TrialState.FAILED]
    assert refused and not any(trial.costs_budget for trial in refused)
    for trial in refused:
        assert trial.failure is not None and trial.failure.kind is FailureKind.INFEASIBLE
        if "too many b" not in trial.failure.message:
            assert trial.metrics.get("synflow", -math.inf) < least
            assert f"below {least:g}, the 0.5 quantile" in trial.failure.message
    assert sum(trial.costs_budget for trial in ended) == 12


def test_the_scores_of_a_search_are_those_of_its_networks() -> None:
    resolved = resolve(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell", "topology": "nasbench201", "channels": 4},
            "strategy": {"name": "random"},
            "proxies": [
                {"name": "naswot", "samples": 6, "top": 2},
                *({"name": name, "use": "report"} for name in proxies if name != "naswot"),
            ],
        }
    )
    screening = Screening.of(resolved)
    assert screening is not None
    batch = Batch.of(
        load_dataset("digits"), seed_for(resolved.spec.seed, SearchPurpose.PROXY_BATCH)
    )
    task = load_dataset("digits").task
    first, second = screening.suggestions()
    for suggestion in (first, second):
        candidate = suggestion.candidate
        scores = screening.scores(candidate)
        network = build(candidate.architecture, task, candidate.recipe, resolved.spec.seed)
        assert scores == {name: proxies[name](network, batch) for name in proxies}
        cost = resolved.cost(candidate)
        assert {name: scores[name] for name in cost} == cost
    assert (
        screening.scores(first.candidate)["naswot"] >= screening.scores(second.candidate)["naswot"]
    )


def test_a_search_without_proxies_has_no_screening() -> None:
    body = {"dataset": "digits", "space": {"family": "cnn_cell"}, "strategy": {"name": "random"}}
    assert Screening.of(resolve(body)) is None


@pytest.mark.parametrize(
    ("given", "pointer", "message"),
    [
        ([{"name": "magic"}], "/proxies/0/name", 'unknown proxy "magic", known are flops, grad'),
        ([{"name": "snip"}, {"name": "snip"}], "/proxies", "each proxy is named once"),
        ([{"name": "snip", "quantile": 1}], "/proxies/0/quantile", "got 1"),
        ([{"name": "snip", "usage": "filter"}], "/proxies/0/usage", "known are name, use, samples"),
    ],
)
def test_proxies_that_make_no_sense_are_refused(given: Any, pointer: str, message: str) -> None:
    body = {"dataset": "digits", "space": {"family": "cnn_cell"}, "strategy": {"name": "random"}}
    with pytest.raises(SpecError) as refused:
        resolve({**body, "proxies": given})
    (problem,) = refused.value.problems
    assert problem.pointer == pointer and message in problem.message


def test_rank_correlations_of_known_orders() -> None:
    """Of 1 2 3 4 against 1 2 4 3: rho = 1 - 6 * 2 / (4 * 15), tau = (5 - 1) / 6."""
    rows = [
        ({"synflow": score, "parameters": 7.0, "val_accuracy": 0.5}, (fitness, -9.0))
        for score, fitness in ((1.0, 0.1), (2.0, 0.2), (3.0, 0.4), (4.0, 0.3))
    ]
    rows += [({"snip": 1.0}, (0.1, 0.0)), ({"snip": 2.0}, (0.2, 0.0))]
    assert rank_correlations(rows) == {
        "synflow": {
            "spearman": pytest.approx(0.8),
            "kendall": pytest.approx(2 / 3),
            "trials": 4,
        }
    }
