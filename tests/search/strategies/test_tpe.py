from pathlib import Path
from random import Random

import optuna
import pytest

from models.architecture import Decision
from models.domains import Choice, Range
from search.benchmark import run_on_table
from search.engine.stages.candidates import CANDIDATE
from search.evaluators.tabular import Table
from search.strategies.random import RandomSearch
from search.strategies.tpe import Tpe, _distribution, _from_optuna, _to_optuna
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from tests.search.support.spaces import letters, share_of_a, space_of
from tests.search.support.tables import product_table


def told(number: int, candidate: Candidate, score: float | None) -> Trial:
    failure = Failure(FailureKind.ERROR, "no luck") if score is None else None
    return Trial(
        number,
        CANDIDATE,
        candidate,
        TrialState.FAILED if failure else TrialState.COMPLETED,
        fitness=None if score is None else (score,),
        failure=failure,
    )


@pytest.mark.parametrize(
    "domain",
    [
        Choice(("a", "b")),
        Choice((1, True, "1", 2.5)),
        Range(1, 8),
        Range(1, 9, step=3),
        Range(1, 64, log=True),
        Range(0.1, 0.95, step=0.1),
        Range(1e-4, 1.0, log=True),
        Range(-1.0, 1.0),
    ],
)
def test_values_survive_optuna(domain: Choice | Range) -> None:
    distribution = _distribution(domain)
    for seed in range(50):
        value = domain.sample(Random(seed))
        there = _to_optuna(domain, value)
        assert distribution._contains(distribution.to_internal_repr(there))
        back = _from_optuna(domain, there)
        assert back == value and type(back) is type(value)
        assert domain.parse(back) == value


def test_the_first_draws_are_those_of_optuna() -> None:
    """Optuna itself, asked and told in its own way, draws the same in every trial."""
    space = space_of(Decision("width", Range(1, 64, log=True)), Decision("op", Choice(("x", "y"))))
    strategy = Tpe(space, Tpe.Settings(initial_samples=3), 0)
    study = optuna.create_study(direction="maximize")
    for number in range(15):
        seed = _seed(number)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=3, n_ei_candidates=24, multivariate=False, seed=seed
        )
        trial = study.ask()
        width = trial.suggest_int("width", 1, 64, log=True)
        operation = ("x", "y")[trial.suggest_categorical("op", range(2))]
        drawn = strategy._draw(seed).architecture.decisions
        assert dict(drawn) == {"width": width, "op": operation}, number
        score = width / 64 + (operation == "y") + number / 1000
        study.tell(trial, score)
        values = {**space.values(space.sample(Random(0))), "width": width, "op": operation}
        strategy._tried.clear()  # Optuna counts repeats
        strategy.tell(told(number, space.candidate(values), score))


def _seed(number: int) -> int:
    return 1000 + number


def test_conditional_decisions_are_drawn_where_they_are_active() -> None:
    space = space_of(
        Decision("depth", Choice((1, 2))),
        Decision("width", Choice((8, 16, 32)), when=(("depth", (2,)),)),
        learning_rate={"low": 0.001, "high": 0.1, "log": True},
    )
    strategy = Tpe(space, Tpe.Settings(initial_samples=5), 0)
    drawn = []
    for number in range(80):
        candidate = strategy.ask(number, ())
        values = space.values(candidate)  # raises where an inactive decision has a value
        drawn.append(values["depth"] == 2 and values["width"] == 32)
        strategy.tell(told(number, candidate, float(drawn[-1]) if number % 9 else None))
    # a third of a half at random; with p = 1/6 more than 25 of 60 happen once in a million
    assert sum(drawn[20:]) > 25


def test_nothing_is_asked_for_twice_until_the_space_is_exhausted() -> None:
    strategy = Tpe(letters(3, "abc"), Tpe.Settings(initial_samples=4), 0)
    asked = set()
    for number in range(20):
        candidate = strategy.ask(number, ())
        asked.add(candidate)
        strategy.tell(told(number, candidate, share_of_a(told(number, candidate, 0.0))))
    assert len(asked) == 20


def test_what_runs_is_not_asked_for_again() -> None:
    strategy, running = Tpe(letters(3, "abcd"), Tpe.Settings(), 0), list[Trial]()
    for number in range(20):
        candidate = strategy.ask(number, running)
        assert candidate not in [trial.proposal for trial in running]
        running.append(Trial(number, CANDIDATE, candidate, TrialState.RUNNING))


def test_tpe_beats_random_search_on_a_table(tmp_path: Path) -> None:
    table = Table.load(product_table(tmp_path))
    wins = 0
    for seed in range(20):
        courses = [
            run_on_table(table, strategy(table.space(), strategy.Settings(), seed), 80)
            for strategy in (Tpe, RandomSearch)
        ]
        wins += courses[0].incumbent(80)[0] >= courses[1].incumbent(80)[0]
    assert wins >= 18  # a strategy no better than random has 18 of 20 with p = 2e-4
