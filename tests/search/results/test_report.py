"""What a search reports, and that the test split has no say in it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.objectives import fitness
from search.results.report import best, choose_final, simple_verdict
from search.spec import SearchSpec
from search.trial import Candidate, Trial, TrialState


def spec(**changes: Any) -> SearchSpec:
    body = {
        "dataset": "digits",
        "space": {"family": "cnn_cell"},
        "strategy": {"name": "random"},
        "objectives": [{"metric": "val_accuracy"}],
        "final": {"top": 2, "seeds": 3},
    }
    return SearchSpec.model_validate(body | changes)


def candidate(number: int, of: SearchSpec, **metrics: float) -> Trial:
    architecture = Architecture("cnn_cell", {"channels": 8 + number})
    return Trial(
        number,
        CANDIDATE,
        Candidate(architecture, Recipe()),
        TrialState.COMPLETED,
        architecture_key=architecture.key,
        metrics=metrics,
        fitness=fitness(metrics, of.objectives),
    )


def final(number: int, source: Trial, seed: int, **metrics: float) -> Trial:
    return Trial(
        number,
        FINAL,
        source.proposal,
        TrialState.COMPLETED,
        seed=seed,
        metrics=metrics,
        source=source.number,
    )


def with_test_metrics_of(trials: list[Trial], others: list[Mapping[str, float]]) -> list[Trial]:
    return [
        replace(t, metrics={**t.metrics, **{n: v for n, v in m.items() if n.startswith("test_")}})
        for t, m in zip(trials, others, strict=True)
    ]


def test_before_the_end_the_best_so_far_has_no_final_metrics() -> None:
    of = spec()
    trials = [candidate(n, of, val_accuracy=a) for n, a in enumerate((0.5, 0.9, 0.7))]
    items = best(of, trials)
    assert [item["trial"] for item in items] == [1, 2]
    assert items[0] == {
        "trial": 1,
        "architecture": trials[1].candidate.architecture.to_json(),
        "search_metrics": {"val_accuracy": 0.9},
        "ensemble": None,
        "final_metrics": None,
        "baseline": None,
        "verdict": None,
    }
    assert best(of, []) == []


def test_the_winner_has_the_best_mean_final_validation_score() -> None:
    of = spec()
    lucky, steady = candidate(0, of, val_accuracy=0.95), candidate(1, of, val_accuracy=0.94)
    runs = [
        final(2, lucky, 1, val_accuracy=0.99, test_accuracy=0.99),
        final(3, lucky, 2, val_accuracy=0.80, test_accuracy=0.98),
        final(4, steady, 1, val_accuracy=0.91, test_accuracy=0.50),
        final(5, steady, 2, val_accuracy=0.92, test_accuracy=0.51),
    ]
    items = best(of, [lucky, steady, *runs])
    assert [item["trial"] for item in items] == [1, 0]
    score = items[0]["final_metrics"]["val_accuracy"]
    assert score["mean"] == pytest.approx(np.mean([0.91, 0.92]))
    assert score["std"] == pytest.approx(np.std([0.91, 0.92], ddof=1))
    assert score["seeds"] == 2
    assert items[0]["final_metrics"]["test_accuracy"]["mean"] == pytest.approx(0.505)


def test_a_winner_that_is_no_better_than_what_knows_nothing_is_called_so() -> None:
    of = spec()
    first = candidate(0, of, val_accuracy=0.7, val_loss=0.5)
    floor = {"val_accuracy": 0.6, "val_loss": 0.9}
    (item,) = best(of, [first], floor)
    assert item["baseline"] == floor and item["verdict"] is None
    (item,) = best(of, [first], {"val_accuracy": 0.7})
    assert item["verdict"] == (
        "No better than the baseline: val_accuracy is 0.7, what knows nothing of the inputs "
        "has 0.7."
    )
    runs = [final(1, first, 0, val_accuracy=0.5), final(2, first, 1, val_accuracy=0.6)]
    (item,) = best(of, [first, *runs], floor)
    assert item["verdict"].startswith("No better than the baseline: val_accuracy is 0.55, what")
    folded = candidate(0, of, val_accuracy=0.7, val_accuracy_std=0.1, val_loss=0.5)
    (item,) = best(of, [folded, final(1, folded, 0, val_accuracy=0.5)], floor)
    assert item["verdict"] is None, "the floor is a mean over folds, as the score of the search is"
    (item,) = best(of, [first])
    assert item["baseline"] is None and item["verdict"] is None
    by_loss = spec(objectives=[{"metric": "val_loss", "goal": "minimize"}])
    (item,) = best(by_loss, [first], {"val_accuracy": 0.8})
    assert item["verdict"].startswith("No better than the baseline: val_accuracy is 0.7"), (
        "a loss of another kind has no floor, and the task's own metric stands for it"
    )
    by_cost = spec(objectives=[{"metric": "parameters", "goal": "minimize"}])
    (item,) = best(by_cost, [candidate(0, by_cost, parameters=5, val_accuracy=0.1)], floor)
    assert item["verdict"] is None, "nothing is cheaper than nothing"


def test_one_seed_has_no_spread() -> None:
    of = spec()
    source = candidate(0, of, val_accuracy=0.9)
    items = best(of, [source, final(1, source, 1, val_accuracy=0.8, epoch=9)])
    assert items[0]["final_metrics"] == {"val_accuracy": {"mean": 0.8, "std": 0.0, "seeds": 1}}


def test_without_validation_in_the_final_stage_the_search_score_decides() -> None:
    of = spec(final={"top": 2, "seeds": 2, "data": "train+val"})
    first, second = candidate(0, of, val_accuracy=0.8), candidate(1, of, val_accuracy=0.9)
    runs = [
        final(2, first, 1, test_accuracy=0.99, train_loss=0.0),
        final(3, first, 2, test_accuracy=0.99, train_loss=0.0),
        final(4, second, 2, test_accuracy=0.10, train_loss=9.0),
        final(5, second, 1, test_accuracy=0.20, train_loss=9.0),
    ]
    assert [item["trial"] for item in best(of, [first, second, *runs])] == [1, 0]
    chosen = choose_final(of, runs[2:])
    assert chosen is not None and chosen.seed == 1


def test_candidates_without_a_completed_final_run_follow() -> None:
    of = spec()
    first, second = candidate(0, of, val_accuracy=0.9), candidate(1, of, val_accuracy=0.8)
    lost = replace(final(2, first, 1, val_accuracy=0.99), state=TrialState.FAILED)
    items = best(of, [first, second, lost, final(3, second, 1, val_accuracy=0.7)])
    assert [item["trial"] for item in items] == [1, 0]
    assert items[1]["final_metrics"] is None
    assert choose_final(of, [lost]) is None


def test_only_completed_trials_inside_the_constraints_can_win() -> None:
    of = spec(constraints=[{"metric": "latency_ms", "max": 5}])
    slow = candidate(0, of, val_accuracy=0.99, latency_ms=7.0)
    pruned = replace(candidate(1, of, val_accuracy=0.98), state=TrialState.PRUNED)
    good = candidate(2, of, val_accuracy=0.9, latency_ms=1.0)
    copy = replace(good, number=3, state=TrialState.CACHED, source=2)
    failed = replace(good, number=4, state=TrialState.FAILED, fitness=None)
    items = best(of, [slow, pruned, copy, failed, good])
    assert [item["trial"] for item in items] == [2]


def test_several_objectives_give_the_whole_pareto_set() -> None:
    of = spec(
        objectives=[
            {"metric": "val_accuracy"},
            {"metric": "parameters", "goal": "minimize"},
        ],
        final={"top": 1},
    )
    points = [(0.9, 100.0), (0.8, 10.0), (0.85, 200.0), (0.7, 5.0)]  # the third is dominated
    trials = [candidate(n, of, val_accuracy=a, parameters=p) for n, (a, p) in enumerate(points)]
    assert [item["trial"] for item in best(of, trials)] == [0, 1, 3]


def test_the_weights_handed_out_are_those_with_the_best_validation_score() -> None:
    of = spec()
    source = candidate(0, of, val_accuracy=0.9)
    runs = [
        final(1, source, 1, val_accuracy=0.8, test_accuracy=1.0),
        final(3, source, 3, val_accuracy=0.9, test_accuracy=0.1),
        final(2, source, 2, val_accuracy=0.9, test_accuracy=0.2),
    ]
    assert choose_final(of, runs) == runs[2]  # the earlier seed among equals


def test_an_objective_of_costs_leaves_the_choice_of_weights_to_the_validation_loss() -> None:
    of = spec(objectives=[{"metric": "parameters", "goal": "minimize"}])
    source = candidate(0, of, parameters=10.0)
    runs = [
        final(n, source, n, parameters=10.0, val_loss=loss, test_loss=-loss)
        for n, loss in enumerate((0.5, 0.3, 0.4), start=1)
    ]
    assert choose_final(of, runs) == runs[1]


@pytest.mark.parametrize("data", ["train", "train+val"])
@given(seed=st.integers(0, 10_000))
def test_permuting_the_test_metrics_changes_no_choice(data: str, seed: int) -> None:
    rng = random.Random(seed)
    of = spec(final={"top": 4, "seeds": 3, "data": data})
    sources = [candidate(n, of, val_accuracy=rng.random()) for n in range(6)]
    runs = []
    for index, source in enumerate(sources):
        for k in range(3):
            metrics = {"test_accuracy": rng.random(), "test_loss": rng.random()}
            if data == "train":
                metrics["val_accuracy"] = rng.random()
            runs.append(final(6 + 3 * index + k, source, 1 + k, **metrics))
    metrics = [run.metrics for run in runs]
    rng.shuffle(metrics)
    permuted = with_test_metrics_of(runs, metrics)
    order = [item["trial"] for item in best(of, sources + runs)]
    assert order == [item["trial"] for item in best(of, sources + permuted)]
    for start in range(0, len(runs), 3):
        first = choose_final(of, runs[start : start + 3])
        second = choose_final(of, permuted[start : start + 3])
        assert first is not None and second is not None and first.number == second.number


def simple(name: str, **metrics: float) -> dict[str, Any]:
    validation = {n: v for n, v in metrics.items() if n.startswith("val_")}
    return {"name": name, "validation": validation, "test": {}, "seconds": 1.0, "failure": None}


def test_a_simple_model_that_is_as_good_is_said_first() -> None:
    of = spec()
    first = candidate(0, of, val_accuracy=0.95)
    runs = [final(1 + seed, first, seed, val_accuracy=a) for seed, a in enumerate((0.88, 0.92))]
    items = best(of, [first, *runs])  # 0.9 in mean, whatever the search had seen
    weak, equal = simple("weak", val_accuracy=0.8), simple("equal", val_accuracy=0.9)
    assert simple_verdict(of, items, [weak]) is None
    assert simple_verdict(of, items, [weak, equal]) == (
        "A simple model is as good: val_accuracy of equal is 0.9, the winner has 0.9."
    )
    assert simple_verdict(of, [], [equal]) is None
    assert simple_verdict(of, items, [simple("failed")]) is None
    losses = spec(objectives=[{"metric": "val_loss", "goal": "minimize"}])
    found = best(losses, [candidate(0, losses, val_loss=0.5)])
    assert simple_verdict(losses, found, [simple("more", val_loss=0.6)]) is None
    assert "of less is 0.4" in str(simple_verdict(losses, found, [simple("less", val_loss=0.4)]))
