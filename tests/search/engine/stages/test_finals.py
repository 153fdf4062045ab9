import pytest

from models.architecture import Decision
from models.domains import Choice
from search.engine.stages.finals import FINAL
from search.objectives import Objective
from search.spec import Final
from tests.search.support.runs import (
    ERROR,
    Listed,
    candidates,
    complete,
    finish,
    started,
    strategy_of,
)
from tests.search.support.spaces import letters, space_of, spec_of


def test_finals_start_after_the_last_candidate_has_ended() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(2))
    first, second = run.next_trial(), run.next_trial()
    assert first and second
    assert run.next_trial() is None and run.phase == "searching"
    complete(run, second)
    assert run.next_trial() is None
    complete(run, first)
    assert run.phase == "final"
    finals = [run.next_trial(), run.next_trial()]
    assert [trial.kind for trial in finals if trial] == [FINAL] * 2
    assert run.next_trial() is None and not run.finished
    for final in finals:
        assert final
        complete(run, final, test_accuracy=0.5)
    assert run.finished


def test_the_finals_are_the_best_distinct_architectures_seed_by_seed() -> None:
    space = letters(2, symmetric=True)
    words = ("ab", "aa", "ba", "bb", "bc")
    spec = spec_of(4, final=Final(top=2, seeds=2, epochs=3))
    run = started(space, Listed(candidates(space, *words)), spec)
    finish(run)
    finals = [trial for trial in run.trials if trial.kind is FINAL]
    assert [(trial.source, trial.seed) for trial in finals] == [(1, 1), (1, 2), (0, 1), (0, 2)]


@pytest.mark.parametrize(("said", "expected"), [(None, 7), (0, 0), (3, 3)])
def test_a_final_has_the_patience_of_its_stage_or_else_of_the_recipe(
    said: int | None, expected: int
) -> None:
    space = space_of(Decision("d0", Choice(("a", "b"))), early_stopping=7)
    final = Final(top=1, seeds=1, epochs=30, patience=said)
    run = started(space, strategy_of("random", space), spec_of(1, final=final))
    finish(run)
    candidate, retrained = run.trials
    assert candidate.candidate.recipe.early_stopping == 7
    recipe = retrained.candidate.recipe
    assert (recipe.early_stopping, recipe.epochs) == (expected, 30)
    assert retrained.recipe_key == recipe.key


def test_a_search_whose_finals_all_fail_has_failed() -> None:
    space = letters(3)
    run = started(space, strategy_of("random", space), spec_of(1))
    trial = run.next_trial()
    assert trial
    complete(run, trial)
    while final := run.next_trial():
        run.fail(final.number, ERROR, seconds=0.1)
    assert run.finished and run.failed_reason == (
        "no final training completed, most often 2 of 2: error: RuntimeError: no luck"
    )


def test_several_objectives_give_finals_from_the_pareto_set() -> None:
    space = letters(2)
    objectives = (
        Objective(metric="val_accuracy"),
        Objective(metric="parameters", goal="minimize"),
    )
    spec = spec_of(3, objectives=objectives, final=Final(top=5, seeds=1, epochs=2))
    run = started(space, Listed(candidates(space, "aa", "ab", "bb")), spec)
    for parameters in (300.0, 400.0, 100.0):
        trial = run.next_trial()
        assert trial
        complete(run, trial, parameters=parameters)
    assert [trial.number for trial in run.best] == [0, 2]  # 1 is worse and larger than 0
    assert [t.source for t in (run.next_trial(), run.next_trial()) if t] == [0, 2]
