"""What is said of a supernet's training."""

from __future__ import annotations

from typing import Any

import pytest

from search.results.supernets import Point, course

DERIVED = {"family": "cnn_cell", "decisions": {}}


def curve(**signs: float) -> list[Point]:
    """Three epochs; `signs`: of the second as e2, of the last as e3."""
    points: list[Point] = []
    for epoch in (1, 2, 3):
        metrics: dict[str, Any] = {"entropy": 0.5, "entropy cell 0-1": 0.9 / epoch}
        if f"e{epoch}" in signs:
            metrics["collapse skip_share"] = signs[f"e{epoch}"]
        points.append((epoch, metrics, DERIVED))
    return points


@pytest.mark.parametrize(
    ("points", "derived_epoch", "ending"),
    [
        (curve(), 3.0, "trained to the end, 3 epochs"),
        (
            curve(e3=0.8333),
            1.0,
            "stopped after epoch 3: skip_share 0.833; the architecture is that of epoch 1",
        ),
        (
            curve(e2=0.6),
            3.0,
            "restarted after epoch 2: skip_share 0.6; trained to the end, 3 epochs",
        ),
    ],
)
def test_the_ending_is_told_in_words(
    points: list[Point], derived_epoch: float, ending: str
) -> None:
    found = course({"derived_epoch": derived_epoch}, points, None, is_running=False)
    assert found["ending"] == ending
    assert found["rows"] == ["cell 0-1"] and found["entropy"] == [[0.9, 0.45, 0.9 / 3]]


def test_a_trial_without_a_result_says_why() -> None:
    failed = course({}, curve(), "the search was cancelled", is_running=False)
    assert failed["ending"] == "the search was cancelled, after 3 epochs"
    assert course({}, [], None, is_running=True)["ending"] == "running, 0 epochs so far"
