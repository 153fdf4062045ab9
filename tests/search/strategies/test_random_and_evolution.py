from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from pydantic import ValidationError
from scipy.stats import binomtest, chisquare, ttest_ind

from models.architecture import Decision
from models.domains import Choice
from search.engine.stages.candidates import CANDIDATE
from search.space import SearchSpace
from search.strategies.random import RandomSearch
from search.strategies.regularized_evolution import RegularizedEvolution
from search.strategy import Strategy, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from tests.search.support.spaces import letters, share_of_a, space_of

FALSE_ALARM = 1e-6  # of each statistical test below


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


def drive(strategy: Strategy, trials: int, score: Callable[[Trial], float]) -> list[float]:
    """The scores of so many trials, one after another."""
    scores = []
    for number in range(trials):
        proposal = strategy.ask(number, ())
        assert isinstance(proposal, Candidate)
        scores.append(score(told(number, proposal, 0.0)))
        strategy.tell(told(number, proposal, scores[-1]))
    return scores


def evolution(space: SearchSpace, seed: int = 0, **settings: int) -> RegularizedEvolution:
    return RegularizedEvolution(space, RegularizedEvolution.Settings(**settings), seed)


def words(space: SearchSpace, *letters: str) -> list[Candidate]:
    base = space.values(space.sample(Random(0)))
    return [
        space.candidate({**base, **{f"d{i}": letter for i, letter in enumerate(word)}})
        for word in letters
    ]


def text(candidate: object) -> str:
    assert isinstance(candidate, Candidate)
    return "".join(str(value) for value in candidate.architecture.decisions.values())


def test_streams_of_different_asks_are_independent() -> None:
    seen = {
        rng_for(seed, SearchPurpose.ASK, number).random()
        for seed in range(40)
        for number in range(40)
    }
    assert len(seen) == 1600
    drawn = Counter(rng_for(0, SearchPurpose.ASK, number).randrange(8) for number in range(8000))
    assert chisquare([drawn[value] for value in range(8)]).pvalue > FALSE_ALARM


def test_random_search_samples_the_space_whatever_it_is_told() -> None:
    space = letters(2, "abc")
    strategy = RandomSearch(space, RandomSearch.Settings(), 3)
    drawn: Counter[str] = Counter()
    for number in range(4500):
        proposal = strategy.ask(number, ())
        strategy.tell(told(number, proposal, share_of_a(told(number, proposal, 0.0))))
        assert proposal == space.sample(rng_for(3, SearchPurpose.ASK, number))
        drawn[text(proposal)] += 1
    assert len(drawn) == 9
    assert chisquare(list(drawn.values())).pvalue > FALSE_ALARM


def test_evolution_samples_until_its_population_is_full() -> None:
    space = letters(6)
    strategy = evolution(space, population_size=3, sample_size=3)
    for number in range(2):
        strategy.tell(told(number, strategy.ask(number, ()), 0.5))
    for number in range(2, 50):
        assert strategy.ask(number, ()) == space.sample(rng_for(0, SearchPurpose.ASK, number))


def test_a_child_is_one_mutation_away_from_the_best_of_the_tournament() -> None:
    space = letters(4, "abcd")
    strategy = evolution(space, population_size=4, sample_size=4)
    candidates = words(space, "aaaa", "bbbb", "cccc", "dddd")
    for number, (candidate, score) in enumerate(zip(candidates, (0.1, 0.9, 0.2, 0.3), strict=True)):
        strategy.tell(told(number, candidate, score))
    parents: Counter[str] = Counter()
    for number in range(4, 4004):
        child = text(strategy.ask(number, ()))
        (parent,) = (
            word
            for word in map(text, candidates)
            if sum(one != other for one, other in zip(word, child, strict=True)) == 1
        )
        parents[parent] += 1
    # with replacement, the best of 4 is not among 4 draws with probability (3 / 4) ** 4, and so on
    ranks = ["bbbb", "dddd", "cccc", "aaaa"]
    shares = [((4 - rank) / 4) ** 4 - ((3 - rank) / 4) ** 4 for rank in range(4)]
    observed = [parents[word] for word in ranks]
    assert chisquare(observed, [4000 * share for share in shares]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_crossover_mixes_two_parents_as_often_as_is_set(probability: float) -> None:
    """Of parents aaaa and bbbb and one mutation, only a mix has at most two letters of either; two
    different parents are drawn half the time, and 6 of 16 mixes have two letters of each.
    """
    space = letters(4)
    strategy = RegularizedEvolution(
        space,
        RegularizedEvolution.Settings(
            population_size=2, sample_size=1, crossover_probability=probability
        ),
        0,
    )
    for number, word in enumerate(words(space, "aaaa", "bbbb")):
        strategy.tell(told(number, word, 0.5))
    children = [text(strategy.ask(number, ())) for number in range(2, 1002)]
    mixed = sum(max(child.count("a"), child.count("b")) <= 2 for child in children)
    # of 16 mixes: 6 of two and two, where a mutation to c is half; 8 of three and one, where a
    # mutation hits one of the three and goes to either of two others
    share = probability / 2 * (6 / 16 * 1 / 2 + 8 / 16 * 3 / 4)
    assert binomtest(mixed, 1000, share).pvalue > FALSE_ALARM


def test_the_oldest_dies_however_fit() -> None:
    space = letters(4)
    strategy = evolution(space, population_size=2, sample_size=2)
    for number, (word, score) in enumerate(
        zip(words(space, "aaaa", "bbbb", "cccc"), (1, 0.1, 0.2), strict=True)
    ):
        strategy.tell(told(number, word, score))
    children = [text(strategy.ask(number, ())) for number in range(3, 100)]
    assert not any(child.count("a") > 1 for child in children)


def test_failures_have_no_children() -> None:
    space = letters(4)
    strategy = evolution(space, population_size=2, sample_size=1)
    good, bad = words(space, "bbbb", "cccc")
    for number, (candidate, score) in enumerate(((good, 0.1), (bad, None), (good, 0.2))):
        strategy.tell(told(number, candidate, score))
    assert all(text(strategy.ask(number, ())).count("b") == 3 for number in range(3, 60))


def test_evolution_climbs_where_random_search_does_not() -> None:
    space = letters(16, "abcd")
    climbing = [max(drive(evolution(space, seed), 150, share_of_a)) for seed in range(10)]
    random = [
        max(drive(RandomSearch(space, RandomSearch.Settings(), seed), 150, share_of_a))
        for seed in range(10)
    ]
    assert ttest_ind(climbing, random, alternative="greater").pvalue < FALSE_ALARM


def test_evolution_in_a_space_of_one_point_proposes_it() -> None:
    space = space_of(Decision("only", Choice(("a",))))
    assert len(set(drive(evolution(space, population_size=2), 10, share_of_a))) == 1


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, (20, 8)),
        ({"population_size": 5}, (5, 5)),
        ({"population_size": 100, "sample_size": 25}, (100, 25)),
    ],
)
def test_the_tournament_fits_into_the_population(
    settings: dict[str, int], sizes: tuple[int, int]
) -> None:
    made = RegularizedEvolution.Settings.model_validate(settings)
    assert (made.population_size, made.sample_size) == sizes


@pytest.mark.parametrize(
    "settings",
    [
        {"population_size": 1},
        {"sample_size": 0},
        {"population_size": 5, "sample_size": 6},
        {"sample_size": 21},
        {"population_size": "20"},
        {"population_size": 10**400},
        {"mutation": "all"},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        strategies["regularized_evolution"].Settings.model_validate(settings)
