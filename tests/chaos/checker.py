"""What must hold for the whole database after every run, whatever was killed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from search.trial import TrialState
from service.sql.database import Sessions
from service.sql.states import ENDED, NEXT, SearchState
from service.sql.tables import Artifact, Epoch, Event, Search, Trial

STARTED = {"search.running", "search.paused", "search.succeeded", "search.failed"}


def check(sessions: Sessions, acknowledged: Path, store: Path, *, is_swept: bool = True) -> None:
    """
    is_swept: what ended searches leave is gone by now; a dispatcher does that some seconds later.

    Raises:
        AssertionError: with everything that is wrong.
    """
    problems: list[str] = []
    with sessions.read() as session:
        if session.get_bind().dialect.name == "sqlite":
            verdict = session.scalars(text("PRAGMA integrity_check")).all()
            if verdict != ["ok"]:
                problems.append(f"integrity_check says {verdict}")
        searches = session.scalars(select(Search)).all()
        promised = {json.loads(line)["id"] for line in acknowledged.read_text().splitlines()}
        problems += [
            f"{lost} was accepted and is lost" for lost in promised - {s.id for s in searches}
        ]
        for search in searches:
            problems += [f"{search.id}: {problem}" for problem in of_search(session, search)]
            problems += [f"{search.id}: {problem}" for problem in _of_files(session, search, store)]
            if is_swept:
                problems += [f"{search.id}: {problem}" for problem in _left(session, search, store)]
    assert not problems, "\n".join(problems)


def of_search(session: Session, search: Search) -> list[str]:
    """What is wrong with its rows."""
    problems = []
    events = session.scalars(
        select(Event).where(Event.search_id == search.id).order_by(Event.sequence)
    ).all()
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        problems.append("its events have holes")
    if search.event_sequence != len(events):
        problems.append(f"{search.event_sequence=} with {len(events)} events")

    state = SearchState.QUEUED
    for event in events:
        if event.type.startswith("search.") and "state" in event.data:
            following = SearchState(event.data["state"])
            if event.sequence > 1 and following not in NEXT[state]:
                problems.append(f"event {event.sequence}: {following} after {state}")
            state = following
    if state != search.state:
        problems.append(f"it is {search.state}, its last event says {state}")
    if search.state in ENDED and (search.lease_owner or not search.ended_at or search.requested):
        problems.append("it has ended and still has an owner or a request")

    trials = session.scalars(select(Trial).where(Trial.search_id == search.id)).all()
    problems += _of_trials(search, list(trials), list(events))
    epochs = session.scalars(select(Epoch).where(Epoch.search_id == search.id)).all()
    for number in {epoch.number for epoch in epochs}:
        reached = sorted(epoch.epoch for epoch in epochs if epoch.number == number)
        if reached != list(range(1, len(reached) + 1)):
            problems.append(f"the curve of trial {number} has the epochs {reached}")
    return problems


def _of_trials(search: Search, trials: list[Trial], events: list[Event]) -> list[str]:
    problems = []
    ends: dict[int, list[int]] = defaultdict(list)
    for event in events:
        number = event.data.get("number")
        if (
            event.type == "trial.ended"
            and (event.data.get("failure") or {}).get("kind") != "bundle"
        ):
            ends[number].append(event.sequence)
        elif event.type in ("trial.started", "trial.epoch") and ends[number]:
            problems.append(f"trial {number} goes on in event {event.sequence} after its end")
    done = 0
    for trial in trials:
        expected = int(trial.state.has_ended)
        if len(ends[trial.number]) != expected:
            problems.append(f"trial {trial.number} is {trial.state} and ended {ends[trial.number]}")
        if not trial.state.has_ended and search.state in ENDED:
            problems.append(f"trial {trial.number} runs in an ended search")
        failure = (trial.failure or {}).get("kind")
        is_own = trial.state.has_ended and trial.state is not TrialState.CACHED
        counts = is_own and trial.kind not in ("baseline", "final")
        done += counts and failure not in ("infeasible", "cancelled")
    if search.state != "cancelled" and search.trials_done != done:
        problems.append(f"{search.trials_done=}, {done} have ended")
    if sorted(trial.number for trial in trials) != list(range(len(trials))):
        problems.append("its trials have holes")
    return problems


def _of_files(session: Session, search: Search, store: Path) -> list[str]:
    problems = []
    artifacts = session.scalars(select(Artifact).where(Artifact.search_id == search.id)).all()
    for artifact in artifacts:
        content = (store / artifact.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != artifact.sha256:
            problems.append(f"{artifact.path} is not what was published")
    if search.state == "succeeded" and not artifacts:
        problems.append("it succeeded without a bundle")
    return problems


def _left(session: Session, search: Search, store: Path) -> list[str]:
    problems = []
    if search.state == "succeeded":
        artifacts = session.scalars(select(Artifact).where(Artifact.search_id == search.id)).all()
        folder = store / "artifacts" / search.id
        if {path.name for path in folder.iterdir()} != {Path(a.path).name for a in artifacts}:
            problems.append("it left files that no row names")
    if search.state in ENDED and (store / "checkpoints" / search.id).exists():
        problems.append("it left its checkpoints")
    return problems


def count_epochs(session: Session, search_id: str) -> int:
    query = select(func.count()).select_from(Epoch).where(Epoch.search_id == search_id)
    return session.scalar(query) or 0
