"""The rules against what their papers say, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.stages.candidates import CANDIDATE
from search.fidelity import CONTINUE, PAUSE, Action, FidelityRule, fidelities
from search.fidelity.curve import RIDGE, features, fitted
from search.objectives import Objective
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState

ACCURACY = Objective(metric="val_accuracy")


def rule_of(
    name: str, max_epochs: int, objective: Objective = ACCURACY, **settings: Any
) -> FidelityRule:
    entry = fidelities[name]
    return entry(entry.Settings(name=name, **settings), objective, max_epochs)


def ended(number: int, state: TrialState, kind: FailureKind | None = None) -> Trial:
    candidate = Candidate(Architecture("cnn_cell", {}), Recipe())
    failure = Failure(kind, "no luck") if kind else None
    return Trial(number, CANDIDATE, candidate, state, failure=failure)


def report(rule: FidelityRule, number: int, epoch: int, value: float) -> Action:
    return rule.reported(number, epoch, value, is_last=False).action


def test_asha_has_the_rungs_of_the_paper_and_stops_who_is_not_in_the_top_third() -> None:
    rule = rule_of("asha", 27)
    assert rule.rungs == (1, 3, 9) and not rule.pauses
    actions = []
    for number, value in enumerate([0.5, 0.4, 0.6, 0.55, 0.58, 0.57]):
        rule.started(number)
        actions.append(report(rule, number, 1, value))
    # 1: alone. 2, 3 and so on: the best floor(n / 3), one at least, of those seen so far.
    assert [action is Action.CONTINUE for action in actions] == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    rule.started(6)
    stopped = rule.reported(6, 1, 0.5, is_last=False)
    assert stopped.reason == (
        "pruned by asha at epoch 1: val_accuracy 0.5 is not among the best 2 of 7, which begin at "
        "val_accuracy 0.58"
    )
    assert report(rule, 0, 2, 0.0) is Action.CONTINUE  # no rung
    assert rule.reported(0, 3, -math.inf, is_last=True) == CONTINUE


def test_asha_shows_a_metric_that_is_minimised_as_it_was_reported() -> None:
    rule = rule_of("asha", 9, Objective(metric="val_loss", goal="minimize"), reduction_factor=2)
    for number, loss in enumerate([0.5, 0.75]):
        rule.started(number)
        verdict = rule.reported(number, 1, -loss, is_last=False)
    assert "val_loss 0.75 is not among the best 1 of 2, which begin at val_loss 0.5" in (
        verdict.reason
    )


def test_asha_promotes_the_paused_when_enough_worse_ones_have_come() -> None:
    rule = rule_of("asha", 9, variant="promotion")
    for number, value in enumerate([0.5, 0.6, 0.4]):
        rule.started(number)
        assert report(rule, number, 1, value) is Action.PAUSE
    assert rule.settle(is_closing=False) == (1, CONTINUE)  # floor(3 / 3) = 1
    rule.resumed(1)
    assert rule.settle(is_closing=False) is None
    for number, value in ((3, 0.1), (4, 0.2), (5, 0.3)):
        rule.started(number)
        assert report(rule, number, 1, value) is Action.PAUSE
    assert rule.settle(is_closing=False) == (0, CONTINUE)  # floor(6 / 3) = 2
    rule.resumed(0)
    assert report(rule, 1, 3, 0.9) is Action.PAUSE
    assert rule.settle(is_closing=True) is None  # 0 may still change what happens
    assert report(rule, 0, 3, 0.8) is Action.PAUSE
    assert rule.settle(is_closing=False) is None  # floor(2 / 3) = 0
    assert rule.settle(is_closing=True) == (1, CONTINUE)  # nobody else will come
    rule.resumed(1)
    rule.ended(ended(1, TrialState.COMPLETED))
    out = []
    while (settled := rule.settle(is_closing=True)) is not None:
        assert settled[1].action is Action.STOP
        out.append(settled[0])
        rule.ended(ended(settled[0], TrialState.PRUNED))
    assert sorted(out) == [0, 2, 3, 4, 5]


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    """R = 81 and eta = 3, as in table 1 of Li et al. 2018, which rounds (s_max + 1) / (s + 1) down;
    Algorithm 1, line 2, does not: 81, ceil(5 / 4 * 27), ceil(5 / 3 * 9), ceil(5 / 2 * 3), 5.
    """
    rule = rule_of("hyperband", 81)
    brackets: list[list[tuple[int, int]]] = []
    number = 0
    for size in (81, 34, 15, 8, 5):
        members = list(range(number, number + size))
        number += size
        for member in members:
            rule.started(member)
        shape, epoch = [], 0
        while len(members) > 0:
            epoch += 1
            if epoch == 81:
                shape.append((len(members), 81))
                for member in members:
                    rule.ended(ended(member, TrialState.COMPLETED))
                break
            answers = {report(rule, m, epoch, m / 1000) for m in members}
            assert len(answers) == 1
            if answers == {Action.CONTINUE}:
                continue
            shape.append((len(members), epoch))
            promoted = []
            while (settled := rule.settle(is_closing=False)) is not None:
                if settled[1].action is Action.STOP:
                    rule.ended(ended(settled[0], TrialState.PRUNED))
                else:
                    promoted.append(settled[0])
                    rule.resumed(settled[0])
            assert promoted == sorted(members, reverse=True)[: len(promoted)]
            members = promoted
        brackets.append(shape)
    assert brackets == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


def test_hyperband_waits_for_the_bracket_and_a_refused_trial_gives_its_place_back() -> None:
    rule = rule_of("hyperband", 3)  # brackets of 3 trials with a rung after epoch 1, and of 2
    rule.started(0)
    rule.ended(ended(0, TrialState.FAILED, FailureKind.INFEASIBLE))
    for number in (1, 2, 3):
        rule.started(number)
    rule.started(4)  # of the next bracket
    assert rule.reported(1, 1, 0.1, is_last=False) == PAUSE
    assert rule.reported(2, 1, 0.2, is_last=False) == PAUSE
    assert rule.settle(is_closing=False) is None
    rule.ended(ended(3, TrialState.FAILED, FailureKind.ERROR))
    settled = rule.settle(is_closing=False)
    assert (
        settled
        and settled[0] == 1
        and settled[1].reason
        == (
            "pruned by hyperband at epoch 1: val_accuracy 0.1 is not among the best 1 of 2 in its "
            "bracket, which begin at val_accuracy 0.2"
        )
    )
    assert report(rule, 4, 1, 0.0) is Action.CONTINUE


def test_median_compares_the_best_value_with_the_median_of_running_averages() -> None:
    rule = rule_of("median", 4, min_trials=3)
    for number, values in enumerate(([0.25, 0.5, 0.75], [0.125, 0.25, 0.375], [0.5, 0.75, 1.0])):
        rule.started(number)
        for epoch, value in enumerate(values, start=1):
            assert report(rule, number, epoch, value) is Action.CONTINUE
        rule.ended(ended(number, TrialState.COMPLETED))
    # Running averages up to epoch 2: 0.375, 0.1875 and 0.625.
    rule.started(3)
    assert report(rule, 3, 1, 0.375) is Action.CONTINUE
    assert report(rule, 3, 2, 0.1) is Action.CONTINUE  # its best, 0.375, is not worse
    assert rule.reported(3, 3, 0.2, is_last=False).reason == (
        "pruned by median at epoch 3: its best, val_accuracy 0.375, is worse than val_accuracy "
        "0.5, the median of 3 trials"
    )
    rule.ended(ended(3, TrialState.PRUNED))
    rule.started(4)
    assert report(rule, 4, 1, 0.125) is Action.STOP  # median of 0.25, 0.125 and 0.5
    assert rule.reported(4, 4, 0.0, is_last=True) == CONTINUE


def test_curve_stops_who_is_not_predicted_to_reach_the_best() -> None:
    """Every trial gains 0.25 after its first epoch: the prediction is exact."""
    rule = rule_of("curve", 3, min_trials=5, top=2)
    for number, start in enumerate([0.125, 0.25, 0.375, 0.5, 0.625]):
        rule.started(number)
        for epoch, value in enumerate([start, start + 0.125, start + 0.25], start=1):
            assert report(rule, number, epoch, value) is Action.CONTINUE
        rule.ended(ended(number, TrialState.COMPLETED))
    rule.started(5)
    assert rule.reported(5, 1, 0.375, is_last=False).reason == (
        "pruned by curve at epoch 1: predicted to end at val_accuracy 0.625, 0 more or less; the "
        "best 2 of 5 begin at val_accuracy 0.75"
    )
    rule.started(6)
    assert report(rule, 6, 1, 0.5) is Action.CONTINUE  # as good as the second
    assert report(rule, 6, 2, -math.inf) is Action.CONTINUE
    assert rule.reported(6, 3, 0.0, is_last=True) == CONTINUE


def test_the_error_of_a_curve_is_that_of_ridge_regressions_which_leave_one_out() -> None:
    """Against scikit-learn, fitted once for each curve that is left out."""
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(12, 9)).cumsum(axis=1)
    x = np.array([features(curve[:4].tolist()) for curve in curves])
    standard, gains = (x - x.mean(axis=0)) / x.std(axis=0), curves[:, -1] - curves[:, 3]
    predicted = cross_val_predict(Ridge(alpha=RIDGE), standard, gains, cv=LeaveOneOut())
    fit = fitted(curves.tolist(), 4)
    assert fit.error == pytest.approx(np.sqrt(np.mean((gains - predicted) ** 2)))
    whole = Ridge(alpha=RIDGE).fit(standard, gains)
    assert fit.gain(x[0]) == pytest.approx(whole.predict(standard[:1])[0])
    assert features([1.0, 4.0, 2.0, 3.0]) == (3.0, 4.0, -0.5)  # from 4 to 3 in two epochs
    assert features([2.0]) == (2.0, 2.0, 0.0)


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_a_trial_without_a_value_is_the_worst(name: str) -> None:
    rule = rule_of(name, 3, reduction_factor=3)
    for number, value in enumerate([0.1, -math.inf, 0.3]):
        rule.started(number)
        verdict = rule.reported(number, 1, value, is_last=False)
        if number == 1 and verdict.action is not Action.STOP:
            assert verdict == PAUSE
    settled = rule.settle(is_closing=True)
    assert name == "asha" or (
        settled and settled[0] == 1 and "no usable val_acc" in settled[1].reason
    )
