"""The best so far and the paired difference, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from search.results.comparison import best_so_far, difference_over_seeds, paired_difference


def test_the_best_so_far_is_one_step_an_improvement() -> None:
    assert best_so_far([None, 0.5, 0.25, None, 0.5, 0.75]) == [(2, 0.5), (6, 0.75)]
    assert best_so_far([None]) == best_so_far([]) == []


def test_differences_are_those_of_the_shared_trials() -> None:
    found = paired_difference([1.0, 3.0, 2.0, 99.0], [2.0, None, 1.0])
    assert found is not None and found["trials"] == 3
    assert found["final"]["difference"] == 1.0
    assert found["mean"]["difference"] == pytest.approx((1 + 3 + 2) / 3 - (2 + 1 + 1) / 3)
    one = paired_difference([2.0], [0.5])
    assert one is not None and one["mean"] == {"difference": 1.5, "low": None, "high": None}
    assert paired_difference([1.0, 2.0], [None, None, 3.0]) is None
    assert paired_difference([], []) is None


def test_the_interval_of_the_mean_is_the_normal_one_for_many_pairs() -> None:
    """Var(x - y) = 2, so that the 95 % interval of the mean of 400 is about 1.96 sqrt(2 / 400)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(1.0, 1.0, 400), rng.normal(0.0, 1.0, 400)
    found = paired_difference(x.tolist(), y.tolist())
    assert found is not None
    mean = found["mean"]
    half = 1.96 * np.std(x - y) / 20
    assert mean["low"] == pytest.approx(np.mean(x - y) - half, abs=0.02)
    assert mean["high"] == pytest.approx(np.mean(x - y) + half, abs=0.02)
    assert found == paired_difference(x.tolist(), y.tolist())


def test_pairs_stay_together() -> None:
    """x - y is 1 in every pair, whatever is drawn: unpaired resamples would spread."""
    y = [float(n) for n in range(20)]
    found = paired_difference([value + 1 for value in y], y)
    assert found is not None
    assert found["mean"] == {"difference": 1.0, "low": 1.0, "high": 1.0}


def test_the_best_scores_of_one_seed_each_have_no_interval() -> None:
    """Their bootstrap said of 19 % of pairs of equal searches with 15 trials that they differ."""
    rng = np.random.default_rng(0)
    found = paired_difference(rng.normal(size=15).tolist(), rng.normal(size=15).tolist())
    assert found is not None and found["mean"]["low"] < found["mean"]["high"]
    assert (found["final"]["low"], found["final"]["high"]) == (None, None)


def test_seeds_have_the_interval_of_students_t() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), t(0.975, 2) = 4.3027 (tables)."""
    found = difference_over_seeds([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    half = 4.302653 / 3**0.5
    assert found == {
        "seeds": 3,
        "difference": pytest.approx(2.0),
        "low": pytest.approx(2.0 - half, abs=1e-5),
        "high": pytest.approx(2.0 + half, abs=1e-5),
        "better": 3,
    }
    same = difference_over_seeds([0.5, 0.75], [0.25, 0.5])
    assert (same["low"], same["high"], same["better"]) == (0.25, 0.25, 2)
    one = difference_over_seeds([0.5], [0.75])
    assert (one["difference"], one["low"], one["high"], one["better"]) == (-0.25, None, None, 0)


def test_equal_settings_differ_in_one_pair_of_twenty_at_most() -> None:
    rng = np.random.default_rng(0)
    apart = 0
    for _ in range(400):
        found = difference_over_seeds(rng.normal(size=5).tolist(), rng.normal(size=5).tolist())
        apart += found["low"] > 0 or found["high"] < 0
    assert 8 <= apart <= 32, apart  # 400 of 5 %: 20, with a standard deviation of 4.4
