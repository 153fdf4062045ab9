"""What holds for every evaluator."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from search.evaluation import EvaluationError, Evaluator, Metrics
from search.objectives import MEASURED_METRICS
from search.trial import Trial
from search.trial_kind import TrialKind


def check_evaluator(
    make: Callable[[], Evaluator], trial: Trial, final: TrialKind, impossible: Trial
) -> None:
    """It reports epochs of finite metrics, the same each time; shows the test split to final trials
    alone; lets go of a trial in the middle; and after one that fails takes the next.

    trial: of a kind that does not see the test split. final: one that does. impossible: a trial
        that has no result.
    """
    assert final.sees_test and not trial.kind.sees_test
    evaluator = make()
    reports = _reports(evaluator, trial)
    assert reports, "a trial ends without any report"
    assert _reports(evaluator, trial) == reports, "the same trial has other results again"
    assert _reports(make(), trial) == reports, "another worker has other results"
    _check_refusal(evaluator, impossible)
    epochs = iter(evaluator.evaluate(trial))
    next(epochs)
    if isinstance(epochs, Generator):
        epochs.close()
    assert _reports(evaluator, trial) == reports, "what went before changes the results"
    *before, last = _reports(evaluator, replace(trial, kind=final))
    seen = {name for report in (*reports, *before) for name in report}
    assert last.keys() - seen, "a final trial tells nothing that the search may not see"
    leaked = sorted(name for name in seen if name.startswith("test_") or name == "final_score")
    assert not leaked, f"{leaked} is seen before the end of a final trial"


def _reports(evaluator: Evaluator, trial: Trial) -> list[Metrics]:
    """What a trial reports, without what a clock measures."""
    found: list[Metrics] = []
    epoch = 0.0
    for measured in evaluator.evaluate(trial):
        report = measured.metrics
        json.dumps(dict(report), allow_nan=False)
        strange = {name: value for name, value in report.items() if not math.isfinite(value)}
        assert not strange, f"not finite: {strange}"
        assert report.get("epoch", epoch + 1) == epoch + 1, f"{report['epoch']} follows {epoch:g}"
        epoch += 1
        found.append({n: value for n, value in report.items() if n not in MEASURED_METRICS})
    return found


def _check_refusal(evaluator: Evaluator, impossible: Trial) -> None:
    try:
        reports = list(evaluator.evaluate(impossible))
    except EvaluationError as error:
        message = error.failure.message
        assert message and "\n" not in message, f"a failure says {message!r}"
    else:
        raise AssertionError(f"an impossible trial reports {len(reports)} epochs")


__all__: Sequence[str] = ("check_evaluator",)
