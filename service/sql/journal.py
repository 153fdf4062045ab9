"""The journal of a search in SQL: an event is one transaction, and counts once it is committed."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import Session

from search.engine import journal as journal_events
from search.engine.journal import (
    EpochReported,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.trial import Trial, TrialState, finite
from service.sql import tables
from service.sql.database import Sessions
from service.sql.events import EventType, event
from service.sql.lease import Claim, change
from service.sql.outages import OUTAGE_SECONDS, outlast
from service.sql.tables import Event, Search
from service.sql.trial_ends import TrialHasEndedError, ended_event, write_end
from service.sql.trial_rows import (
    end_columns,
    row_of_end,
    start_columns,
    start_data,
    trial_of,
)
from service.sql.worker_seconds import add_worker_seconds


class SqlJournal:
    """Implements `search.engine.journal.Journal` for the owner of a claim.

    `append` outlasts an outage of the database of `outage_seconds`. `elapsed` says how many seconds
    the search has run, over all its owners.
    """

    def __init__(
        self,
        sessions: Sessions,
        claim: Claim,
        elapsed: Callable[[], float],
        outage_seconds: float = OUTAGE_SECONDS,
    ) -> None:
        self._sessions, self._claim, self._elapsed = sessions, claim, elapsed
        self._outage_seconds = outage_seconds
        with sessions.read() as session:
            interrupted = frozenset(session.scalars(self._running()))
        self._memory = _Memory(interrupted, {}, None)

    def append(self, event: journal_events.Event) -> None:
        """
        Raises:
            search.engine.journal.StaleOwnerError: another driver owns the search now.
            service.sql.trial_ends.TrialHasEndedError: the trial has a result already.
        """
        self.append_all([event])

    def append_all(self, events: Sequence[journal_events.Event]) -> None:
        """Several events, in their order, in one transaction: all of them count, or none does."""
        before = self._memory

        def commit(again: bool) -> None:
            self._memory = before
            with self._sessions.begin() as session:
                if again:
                    change(session, self._claim, events=0)
                    if self._is_committed(session, events[-1]):
                        self._memory = functools.reduce(_Memory.after, events, before)
                        return
                self._write(session, events)

        outlast(commit, self._outage_seconds)

    def _write(self, session: Session, events: Sequence[journal_events.Event]) -> None:
        """One change of the search's row, then all new rows, one statement a table."""
        numbered = list(self._numbered(events))
        sequence, tenant_id = self._change(session, numbered[-1].last, **_totals(numbered))
        first = sequence - numbered[-1].last
        rows: dict[int, dict[str, Any]] = {}
        points: list[dict[str, Any]] = []
        told: list[Event] = []

        def tell(number: int, type: EventType, data: Mapping[str, Any]) -> None:
            told.append(event(self._claim.search_id, tenant_id, first + number, type, data))

        for item in numbered:
            match item.event:
                case TrialStarted(trial, known, running):
                    row = start_columns(
                        self._claim.search_id, tenant_id, trial, first + item.sequence
                    )
                    asked = {"asked_after": known, "asked_running": list(running)}
                    rows[trial.number] = {**row, **asked}
                    tell(item.sequence, "trial.started", start_data(trial))
                case EpochReported(number, epoch) as report:
                    if self._memory.runs_again(number, epoch):
                        self._start_curve_again(session, number, epoch)
                    key = {"search_id": self._claim.search_id, "tenant_id": tenant_id}
                    points.append({**key, "derived": None, **report.to_json()})
                    tell(item.sequence, "trial.epoch", report.to_json())
                case TrialPaused(number) as paused:
                    self._move(session, rows, number, TrialState.RUNNING, TrialState.PAUSED)
                    tell(item.sequence, "trial.paused", paused.to_json())
                case TrialResumed(number) as resumed:
                    self._move(session, rows, number, TrialState.PAUSED, TrialState.RUNNING)
                    tell(item.sequence, "trial.resumed", resumed.to_json())
                case TrialEnded(trial):
                    search_id, sequence = self._claim.search_id, first + item.sequence
                    if trial.number in rows:
                        rows[trial.number] |= end_columns(trial, sequence)
                    elif not write_end(session, search_id, trial, sequence):
                        rows[trial.number] = row_of_end(search_id, tenant_id, trial, sequence)
                    told.append(ended_event(search_id, tenant_id, trial, sequence))
                    if item.is_best:
                        tell(item.last, "best.changed", _best(trial))
            self._memory = self._memory.after(item.event)
        self._refuse_known(session, rows)
        add_worker_seconds(session, tenant_id, _worker_seconds(events))
        for table, values in ((tables.Trial, list(rows.values())), (tables.Epoch, points)):
            if values:
                session.execute(insert(table), values)
        session.add_all(told)

    def _numbered(self, events: Sequence[journal_events.Event]) -> Iterator[_Numbered]:
        memory, last = self._memory, 0
        for item in events:
            is_best = isinstance(item, TrialEnded) and memory.is_better(item.trial)
            yield _Numbered(item, last + 1, is_best)
            last += 1 + is_best
            memory = memory.after(item)

    def _is_committed(self, session: Session, event: journal_events.Event) -> bool:
        """Whether the transaction before an outage has counted."""
        match event:
            case TrialStarted(trial):
                return self._state(session, trial.number) is TrialState.RUNNING
            case EpochReported(number, epoch) as report:
                key = {"search_id": self._claim.search_id, "number": number, "epoch": epoch}
                point = session.get(tables.Epoch, key)
                return point is not None and point.metrics == report.to_json()["metrics"]
            case TrialPaused(number):
                return self._state(session, number) is TrialState.PAUSED
            case TrialResumed(number):
                return self._state(session, number) is TrialState.RUNNING
            case TrialEnded(trial):
                return self._state(session, trial.number) is trial.state

    def history(self) -> Sequence[TrialStarted | TrialEnded]:
        """Starts and ends in the order of their numbers; a trial that ended as it started (a
        duplicate) has an end alone.
        """
        with self._sessions.read() as session:
            return [item for _, item in self._starts_and_ends(session)]

    def full_history(self) -> Sequence[journal_events.Event]:
        """As `history`, with epochs, pauses and resumptions among them."""
        with self._sessions.read() as session:
            events: list[tuple[int, journal_events.Event]] = [*self._starts_and_ends(session)]
            rows = session.execute(
                select(Event.sequence, Event.type, Event.data).where(
                    Event.search_id == self._claim.search_id, Event.type.in_(_BETWEEN)
                )
            )
            events += [(sequence, _BETWEEN[type].from_json(data)) for sequence, type, data in rows]
        events.sort(key=lambda numbered: numbered[0])
        return [item for _, item in events]

    def _starts_and_ends(self, session: Session) -> list[tuple[int, TrialStarted | TrialEnded]]:
        rows = session.scalars(
            select(tables.Trial).where(tables.Trial.search_id == self._claim.search_id)
        ).all()
        events: list[tuple[int, TrialStarted | TrialEnded]] = []
        for row in rows:
            trial = trial_of(row)
            if row.ended_sequence is not None:
                events.append((row.ended_sequence, TrialEnded(trial)))
            if row.started_sequence != row.ended_sequence:
                started = TrialStarted(
                    trial.as_started(), row.asked_after, tuple(row.asked_running)
                )
                events.append((row.started_sequence, started))
        events.sort(key=lambda numbered: numbered[0])
        for _, item in events:
            if isinstance(item, TrialEnded):
                self._memory = self._memory.after(item)
        return events

    def _start_curve_again(self, session: Session, number: int, epoch: int) -> None:
        """The trial runs again from `epoch` on, after a crash of its worker or of the owner."""
        session.execute(
            delete(tables.Epoch).where(
                tables.Epoch.search_id == self._claim.search_id,
                tables.Epoch.number == number,
                tables.Epoch.epoch >= epoch,
            )
        )
        session.execute(
            update(tables.Trial).where(*self._is(number)).values(attempts=tables.Trial.attempts + 1)
        )

    def _move(
        self,
        session: Session,
        rows: Mapping[int, dict[str, Any]],
        number: int,
        old: TrialState,
        new: TrialState,
    ) -> None:
        """To another state before the end; `rows` are those that have yet to be written."""
        state = rows[number]["state"] if number in rows else self._state(session, number)
        if state is not old:
            raise TrialHasEndedError(f"trial {number} is {state}, not {old}")
        if number in rows:
            rows[number]["state"] = new
        else:
            session.execute(update(tables.Trial).where(*self._is(number)).values(state=new))

    def _refuse_known(self, session: Session, numbers: Collection[int]) -> None:
        """Trials that are about to get a row must have none."""
        known = select(tables.Trial.number, tables.Trial.state).where(
            tables.Trial.search_id == self._claim.search_id, tables.Trial.number.in_(numbers)
        )
        for number, state in session.execute(known) if numbers else ():
            raise TrialHasEndedError(f"trial {number} is {state} already, it cannot start")

    def _change(self, session: Session, events: int = 1, **values: Any) -> tuple[int, str]:
        row = change(session, self._claim, events, elapsed_seconds=self._elapsed(), **values)
        return row.event_sequence, row.tenant_id

    def _is(self, number: int) -> tuple[Any, Any]:
        return tables.Trial.search_id == self._claim.search_id, tables.Trial.number == number

    def _running(self) -> Select[int]:
        return select(tables.Trial.number).where(
            tables.Trial.search_id == self._claim.search_id,
            tables.Trial.state == TrialState.RUNNING,
        )

    def _state(self, session: Session, number: int) -> TrialState | None:
        return session.scalar(select(tables.Trial.state).where(*self._is(number)))


_BETWEEN: Mapping[str, type[EpochReported | TrialPaused | TrialResumed]] = {
    "trial.epoch": EpochReported,
    "trial.paused": TrialPaused,
    "trial.resumed": TrialResumed,
}
"""Events whose data are the JSON of the journal's."""


@dataclass(frozen=True, slots=True)
class _Numbered:
    """An event and its number in the transaction, from 1; a best one has the next number, too."""

    event: journal_events.Event
    sequence: int
    is_best: bool

    @property
    def last(self) -> int:
        return self.sequence + self.is_best


def _worker_seconds(events: Sequence[journal_events.Event]) -> float:
    """Of the trials that have ended; a repeat took none."""
    ended = [event.trial for event in events if isinstance(event, TrialEnded)]
    return sum(trial.seconds for trial in ended if trial.state is not TrialState.CACHED)


def _totals(numbered: Sequence[_Numbered]) -> dict[str, Any]:
    """What the events change in the row of the search."""
    ended = [item.event.trial for item in numbered if isinstance(item.event, TrialEnded)]
    counted = Counter(f"{trial.kind.counter}_done" for trial in ended if trial.counts)
    counts = {
        **counted,
        "epochs_done": sum(isinstance(item.event, EpochReported) for item in numbered),
    }
    changes: dict[str, Any] = {
        name: getattr(Search, name) + count for name, count in counts.items() if count
    }
    for item in numbered:
        if item.is_best and isinstance(item.event, TrialEnded):
            changes["best"] = _best(item.event.trial)
    return changes


def _best(trial: Trial) -> dict[str, Any]:
    return {"trial": trial.number, "metrics": finite(trial.metrics)}


def _standing(trial: Trial) -> tuple[float, ...]:
    """Bigger is better: the fitness, then the loss."""
    return (*(trial.fitness or ()), -trial.metrics.get("val_loss", math.inf))


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the next event is held against.

    interrupted: trials that an earlier owner started and nobody ended.
    reached: the last epoch of trials that run.
    best: how good the best candidate so far is, see `_standing`.
    """

    interrupted: frozenset[int]
    reached: Mapping[int, int]
    best: tuple[float, ...] | None

    def runs_again(self, number: int, epoch: int) -> bool:
        return number in self.interrupted or epoch <= self.reached.get(number, 0)

    def is_better(self, trial: Trial) -> bool:
        """Whether the trial is the best candidate so far, in the order of `best_trials`."""
        if not trial.kind.competes or not trial.has_result:
            return False
        return trial.fitness is not None and (self.best is None or _standing(trial) > self.best)

    def after(self, event: journal_events.Event) -> _Memory:
        match event:
            case EpochReported(number, epoch):
                reached = {**self.reached, number: epoch}
                return _Memory(self.interrupted - {number}, reached, self.best)
            case TrialEnded(trial):
                reached = {n: epoch for n, epoch in self.reached.items() if n != trial.number}
                best = _standing(trial) if self.is_better(trial) else self.best
                return _Memory(self.interrupted - {trial.number}, reached, best)
        return self
