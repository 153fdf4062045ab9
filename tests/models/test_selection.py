"""Ensemble selection, step by step as in the paper, and where it stops."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from models.selection import selected

# What three models say of four samples whose class is 1, 1, 0, 0, as the probability of class 1.
SAID = {7: [0.9, 0.4, 0.4, 0.3], 8: [0.3, 0.9, 0.2, 0.6], 9: [0.6, 0.6, 0.6, 0.6]}
TRUE = np.array([1, 1, 0, 0])


def accuracy_then_loss(picks: Sequence[int]) -> tuple[float, float]:
    shares = np.mean([SAID[model] for model in picks], axis=0)
    of_true = np.where(TRUE == 1, shares, 1 - shares)
    return ((shares >= 0.5) == TRUE).mean(), np.log(of_true).mean()


def test_the_picks_are_those_worked_out_by_hand() -> None:
    # Alone: 7 has 3 of 4, 8 has 2, 9 has 2. With 7: 7+7 has 3; 7+8, of which the means are
    # 0.6, 0.65, 0.3, 0.45, has all 4; 7+9, of 0.75, 0.5, 0.5, 0.45, has 3. Then a third one:
    # 7+8+7 has the means 0.7, 0.57, 0.33, 0.4 and the losses 0.357, 0.568, 0.405, 0.511, of which
    # the mean 0.460 is less than the 0.474 of 7+8; 7+8+8 has 0.5, 0.73, 0.27, 0.5: 0.528.
    assert selected([7, 8, 9], 1, accuracy_then_loss) == [7]
    assert selected([7, 8, 9], 2, accuracy_then_loss) == [7, 8]
    assert selected([7, 8, 9], 3, accuracy_then_loss) == [7, 8, 7]


@pytest.mark.parametrize(
    ("value", "picks"),
    [
        (lambda picks: (-float(len(picks)),), [4]),  # every further one makes it worse
        (lambda picks: (0.0,), [4]),  # all are equal: the first alone
        (lambda picks: (float(len(set(picks))),), [4, 5, 6]),  # then others add nothing
        (lambda picks: (float(picks.count(6)),), [6] * 5),
    ],
)
def test_it_stops_where_more_is_no_better(
    value: Callable[[Sequence[int]], tuple[float, ...]], picks: list[int]
) -> None:
    assert selected([4, 5, 6], 5, value) == picks


def test_of_as_many_draws_none_is_better_than_the_best_pair_that_it_can_reach() -> None:
    """Every step is the best of all steps from there, by trying each: 20 random tasks."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        outputs, true = rng.normal(size=(4, 12)), rng.normal(size=12)

        def value(
            picks: Sequence[int], outputs: np.ndarray = outputs, true: np.ndarray = true
        ) -> tuple[float]:
            return (-float(np.mean((outputs[list(picks)].mean(axis=0) - true) ** 2)),)

        found = selected(range(4), 4, value)
        for length in range(len(found)):
            rest = [value([*found[:length], model]) for model in range(4)]
            assert value(found[: length + 1]) == max(rest)
        assert value(found) >= max(value([model]) for model in range(4))
