from collections import Counter
from itertools import product
from pathlib import Path
from random import Random

import pytest
from hypothesis import given

from models.architecture import Decision
from models.domains import Choice, Range
from search.benchmark import run_on_table
from search.counting import assignment_at, count_assignments
from search.engine.stages.candidates import CANDIDATE
from search.evaluators.tabular import Table
from search.strategies.grid import Grid
from search.strategies.local_search import LocalSearch
from search.strategies.random import RandomSearch
from search.strategy import Strategy
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from tests.search.support.spaces import letters, share_of_a, space_of
from tests.search.support.tables import product_table
from tests.search.test_space import conditional_decisions, enumerated


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


def asked(strategy: Strategy, number: int) -> Candidate:
    proposal = strategy.ask(number, ())
    assert isinstance(proposal, Candidate)
    return proposal


def text(candidate: Candidate) -> str:
    return "".join(str(value) for value in candidate.architecture.decisions.values())


def distance(one: Candidate, other: Candidate) -> int:
    return sum(a != b for a, b in zip(text(one), text(other), strict=True))


@given(conditional_decisions())
def test_numbers_name_each_point_once(decisions: list[Decision]) -> None:
    size = int(count_assignments(decisions))
    points = [assignment_at(decisions, index) for index in range(size)]
    assert {tuple(sorted(point.items())) for point in points} == {
        tuple(sorted(point)) for point in enumerated(decisions)
    }
    with pytest.raises(IndexError):
        assignment_at(decisions, size)


@pytest.mark.parametrize(
    ("domain", "count", "levels"),
    [
        (Choice(("a", "b", "c")), 2, ("a", "b", "c")),
        (Range(1, 4), 9, (1, 2, 3, 4)),
        (Range(0, 100), 5, (0, 25, 50, 75, 100)),
        (Range(0.0, 1.0), 3, (0.0, 0.5, 1.0)),
        (Range(0.0, 1.0), 1, (0.5,)),
        (Range(1e-4, 1.0, log=True), 3, (1e-4, 1e-2, 1.0)),
        (Range(1, 1024, log=True), 6, (1, 4, 16, 64, 256, 1024)),
        (Range(0.0, 1.0, step=0.25), 3, (0.0, 0.5, 1.0)),
    ],
)
def test_levels_of_a_domain(domain: Choice | Range, count: int, levels: tuple[object, ...]) -> None:
    expected = levels if isinstance(domain, Choice) else pytest.approx(levels)
    assert domain.levels(count) == expected
    assert all(domain.parse(value) == value for value in domain.levels(count))


@pytest.mark.parametrize("seed", range(20))
def test_the_grid_visits_each_point_once(seed: int) -> None:
    space = letters(4, "abc")
    strategy = Grid(space, Grid.Settings(), seed)
    visited = [text(asked(strategy, number)) for number in range(81)]
    assert sorted(visited) == sorted("".join(word) for word in product("abc", repeat=4))
    assert asked(strategy, 81) == asked(strategy, 0)


def test_a_range_is_visited_at_its_levels() -> None:
    space = space_of(Decision("d", Choice(("x", "y"))), learning_rate={"low": 0.01, "high": 1.0,
                                                                         "log": True})  # fmt: skip
    strategy = Grid(space, Grid.Settings(levels=3), 0)
    points = {
        (text(c), round(c.recipe.learning_rate, 6)) for c in (asked(strategy, n) for n in range(6))
    }
    assert points == set(product("xy", (0.01, 0.1, 1.0)))


def test_the_first_points_of_a_large_grid_cover_every_option_evenly() -> None:
    strategy = Grid(letters(30, "abcde"), Grid.Settings(), 1)
    words = [text(asked(strategy, number)) for number in range(500)]
    for place in range(3):  # the leading digits of a Kronecker sequence are spread evenly
        counts = Counter(word[place] for word in words)
        assert all(80 <= counts[letter] <= 120 for letter in "abcde")
    assert len(set(words)) == 500


def local_search(count: int, letters_: str, initial: int, seed: int = 0) -> LocalSearch:
    settings = LocalSearch.Settings(initial_samples=initial)
    return LocalSearch(letters(count, letters_), settings, seed)


def test_neighbours_of_the_best_sample_are_tried_until_one_is_better() -> None:
    strategy = local_search(6, "abc", initial=3)
    samples = [asked(strategy, number) for number in range(3)]
    for number, (candidate, score) in enumerate(zip(samples, (0.1, 0.5, 0.2), strict=True)):
        strategy.tell(told(number, candidate, score))
    centre, seen = samples[1], set[Candidate]()
    for number in range(3, 9):
        neighbour = asked(strategy, number)
        assert distance(centre, neighbour) == 1 and neighbour not in seen
        seen.add(neighbour)
        strategy.tell(told(number, neighbour, 0.3))
    better = asked(strategy, 9)
    strategy.tell(told(9, better, 0.9))
    assert distance(better, asked(strategy, 10)) == 1
    strategy.tell(told(10, asked(strategy, 10), None))
    assert distance(better, asked(strategy, 11)) == 1


def test_after_a_local_optimum_a_walk_starts_elsewhere() -> None:
    strategy = local_search(3, "ab", initial=1)
    first = asked(strategy, 0)
    strategy.tell(told(0, first, 1.0))
    for number in range(1, 4):
        strategy.tell(told(number, asked(strategy, number), 0.0))
    second = asked(strategy, 4)
    assert distance(first, second) > 1  # the ball of radius one is known
    strategy.tell(told(4, second, 0.5))
    assert distance(second, asked(strategy, 5)) == 1


def test_a_neighbour_that_runs_is_not_asked_for_again() -> None:
    strategy = local_search(4, "abc", initial=1)
    centre = asked(strategy, 0)
    strategy.tell(told(0, centre, 1.0))
    running: list[Trial] = []
    for number in range(1, 9):
        proposal = strategy.ask(number, running)
        assert distance(centre, proposal) == 1
        assert proposal not in [trial.proposal for trial in running]
        running.append(Trial(number, CANDIDATE, proposal, TrialState.RUNNING))
    assert distance(centre, strategy.ask(9, running)) > 0


def test_local_search_climbs_a_slope_in_one_walk() -> None:
    strategy = local_search(8, "abcd", initial=1)
    for number in range(200):
        candidate = asked(strategy, number)
        score = share_of_a(told(number, candidate, 0.0))
        strategy.tell(told(number, candidate, score))
        if score == 1.0:
            break
    # a walk asks for each of the 24 neighbours at most once a step, and a step adds one `a`
    assert score == 1.0 and number < 8 * 24


def test_a_grid_may_have_more_points_than_a_float_can_count() -> None:
    strategy = Grid(letters(600, "abcde"), Grid.Settings(), 0)
    assert len({text(asked(strategy, number)) for number in range(20)}) == 20


def test_local_search_beats_random_search_on_a_table(tmp_path: Path) -> None:
    table = Table.load(product_table(tmp_path))
    wins = 0
    for seed in range(30):
        courses = [
            run_on_table(table, strategy(table.space(), strategy.Settings(), seed), 80)
            for strategy in (LocalSearch, RandomSearch)
        ]
        wins += courses[0].incumbent(80)[0] >= courses[1].incumbent(80)[0]
    assert wins >= 27  # a strategy no better than random has 27 of 30 with p < 1e-5


def test_the_order_of_neighbours_depends_on_the_seed() -> None:
    orders = set()
    for seed in range(5):
        strategy = local_search(4, "abc", 1, seed)
        centre = letters(4, "abc").sample(Random(0))
        strategy.tell(told(0, centre, 1.0))
        orders.add(text(asked(strategy, 1)))
    assert len(orders) > 1
