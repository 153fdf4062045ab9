"""Trials in SQL, for readers. Every query names the tenant that asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from search.engine.stages.baseline import BASELINE
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.results.families import FamilyTrial
from search.trial import UNENDED, FailureKind, TrialState
from search.trial_kind import kinds_where, trial_kinds
from service.refusals import NotFoundError
from service.sql.tables import Epoch, Event, Trial


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an ended trial of the strategy or of the baseline.

    counts: it was trained, or would have been if the baseline were alone.
    is_new: the first result of its network in this search.
    """

    number: int
    kind: str
    fitness: tuple[float, ...] | None
    counts: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class TrialPoint:
    """What a chart of all trials takes of one. `failure`: as people are told it."""

    number: int
    kind: str
    state: TrialState
    fitness: tuple[float, ...] | None
    seconds: float
    failure: str | None


class TrialRepository:
    def __init__(self, session: Session, tenant_id: str, search_id: str) -> None:
        self._session, self._tenant_id, self._search_id = session, tenant_id, search_id

    def get(self, number: int) -> Trial:
        """
        Raises:
            NotFoundError: the tenant's search has no such trial.
        """
        trial = self._session.scalar(self._all().where(Trial.number == number))
        if trial is None:
            raise NotFoundError("trial", number)
        return trial

    def page(
        self, size: int, *, after: int, state: TrialState | None, kind: str | None
    ) -> Sequence[Trial]:
        """At most `size` trials with numbers above `after`, in order."""
        query = self._all().where(Trial.number > after)
        if state is not None:
            query = query.where(Trial.state == state)
        if kind is not None:
            query = query.where(Trial.kind == kind)
        return self._session.scalars(query.order_by(Trial.number).limit(size)).all()

    def curves(self, numbers: Sequence[int]) -> dict[int, list[Epoch]]:
        """The learning curves of these trials; none where nothing was reported."""
        found: dict[int, list[Epoch]] = defaultdict(list)
        rows = self._session.scalars(
            select(Epoch)
            .where(
                Epoch.search_id == self._search_id,
                Epoch.tenant_id == self._tenant_id,
                Epoch.number.in_(numbers),
            )
            .order_by(Epoch.number, Epoch.epoch)
        )
        for row in rows:
            found[row.number].append(row)
        return found

    def scores(self) -> list[tuple[int, tuple[float, ...]]]:
        """(number, fitness) of every candidate with a result: all that ranking them needs."""
        rows = self._session.execute(
            select(Trial.number, Trial.fitness)
            .where(
                Trial.search_id == self._search_id,
                Trial.tenant_id == self._tenant_id,
                or_(Trial.state == TrialState.COMPLETED, Trial.source_search.is_not(None)),
                Trial.kind.in_(kinds_where(lambda kind: kind.competes)),
                Trial.fitness.is_not(None),
            )
            .order_by(Trial.number)
        )
        return [(number, tuple(fitness)) for number, fitness in rows if fitness is not None]

    def results(self) -> list[tuple[dict[str, float], tuple[float, ...]]]:
        """(metrics, fitness) of every trained candidate, those of the baseline included."""
        rows = self._session.execute(
            select(Trial.metrics, Trial.fitness)
            .where(
                Trial.search_id == self._search_id,
                Trial.tenant_id == self._tenant_id,
                Trial.state == TrialState.COMPLETED,
                Trial.kind.in_(kinds_where(lambda kind: kind.needs_objectives)),
                Trial.fitness.is_not(None),
            )
            .order_by(Trial.number)
        )
        return [(metrics, tuple(fitness)) for metrics, fitness in rows if fitness is not None]

    def identities(self) -> dict[tuple[str, str], float]:
        """The fitness in the first objective of every candidate with a result, by its keys, in the
        order of asking.
        """
        rows = self._session.execute(
            select(Trial.architecture_key, Trial.recipe_key, Trial.fitness)
            .where(
                Trial.search_id == self._search_id,
                Trial.tenant_id == self._tenant_id,
                Trial.state == TrialState.COMPLETED,
                Trial.kind == CANDIDATE.name,
                Trial.fitness.is_not(None),
            )
            .order_by(Trial.number)
        )
        return {(first, second): fitness[0] for first, second, fitness in rows if fitness}

    def outcomes(self) -> list[Outcome]:
        """In the order of asking."""
        rows = self._session.execute(
            select(
                Trial.number,
                Trial.kind,
                Trial.state,
                Trial.fitness,
                Trial.failure,
                Trial.source_search,
            )
            .where(
                Trial.search_id == self._search_id,
                Trial.tenant_id == self._tenant_id,
                Trial.state.not_in(UNENDED),
                Trial.kind.in_(kinds_where(lambda kind: kind.needs_objectives)),
            )
            .order_by(Trial.number)
        )
        return [
            Outcome(
                row.number,
                row.kind,
                None if row.fitness is None else tuple(row.fitness),
                (row.state is not TrialState.CACHED or trial_kinds[row.kind].counts_repeats)
                and (row.failure or {}).get("kind") != FailureKind.INFEASIBLE,
                row.state is not TrialState.CACHED or row.source_search is not None,
            )
            for row in rows
        ]

    def points(self) -> list[TrialPoint]:
        """Every trial in the order of asking."""
        rows = self._session.execute(
            select(
                Trial.number,
                Trial.kind,
                Trial.state,
                Trial.fitness,
                Trial.seconds,
                Trial.failure,
            )
            .where(Trial.search_id == self._search_id, Trial.tenant_id == self._tenant_id)
            .order_by(Trial.number)
        )
        return [
            TrialPoint(
                row.number,
                row.kind,
                row.state,
                None if row.fitness is None else tuple(row.fitness),
                row.seconds,
                None if row.failure is None else row.failure["message"],
            )
            for row in rows
        ]

    def last_end(self) -> int:
        """The number of the last event that a trial ended; 0 before there is one. It grows with
        all that `outcomes` shows, and a trial may end again.
        """
        last = self._session.scalar(
            select(Event.sequence)
            .where(
                Event.search_id == self._search_id,
                Event.tenant_id == self._tenant_id,
                Event.type == "trial.ended",
            )
            .order_by(Event.sequence.desc())
            .limit(1)
        )
        return last or 0

    def of_families(self) -> list[FamilyTrial]:
        """The ended trials of the strategy, in the order of asking; repeats cost no seconds and are
        left out.
        """
        family = Trial.proposal["architecture"]["family"].as_string()
        rows = self._session.execute(
            select(family, Trial.seconds, Trial.fitness)
            .where(
                Trial.search_id == self._search_id,
                Trial.tenant_id == self._tenant_id,
                Trial.state.not_in({*UNENDED, TrialState.CACHED}),
                Trial.kind == CANDIDATE.name,
            )
            .order_by(Trial.number)
        )
        return [
            FamilyTrial(family, seconds, None if fitness is None else tuple(fitness))
            for family, seconds, fitness in rows
        ]

    def first_of_baseline(self) -> int | None:
        """The number of its first trial, running ones included; None before it has begun."""
        return self._session.scalar(
            select(func.min(Trial.number)).where(
                Trial.search_id == self._search_id,
                Trial.tenant_id == self._tenant_id,
                Trial.kind == BASELINE.name,
            )
        )

    def of_numbers(self, numbers: Sequence[int]) -> Sequence[Trial]:
        return self._session.scalars(
            self._all().where(Trial.number.in_(numbers)).order_by(Trial.number)
        ).all()

    def supernets(self) -> Sequence[Trial]:
        return self._session.scalars(
            self._all().where(Trial.kind == SUPERNET.name).order_by(Trial.number)
        ).all()

    def finals(self) -> Sequence[Trial]:
        """Trials whose models may be handed out, an ensemble of others among them."""
        kinds = kinds_where(lambda kind: kind.retrains or kind.combines)
        query = self._all().where(Trial.kind.in_(kinds)).order_by(Trial.number)
        return self._session.scalars(query).all()

    def _all(self) -> Select[Trial]:
        return select(Trial).where(
            Trial.search_id == self._search_id, Trial.tenant_id == self._tenant_id
        )
