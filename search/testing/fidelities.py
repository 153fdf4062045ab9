"""What holds for every fidelity rule."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from random import Random

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.stages.candidates import CANDIDATE
from search.fidelity import Action, FidelityRule, Verdict, fidelities
from search.objectives import Objective
from search.testing.settings import check_described
from search.trial import Candidate, Trial, TrialState

EPOCHS, BEST = 12, 17
OBJECTIVE = Objective(metric="val_accuracy")
Told = Callable[[FidelityRule], object]


def rule_of(name: str) -> FidelityRule:
    return fidelities[name](fidelities[name].Settings(name=name), OBJECTIVE, EPOCHS)


def trial(number: int, state: TrialState) -> Trial:
    candidate = Candidate(Architecture("cnn_cell", {}), Recipe(epochs=EPOCHS))
    return Trial(number, CANDIDATE, candidate, state)


def curve(number: int) -> list[float]:
    """Values that cross: they grow at random from a random start. `BEST` is above all others."""
    rng = Random(number)
    values = [rng.random() + 4 * (number == BEST)]
    for _ in range(EPOCHS - 1):
        values.append(values[-1] + rng.random() / 4)
    return values


class Played:
    """A search of 40 trials, four at a time, in a random order; what its rule was told."""

    def __init__(self, name: str) -> None:
        self.rule, self.told = rule_of(name), list[Told]()
        self.ends: dict[int, tuple[TrialState, int]] = {}
        self.reasons: list[str] = []
        self._epoch: dict[int, int] = {}
        self._running: list[int] = []
        self._rng, self._started = Random(0), 0
        while self._fill():
            self._train(self._rng.choice(self._running))

    def _tell(self, told: Told) -> object:
        self.told.append(told)
        return told(self.rule)

    def _fill(self) -> bool:
        while len(self._running) < 4:
            settled = self.rule.settle(is_closing=self._started == 40)
            if settled is not None:
                assert settled == self.rule.settle(is_closing=self._started == 40)
                number, verdict = settled
                if verdict.action is Action.STOP:
                    self._end(number, TrialState.PRUNED, verdict.reason)
                    continue
                assert verdict.action is Action.CONTINUE and number not in self._running
                self._tell(methodcaller("resumed", number))
                self._running.append(number)
            elif self._started < 40:
                number, self._started = self._started, self._started + 1
                self._epoch[number] = 0
                self._tell(methodcaller("started", number))
                self._running.append(number)
            else:
                break
        return bool(self._running)

    def _train(self, number: int) -> None:
        epoch = self._epoch[number] = self._epoch[number] + 1
        value, last = curve(number)[epoch - 1], epoch == EPOCHS
        verdict = self._tell(methodcaller("reported", number, epoch, value, is_last=last))
        assert isinstance(verdict, Verdict)
        if verdict.action is Action.CONTINUE and last:
            self._end(number, TrialState.COMPLETED)
        elif verdict.action is not Action.CONTINUE:
            assert epoch in self.rule.rungs and not last
            self._running.remove(number)
            if verdict.action is Action.STOP:
                self._end(number, TrialState.PRUNED, verdict.reason)
            else:
                assert self.rule.pauses

    def _end(self, number: int, state: TrialState, reason: str = "") -> None:
        self.ends[number] = state, self._epoch[number]
        if reason:
            self.reasons.append(reason)
        if number in self._running:
            self._running.remove(number)
        self._tell(methodcaller("ended", trial(number, state)))


def check_endings(name: str) -> None:
    """Every trial ends, some are pruned, and the best is trained to the end."""
    played = Played(name)
    assert len(played.ends) == 40
    pruned = {n: epoch for n, (state, epoch) in played.ends.items() if state is TrialState.PRUNED}
    assert played.rule.listens == bool(pruned) and set(pruned.values()) <= set(played.rule.rungs)
    completed = played.ends.keys() - pruned.keys()
    most = 30 if played.rule.listens else 40
    assert 1 <= len(completed) <= most, f"{name} completes {len(completed)} of 40, at most {most}"
    assert BEST in completed
    assert all(reason.startswith(f"pruned by {name} at epoch ") for reason in played.reasons)
    assert len(played.reasons) == len(pruned)


def check_determinism(name: str) -> None:
    """A rule is a function of what it was told."""
    played, fresh = Played(name), rule_of(name)
    again = rule_of(name)
    for told in played.told:
        assert told(again) == told(fresh)
        assert again.settle(is_closing=False) == fresh.settle(is_closing=False)
        assert again.settle(is_closing=True) == fresh.settle(is_closing=True)


def check_settings(name: str) -> None:
    """They are described, and a rule that listens has `grace_epochs`."""
    check_described(fidelities[name].Settings, "name")
    fields = fidelities[name].Settings.model_fields
    assert not fidelities[name].listens or "grace_epochs" in fields, f"{name} has no grace_epochs"


def check_fidelity(name: str) -> None:
    """All of these."""
    check_endings(name)
    check_determinism(name)
    check_settings(name)
