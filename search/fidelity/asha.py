"""ASHA, Li et al., MLSys 2020, https://arxiv.org/abs/1810.05934, Algorithm 2.

Rungs lie after r, r eta, r eta^2 ... epochs. A trial goes on if it is among the best 1 / eta of all
that have reached its rung. Two variants of what becomes of the others (docs/adr/0015):

- promotion, the paper's: they wait, and are promoted when enough worse ones have come. Where the
  paper's worker picks the next job anew after every rung, a trial here that may go on does so.
- stopping: they are pruned at once. While fewer than eta have reached a rung, its best goes on.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from search.fidelity import (
    CONTINUE,
    PAUSE,
    Action,
    FidelityRule,
    FidelitySettings,
    Verdict,
    fidelities,
    geometric,
    shown,
)
from search.fidelity.rung import Rung
from search.objectives import Objective
from search.trial import Trial


@fidelities.register("asha")
class Asha(FidelityRule):
    """Lets the best 1 / eta of the trials that have trained as long as this one train eta times
    longer, without waiting for the others.
    """

    class Settings(FidelitySettings):
        """The rungs, and what becomes of a trial that is not promoted."""

        reduction_factor: int = Field(3, ge=2, le=100, description="eta in the paper")
        grace_epochs: int = Field(
            1, ge=1, le=10_000, description="r in the paper: epochs that every trial is trained"
        )
        variant: Literal["stopping", "promotion"] = Field(
            "stopping",
            description="stopping: the others are pruned at once; promotion: they wait, and may be "
            "promoted later",
        )

    def __init__(self, settings: Settings, objective: Objective, max_epochs: int) -> None:
        self._settings, self._objective = settings, objective
        self.rungs = geometric(settings.grace_epochs, settings.reduction_factor, max_epochs)
        self.pauses = settings.variant == "promotion"
        self._rungs = {epoch: Rung() for epoch in self.rungs}
        self._paused: dict[int, int] = {}  # trial -> epoch of its rung
        self._active: set[int] = set()

    def started(self, number: int) -> None:
        self._active.add(number)

    def reported(self, number: int, epoch: int, value: float, *, is_last: bool) -> Verdict:
        rung = self._rungs.get(epoch)
        if is_last or rung is None:
            return CONTINUE
        rung.add(number, value)
        if self._is_promoted(rung, number, is_final=not self.pauses):
            return CONTINUE
        if not self.pauses:
            return self._stop(number, epoch)
        rung.pause(number)
        self._paused[number] = epoch
        self._active.discard(number)
        return PAUSE

    def resumed(self, number: int) -> None:
        self._rungs[self._paused.pop(number)].leave(number)
        self._active.add(number)

    def ended(self, trial: Trial) -> None:
        self._active.discard(trial.number)
        epoch = self._paused.pop(trial.number, None)
        if epoch is not None:
            self._rungs[epoch].leave(trial.number)

    def settle(self, *, is_closing: bool) -> tuple[int, Verdict] | None:
        """The paused trial of the highest rung that may go on. Where nothing can change any more,
        the best of a rung goes on, however few have reached it, and then the others end.
        """
        is_final = is_closing and not self._active
        for epoch in reversed(self.rungs):
            rung = self._rungs[epoch]
            best = rung.best_waiting
            if best is not None and self._is_promoted(rung, best, is_final=is_final):
                return best, CONTINUE
        if is_final and self._paused:
            number, epoch = next(iter(self._paused.items()))
            return number, self._stop(number, epoch)
        return None

    def _is_promoted(self, rung: Rung, number: int, *, is_final: bool) -> bool:
        return rung.rank(number) < self._places(rung, is_final)

    def _places(self, rung: Rung, is_final: bool) -> int:
        return max(len(rung) // self._settings.reduction_factor, int(is_final))

    def _stop(self, number: int, epoch: int) -> Verdict:
        rung = self._rungs[epoch]
        places = self._places(rung, is_final=True)
        return Verdict(
            Action.STOP,
            f"pruned by asha at epoch {epoch}: {shown(self._objective, rung.value(number))} is not "
            f"among the best {places} of {len(rung)}, which begin at "
            f"{shown(self._objective, rung.nth(places - 1))}",
        )
