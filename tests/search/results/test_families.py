"""What each family reached."""

from __future__ import annotations

from search.objectives import Objective
from search.results.families import FamilyTrial, by_family

GOALS = (
    Objective(metric="val_accuracy", goal="maximize"),
    Objective(metric="parameters", goal="minimize"),
)


def test_the_best_of_each_objective_may_be_of_two_trials() -> None:
    trials = [
        FamilyTrial("mlp", 2.0, (0.8, -100.0)),
        FamilyTrial("mlp", 3.0, (0.9, -900.0)),
        FamilyTrial("mlp", 1.0, None),
        FamilyTrial("rnn", 4.0, None),
    ]
    best = {"val_accuracy": 0.9, "parameters": 100.0}
    none = {"val_accuracy": None, "parameters": None}
    assert by_family(GOALS, ("mlp", "rnn", "bag"), trials) == [
        {"family": "mlp", "trials": 3, "seconds": 6.0, "best": best},
        {"family": "rnn", "trials": 1, "seconds": 4.0, "best": none},
        {"family": "bag", "trials": 0, "seconds": 0.0, "best": none},
    ]
    assert by_family(GOALS, (), trials) == []
