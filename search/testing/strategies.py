"""What holds for every strategy."""

from __future__ import annotations

from functools import cache
from random import Random

from models.architecture import sha256_of
from models.family import families
from models.recipe import TrainingSettings
from models.task import Task
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.objectives import Objective, fitness
from search.space import SearchSpace
from search.strategy import Strategy, strategies
from search.testing.settings import check_described
from search.trial import Candidate, Failure, FailureKind, SupernetProposal, Trial, TrialState

OBJECTIVES = (Objective(metric="val_accuracy"), Objective(metric="flops", goal="minimize"))

ASKS = 70
"""Past every default warm-up, and fewer than there are points in the space."""


@cache
def small_space() -> SearchSpace:
    """Cells of NAS-Bench-201, 15,625 of them in two widths, with a recipe of two optimizers and
    any learning rate.
    """
    family = families["cnn_cell"]
    settings = family.Settings.model_validate(
        {"topology": "nasbench201", "channels": {"choice": [8, 16]}}
    )
    training = TrainingSettings.model_validate(
        {
            "optimizer": {"choice": ["momentum", "adam"]},
            "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        }
    )
    return SearchSpace.of_family(
        "cnn_cell", family, settings, training, Task("image_classification", (1, 8, 8), 10)
    )


def told(name: str, history: list[Trial], seed: int = 0) -> Strategy:
    """A fresh strategy with its default settings, told all of these."""
    strategy = strategies[name](small_space(), strategies[name].Settings(), seed)
    for trial in history:
        strategy.tell(trial)
    return strategy


def ended(name: str, number: int, proposal: object, state: TrialState) -> Trial:
    """A trial with as many objectives as the strategy can take, scored by its proposal alone. A
    supernet has no score; it derives a network of the space.
    """
    if isinstance(proposal, SupernetProposal):
        has_result = state in (TrialState.COMPLETED, TrialState.CACHED)
        key = sha256_of(proposal.to_json())
        derived = small_space().sample(Random(key)).architecture if has_result else None
        return Trial(number, SUPERNET, proposal, state, key, key, derived=derived)
    assert isinstance(proposal, Candidate), f"{name} proposes {proposal!r}"
    score = int(proposal.architecture.key[:8], 16) / 16**8
    metrics = {"val_accuracy": score, "flops": 1e6 * (1 - score)}
    failure = None
    if state in (TrialState.FAILED, TrialState.PRUNED):
        failure = Failure(FailureKind.ERROR, "no luck")
    objectives = OBJECTIVES[: strategies[name].objectives]
    return Trial(
        number,
        CANDIDATE,
        proposal,
        state,
        proposal.architecture.key,
        proposal.recipe.key,
        metrics={} if failure else metrics,
        fitness=None if failure else fitness(metrics, objectives),
        failure=failure,
    )


def state_of(number: int) -> TrialState:
    """Some of each ending."""
    if number % 7 == 0:
        return TrialState.FAILED
    if number % 11 == 0:
        return TrialState.PRUNED
    return TrialState.CACHED if number % 13 == 0 else TrialState.COMPLETED


def check_determinism(name: str) -> None:
    """It is a function of seed, number and what it was told; candidates are points of the space."""
    space, history = small_space(), list[Trial]()
    strategy = told(name, history)
    for number in range(ASKS):
        proposal = strategy.ask(number, running=[])
        assert proposal == strategy.ask(number, running=[]), f"{name} changes by being asked"
        if number % 10 == 0:
            again = told(name, history).ask(number, running=[])
            assert proposal == again, f"{name} is not what it was told, at {number}"
        if proposal is None:  # with nothing running, it is done
            break
        if isinstance(proposal, Candidate):
            assert space.candidate(space.values(proposal)) == proposal
        history.append(ended(name, number, proposal, state_of(number)))
        strategy.tell(history[-1])
    assert any(isinstance(trial.proposal, Candidate) for trial in history)


def check_order(name: str) -> None:
    """It goes on where trials end out of order, until it has nothing more to ask."""
    strategy, running, done = told(name, []), list[Trial](), list[Trial]()
    for number in range(ASKS):
        proposal = strategy.ask(number, tuple(running))
        if proposal is not None:
            running.append(ended(name, number, proposal, TrialState.RUNNING))
        elif not running:
            break
        if len(running) == 5 or proposal is None:
            trial = running.pop(number % len(running))
            done.append(ended(name, trial.number, trial.proposal, state_of(trial.number)))
            strategy.tell(done[-1])
    _check_number(name, [*done, *running])


def check_failures(name: str) -> None:
    """It goes on where every trial fails, until it has nothing more to ask."""
    strategy, done = told(name, []), list[Trial]()
    for number in range(ASKS):
        if (proposal := strategy.ask(number, ())) is None:
            break
        done.append(ended(name, number, proposal, TrialState.FAILED))
        strategy.tell(done[-1])
    _check_number(name, done)


def _check_number(name: str, asked: list[Trial]) -> None:
    """Each ask is answered, or the supernets that the settings say and all that they derived."""
    supernets = [trial for trial in asked if trial.is_supernet]
    if not supernets:
        assert len(asked) == ASKS, f"{name} asks for {len(asked)} trials of {ASKS}, and stops"
        return
    seeds = getattr(strategies[name].Settings(), "seeds", len(supernets))
    assert len(supernets) == seeds, f"{name} asks for {len(supernets)} supernets of {seeds}"
    derived = {t.derived.key for t in supernets if t.derived is not None}
    candidates = len(asked) - seeds
    assert candidates == len(derived), f"{name} tries {candidates} of {len(derived)} derived"


def check_seeds(name: str) -> None:
    """Two seeds are two searches, and ten asks are ten proposals.

    A strategy that draws its first ten at random from the 31,250 networks of the space repeats one
    by chance with probability 45 / 31,250 = 0.14 % at most; that two seeds agree in all is
    impossible in practice. Both are the same at each run: the seeds are fixed.
    """
    first, second = ([told(name, [], seed).ask(n, ()) for n in range(10)] for seed in (0, 1))
    assert first != second, f"{name} does the same by seeds 0 and 1"
    distinct = len(set(map(repr, first)))
    assert distinct == 10, f"{name} asks for {distinct} different trials of 10"


def check_settings(name: str) -> None:
    """They are described, and refuse what they do not know."""
    check_described(strategies[name].Settings, "name")


def check_objectives(name: str) -> None:
    """It says how many objectives it takes, and what it is."""
    assert strategies[name].objectives >= 1
    assert strategies[name].__doc__, f"{name} does not say what it is"


def check_strategy(name: str) -> None:
    """All of these."""
    for check in CHECKS:
        check(name)


CHECKS = (
    check_determinism,
    check_order,
    check_failures,
    check_seeds,
    check_settings,
    check_objectives,
)
