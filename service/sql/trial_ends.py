"""How a trial ends in SQL, whoever ends it: its row, and the event that clients hear of it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from search.trial import UNENDED, Trial, TrialState
from service.sql import tables
from service.sql.events import event
from service.sql.trial_rows import end_columns, end_data


class TrialHasEndedError(RuntimeError):
    """A second result for a trial: the first one counts and stays."""


def ended_event(search_id: str, tenant_id: str, trial: Trial, sequence: int) -> tables.Event:
    return event(search_id, tenant_id, sequence, "trial.ended", end_data(trial))


def write_end(
    session: Session,
    search_id: str,
    trial: Trial,
    sequence: int,
    before: Collection[TrialState] = UNENDED,
) -> bool:
    """Write the end of a trial that is in one of the states `before`; False where there is none.

    A trial that had ended keeps its place among the events, in the order of which it was told.
    """
    columns = end_columns(trial, sequence)
    for name in ("ended_sequence", "ended_at"):
        columns[name] = func.coalesce(getattr(tables.Trial, name), columns[name])
    ended = session.execute(
        update(tables.Trial)
        .where(
            tables.Trial.search_id == search_id,
            tables.Trial.number == trial.number,
            tables.Trial.state.in_(before),
        )
        .values(columns)
        .returning(tables.Trial.number)
        .execution_options(synchronize_session=False)
    ).first()
    return ended is not None


def end_trial(
    session: Session,
    search_id: str,
    tenant_id: str,
    trial: Trial,
    sequence: int,
    before: Collection[TrialState] = UNENDED,
) -> None:
    """
    Raises:
        TrialHasEndedError: the trial is in none of the states `before`.
    """
    if not write_end(session, search_id, trial, sequence, before):
        raise TrialHasEndedError(f"trial {trial.number} is not {' or '.join(before)}")
    session.add(ended_event(search_id, tenant_id, trial, sequence))
