import itertools
import math
from collections import Counter
from random import Random

import pytest
import torch
from scipy.stats import chisquare

from models.architecture import Decision
from models.domains import Choice
from search.engine.stages.candidates import CANDIDATE
from search.predictors.controller import Controller
from search.strategies.reinforce import Moments, Reinforce
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from tests.search.support.spaces import letters, share_of_a, space_of


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


def controller(*sizes: int) -> Controller:
    return Controller(sizes, torch.Generator().manual_seed(0))


def test_probabilities_of_all_sequences_add_up_to_one() -> None:
    rows = torch.tensor(list(itertools.product(range(2), range(3), range(4))))
    log_p, entropy = controller(2, 3, 4).log_probabilities(rows, torch.ones_like(rows).float())
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-6)
    # the mean over draws of the entropies on the way is the entropy of the whole (chain rule)
    whole = -(log_p.exp() * log_p).sum()
    assert (log_p.exp() * entropy).sum().item() == pytest.approx(whole.item(), abs=1e-5)


def test_an_inactive_decision_adds_nothing() -> None:
    rows, active = torch.tensor([[0, 1, 2], [0, 0, 2]]), torch.tensor([[1.0, 0.0, 1.0]] * 2)
    log_p, entropy = controller(2, 3, 4).log_probabilities(rows, active)
    assert log_p[0] == log_p[1] and entropy[0] == entropy[1]


def test_the_first_policy_is_about_uniform() -> None:
    rows = torch.tensor(list(itertools.product(range(3), repeat=3)))
    log_p, _ = controller(3, 3, 3).log_probabilities(rows, torch.ones_like(rows).float())
    assert (log_p + math.log(27)).abs().max() < 1.0


def test_draws_follow_the_policy() -> None:
    strategy = Reinforce(letters(2, "abc"), Reinforce.Settings(), 0)
    rows = torch.tensor(list(itertools.product(range(3), repeat=2)))
    with torch.no_grad():
        log_p, _ = strategy._policy.controller.log_probabilities(
            rows, torch.ones_like(rows).float()
        )
    drawn = Counter(
        "".join(map(str, candidate.architecture.decisions.values()))
        for seed in range(10)
        for candidate in strategy._policy.draw(1000, torch.Generator().manual_seed(seed))
    )
    words = ["".join(word) for word in itertools.product("abc", repeat=2)]
    expected = (log_p.double().exp() / log_p.double().exp().sum() * 10_000).tolist()
    assert chisquare([drawn[word] for word in words], expected).pvalue > 1e-6


@pytest.mark.parametrize("update", ["reinforce", "ppo"])
def test_an_update_makes_what_was_better_more_likely(update: str) -> None:
    settings = Reinforce.Settings.model_validate(
        {"update": update, "batch_size": 4, "entropy": 0.0, "learning_rate": 0.005}
    )
    space = letters(4, "ab")
    strategy = Reinforce(space, settings, 0)
    candidates = {text: word(space, text) for text in ("aaaa", "abab", "baba", "bbbb")}

    def likelihood(text: str) -> float:
        rows = torch.tensor([["ab".index(letter) for letter in text]])
        with torch.no_grad():
            return strategy._policy.controller.log_probabilities(rows, torch.ones(1, 4))[0].item()

    before = {text: likelihood(text) for text in candidates}
    scores = {"aaaa": 1.0, "abab": 0.5, "baba": 0.5, "bbbb": 0.0}
    for number, (text, candidate) in enumerate(candidates.items()):
        strategy.tell(told(number, candidate, scores[text]))
    assert likelihood("aaaa") > before["aaaa"] and likelihood("bbbb") < before["bbbb"]


def word(space: object, text: str) -> Candidate:
    from search.space import SearchSpace

    assert isinstance(space, SearchSpace)
    base = space.values(space.sample(Random(0)))
    return space.candidate({**base, **{f"d{i}": letter for i, letter in enumerate(text)}})


def test_the_gradient_is_that_of_the_paper() -> None:
    """One plain step of a batch of one: theta moves along A * grad log p, by sign under Adam."""
    settings = Reinforce.Settings(batch_size=2, entropy=0.0, learning_rate=1e-3)
    space = letters(3, "abc")
    strategy = Reinforce(space, settings, 0)
    reference = Reinforce(space, settings, 0)._policy.controller
    rows = torch.tensor([[0, 1, 2], [2, 2, 0]])
    # two rewards: standardised they are +-1 / sqrt(2), and their mean is the first baseline
    advantages = torch.tensor([1.0, -1.0]) / math.sqrt(2)
    log_p, _ = reference.log_probabilities(rows, torch.ones(2, 3))
    (-(advantages * log_p).mean()).backward()
    before = [parameter.detach().clone() for parameter in reference.parameters()]
    strategy.tell(told(0, word(space, "abc"), 7.0))
    strategy.tell(told(1, word(space, "cca"), 5.0))
    for old, new, expected in zip(
        before, strategy._policy.controller.parameters(), reference.parameters(), strict=True
    ):
        if expected.grad is None:  # what comes after the last decision
            continue
        moved, large = new - old, expected.grad.abs() > 1e-6  # Adam's first step: lr * sign
        assert torch.allclose(moved[large], -1e-3 * expected.grad.sign()[large], rtol=0.05)


def test_moments_are_those_of_the_sample() -> None:
    moments = Moments()
    for value in (1.0, 2.0, 4.0, 9.0):
        moments.add(value)
    deviation = math.sqrt(sum((v - 4) ** 2 for v in (1, 2, 4, 9)) / 3)
    assert moments.standardised(5.0) == pytest.approx(1 / deviation)
    assert moments.standardised(-1e9) == -3.0
    assert Moments().standardised(3.0) == 3.0


def test_a_slope_is_learnt() -> None:
    strategy = Reinforce(letters(8, "abcd"), Reinforce.Settings(), 0)
    scores = []
    for number in range(300):
        candidate = strategy.ask(number, ())
        scores.append(share_of_a(told(number, candidate, 0.0)))
        strategy.tell(told(number, candidate, scores[-1]))
    # uniform draws have a quarter of `a`, and a mean of 50 above 0.4 with p < 1e-10
    assert sum(scores[-50:]) / 50 > 0.5


def test_conditions_and_ranges_are_decided_too() -> None:
    space = space_of(
        Decision("depth", Choice((1, 2))),
        Decision("width", Choice((8, 16)), when=(("depth", (2,)),)),
        learning_rate={"low": 0.001, "high": 0.1, "log": True},
    )
    strategy = Reinforce(space, Reinforce.Settings(levels=3), 0)
    rates = set()
    for number in range(60):
        candidate = strategy.ask(number, ())
        space.values(candidate)  # raises where an inactive decision has a value
        rates.add(round(candidate.recipe.learning_rate, 6))
        score = None if number % 5 == 0 else candidate.recipe.learning_rate
        strategy.tell(told(number, candidate, score))
    assert {0.001, 0.01, 0.1} <= rates


def test_nothing_is_asked_for_twice_until_the_space_is_exhausted() -> None:
    strategy, asked = Reinforce(letters(3, "abc"), Reinforce.Settings(), 0), set()
    for number in range(20):
        candidate = strategy.ask(number, ())
        asked.add(candidate)
        strategy.tell(told(number, candidate, share_of_a(told(number, candidate, 0.0))))
    assert len(asked) == 20


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    strategy = Reinforce(letters(3, "abc"), Reinforce.Settings(batch_size=1), 0)
    strategy.tell(told(0, strategy.ask(0, ()), 1.0))
    strategy.ask(1, ())
    assert torch.equal(state, torch.get_rng_state())
