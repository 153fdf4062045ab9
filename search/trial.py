"""Proposals and trials: immutable records of what was tried and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from models.architecture import Architecture
from models.recipe import Recipe
from search.trial_kind import TrialKind, trial_kinds


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and the recipe to train it by.

    `weights_from` is the number of the supernet trial whose weights its training begins with; None:
    from scratch. It is no part of a candidate's identity: an architecture with its recipe has one
    result in a search, that of whoever was first.
    """

    architecture: Architecture
    recipe: Recipe
    weights_from: int | None = None

    def to_json(self) -> dict[str, Any]:
        """`weights_from` only where it is set."""
        document: dict[str, Any] = {
            "architecture": self.architecture.to_json(),
            "recipe": self.recipe.model_dump(mode="json"),
        }
        if self.weights_from is not None:
            document["weights_from"] = self.weights_from
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            Architecture.from_json(document["architecture"]),
            Recipe.from_json(document["recipe"]),
            document.get("weights_from"),
        )


@dataclass(frozen=True, slots=True)
class SupernetProposal:
    """A weight-sharing search as one trial: the method and its settings, as JSON values."""

    method: str
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"method": self.method, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(document["method"], document["settings"])


@dataclass(frozen=True, slots=True)
class EnsembleProposal:
    """The networks that the trials `finals` have left, of which those that are best together become
    one: at most `size` picks, with replacement.
    """

    finals: tuple[int, ...]
    size: int

    def to_json(self) -> dict[str, Any]:
        return {"finals": list(self.finals), "size": self.size}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(tuple(document["finals"]), document["size"])


Proposal = Candidate | SupernetProposal | EnsembleProposal


def proposal_from_json(document: Mapping[str, Any]) -> Proposal:
    """Of any kind, from its own JSON or from that of its trial."""
    kind = _kind_of(document)
    if supernet := document if kind == "supernet" else document.get("supernet"):
        return SupernetProposal.from_json(supernet)
    if ensemble := document if kind == "ensemble" else document.get("ensemble"):
        return EnsembleProposal.from_json(ensemble)
    return Candidate.from_json(document)


def shown(proposal: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a proposal as the keys that it is in its trial's: null for the other kinds'."""
    nothing = dict.fromkeys(("architecture", "recipe", "weights_from", "supernet", "ensemble"))
    kind = _kind_of(proposal)
    return nothing | (dict(proposal) if kind is None else {kind: proposal})


def _kind_of(proposal: Mapping[str, Any]) -> str | None:
    """The key of a trial that has such a proposal as a whole; None of a candidate's."""
    if "method" in proposal:
        return "supernet"
    return "ensemble" if "finals" in proposal else None


class TrialState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"  # of rows and clients; in an engine's hands it is a running one
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"
    CACHED = "cached"

    @property
    def has_ended(self) -> bool:
        """Whether it stays so; a trial that has not ended runs, or is to go on."""
        return self not in (TrialState.RUNNING, TrialState.PAUSED)


UNENDED = tuple(state for state in TrialState if not state.has_ended)


class FailureKind(StrEnum):
    """Why a trial has no result of its own."""

    ERROR = "error"  # an exception in building or training
    NON_FINITE = "non_finite"  # the loss or a metric became NaN or infinite
    OUT_OF_MEMORY = "out_of_memory"
    WORKER_DIED = "worker_died"
    INFEASIBLE = "infeasible"  # refused before training: cannot be built, or breaks a constraint
    FIDELITY = "fidelity"  # pruned: stopped early by the fidelity rule
    BUDGET = "budget"  # pruned: the time budget ended while it ran
    CANCELLED = "cancelled"  # pruned: the search was cancelled
    BUNDLE = "bundle"  # a final model whose bundle did not reproduce the recorded score


@dataclass(frozen=True, slots=True)
class Failure:
    kind: FailureKind
    message: str

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "message": self.message}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(FailureKind(document["kind"]), document["message"])


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of a search.

    `number` counts from 0 in the order of asking, final trials included. `fitness` has one value
    an objective, bigger is better (`search.objectives`); None without a result. `source` is the
    number of the trial that answered a cached one, or of the candidate that a final one retrains;
    with `source_search`, it is the number in that earlier search, which trained the network.
    `origin` says who suggested it; None: the strategy.
    `violation` says how far the metrics are outside the constraints (`search.objectives.excess`).

    `derived` is the architecture that a supernet's training led to, or that of an ensemble
    (`models.ensemble.architecture_of`).

    A trial that the fidelity rule pruned has the metrics of its last epoch and no fitness: a value
    after fewer epochs is no rival of those after all. It costs budget as any other.
    """

    number: int
    kind: TrialKind
    proposal: Proposal
    state: TrialState
    architecture_key: str = ""
    recipe_key: str = ""
    seed: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    fitness: tuple[float, ...] | None = None
    violation: float = 0.0
    failure: Failure | None = None
    source: int | None = None
    source_search: str | None = None
    origin: str | None = None
    seconds: float = 0.0
    worker: str | None = None
    derived: Architecture | None = None

    def to_json(self) -> dict[str, Any]:
        """The one form of a trial outside of Python: REST answers it, Ray carries it, rows and
        events are made of its keys. Metrics that are not finite are left out.
        """
        return {
            "number": self.number,
            "kind": self.kind.name,
            "state": self.state.value,
            **shown(self.proposal.to_json()),
            "architecture_key": self.architecture_key,
            "recipe_key": self.recipe_key,
            "seed": self.seed,
            "metrics": finite(self.metrics),
            "fitness": None if self.fitness is None else list(self.fitness),
            "violation": self.violation,
            "failure": None if self.failure is None else self.failure.to_json(),
            "source": self.source,
            "source_search": self.source_search,
            "origin": self.origin,
            "seconds": self.seconds,
            "worker": self.worker,
            "derived": None if self.derived is None else self.derived.to_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A key that is null or missing has its default, so that what was written before there was
        the key can be read; other keys are those of whoever keeps the trial.
        """
        known = {
            name: read(value)
            for name, read in _READ.items()
            if (value := document.get(name)) is not None
        }
        return cls(proposal=proposal_from_json(document), **known)

    def as_started(self) -> Self:
        """As it was when it began, whatever came of it since."""
        return replace(self, **_NOTHING_YET)

    @property
    def is_supernet(self) -> bool:
        return isinstance(self.proposal, SupernetProposal)

    @property
    def candidate(self) -> Candidate:
        """The proposal of a trial of one network."""
        if not isinstance(self.proposal, Candidate):
            raise TypeError(f"trial {self.number} is of several networks, it has no candidate")
        return self.proposal

    @property
    def is_repeat(self) -> bool:
        """Asked for again: the trial `source` answers it."""
        return self.source is not None and self.source_search is None and self.kind.is_answered

    @property
    def has_result(self) -> bool:
        """Trained to the end, in this search or in the one that it was taken over from."""
        return self.state is TrialState.COMPLETED or self.source_search is not None

    @property
    def is_told(self) -> bool:
        """Asked of the strategy, which is told its end."""
        return self.kind.is_told

    @property
    def is_refused(self) -> bool:
        """Cannot be built, or breaks a limit that is known before training."""
        return self.failure is not None and self.failure.kind is FailureKind.INFEASIBLE

    @property
    def counts(self) -> bool:
        """In the number of the progress that is its kind's; what was refused before training never
        does, nor does a duplicate of most kinds.
        """
        if self.kind.counter is None or self.is_refused:
            return False
        return self.state is not TrialState.CACHED or self.kind.counts_repeats

    @property
    def costs_budget(self) -> bool:
        """What a strategy asks for, but for duplicates and for what was refused before training."""
        return self.counts and self.kind.counter == "trials"


_NOTHING_YET: Mapping[str, Any] = {
    "state": TrialState.RUNNING,
    "metrics": {},
    "fitness": None,
    "violation": 0.0,
    "failure": None,
    "seconds": 0.0,
    "worker": None,
    "derived": None,
}

OUTCOME = tuple(_NOTHING_YET)
"""The fields that say what came of a trial; the others say what was asked for, and never change."""

_READ: Mapping[str, Callable[[Any], Any]] = {
    "number": int,
    "kind": lambda name: trial_kinds[name],
    "state": TrialState,
    "architecture_key": str,
    "recipe_key": str,
    "seed": int,
    "metrics": lambda metrics: {name: float(value) for name, value in metrics.items()},
    "fitness": lambda values: tuple(float(value) for value in values),
    "violation": float,
    "failure": Failure.from_json,
    "source": int,
    "source_search": str,
    "origin": str,
    "seconds": float,
    "worker": str,
    "derived": Architecture.from_json,
}


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that JSON and a database can hold; what is NaN or infinite is left out."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
