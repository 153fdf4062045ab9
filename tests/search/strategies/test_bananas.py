import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from models.architecture import Architecture, Decision
from models.domains import Choice
from models.family import families
from models.recipe import Recipe, TrainingSettings
from models.task import Task
from search.benchmark import run_on_table
from search.engine.stages.candidates import CANDIDATE
from search.evaluators.tabular import Table
from search.predictors.gaussian_process import GaussianProcess
from search.predictors.path_encoding import PathEncoding
from search.space import SearchSpace
from search.strategies.bananas import Bananas, log_expected_improvement
from search.strategies.random import RandomSearch
from search.trial import Candidate, Trial, TrialState
from tests.search.support.spaces import letters, share_of_a, space_of
from tests.search.support.tables import product_table

NASBENCH201 = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def cells() -> SearchSpace:
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    decisions = [Decision(f"edge_{a}_{b}", Choice(NASBENCH201)) for a, b in edges]
    return SearchSpace("table", decisions, lambda architecture: architecture)


def features(space: SearchSpace, *values: Any) -> dict[Any, float]:
    names = [decision.name for decision in space.decisions]
    return PathEncoding(space)(space.candidate(dict(zip(names, values, strict=True))))


def test_paths_of_a_cell_with_operations_on_its_edges() -> None:
    conv, pool = "nor_conv_3x3", "avg_pool_3x3"
    found = features(cells(), conv, "none", "skip_connect", pool, "none", conv)
    # 0 -conv-> 1 -skip-> 2 -conv-> 3 and 0 -pool-> 3
    assert found == {("edge", conv, conv): 1.0, ("edge", pool): 1.0}
    assert features(cells(), *["none"] * 6) == {}
    assert features(cells(), *["skip_connect"] * 6) == {("edge",): 1.0}


def test_isomorphic_cells_have_the_same_paths() -> None:
    conv = "nor_conv_3x3"
    first = features(cells(), conv, "none", "none", "none", conv, "none")
    second = features(cells(), "none", conv, "none", "none", "none", conv)
    assert first == second == {("edge", conv, conv): 1.0}


def test_the_families_of_cells_are_told_by_their_decisions() -> None:
    family, task = families["cnn_cell"], Task("image_classification", (1, 8, 8), 10)
    for topology in ("darts", "nasbench201"):
        settings = family.Settings.model_validate({"topology": topology})
        space = SearchSpace.of_family("cnn_cell", family, settings, TrainingSettings(), task)
        encode, seen = PathEncoding(space), set()
        for seed in range(50):
            candidate = space.sample(Random(seed))
            seen.add(frozenset(encode(candidate).items()))
        assert len(seen) > 25


def test_paths_of_a_darts_cell() -> None:
    space = space_of(
        Decision("normal_node_2_inputs", Choice(("0-1",))),
        Decision("normal_node_2_first", Choice(("none", "sep_conv_3x3"))),
        Decision("normal_node_2_second", Choice(("max_pool_3x3",))),
        Decision("normal_node_3_inputs", Choice(("0-1", "0-2", "1-2"))),
        Decision("normal_node_3_first", Choice(("skip_connect", "none"))),
        Decision("normal_node_3_second", Choice(("dil_conv_3x3",))),
    )
    values = dict(space.values(space.sample(Random(0))))
    values |= {"normal_node_2_first": "sep_conv_3x3", "normal_node_3_inputs": "0-2"}
    values |= {"normal_node_3_first": "skip_connect"}
    assert PathEncoding(space)(space.candidate(values)) == {
        ("normal", 0, "sep_conv_3x3"): 1.0,
        ("normal", 1, "max_pool_3x3"): 1.0,
        ("normal", 0): 1.0,
        ("normal", 0, "sep_conv_3x3", "dil_conv_3x3"): 1.0,
        ("normal", 1, "max_pool_3x3", "dil_conv_3x3"): 1.0,
        ("normal", "operation", "sep_conv_3x3"): 1.0,
        ("normal", "operation", "max_pool_3x3"): 1.0,
        ("normal", "operation", "skip_connect"): 1.0,
        ("normal", "operation", "dil_conv_3x3"): 1.0,
    }


def test_paths_of_linked_operations() -> None:
    decisions = [Decision("links", Choice(("0012", "0000")))]
    decisions += [Decision(f"op_{i}", Choice(("gcn", "gat", "skip"))) for i in range(4)]
    space = SearchSpace("table", decisions, lambda architecture: architecture)
    # node 1 and 2 read the input, node 3 reads node 1, node 4 reads node 2
    assert features(space, "0012", "gcn", "gat", "gcn", "skip") == {
        ("operation", "gcn"): 2.0, ("operation", "gat"): 1.0, ("operation", "skip"): 1.0,
        ("node", "gcn"): 1.0, ("node", "gat"): 1.0,
        ("node", "gcn", "gcn"): 1.0, ("node", "gat", "skip"): 1.0,
        ("output", "node", "gcn", "gcn"): 1.0, ("output", "node", "gat", "skip"): 1.0,
    }  # fmt: skip
    mirrored = features(space, "0012", "gat", "gcn", "skip", "gcn")
    assert mirrored == features(space, "0012", "gcn", "gat", "gcn", "skip")


def test_other_decisions_are_one_hot_and_ranges_a_number() -> None:
    space = space_of(
        Decision("depth", Choice((1, 2))),
        Decision("width", Choice((8, 16)), when=(("depth", (2,)),)),
        learning_rate={"low": 0.01, "high": 1.0, "log": True},
    )
    recipe = Recipe().model_copy(update={"learning_rate": 0.1})
    shallow = Candidate(Architecture("listed", {"depth": 1}), recipe)
    assert PathEncoding(space)(shallow) == {
        ("depth", 1): 1.0, ("training.learning_rate",): pytest.approx(0.5)
    }  # fmt: skip


def grid(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.integers(0, 2, size=(count, 6)).astype(float)


def named(rows: NDArray[np.float64]) -> list[dict[Any, float]]:
    return [{column: v for column, v in enumerate(row) if v} for row in rows.tolist()]


def test_the_posterior_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    seen, unseen, values = grid(rng, 40), grid(rng, 30), rng.normal(size=40)
    process = GaussianProcess(named(seen), values)
    kernel = Matern(process.length_scale, nu=2.5) + WhiteKernel(process.noise)
    reference = GaussianProcessRegressor(process.signal * kernel, optimizer=None).fit(seen, values)
    mean, deviation = process.predict(named(unseen))
    expected, expected_deviation = reference.predict(unseen, return_std=True)
    assert mean == pytest.approx(expected, abs=1e-9)
    variance = expected_deviation**2 - process.signal * process.noise  # theirs is of a new sample
    assert deviation**2 == pytest.approx(variance, abs=1e-7)


def test_the_posterior_does_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    seen, unseen, values = named(grid(rng, 300)), named(grid(rng, 300)), rng.normal(size=300)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(GaussianProcess(seen, values).predict(unseen))
    (mean, deviation), (other_mean, other_deviation) = found
    assert (mean == other_mean).all() and (deviation == other_deviation).all()


def test_hyperparameters_are_those_of_the_largest_marginal_likelihood() -> None:
    rng = np.random.default_rng(1)
    seen, values = grid(rng, 50), rng.normal(size=50)
    process = GaussianProcess(named(seen), values)
    likelihoods = {}
    for scale, noise in itertools.product((1.0, 2.0, 3.0, 5.0, 8.0), (1e-3, 1e-2, 0.1, 0.3)):
        unit = GaussianProcess(named(seen), values, (scale,), (noise,))
        kernel = unit.signal * (Matern(scale, nu=2.5) + WhiteKernel(noise))
        reference = GaussianProcessRegressor(kernel, optimizer=None).fit(seen, values)
        likelihoods[scale, noise] = reference.log_marginal_likelihood_value_
    assert max(likelihoods, key=likelihoods.__getitem__) == (process.length_scale, process.noise)


def test_believing_keeps_the_mean_and_takes_the_doubt() -> None:
    rng = np.random.default_rng(2)
    process = GaussianProcess(named(grid(rng, 20)), rng.normal(size=20), noises=(1e-3,))
    points = named(grid(rng, 30))
    before, after = process.predict(points), process.believing(points[:3]).predict(points)
    assert after[0] == pytest.approx(before[0], abs=1e-6)
    assert (after[1] <= before[1] + 1e-9).all()
    noise = math.sqrt(process.noise * process.signal)  # all that a value seen once leaves open
    assert (after[1][:3] <= noise).all()
    assert process.believing([]) is process


@pytest.mark.parametrize("mean", [-40.0, -3.0, 0.0, 2.0])
@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_expected_improvement_is_the_integral(mean: float, deviation: float) -> None:
    incumbent = -39.0 if mean == -40.0 else 0.5
    integral, _ = quad(
        lambda y: (y - incumbent) * norm.pdf(y, mean, deviation),
        incumbent, max(mean, incumbent) + 12 * deviation, epsabs=0, epsrel=1e-10,
        points=[incumbent + 0.1 * deviation],
    )  # fmt: skip
    (score,) = log_expected_improvement(np.array([mean]), np.array([deviation]), incumbent)
    assert score == pytest.approx(math.log(integral), rel=1e-6)


def told(strategy: Bananas, number: int, score: float) -> Candidate:
    candidate = strategy.ask(number, ())
    keys = candidate.architecture.key, candidate.recipe.key
    strategy.tell(
        Trial(number, CANDIDATE, candidate, TrialState.COMPLETED, *keys, fitness=(score,))
    )
    return candidate


def climbed(strategy: Bananas, trials: int) -> Iterator[float]:
    for number in range(trials):
        candidate = strategy.ask(number, ())
        trial = Trial(number, CANDIDATE, candidate, TrialState.COMPLETED)
        score = share_of_a(trial)
        yield score
        strategy.tell(Trial(number, CANDIDATE, candidate, TrialState.COMPLETED, fitness=(score,)))


def test_nothing_is_asked_for_twice_until_the_space_is_exhausted() -> None:
    strategy = Bananas(letters(3, "abc"), Bananas.Settings(initial_samples=4), 0)
    asked = {told(strategy, number, score=number % 5) for number in range(27)}
    assert len(asked) == 27
    strategy.ask(27, ())  # nothing new is left; a repeat, which the engine counts


def test_what_runs_is_neither_asked_for_again_nor_left_out_of_sight() -> None:
    strategy = Bananas(letters(3, "abcd"), Bananas.Settings(initial_samples=4), 0)
    for number in range(12):
        told(strategy, number, score=number % 5)
    running: list[Trial] = []
    for number in range(12, 24):
        candidate = strategy.ask(number, running)
        assert candidate not in [trial.proposal for trial in running]
        running.append(Trial(number, CANDIDATE, candidate, TrialState.RUNNING))


@pytest.mark.parametrize("acquisition", ["expected_improvement", "thompson", "ucb"])
def test_a_slope_is_climbed_in_a_few_steps(acquisition: str) -> None:
    settings = Bananas.Settings.model_validate({"acquisition": acquisition})
    scores = list(climbed(Bananas(letters(8, "abcd"), settings, 0), 60))
    # of 65,536 words one has eight letters `a`; random search finds it in 60 trials once in 1,000
    assert max(scores) == 1.0


def test_equal_scores_and_failures_alone_are_survived() -> None:
    strategy = Bananas(letters(6, "abc"), Bananas.Settings(initial_samples=2), 0)
    assert len({told(strategy, number, score=1.0) for number in range(20)}) == 20


def test_bananas_beats_random_search_on_a_table(tmp_path: Path) -> None:
    table = Table.load(product_table(tmp_path))
    best = table.columns["search_score"].max()
    found = {
        strategy: sum(
            run_on_table(table, strategy(table.space(), strategy.Settings(), seed), 50)
            .queries_to(best) is not None
            for seed in range(6)
        )
        for strategy in (Bananas, RandomSearch)
    }  # fmt: skip
    # the best of 625 is among 50 random ones with p = 0.08, and four times of six with p < 0.001
    assert found[Bananas] == 6 and found[RandomSearch] <= 3
