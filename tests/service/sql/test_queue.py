from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from search.engine.journal import EpochReported, StaleOwnerError, TrialEnded, TrialStarted
from search.trial import TrialState
from service.sql.database import Sessions, connect
from service.sql.journal import SqlJournal
from service.sql.limits import TenantLimits
from service.sql.queue import Ending, Queue
from service.sql.states import ENDED, SearchState
from service.sql.tables import Event, Search, Trial
from service.sql.worker_seconds import worker_seconds_of
from tests.service.support.rows import add_search, add_tenant, read_search, running_trial


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    sessions = connect(database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def queue(sessions: Sessions) -> Queue:
    return Queue(sessions)


def test_an_empty_queue_gives_nothing(queue: Queue) -> None:
    assert queue.claim("me") is None


def test_a_claimed_search_runs_and_is_given_once(sessions: Sessions, queue: Queue) -> None:
    search_id = add_search(sessions)
    claim = queue.claim("me")
    assert claim is not None
    assert (claim.search_id, claim.token, claim.owner) == (search_id, 1, "me")
    assert queue.claim("you") is None
    search = read_search(sessions, search_id)
    assert search.state == "running"
    assert search.started_at is not None
    assert search.revision == 2


def test_searches_that_wait_for_nobody_are_not_claimed(sessions: Sessions, queue: Queue) -> None:
    for state in ("paused", "succeeded", "failed", "cancelled"):
        add_search(sessions, state=state)
    assert queue.claim("me") is None


def test_an_expired_lease_is_claimed_with_the_next_token(sessions: Sessions) -> None:
    search_id = add_search(sessions)
    queue = Queue(sessions, lease_seconds=0.2)
    first = queue.claim("first")
    assert first is not None
    assert queue.claim("second") is None
    time.sleep(0.3)
    second = queue.claim("second")
    assert second is not None
    assert (second.search_id, second.token) == (search_id, 2)


def test_an_owner_holds_nothing_whose_lease_is_over(sessions: Sessions) -> None:
    """Though nobody else has taken it: where the owner has no place for it, nobody could."""
    add_search(sessions)
    add_search(sessions)
    expiring, lasting = Queue(sessions, lease_seconds=0.01), Queue(sessions, lease_seconds=600)
    held, lost = lasting.claim("me"), expiring.claim("me")
    assert lost is not None and held is not None
    deadline = time.monotonic() + 60
    while lost in expiring.held_by("me") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert expiring.held_by("me") == {held}
    lasting.heartbeat(lost, 1.0)  # it was only late
    assert lasting.held_by("me") == {held, lost}


def test_a_heartbeat_keeps_the_lease(sessions: Sessions) -> None:
    add_search(sessions)
    queue = Queue(sessions, lease_seconds=0.6)
    claim = queue.claim("me")
    assert claim is not None
    for _ in range(4):
        time.sleep(0.25)
        queue.heartbeat(claim, elapsed_seconds=1.5)
        assert queue.claim("you") is None
    assert read_search(sessions, claim.search_id).elapsed_seconds == 1.5


def test_a_stale_owner_changes_nothing(sessions: Sessions, queue: Queue) -> None:
    search_id = add_search(sessions)
    stale = queue.claim("first")
    assert stale is not None
    assert queue.release(stale)
    fresh = queue.claim("second")
    assert fresh is not None
    before = read_search(sessions, search_id)
    with pytest.raises(StaleOwnerError):
        queue.heartbeat(stale, 1.0)
    with pytest.raises(StaleOwnerError):
        queue.requests(stale)
    with pytest.raises(StaleOwnerError):
        queue.finish(stale, SearchState.SUCCEEDED)
    with pytest.raises(StaleOwnerError):
        queue.settle(stale)
    assert not queue.release(stale)
    queue.interrupt(stale, "late", blamed=False, limit=3)
    queue.interrupt(stale, "late", blamed=True, limit=1)
    after = read_search(sessions, search_id)
    assert (after.state, after.revision, after.lease_token, after.lease_owner) == (
        "running",
        before.revision,
        2,
        "second",
    )


def test_a_released_search_goes_before_queued_ones(sessions: Sessions, queue: Queue) -> None:
    add_search(sessions)
    interrupted = queue.claim("me")
    assert interrupted is not None
    add_search(sessions)
    assert queue.release(interrupted)
    again = queue.claim("me")
    assert again is not None
    assert again.search_id == interrupted.search_id


def test_tenants_take_turns(sessions: Sessions, queue: Queue) -> None:
    """One with 30 searches does not hold up one who comes later with 3."""
    big, small = add_tenant(sessions, "big"), add_tenant(sessions, "small")
    owner_of = {add_search(sessions, big): big for _ in range(30)}
    owner_of |= {add_search(sessions, small): small for _ in range(3)}
    served = []
    for _ in range(6):  # one at a time, so that the number of running searches decides nothing
        claim = queue.claim("me")
        assert claim is not None
        served.append(owner_of[claim.search_id])
        queue.finish(claim, SearchState.SUCCEEDED)
    assert Counter(served) == {big: 3, small: 3}


def test_the_tenant_with_the_fewest_running_searches_is_next(
    sessions: Sessions, queue: Queue
) -> None:
    busy, idle = add_tenant(sessions, "busy"), add_tenant(sessions, "idle")
    for _ in range(3):
        add_search(sessions, busy)
    assert queue.claim("me") is not None
    assert queue.claim("me") is not None
    search_id = add_search(sessions, idle)
    claim = queue.claim("me")
    assert claim is not None
    assert claim.search_id == search_id


def test_a_tenant_runs_no_more_searches_than_it_may(sessions: Sessions) -> None:
    limited = Queue(sessions, limits=TenantLimits(running_searches=2))
    big, small = add_tenant(sessions, "big"), add_tenant(sessions, "small")
    owner_of = {add_search(sessions, big): big for _ in range(5)}
    owner_of |= {add_search(sessions, small): small}
    claims = [claim for _ in range(6) if (claim := limited.claim("me")) is not None]
    assert Counter(owner_of[claim.search_id] for claim in claims) == {big: 2, small: 1}
    limited.finish(next(c for c in claims if owner_of[c.search_id] == big), SearchState.SUCCEEDED)
    again = limited.claim("me")
    assert again is not None and owner_of[again.search_id] == big
    assert limited.claim("me") is None
    assert limited.release(again)  # an interrupted search has its place already
    taken_up = limited.claim("me")
    assert taken_up is not None and taken_up.search_id == again.search_id


def test_dispatchers_that_claim_at_once_keep_to_what_a_tenant_may(sessions: Sessions) -> None:
    for _ in range(12):
        add_search(sessions)
    limited = Queue(sessions, limits=TenantLimits(running_searches=3))
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda n: limited.claim(str(n)), range(12)))
    assert sum(claim is not None for claim in claims) == 3


def test_a_tenant_that_has_used_its_worker_seconds_begins_no_further_search(
    sessions: Sessions,
) -> None:
    """Counted as trials end, also those that are cut off, whatever is deleted afterwards."""
    limited = Queue(sessions, limits=TenantLimits(worker_seconds=100))
    tenants = [add_tenant(sessions, name) for name in ("trains", "repeats", "is cut off")]
    claims = []
    for tenant in tenants:
        add_search(sessions, tenant)
        claims.append(limited.claim("me"))
        add_search(sessions, tenant)
    trains, repeats, cut_off = (claim for claim in claims if claim is not None)
    ended = {"state": TrialState.COMPLETED, "fitness": (0.5,), "worker": "a"}
    journal = SqlJournal(sessions, trains, lambda: 0.0)
    for number, seconds in enumerate([60.0, 39.5, 0.5]):
        journal.append(TrialStarted(running_trial(number), told=0))
        journal.append(TrialEnded(running_trial(number, seconds=seconds, **ended)))
    cached = running_trial(0, state=TrialState.CACHED, seconds=1e6, source=0)
    SqlJournal(sessions, repeats, lambda: 0.0).append(TrialEnded(cached))
    SqlJournal(sessions, cut_off, lambda: 0.0).append(TrialStarted(running_trial(0), told=0))
    with sessions.begin() as session:
        began = datetime.now(UTC) - timedelta(seconds=150)
        session.execute(
            update(Trial).where(Trial.search_id == cut_off.search_id).values(started_at=began)
        )
    limited.finish(cut_off, SearchState.CANCELLED)
    with sessions.begin() as session:
        used = [worker_seconds_of(session, tenant) for tenant in tenants]
        session.execute(delete(Search).where(Search.id == trains.search_id))
    assert used == [100.0, 0.0, pytest.approx(150, abs=20)]
    last = limited.claim("me")
    assert last is not None and read_search(sessions, last.search_id).tenant_id == "repeats"
    assert limited.claim("me") is None


def test_of_one_tenant_the_oldest_search_is_first(sessions: Sessions, queue: Queue) -> None:
    identifiers = [add_search(sessions) for _ in range(5)]
    claims = [queue.claim("me") for _ in range(5)]
    assert [claim.search_id for claim in claims if claim is not None] == identifiers


def test_many_claimers_share_the_queue_without_overlap(sessions: Sessions) -> None:
    identifiers = {add_search(sessions) for _ in range(40)}
    taken: list[str] = []
    lock = threading.Lock()

    def work(owner: str) -> None:
        queue = Queue(sessions)
        while claim := queue.claim(owner):
            with lock:
                taken.append(claim.search_id)

    threads = [threading.Thread(target=work, args=(f"owner {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = Queue(sessions)  # a row that another one locked was skipped, not lost
    while claim := left.claim("last"):
        taken.append(claim.search_id)
    assert len(taken) == 40
    assert set(taken) == identifiers


def test_owners_that_are_gone_lose_their_searches_at_once(sessions: Sessions, queue: Queue) -> None:
    add_search(sessions)
    add_search(sessions)
    gone, here = queue.claim("gone"), queue.claim("here")
    assert gone is not None
    assert here is not None
    assert queue.release_owners(lambda owner: owner == "gone") == [gone.search_id]
    again = queue.claim("new")
    assert again is not None
    assert again.search_id == gone.search_id
    assert queue.claim("new") is None


def test_requests_are_what_clients_asked(sessions: Sessions, queue: Queue) -> None:
    search_id = add_search(sessions)
    claim = queue.claim("me")
    assert claim is not None
    assert queue.requests(claim).action is None
    request(sessions, search_id, "cancel")
    requests = queue.requests(claim)
    assert requests.action == "cancel"
    assert requests.spec.budget.trials == 8


def request(sessions: Sessions, search_id: str, action: str | None) -> None:
    with sessions.begin() as session:
        session.execute(update(Search).where(Search.id == search_id).values(requested=action))


@pytest.mark.parametrize(
    ("action", "state"), [("cancel", "cancelled"), ("pause", "paused"), (None, "running")]
)
def test_settling_does_what_was_requested(
    sessions: Sessions, queue: Queue, action: str | None, state: str
) -> None:
    search_id = add_search(sessions)
    claim = queue.claim("me")
    assert claim is not None
    request(sessions, search_id, action)
    assert queue.settle(claim) == state
    search = read_search(sessions, search_id)
    assert (search.state, search.requested, search.lease_owner) == (state, None, None)
    assert (search.ended_at is not None) == (state == "cancelled")
    assert (queue.claim("next") is not None) == (state == "running")


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_search_leaves_no_trial_running(
    sessions: Sessions, queue: Queue, state: Ending
) -> None:
    search_id = add_search(sessions)
    claim = queue.claim("me")
    assert claim is not None
    journal = SqlJournal(sessions, claim, lambda: 0.0)
    for number in range(2):
        journal.append(TrialStarted(running_trial(number), told=0))
    queue.finish(claim, state, "because")
    with sessions.read() as session:
        trials = session.scalars(select(Trial).order_by(Trial.number)).all()
        events = session.scalars(select(Event).order_by(Event.sequence)).all()
    assert [trial.state for trial in trials] == ["pruned", "pruned"]
    assert all(trial.failure and trial.failure["kind"] == "cancelled" for trial in trials)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events[-3:]] == [
        "trial.ended",
        "trial.ended",
        f"search.{state}",
    ]
    search = read_search(sessions, search_id)
    assert (search.state, search.state_reason) == (state, "because")
    assert search.event_sequence == len(events)


def test_interruptions_count_until_there_is_progress(sessions: Sessions, queue: Queue) -> None:
    search_id = add_search(sessions)
    for cause in ("first", "second"):
        claim = queue.claim("me")
        assert claim is not None
        queue.interrupt(claim, cause, blamed=True, limit=10)
    claim = queue.claim("me")
    assert claim is not None
    queue.interrupt(claim, "nobody's fault", blamed=False, limit=1)
    assert queue.interruptions(search_id) == ["second", "first"]
    claim = queue.claim("me")
    assert claim is not None
    SqlJournal(sessions, claim, lambda: 0.0).append(TrialStarted(running_trial(0), told=0))
    assert queue.interruptions(search_id) == ["second", "first"]
    SqlJournal(sessions, claim, lambda: 0.0).append(EpochReported(0, 1, {"val_loss": 1.0}))
    assert queue.interruptions(search_id) == []


def test_a_search_that_ends_its_drivers_again_and_again_has_failed(
    sessions: Sessions, queue: Queue
) -> None:
    search_id = add_search(sessions)
    for _ in range(3):
        claim = queue.claim("me")
        assert claim is not None
        queue.interrupt(claim, "its driver was ended by SIGSEGV", blamed=True, limit=3)
    search = read_search(sessions, search_id)
    assert search.state == "failed"
    assert search.state_reason == (
        "3 drivers ended without progress, the last because its driver was ended by SIGSEGV"
    )
    assert queue.claim("me") is None
