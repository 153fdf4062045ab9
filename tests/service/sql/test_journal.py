from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.event import listens_for
from sqlalchemy.exc import OperationalError

from search.engine.journal import (
    EpochReported,
    MemoryJournal,
    StaleOwnerError,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.engine.stages.candidates import SUPERNET
from search.engine.stages.finals import FINAL
from search.trial import Failure, FailureKind, SupernetProposal, Trial, TrialState
from service.sql.database import Sessions, connect
from service.sql.journal import SqlJournal, TrialHasEndedError
from service.sql.lease import Claim
from service.sql.outages import outlast
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.sql.tables import Epoch, Event, Search
from service.sql.tables import Trial as TrialRow
from tests.service.support.rows import add_search, read_search, running_trial


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def claim(sessions: Sessions) -> Claim:
    add_search(sessions)
    claim = Queue(sessions).claim("me")
    assert claim is not None
    return claim


@pytest.fixture
def journal(sessions: Sessions, claim: Claim) -> SqlJournal:
    return SqlJournal(sessions, claim, lambda: 12.5)


def completed(trial: Trial, score: float) -> Trial:
    return replace(
        trial,
        state=TrialState.COMPLETED,
        metrics={"val_accuracy": score, "parameters": 1234.0},
        fitness=(score,),
        seconds=0.25,
        worker="node:1",
    )


def types_of(sessions: Sessions, search_id: str) -> list[str]:
    with sessions.read() as session:
        rows = session.scalars(
            select(Event).where(Event.search_id == search_id).order_by(Event.sequence)
        ).all()
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    return [row.type for row in rows]


def test_history_is_what_was_appended(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    first, second = running_trial(0), running_trial(1, seed=7, origin="proxy:synflow")
    supernet = running_trial(
        2, kind=SUPERNET, proposal=SupernetProposal("darts", {"order": 2, "epochs": 5})
    )
    derived = first.candidate.architecture
    heir = running_trial(3, proposal=replace(first.candidate, weights_from=2))
    final = running_trial(4, kind=FINAL, source=1, seed=1)
    failure = Failure(FailureKind.NON_FINITE, "epoch 1: the loss is NaN")
    events = [
        TrialStarted(first, told=0),
        TrialStarted(second, told=0, running=(0,)),
        EpochReported(1, 1, {"val_accuracy": 0.5}),
        TrialPaused(1, 1, 2.5),
        TrialResumed(1),
        TrialEnded(replace(completed(second, 0.1 + 0.2), violation=0.25)),
        TrialStarted(supernet, told=1, running=(0,)),
        TrialEnded(replace(first, state=TrialState.FAILED, failure=failure, worker="node:2")),
        EpochReported(2, 1, {"weight_loss": 1.5}, derived),
        TrialStarted(heir, told=2, running=(2,)),
        TrialStarted(final, told=2, running=(2, 3)),
        TrialEnded(replace(completed(supernet, 0.5), fitness=None, derived=derived)),
    ]
    expected = MemoryJournal()
    for event in events:
        journal.append(event)
        expected.append(event)
    for reader in (journal, SqlJournal(sessions, claim, lambda: 0.0)):
        assert reader.history() == expected.history()
        assert list(reader.full_history()) == events


def test_a_duplicate_may_end_as_it_starts(journal: SqlJournal) -> None:
    cached = replace(completed(running_trial(0), 0.5), state=TrialState.CACHED, source=3)
    journal.append(TrialEnded(cached))
    assert journal.history() == [TrialEnded(cached)]


def test_counters_version_and_events_move_with_the_journal(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    trial = running_trial(0)
    journal.append(TrialStarted(trial, told=0))
    journal.append(EpochReported(0, 1, {"val_accuracy": 0.25}))
    journal.append(EpochReported(0, 2, {"val_accuracy": 0.5}))
    journal.append(TrialEnded(completed(trial, 0.5)))
    search = read_search(sessions, claim.search_id)
    assert (search.trials_done, search.epochs_done, search.elapsed_seconds) == (1, 2, 12.5)
    assert search.best == {"trial": 0, "metrics": {"val_accuracy": 0.5, "parameters": 1234.0}}
    assert search.revision == 6  # accepted, claimed, start, two epochs, end
    assert types_of(sessions, claim.search_id) == [
        "search.running",
        "trial.started",
        "trial.epoch",
        "trial.epoch",
        "trial.ended",
        "best.changed",
    ]
    with sessions.read() as session:
        curve = session.scalars(select(Epoch).order_by(Epoch.epoch)).all()
    assert [(point.epoch, point.metrics) for point in curve] == [
        (1, {"val_accuracy": 0.25}),
        (2, {"val_accuracy": 0.5}),
    ]


def test_what_costs_no_budget_is_not_counted(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    cached = replace(completed(running_trial(0), 0.5), state=TrialState.CACHED, source=3)
    refused = replace(
        running_trial(1),
        state=TrialState.FAILED,
        failure=Failure(FailureKind.INFEASIBLE, "parameters 9 is above the constraint's max 8"),
    )
    for ended in (cached, refused):
        journal.append(TrialStarted(replace(ended, state=TrialState.RUNNING), told=0))
        journal.append(TrialEnded(ended))
    assert read_search(sessions, claim.search_id).trials_done == 0


def test_only_a_better_candidate_becomes_the_best(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    for number, score in enumerate([0.5, 0.4, 0.5, 0.7]):
        journal.append(TrialStarted(running_trial(number), told=number))
        journal.append(TrialEnded(completed(running_trial(number), score)))
    assert types_of(sessions, claim.search_id).count("best.changed") == 2
    best = read_search(sessions, claim.search_id).best
    assert best is not None
    assert best["trial"] == 3
    successor = SqlJournal(sessions, claim, lambda: 0.0)
    successor.history()
    successor.append(TrialStarted(running_trial(4), told=4))
    successor.append(TrialEnded(completed(running_trial(4), 0.6)))
    best = read_search(sessions, claim.search_id).best
    assert best is not None
    assert best["trial"] == 3


def test_values_that_are_no_number_stay_out_of_the_database(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    trial = running_trial(0)
    journal.append(TrialStarted(trial, told=0))
    journal.append(EpochReported(0, 1, {"train_loss": math.inf, "val_loss": 2.0}))
    metrics = {"val_loss": math.nan, "train_loss": -math.inf, "parameters": 3.0}
    journal.append(TrialEnded(replace(trial, state=TrialState.FAILED, metrics=metrics)))
    with sessions.read() as session:
        point = session.scalars(select(Epoch)).one()
        row = session.scalars(select(TrialRow)).one()
        events = session.scalars(select(Event).order_by(Event.sequence)).all()
    assert point.metrics == {"train_loss": None, "val_loss": 2.0}
    assert row.metrics == {"parameters": 3.0}
    assert events[-1].data["metrics"] == {"parameters": 3.0}


def test_a_trial_has_one_result(sessions: Sessions, claim: Claim, journal: SqlJournal) -> None:
    trial = running_trial(0)
    journal.append(TrialStarted(trial, told=0))
    journal.append(TrialEnded(completed(trial, 0.5)))
    with pytest.raises(TrialHasEndedError, match="trial 0 is completed already"):
        journal.append(TrialEnded(completed(trial, 0.9)))
    with pytest.raises(TrialHasEndedError, match="it cannot start"):
        journal.append(TrialStarted(trial, told=0))
    search = read_search(sessions, claim.search_id)
    assert search.trials_done == 1
    assert search.event_sequence == len(types_of(sessions, claim.search_id))


def test_a_trial_that_runs_again_counts_its_attempts_and_starts_its_curve_anew(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    trial = running_trial(0)
    journal.append(TrialStarted(trial, told=0))
    journal.append(EpochReported(0, 1, {"val_loss": 3.0}))
    journal.append(EpochReported(0, 2, {"val_loss": 2.5}))
    Queue(sessions).release(claim)
    again = Queue(sessions).claim("next")
    assert again is not None
    successor = SqlJournal(sessions, again, lambda: 0.0)
    assert successor.history() == [TrialStarted(trial, told=0)]
    successor.append(EpochReported(0, 1, {"val_loss": 2.0}))
    assert attempts_and_curve(sessions) == (2, [(1, 2.0)])
    successor.append(EpochReported(0, 2, {"val_loss": 1.5}))
    assert attempts_and_curve(sessions) == (2, [(1, 2.0), (2, 1.5)])
    successor.append(EpochReported(0, 2, {"val_loss": 1.25}))  # on from epoch 1, after a crash
    assert attempts_and_curve(sessions) == (3, [(1, 2.0), (2, 1.25)])
    successor.append(TrialEnded(completed(trial, 0.5)))
    assert read_search(sessions, claim.search_id).trials_done == 1


def test_a_paused_trial_waits_goes_on_and_ends_with_its_search(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    for number in (0, 1):
        journal.append(TrialStarted(running_trial(number), told=0))
        journal.append(EpochReported(number, 1, {"val_loss": 3.0}))
        journal.append(TrialPaused(number, 1, 0.5))
    with pytest.raises(TrialHasEndedError, match="trial 1 is paused, not running"):
        journal.append(TrialPaused(1, 1, 0.5))
    Queue(sessions).release(claim)
    again = Queue(sessions).claim("next")
    assert again is not None
    successor = SqlJournal(sessions, again, lambda: 0.0)
    successor.append(TrialResumed(0))
    successor.append(EpochReported(0, 2, {"val_loss": 2.0}))  # no second attempt
    successor.append(TrialEnded(completed(running_trial(0), 0.5)))
    Queue(sessions).finish(again, SearchState.CANCELLED, None)
    with sessions.read() as session:
        rows = session.scalars(select(TrialRow).order_by(TrialRow.number)).all()
    assert [(row.state, row.attempts) for row in rows] == [("completed", 1), ("pruned", 1)]


def attempts_and_curve(sessions: Sessions) -> tuple[int, list[tuple[int, float]]]:
    with sessions.read() as session:
        points = session.scalars(select(Epoch).order_by(Epoch.epoch)).all()
        attempts = session.scalars(select(TrialRow.attempts)).one()
    return attempts, [(point.epoch, point.metrics["val_loss"]) for point in points]


def test_a_stale_owner_writes_nothing(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    trial = running_trial(0)
    journal.append(TrialStarted(trial, told=0))
    Queue(sessions).release(claim)
    assert Queue(sessions).claim("next") is not None
    before = types_of(sessions, claim.search_id)
    for event in (
        TrialStarted(running_trial(1), told=0),
        EpochReported(0, 1, {"val_loss": 1.0}),
        TrialEnded(completed(trial, 0.9)),
    ):
        with pytest.raises(StaleOwnerError):
            journal.append(event)
    assert types_of(sessions, claim.search_id) == before
    with sessions.read() as session:
        assert session.scalars(select(TrialRow.state)).all() == ["running"]
        assert session.scalar(select(func.count()).select_from(Epoch)) == 0


def test_an_owner_of_an_ended_search_writes_nothing(
    sessions: Sessions, claim: Claim, journal: SqlJournal
) -> None:
    Queue(sessions).finish(claim, SearchState.CANCELLED)
    with pytest.raises(StaleOwnerError):
        journal.append(TrialStarted(running_trial(0), told=0))


class LostConnection:
    """Sessions whose transactions fail, after the commit or before it, the first few times: what a
    client sees of a database that restarts.
    """

    def __init__(self, sessions: Sessions, failures: int, after_commit: bool) -> None:
        self._sessions, self._failures, self._after = sessions, failures, after_commit
        self.read = sessions.read

    def begin(self) -> LostConnection:
        self._transaction = self._sessions.begin()
        return self

    def __enter__(self) -> object:
        if not self._after:
            self._lose()
        return self._transaction.__enter__()

    def __exit__(self, *details: object) -> object:
        outcome = self._transaction.__exit__(*details)  # type: ignore[arg-type]  # passed on
        if self._after and details == (None, None, None):
            self._lose()
        return outcome

    def _lose(self) -> None:
        if self._failures > 0:
            self._failures -= 1
            raise OperationalError("COMMIT", {}, ConnectionError("server closed the connection"))


@pytest.mark.parametrize("after_commit", [False, True], ids=["before commit", "after commit"])
def test_an_outage_writes_each_event_once(
    sessions: Sessions, claim: Claim, after_commit: bool
) -> None:
    trial = running_trial(0)
    events = [
        TrialStarted(trial, told=0),
        EpochReported(0, 1, {"val_loss": 1.0}),
        TrialEnded(completed(trial, 0.5)),
    ]
    journal = SqlJournal(sessions, claim, lambda: 0.0)
    for event in events:
        lost = LostConnection(sessions, 2 if not after_commit else 1, after_commit)
        journal._sessions = lost  # type: ignore[assignment]  # the fault injected into a real journal
        journal.append(event)
    assert types_of(sessions, claim.search_id) == [
        "search.running",
        "trial.started",
        "trial.epoch",
        "trial.ended",
        "best.changed",
    ]
    search = read_search(sessions, claim.search_id)
    assert (search.trials_done, search.epochs_done) == (1, 1)
    with sessions.read() as session:
        assert session.scalars(select(TrialRow.attempts)).all() == [1]


def test_an_outage_has_a_limit() -> None:
    def fail(again: bool) -> None:
        raise OperationalError("SELECT 1", {}, ConnectionError("refused"))

    start = time.monotonic()
    with pytest.raises(OperationalError):
        outlast(fail, seconds=0.3)
    assert time.monotonic() - start < 2


def test_an_error_that_is_no_outage_is_not_repeated() -> None:
    calls = []

    def fail(again: bool) -> None:
        calls.append(again)
        raise ValueError("of the program")

    with pytest.raises(ValueError, match="of the program"):
        outlast(fail, seconds=5)
    assert calls == [False]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_appending_is_no_more_work_in_a_long_search(sessions: Sessions, claim: Claim) -> None:
    """Of the database: 5,000 trials in the tables cost a write no more than 20 do, in the
    instructions of SQLite's virtual machine, by tens.
    """
    journal = SqlJournal(sessions, claim, lambda: 0.0)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    @listens_for(sessions.engine, "checkout")
    def count(connection: Any, *_: object) -> None:
        connection.set_progress_handler(step, 10)

    def work_of_writes(first: int) -> int:
        before = steps
        for number in range(first, first + 20):
            trial = running_trial(number)
            journal.append(TrialStarted(trial, told=number))
            journal.append(TrialEnded(completed(trial, 0.5)))
        return steps - before

    work_of_writes(0)
    short = work_of_writes(100)
    fill(sessions, claim.search_id, range(1_000, 6_000))
    assert 0 < work_of_writes(30_000) < 1.2 * short
    assert len(journal.history()) == 2 * (5_000 + 60)


def fill(sessions: Sessions, search_id: str, numbers: range) -> None:
    with sessions.begin() as session:
        base = session.get_one(Search, search_id).event_sequence
        template = running_trial(0)
        session.bulk_insert_mappings(
            TrialRow.__mapper__,
            [
                {
                    "search_id": search_id,
                    "number": number,
                    "tenant_id": "default",
                    "kind": "candidate",
                    "state": "completed",
                    "proposal": template.proposal.to_json(),
                    "architecture_key": f"{number:064x}",
                    "recipe_key": "b" * 64,
                    "seed": 0,
                    "metrics": {"val_accuracy": 0.5},
                    "fitness": [0.5],
                    "asked_after": 0,
                    "asked_running": [],
                    "started_sequence": base + 2 * index + 1,
                    "ended_sequence": base + 2 * index + 2,
                    "started_at": session.get_one(Search, search_id).created_at,
                }
                for index, number in enumerate(numbers)
            ],
        )
        session.execute(
            update(Search)
            .where(Search.id == search_id)
            .values(event_sequence=base + 2 * len(numbers))
        )
