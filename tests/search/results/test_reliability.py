"""How far the order of a search can be trusted."""

from __future__ import annotations

import math

import pytest

from search.results.reliability import reliability


def test_the_figures_of_three_candidates_by_hand() -> None:
    """Means 0.80, 0.70, 0.90 by search ranks 1, 2, 3: 1 - 6 (1 + 1 + 0) / 24 = 0.5."""
    found = reliability([(0.6, [0.79, 0.81]), (0.7, [0.68, 0.70, 0.72]), (0.8, [0.9])])
    assert found is not None
    assert found["candidates"] == 3 and found["spearman"] == pytest.approx(0.5)
    squares = 2 * 0.01**2 + 2 * 0.02**2  # of 1 + 2 + 0 degrees of freedom
    assert found["noise"] == pytest.approx(math.sqrt(squares / 3))
    assert found["spread"] == pytest.approx(0.1)


def test_what_cannot_be_said_is_not_said() -> None:
    assert reliability([]) is None and reliability([(0.5, [])]) is None
    one = reliability([(0.5, [0.4]), (0.6, [])])
    assert one == {"candidates": 1, "spearman": None, "noise": None, "spread": None}
    tied = reliability([(0.5, [0.4]), (0.5, [0.6]), (0.5, [0.5])])
    assert tied is not None and tied["spearman"] is None
