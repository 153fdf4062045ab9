"""Results of earlier searches: read from those, and written down as the first of a new one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert
from sqlalchemy.orm import Session

from search.objectives import best_trials
from search.request.read import stored_spec
from search.request.warm_start import Earlier
from search.trial import Trial
from service.refusals import NotFoundError
from service.sql import tables
from service.sql.database import Sessions
from service.sql.events import append_event
from service.sql.searches import SearchRepository
from service.sql.trial_ends import ended_event
from service.sql.trial_rows import row_of_end, trial_of
from service.sql.trials import TrialRepository


def earlier_search(
    sessions: Sessions, tenant_id: str, search_id: str, limit: int
) -> Earlier | None:
    """A search of the tenant with its `limit` best results; None where there is no such search."""
    with sessions.read() as session:
        try:
            search = SearchRepository(session, tenant_id).get(search_id)
        except NotFoundError:
            return None
        trials = TrialRepository(session, tenant_id, search_id)
        ranked = sorted(trials.scores(), key=lambda scored: scored[1], reverse=True)
        rows = trials.of_numbers([number for number, _ in ranked[:limit]])
        found = [trial_of(row) for row in rows]
        spec = stored_spec(search.spec)
        return Earlier(search_id, spec, search.dataset_fingerprint, found)


def take_over(session: Session, search: tables.Search, trials: Sequence[Trial]) -> None:
    """Write `trials` down as the first of a new search, in the transaction that submits it."""
    first = search.event_sequence + 1
    rows, events = [], []
    for sequence, trial in enumerate(trials, first):
        row = row_of_end(search.id, search.tenant_id, trial, sequence)
        rows.append({**row, "attempts": 0, "asked_after": trial.number})
        events.append(ended_event(search.id, search.tenant_id, trial, sequence))
    session.execute(insert(tables.Trial), rows)
    session.add_all(events)
    search.event_sequence += len(trials)
    best = best_trials(trials, 1)[0]
    data = {"trial": best.number, "metrics": dict(best.metrics)}
    append_event(session, search, "best.changed", data)
