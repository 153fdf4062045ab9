"""Where a trial was left: its state and its last report, in a file beside the checkpoints."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from models.tensor_file import CheckpointError
from models.training.state import load_state, save_state
from models.training.trainer import TrainingState
from search.evaluation import NOTHING, Measurement
from search.trial import Trial

log = logging.getLogger(__name__)


def save(url: str, trial: Trial, state: TrainingState, report: Measurement) -> None:
    """`report`: of the epoch after which the state was taken."""
    save_state(url, state, _document(trial, report))


def left(url: str, trial: Trial) -> tuple[TrainingState | None, Measurement]:
    """Where an earlier evaluation of the same trial was left, and its last report; None and empty
    where the trial begins at the start.
    """
    try:
        state, document = load_state(url)
    except FileNotFoundError:
        return None, NOTHING
    except CheckpointError as error:
        log.warning("trial %d starts over: %s", trial.number, error)
        return None, NOTHING
    report = Measurement.from_json({**document, "metrics": document["report"]})
    if document != _document(trial, report):
        log.warning("trial %d starts over: what lies there is another trial's", trial.number)
        return None, NOTHING
    return state, report


def _document(trial: Trial, report: Measurement) -> dict[str, Any]:
    """What a state belongs to."""
    known = report.to_json()
    return {
        "proposal": trial.proposal.to_json(),
        "seed": trial.seed,
        "report": known["metrics"],
        "derived": known["derived"],
    }


class Spacing:
    """Says after which epochs to save, so that saving takes at most a `share` of the time."""

    def __init__(self, share: float) -> None:
        self._share, self._took, self._last = share, 0.0, monotonic()

    def is_due(self) -> bool:
        """The first time, and whenever enough time has passed since."""
        return self._took <= self._share * (monotonic() - self._last)

    def saved(self, began: float) -> None:
        """`began`: by the monotonic clock."""
        self._last = monotonic()
        self._took = self._last - began
