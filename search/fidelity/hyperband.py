"""Hyperband, Li et al., JMLR 2018, https://arxiv.org/abs/1603.06560, Algorithm 1.

With R the epochs of the longest trial and r `grace_epochs`, s_max = floor(log_eta(R / r)). Bracket
s begins with n = ceil((s_max + 1) / (s + 1) eta^s) trials, has rungs after R eta^(i - s) epochs
(i = 0 ... s - 1; rounded down), and keeps the best floor(n eta^-(i + 1)) after rung i. Brackets
s_max ... 0 follow one another, again and again until the budget is spent.

Successive halving is synchronous: nobody passes a rung before all of the bracket have reached it.
Workers that would wait begin with the next bracket.
"""

from __future__ import annotations

from pydantic import Field

from search.fidelity import (
    CONTINUE,
    PAUSE,
    Action,
    FidelityRule,
    FidelitySettings,
    Verdict,
    fidelities,
    shown,
)
from search.fidelity.rung import Rung
from search.objectives import Objective
from search.trial import Trial


@fidelities.register("hyperband")
class Hyperband(FidelityRule):
    """Successive halving in brackets, from many trials that are cut early to few that are not."""

    pauses = True

    class Settings(FidelitySettings):
        """The brackets."""

        reduction_factor: int = Field(3, ge=2, le=100, description="eta in the paper")
        grace_epochs: int = Field(
            1, ge=1, le=10_000, description="epochs that every trial is trained, the unit of R"
        )
        brackets: int | None = Field(
            None, ge=1, le=100, description="of the s_max + 1 only so many, those that cut earliest"
        )

    def __init__(self, settings: Settings, objective: Objective, max_epochs: int) -> None:
        self._objective = objective
        self._shapes = _shapes(settings, max_epochs)
        self.rungs = tuple(sorted({epoch for _, rungs in self._shapes for epoch in rungs}))
        self._eta = settings.reduction_factor
        self._opened = 0
        self._brackets: list[Bracket] = []
        self._of: dict[int, Bracket] = {}

    def started(self, number: int) -> None:
        bracket = next((b for b in self._brackets if not b.is_full), None)
        if bracket is None:
            size, rungs = self._shapes[self._opened % len(self._shapes)]
            self._opened += 1
            bracket = Bracket(size, rungs, self._eta)
            self._brackets.append(bracket)
        self._of[number] = bracket
        bracket.join(number)

    def reported(self, number: int, epoch: int, value: float, *, is_last: bool) -> Verdict:
        if is_last:
            return CONTINUE
        return PAUSE if self._of[number].reached(number, epoch, value) else CONTINUE

    def resumed(self, number: int) -> None:
        self._of[number].resumed(number)

    def ended(self, trial: Trial) -> None:
        bracket = self._of.pop(trial.number)
        bracket.left(trial.number, has_trained=trial.costs_budget)
        if bracket.is_over:
            self._brackets.remove(bracket)

    def settle(self, *, is_closing: bool) -> tuple[int, Verdict] | None:
        for bracket in self._brackets:
            for epoch, rung in bracket.rungs.items():
                places = bracket.places(epoch, is_closing)
                if not places or (worst := rung.worst_waiting) is None:
                    continue
                if rung.rank(worst) < places:  # and so are all that wait
                    assert rung.best_waiting is not None  # noqa: S101 - for the type checker
                    return rung.best_waiting, CONTINUE
                return worst, self._stop(worst, epoch, rung, places)
        return None

    def _stop(self, number: int, epoch: int, rung: Rung, places: int) -> Verdict:
        return Verdict(
            Action.STOP,
            f"pruned by hyperband at epoch {epoch}: {shown(self._objective, rung.value(number))} "
            f"is not among the best {places} of {len(rung)} in its bracket, which begin at "
            f"{shown(self._objective, rung.nth(places - 1))}",
        )


class Bracket:
    """One run of successive halving. `rungs`: by epoch, the first one first."""

    def __init__(self, size: int, epochs: tuple[int, ...], eta: int) -> None:
        self._size, self._eta = size, eta
        self.rungs = {epoch: Rung() for epoch in epochs}
        self._joined = 0
        self._active: dict[int, int] = {}  # trial -> the epoch up to which it has trained
        self._paused: dict[int, int] = {}

    @property
    def is_full(self) -> bool:
        return self._joined >= self._size

    @property
    def is_over(self) -> bool:
        return self.is_full and not self._active and not self._paused

    def join(self, number: int) -> None:
        self._joined += 1
        self._active[number] = 0

    def reached(self, number: int, epoch: int, value: float) -> bool:
        """Whether the trial is to wait."""
        rung = self.rungs.get(epoch)
        if rung is None:
            return False
        rung.add(number, value)
        rung.pause(number)
        del self._active[number]
        self._paused[number] = epoch
        return True

    def resumed(self, number: int) -> None:
        epoch = self._active[number] = self._paused.pop(number)
        self.rungs[epoch].leave(number)

    def left(self, number: int, *, has_trained: bool) -> None:
        """A trial that was refused before training gives its place back."""
        self._active.pop(number, None)
        self._joined -= not has_trained
        epoch = self._paused.pop(number, None)
        if epoch is not None:
            self.rungs[epoch].leave(number)

    def places(self, epoch: int, is_closing: bool) -> int:
        """How many go on after a rung; 0 while others have yet to reach it."""
        before = [reached for reached in self._active.values() if reached < epoch]
        waiting = [reached for reached in self._paused.values() if reached < epoch]
        if before or waiting or not (self.is_full or is_closing):
            return 0
        halvings = list(self.rungs).index(epoch) + 1
        return max(1, self._joined // int(self._eta**halvings))


def _shapes(settings: Hyperband.Settings, max_epochs: int) -> list[tuple[int, tuple[int, ...]]]:
    """Trials and rungs of each bracket, the most aggressive one first."""
    eta, last = settings.reduction_factor, 0
    while settings.grace_epochs * eta ** (last + 1) <= max_epochs:
        last += 1
    brackets = [
        (-(-(last + 1) * eta**s // (s + 1)), tuple(max_epochs // eta ** (s - i) for i in range(s)))
        for s in range(last, -1, -1)
    ]
    return brackets[: settings.brackets]
