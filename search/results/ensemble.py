"""What came of putting final trainings together, beside the best of them alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.ensemble import chosen_in, shares_of
from search.evaluators.combining import LEFT_OUT
from search.spec import SearchSpec
from search.trial import EnsembleProposal, Trial, TrialState


def ensemble_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial that put others together, ended or not; None where there is none."""
    return next((trial for trial in trials if trial.kind.combines), None)


def handed_out(spec: SearchSpec, trials: Sequence[Trial]) -> Trial | None:
    """The ensemble, where it is better on validation than each of its members alone, else it has
    one, and inside every constraint.
    """
    trial = ensemble_of(trials)
    if trial is None or trial.state is not TrialState.COMPLETED or trial.derived is None:
        return None
    if any(constraint.violation(trial.metrics) for constraint in spec.constraints):
        return None
    return trial if len(chosen_in(trial.derived)) > 1 else None


def members(trial: Trial, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Each member: the final trial whose weights it has, the candidate that was retrained, and its
    share of the answer.
    """
    if trial.derived is None:
        return []
    sources = {final.number: final.source for final in trials}
    chosen = chosen_in(trial.derived)
    return [
        {"trial": member.trial, "source": sources[member.trial], "share": share}
        for member, share in zip(chosen, shares_of(chosen), strict=True)
    ]


def told(spec: SearchSpec, trials: Sequence[Trial]) -> dict[str, Any] | None:
    """For the report; None before the ensemble has ended, and where none was asked for. `trials`:
    it and the final ones.
    """
    trial = ensemble_of(trials)
    if trial is None or not trial.state.has_ended:
        return None
    assert isinstance(trial.proposal, EnsembleProposal)  # noqa: S101 - for the type checker
    of = members(trial, trials)
    single = next((t for t in trials if of and t.number == of[0]["trial"]), None)
    return {
        "trial": trial.number,
        "finals": len(trial.proposal.finals),
        "left_out": int(trial.metrics.get(LEFT_OUT, 0)),
        "members": of,
        "single": None if single is None else single.number,
        "scores": [
            {
                "metric": objective.metric,
                "ensemble": trial.metrics.get(objective.metric),
                "single": None if single is None else single.metrics.get(objective.metric),
            }
            for objective in spec.objectives
        ],
        "is_handed_out": handed_out(spec, trials) is not None,
        "failure": None if trial.failure is None else trial.failure.message,
    }


def of_ensemble(trial: Trial, trials: Sequence[Trial]) -> dict[str, Any]:
    """What `best` says of one that is handed out, and of nothing else."""
    assert trial.derived is not None  # noqa: S101 - for the type checker
    return {
        "trial": trial.number,
        "architecture": trial.derived.to_json(),
        "search_metrics": {},
        "ensemble": members(trial, trials),
    }
