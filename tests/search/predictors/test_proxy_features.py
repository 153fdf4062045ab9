"""Zero-cost scores as features of a predictor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm, spearmanr
from sklearn.gaussian_process.kernels import Matern

from models.family import InfeasibleError
from search.engine.journal import MemoryJournal
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stage import Given
from search.engine.stages.candidates import CANDIDATE
from search.evaluators.proxies import ProxyScorer
from search.predictors.gaussian_process import LENGTH_SCALES, NOISES, SLOPES, GaussianProcess
from search.predictors.proxy_scores import standard_scores
from search.request.resolve import Resolved, SpecError, resolve
from search.request.screening import Screening
from search.strategies.bananas import CLIMB, Bananas
from search.trial import Candidate, Trial, TrialState
from tests.search.support.spaces import Scored, letters

Matrix = NDArray[np.float64]
SPACE = letters(8, "abcd")
BODY: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell", "topology": "nasbench201", "channels": 4, "cells": 1},
    "strategy": {
        "name": "bananas",
        "initial_samples": 4,
        "candidates": 10,
        "proxies": ["naswot", "parameters"],
        "scored": 2,
    },
    "budget": {"trials": 10},
}


def named(rows: Matrix) -> list[dict[Any, float]]:
    return [{column: v for column, v in enumerate(row) if v} for row in rows.tolist()]


def covariance(process: GaussianProcess, first: Any, second: Any) -> Matrix:
    """Of two sets of points with their trends, in units of the signal."""
    (points, trends), (others, slopes) = first, second
    found: Matrix = Matern(process.length_scale, nu=2.5)(points, others)
    return found + process.slope * trends @ slopes.T


def test_the_posterior_with_trends_is_that_of_the_joint_normal() -> None:
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 2, size=(40, 6)).astype(float), rng.normal(size=(40, 2))
    unseen = rng.integers(0, 2, size=(30, 6)).astype(float), rng.normal(size=(30, 2))
    values = 2 * seen[1][:, 0] + rng.normal(size=40)
    process = GaussianProcess(named(seen[0]), values, trends=seen[1])
    assert process.slope > 0
    inverse = np.linalg.inv(covariance(process, seen, seen) + process.noise * np.eye(40))
    between = covariance(process, seen, unseen)
    mean, deviation = process.predict(named(unseen[0]), unseen[1])
    assert mean == pytest.approx(between.T @ inverse @ values, abs=1e-8)
    left = covariance(process, unseen, unseen) - between.T @ inverse @ between
    assert deviation**2 == pytest.approx(process.signal * np.diag(left), abs=1e-8)

    believer = process.believing(named(unseen[0])[:3], unseen[1][:3])
    after = believer.predict(named(unseen[0]), unseen[1])
    assert after[0] == pytest.approx(mean, abs=1e-6)
    assert (after[1] <= deviation + 1e-9).all() and (after[1][:3] < deviation[:3]).all()

    without = process.predict(named(unseen[0]))
    at_zero = process.predict(named(unseen[0]), np.zeros((30, 2)))
    assert all((one == other).all() for one, other in zip(without, at_zero, strict=True))


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_the_slope_is_that_of_the_largest_marginal_likelihood(strength: float) -> None:
    rng = np.random.default_rng(1)
    points, trends = rng.integers(0, 2, size=(50, 6)).astype(float), rng.normal(size=(50, 1))
    values = strength * trends[:, 0] + rng.normal(size=50)
    process = GaussianProcess(named(points), values, trends=trends)
    likelihoods = {}
    for scale, noise, slope in itertools.product(LENGTH_SCALES, NOISES, SLOPES):
        kernel = Matern(scale, nu=2.5)(points) + slope * trends @ trends.T + noise * np.eye(50)
        signal = values @ np.linalg.solve(kernel, values) / 50
        likelihoods[scale, noise, slope] = multivariate_normal.logpdf(values, cov=signal * kernel)
    best = max(likelihoods, key=likelihoods.__getitem__)
    assert best == (process.length_scale, process.noise, process.slope)
    assert (process.slope > 0) == (strength > 0)


def test_scores_are_compared_by_their_places_among_the_known() -> None:
    known = np.array([[3.0], [-math.inf], [1e30], [3.0]])
    places = standard_scores(np.array([[-math.inf], [2.0], [3.0], [1e9], [math.inf]]), known)
    shares = [(0.5 + 0.5) / 5, (1 + 0.5) / 5, (2 + 0.5) / 5, (3 + 0.5) / 5, (4 + 0.5) / 5]
    assert places[:, 0] == pytest.approx(norm.ppf(shares))


def quality(candidate: Candidate) -> float:
    """What the letters do not show, beside what they do."""
    letters = list(candidate.architecture.decisions.values())
    hidden = Random(candidate.architecture.key).random()
    return letters.count("a") / 8 + 2 * hidden


def noisy(spread: float) -> Callable[[Candidate], Mapping[str, float]]:
    """A proxy of the quality in another unit; noise alone for an infinite spread."""

    def score(candidate: Candidate) -> Mapping[str, float]:
        noise = Random(f"noise {candidate.architecture.key}").gauss()
        truth = quality(candidate) if math.isfinite(spread) else 0.0
        return {"synflow": math.exp(30 * (truth + min(spread, 1.0) * noise))}

    return score


def told(proxies: tuple[str, ...], scorer: Any, count: int) -> Bananas:
    settings = Bananas.Settings(initial_samples=2, proxies=proxies)
    strategy = Bananas(SPACE, settings, 0, scorer)
    for number in range(count):
        candidate = SPACE.sample(Random(number))
        strategy.tell(
            Trial(number, CANDIDATE, candidate, TrialState.COMPLETED,
                  fitness=(quality(candidate),))
        )  # fmt: skip
    return strategy


def ordering(proxies: tuple[str, ...], scorer: Any) -> float:
    """Spearman's rho of what is predicted and what is true of 200 unseen candidates."""
    strategy = told(proxies, scorer, 60)
    unseen = [SPACE.sample(Random(number)) for number in range(1000, 1200)]
    mean, _ = strategy._fitted().predict(*strategy._seen(unseen))
    return float(spearmanr(mean, [quality(candidate) for candidate in unseen]).statistic)


def test_an_informative_proxy_orders_the_unseen_better_and_a_useless_one_does_no_harm() -> None:
    """The standard error of rho of 200 pairs is about 0.07."""
    plain = ordering((), None)
    assert 0 < plain < 0.5
    assert ordering(("synflow",), noisy(0.2)) > max(0.8, plain + 0.3)
    assert ordering(("synflow",), noisy(math.inf)) > plain - 0.15


def test_an_ask_scores_the_most_promising_alone_and_changes_nothing() -> None:
    scored: list[Candidate] = []

    def counted(candidate: Candidate) -> Mapping[str, float]:
        scored.append(candidate)
        return noisy(0.2)(candidate)

    strategy = told(("synflow",), counted, 30)
    running = Trial(30, CANDIDATE, SPACE.sample(Random(30)), TrialState.RUNNING)
    first = strategy.ask(31, [running])
    scores_told, scores_asked = scored[:30], scored[30:]
    assert scores_told == [SPACE.sample(Random(number)) for number in range(30)]
    assert len(scores_asked) <= 1 + 32 * (1 + CLIMB) and running.proposal in scores_asked
    scored.clear()
    assert strategy.ask(31, [running]) == first
    assert not set(scores_told) & set(scored)


def test_a_network_that_cannot_be_scored_is_no_reason_to_stop() -> None:
    def unbuilt(candidate: Candidate) -> Mapping[str, float]:
        if "b" in candidate.architecture.decisions.values():
            raise InfeasibleError("d0", "b cannot be built")
        return {"synflow": math.nan}

    assert told(("synflow",), unbuilt, 12).ask(12, ())


def finished(resolved: Resolved) -> MemoryJournal:
    journal, screening = MemoryJournal(), Screening.of(resolved)
    run = SearchRun(
        resolved.spec,
        resolved.space,
        resolved.strategy(),
        journal,
        resolved.cost,
        screen=screening,
    )
    run_serial(run, Scored(lambda trial: float(len(trial.architecture_key.strip("0123")))))
    return journal


def test_a_search_with_features_keeps_their_scores_and_is_repeated_from_its_journal() -> None:
    resolved = resolve(BODY)
    history = finished(resolved).history()
    given = Given(resolved.spec, resolved.space, resolve(BODY).strategy())
    assert replay(given, history).is_same
    plain = resolve({**BODY, "strategy": {**BODY["strategy"], "proxies": []}})
    others = replay(Given(plain.spec, plain.space, plain.strategy()), history).differences
    assert others and min(other.number for other in others) >= 4
    scorer = ProxyScorer("digits", ("naswot", "parameters"), resolved.spec.seed)
    ended = [e.trial for e in history if e.trial.state is TrialState.COMPLETED and e.trial.is_told]
    assert len(ended) == 10
    for trial in ended:
        expected = scorer(trial.candidate)
        finite = {name: value for name, value in expected.items() if math.isfinite(value)}
        assert finite.items() <= trial.metrics.items()


@pytest.mark.parametrize(
    ("proxies", "pointer", "message"),
    [
        (["magic"], "/strategy/proxies/0", 'unknown proxy "magic", known are flops, grad_norm'),
        (["snip", "snip"], "/strategy/proxies", "each proxy is named once, got ['snip', 'snip']"),
    ],
)
def test_proxies_that_make_no_sense_are_refused(
    proxies: list[str], pointer: str, message: str
) -> None:
    with pytest.raises(SpecError) as refused:
        resolve({**BODY, "strategy": {"name": "bananas", "proxies": proxies}})
    (problem,) = refused.value.problems
    assert problem.pointer == pointer and message in problem.message


def test_proxies_need_networks_to_score() -> None:
    with pytest.raises(ValueError, match="there is no network to score by naswot, parameters"):
        Bananas(SPACE, Bananas.Settings(proxies=("naswot", "parameters")), 0)
