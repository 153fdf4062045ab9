"""The random trials that a strategy is measured against, and results of earlier searches."""

from __future__ import annotations

import pytest

from models.presets import preset
from search.engine.journal import MemoryJournal, TrialEnded
from search.engine.replay import replay
from search.engine.stage import Given
from search.engine.stages.baseline import BASELINE, preset_candidate
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.objectives import Constraint
from search.results.report import best
from search.strategy import strategies
from search.trial import TrialState
from tests.search.support.runs import (
    ERROR,
    Listed,
    Listening,
    candidates,
    complete,
    cost_by_letters,
    finish,
    of_earlier_search,
    started,
    strategy_of,
)
from tests.search.support.spaces import letters, spec_of


def test_the_baseline_has_as_many_trials_and_never_wins() -> None:
    space = letters(3)
    poor = candidates(space, "ccc", "ccb", "cbc", "bcc")
    run = started(space, Listed(poor), spec_of(4, baseline="random"))
    phases = []
    while (trial := run.next_trial()) is not None:
        phases.append((run.phase, trial.kind))
        complete(run, trial)
    assert list(dict.fromkeys(phases)) == [
        ("searching", CANDIDATE),
        ("baseline", BASELINE),
        ("final", FINAL),
    ]
    drawn = [trial for trial in run.trials if trial.kind is BASELINE]
    assert len({trial.architecture_key for trial in drawn}) == len(drawn) == 4
    assert all(trial.fitness and not trial.costs_budget for trial in drawn)
    assert max(trial.fitness or () for trial in drawn) > (0.0,)
    assert run.trials_spent == 4
    finals = [trial for trial in run.trials if trial.kind is FINAL]
    assert {trial.source for trial in finals} == {0}


def test_the_baseline_is_another_random_search_than_the_strategy() -> None:
    space = letters(8)
    run = started(space, strategy_of("random", space), spec_of(10, baseline="random"))
    finish(run)
    kinds = [CANDIDATE, BASELINE]
    asked, drawn = ({t.architecture_key for t in run.trials if t.kind is kind} for kind in kinds)
    assert (len(asked), len(drawn), asked & drawn) == (10, 10, set())


def test_the_baseline_trains_nothing_twice_and_ends_with_the_space() -> None:
    space = letters(2, "ab")
    run = started(space, strategy_of("random", space), spec_of(50, baseline="random"))
    finish(run)
    drawn = [trial for trial in run.trials if trial.kind is BASELINE]
    assert [trial.state for trial in drawn] == [TrialState.CACHED] * 4
    for trial in drawn:
        source = run.trials[trial.source or 0]
        assert source.kind is CANDIDATE and source.metrics == trial.metrics
        assert source.architecture_key == trial.architecture_key
    assert run.finished and run.trials_spent == 4


def test_what_is_refused_without_training_counts_for_neither() -> None:
    space = letters(3)
    spec = spec_of(4, baseline="random", constraints=(Constraint(metric="parameters", max=150),))
    run = started(space, strategy_of("random", space), spec, cost=cost_by_letters)
    finish(run)
    for kind in (CANDIDATE, BASELINE):
        trials = [trial for trial in run.trials if trial.kind is kind]
        counted = [trial for trial in trials if not trial.is_refused and not trial.is_repeat]
        assert len(counted) == 4 or kind is BASELINE
        assert any(trial.is_refused for trial in trials)
    drawn = [t for t in run.trials if t.kind is BASELINE and not t.is_refused]
    assert len(drawn) == 4  # of them, those that the strategy has trained are answered


def test_presets_come_first_whatever_they_cost_and_never_win() -> None:
    """The run is built again from its journal before each trial, as after a crash."""
    space, journal = letters(3), MemoryJournal()
    spec = spec_of(
        3,
        baseline="random",
        baselines=["lenet-5", "mlp-100"],
        training={"epochs": 7, "learning_rate": {"low": 0.01, "high": 0.04, "log": True}},
        constraints=(Constraint(metric="parameters", max=150), Constraint(metric="flops", max=1)),
    )
    while True:
        run = started(space, strategy_of("random", space), spec, journal, lambda _: {})
        if (trial := run.next_trial()) is None:
            break
        flops = 10 if trial.candidate.architecture.family == "cnn_stages" else 1
        run.complete(trial.number, {"val_accuracy": 0.9, "parameters": 9, "flops": flops}, 1)
    drawn = [trial for trial in run.trials if trial.kind is BASELINE]
    assert len(drawn) == 2 + 3 and len(run.trials) == 3 + 5 + 3 * 2
    for trial, name in zip(drawn, ("lenet-5", "mlp-100"), strict=False):
        assert trial.candidate.architecture == preset(name).architecture
        recipe = trial.candidate.recipe
        assert (recipe.epochs, recipe.learning_rate) == (7, pytest.approx(0.02))
        assert trial.fitness == (0.9,)
    assert drawn[0].metrics["flops"] == 10
    finals = [trial for trial in run.trials if trial.kind is FINAL]
    presets = [trial.number for trial in drawn[:2]]
    assert [trial.source for trial in finals] == [0, 0, *(n for n in presets for _ in range(2))]
    assert [trial.seed for trial in finals] == [1, 2] * 3
    assert finals[-1].candidate.recipe.epochs == 5, "the final stage's, and not the baseline's"
    assert [item["trial"] for item in best(spec, run.trials)] == [0]


def test_a_preset_without_a_result_or_among_the_best_has_no_finals_of_its_own() -> None:
    spec = spec_of(1, baselines=["lenet-5", "mlp-100", "vgg-16"])
    strategy = Listed([preset_candidate("mlp-100", spec)])
    run = started(letters(2), strategy, spec)
    while (trial := run.next_trial()) is not None:
        if trial.kind is BASELINE and trial.number == 1:
            run.fail(trial.number, ERROR, 1.0)
        else:
            run.complete(trial.number, {"val_accuracy": 0.9}, 1.0)
    assert [trial.source for trial in run.trials if trial.kind is FINAL] == [0, 0, 3, 3]
    assert run.trials[2].state is TrialState.CACHED


@pytest.mark.parametrize("name", strategies)
def test_results_of_an_earlier_search_are_told_first_and_can_win(name: str) -> None:
    space, journal = letters(3), MemoryJournal()
    known = [of_earlier_search(space, word, n) for n, word in enumerate(("aaa", "abc"))]
    journal.events += [TrialEnded(trial) for trial in known]
    strategy = Listening(strategy_of(name, space))
    run = started(space, strategy, spec_of(5), journal)
    assert strategy.told == known and run.best == [known[0]]
    finish(run)
    assert run.trials_spent == 5
    trained = [trial for trial in run.trials if trial.state is TrialState.COMPLETED]
    assert not {trial.architecture_key for trial in known} & {
        trial.architecture_key for trial in trained if trial.kind is CANDIDATE
    }
    assert {trial.source for trial in trained if trial.kind is FINAL} == {0}
    given = Given(spec_of(5), space, strategy_of(name, space))
    assert replay(given, journal.history()).is_same


def test_a_repeat_of_an_earlier_search_is_answered_from_the_journal() -> None:
    space, journal = letters(3), MemoryJournal()
    journal.append(TrialEnded(of_earlier_search(space, "aab")))
    run = started(space, Listed(candidates(space, "ccc", "aab", "bbb")), spec_of(1), journal)
    first = run.next_trial()
    assert first and first.number == 2  # trial 1 was a repeat
    repeat = run.trials[1]
    assert (repeat.state, repeat.source, repeat.source_search) == (TrialState.CACHED, 0, None)
    assert repeat.metrics == {"val_accuracy": 2 / 3, "parameters": 200.0}
