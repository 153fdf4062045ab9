"""Every trial is trained to its last epoch."""

from __future__ import annotations

from search.fidelity import CONTINUE, FidelityRule, FidelitySettings, Verdict, fidelities
from search.objectives import Objective
from search.trial import Trial


@fidelities.register("none")
class NoFidelity(FidelityRule):
    """Every trial is trained to its last epoch."""

    listens = False

    class Settings(FidelitySettings):
        """There is nothing to set."""

    def __init__(self, settings: Settings, objective: Objective, max_epochs: int) -> None:
        self.rungs = ()

    def started(self, number: int) -> None: ...

    def reported(self, number: int, epoch: int, value: float, *, is_last: bool) -> Verdict:
        return CONTINUE

    def ended(self, trial: Trial) -> None: ...
