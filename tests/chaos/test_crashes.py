"""What crashes around the database and the store: the API, late owners, writers of files. Each of
these tests fails where its safeguard is switched off, which the last one proves.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from search.engine.journal import EpochReported, StaleOwnerError, TrialEnded, TrialStarted
from search.request.resolve import resolve
from search.trial import TrialState
from service.api.searches.actions import cancel
from service.settings import ServiceSettings
from service.sql import lease, transitions
from service.sql.database import DEFAULT_TENANT, Sessions, connect
from service.sql.dispatchers import Dispatchers
from service.sql.events import append_event
from service.sql.journal import SqlJournal
from service.sql.lease import Claim
from service.sql.queue import Queue
from service.sql.searches import SearchRepository
from service.sql.states import SearchState
from service.sql.tables import IdempotencyKey, Search, Trial
from tests.chaos.checker import check
from tests.chaos.children import is_whole, search, serve, started, write_files
from tests.chaos.figures import ROUNDS, SEED, Figures
from tests.chaos.world import tiny_search
from tests.service.support.rows import add_search, running_trial

pytestmark = pytest.mark.slow

CLIENTS = 4
ONE_KEY = "one-key"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    print(f"NASMITH_CHAOS_SEED={SEED}")
    return random.Random(f"{SEED}:{request.node.name}")


@pytest.fixture
def settings(chaos_database_url: str, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(home=tmp_path, database_url=chaos_database_url)


@pytest.fixture
def sessions(settings: ServiceSettings) -> Iterator[Sessions]:
    sessions = connect(settings.database_url)
    Dispatchers(sessions).beat("elsewhere/1/0.00", 3600.0, None)
    yield sessions
    sessions.engine.dispose()


class Api:
    """A real API on one port, which is killed and started again."""

    def __init__(self, settings: ServiceSettings, mutation: str = "") -> None:
        self._settings, self._mutation = settings, mutation
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.ready_seconds: list[float] = []
        self._life = contextlib.ExitStack()

    def __enter__(self) -> Api:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._life.close()

    def start(self) -> None:
        begun = time.monotonic()
        self._life.enter_context(started(serve, self._settings, self.port, self._mutation))
        while self.ask("GET", "/healthz") is None:
            time.sleep(0.02)
        self.ready_seconds.append(time.monotonic() - begun)

    def kill(self) -> None:
        self._life.close()

    def ask(
        self, method: str, path: str, body: Any = None, key: str | None = None
    ) -> tuple[int, Any] | None:
        """Status and JSON of an answer; None where there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def submit(self, key: str, body: Any) -> str:
        """As a client does that goes on until it is answered."""
        while True:
            answer = self.ask("POST", "/v1/searches", body, key)
            if answer is not None and answer[0] == 202:
                return str(answer[1]["id"])
            assert answer is None or answer[0] == 503, answer
            time.sleep(0.02)


def accepted_under_kills(
    settings: ServiceSettings, sessions: Sessions, rng: random.Random, kills: int, mutation: str
) -> tuple[dict[str, str], Api]:
    """Searches by their keys, as clients of an API heard of them that was killed and killed."""
    accepted: dict[str, str] = {}
    is_over = threading.Event()
    with Api(settings, mutation) as api:

        def client(number: int) -> None:
            own = random.Random(f"{SEED}:{number}")
            for count in range(10_000):
                if is_over.is_set():
                    return
                key = f"{mutation or 'sound'}-{number}-{count}".replace(" ", "-")
                accepted[key] = api.submit(key, tiny_search(seed=own.randrange(1000)))
                if own.random() < 0.3:
                    api.ask("POST", f"/v1/searches/{accepted[key]}/cancel")
                api.ask("GET", f"/v1/searches/{accepted[key]}")

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for one in clients:
            one.start()
        for _ in range(kills):
            before = len(accepted)
            while len(accepted) < before + CLIENTS:  # it has begun to answer again
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.3))
            api.kill()
            api.start()
        is_over.set()
        for one in clients:
            one.join()
    return accepted, api


def posted_once(sessions: Sessions, accepted: dict[str, str], before: int) -> None:
    """
    Raises:
        AssertionError: an accepted search is lost, or a key has brought two.
    """
    with sessions.read() as session:
        found = set(session.scalars(select(Search.id)))
    assert set(accepted.values()) <= found
    assert len(found) - before == len(accepted)


def count(sessions: Sessions) -> int:
    with sessions.read() as session:
        return session.scalar(select(func.count()).select_from(Search)) or 0


def dialect(sessions: Sessions) -> str:
    return sessions.engine.dialect.name


def test_a_killed_api_loses_no_search_and_makes_none_twice(
    settings: ServiceSettings, sessions: Sessions, rng: random.Random, figures: Figures
) -> None:
    before, kills = count(sessions), ROUNDS
    accepted, api = accepted_under_kills(settings, sessions, rng, kills, "")
    posted_once(sessions, accepted, before)
    lines = [json.dumps({"id": search_id}) for search_id in accepted.values()]
    (settings.home / "acknowledged").write_text("\n".join(lines))
    check(sessions, settings.home / "acknowledged", settings.home)
    ready = max(api.ready_seconds[1:])
    text = f"{kills} kills, {len(accepted)} accepted, 0 lost, ready again in {ready:.1f} s at most"
    figures.add("R1", dialect(sessions), f"{text} (imports not counted)")
    figures.add("R16", dialect(sessions), f"{len(accepted)} keys under {kills} kills, 0 twice")


def test_posts_with_one_key_are_one_search(
    settings: ServiceSettings, sessions: Sessions, figures: Figures
) -> None:
    posts, before, found = max(20, 10 * ROUNDS), count(sessions), list[str]()
    with Api(settings) as api:

        def client() -> None:
            for _ in range(posts // 10):
                found.append(api.submit(ONE_KEY, tiny_search()))

        clients = [threading.Thread(target=client) for _ in range(10)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        other = api.ask("POST", "/v1/searches", tiny_search(seed=1), ONE_KEY)
    assert other is not None and other[0] == 422
    assert len(found) == posts and len(set(found)) == 1 and count(sessions) == before + 1
    figures.add("R16", dialect(sessions), f"{posts} parallel posts with one key, 1 search")


def test_a_stream_that_is_cut_has_no_holes(
    settings: ServiceSettings, sessions: Sessions, rng: random.Random, figures: Figures
) -> None:
    search_id, cuts, seen = add_search(sessions), 5 * ROUNDS, list[int]()
    is_over = threading.Event()

    def write() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            with sessions.begin() as session:
                search = session.get_one(Search, search_id, with_for_update=True)
                append_event(session, search, "search.updated", {"name": str(number)})
            time.sleep(0.005)
        with sessions.begin() as session:
            cancel(session, SearchRepository(session, DEFAULT_TENANT).get(search_id, lock=True))

    def read(api: Api, seconds: float) -> bool:
        """Whether the stream has come to its end."""
        stop = time.monotonic() + seconds
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
        path = f"/v1/searches/{search_id}/events"
        connection.request("GET", path, headers={"Last-Event-ID": str(seen[-1])} if seen else {})
        answer = connection.getresponse()
        try:
            while line := answer.readline():
                if line.startswith(b"id: "):
                    seen.append(int(line[4:]))
                if time.monotonic() > stop:
                    return False
            return True
        finally:
            connection.close()

    with Api(settings) as api:
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(cuts):
            read(api, rng.uniform(0, 0.1))
        is_over.set()
        writer.join()
        while not read(api, 60.0):
            pass
    with sessions.read() as session:
        written = session.get_one(Search, search_id).event_sequence
    assert seen == list(range(1, written + 1))
    figures.add("R17", dialect(sessions), f"{cuts} cuts, {written} events, 0 missed, 0 twice")


Write = Callable[[Sessions, Claim], object]


def late_writes() -> Sequence[Write]:
    """Everything that an owner may do to its search."""

    def journal(sessions: Sessions, claim: Claim) -> SqlJournal:
        return SqlJournal(sessions, claim, lambda: 1.0)

    def queue(sessions: Sessions) -> Queue:
        return Queue(sessions)

    ended = running_trial(0, state=TrialState.COMPLETED, metrics={"val_accuracy": 0.5})
    return (
        lambda sessions, claim: journal(sessions, claim).append(TrialStarted(running_trial(0), 0)),
        lambda sessions, claim: journal(sessions, claim).append(EpochReported(0, 1, {})),
        lambda sessions, claim: journal(sessions, claim).append(TrialEnded(ended)),
        lambda sessions, claim: queue(sessions).heartbeat(claim, 1.0),
        lambda sessions, claim: queue(sessions).explain(claim, "late"),
        lambda sessions, claim: queue(sessions).settle(claim),
        lambda sessions, claim: queue(sessions).finish(claim, SearchState.FAILED, "late"),
    )


def refused_writes(sessions: Sessions, rng: random.Random, writes: int) -> None:
    """
    Raises:
        AssertionError: the owner of a lease that was over has written something.
    """
    brief, lasting = Queue(sessions, lease_seconds=0.001), Queue(sessions)
    for _ in range(writes):
        search_id = add_search(sessions)
        stale, holder = brief.claim("stale"), None
        assert stale is not None
        while holder is None:
            holder = lasting.claim("holder")
        assert holder.search_id == stale.search_id
        with sessions.read() as session:
            before = session.get_one(Search, stale.search_id).event_sequence
        with contextlib.suppress(StaleOwnerError):
            with contextlib.suppress(IntegrityError):  # it came as far as that
                rng.choice(late_writes())(sessions, stale)
            raise AssertionError(f"{stale} wrote to {search_id} after {holder} had it")
        with sessions.read() as session:
            assert session.get_one(Search, stale.search_id).event_sequence == before
        lasting.finish(holder, SearchState.CANCELLED)


def end_all(sessions: Sessions) -> None:
    """So that a test claims its own searches alone."""
    with sessions.begin() as session:
        for search in session.scalars(select(Search).where(Search.state == SearchState.QUEUED)):
            cancel(session, search)


def test_late_writes_are_refused(sessions: Sessions, rng: random.Random, figures: Figures) -> None:
    end_all(sessions)
    writes = max(20, ROUNDS)
    refused_writes(sessions, rng, writes)
    figures.add("R6", dialect(sessions), f"{writes} of {writes} late writes refused")


Outcome = list[Any]


def outcome(
    settings: ServiceSettings, sessions: Sessions, rng: random.Random, trials: int, kills: int
) -> tuple[Outcome, int, int]:
    """What a search has proposed and found, and its best; how often its driver was killed, as
    asked, or until it was done; how many trials were begun again after they had ended.
    """
    body = tiny_search(
        trials=trials,
        strategy={"name": "regularized_evolution", "population_size": 10, "sample_size": 3},
        training={"epochs": 2, "learning_rate": {"low": 0.01, "high": 0.1}},
    )
    resolved = resolve(body)
    search_id = add_search(
        sessions, spec=resolved.spec.to_json(), dataset_fingerprint=resolved.dataset.fingerprint
    )
    begun, again, left = settings.home / f"begun-{search_id}", 0, kills
    begun.parent.mkdir(parents=True, exist_ok=True)
    begun.touch()

    def rows() -> list[Trial]:
        with sessions.read() as session:
            query = select(Trial).where(Trial.search_id == search_id).order_by(Trial.number)
            return list(session.scalars(query))

    while left >= 0:
        ended = {trial.number for trial in rows() if trial.state.has_ended}
        lines = len(begun.read_text().splitlines())
        with started(search, settings, begun) as driver:
            driver.join(None if left == 0 else rng.uniform(0.1, 0.6))
            is_done = driver.exitcode is not None
        numbers = [int(line) for line in begun.read_text().splitlines()[lines:]]
        again += sum(number in ended for number in numbers)
        if is_done:
            break
        left -= 1
        Queue(sessions).release_owners(lambda owner: True)
    found = rows()
    with sessions.read() as session:
        done = session.get_one(Search, search_id)
    assert (done.state, done.trials_done) == ("succeeded", trials)
    told: Outcome = [(t.number, t.kind, t.architecture_key, t.state, t.metrics) for t in found]
    return [*told, done.best], kills - left, again


def test_a_search_whose_driver_is_killed_is_the_one_that_was_left_in_peace(
    settings: ServiceSettings, sessions: Sessions, rng: random.Random, figures: Figures
) -> None:
    end_all(sessions)
    trials, kills = 20 * ROUNDS, 2 * ROUNDS
    undisturbed, _, _ = outcome(settings, sessions, rng, trials, kills=0)
    disturbed, kills, again = outcome(settings, sessions, rng, trials, kills)
    assert kills > 0 and again == 0
    assert disturbed == undisturbed
    name = dialect(sessions)
    figures.add("R15", name, f"{kills} kills in {trials} trials, the same proposals and winner")
    figures.add("R2", name, f"{trials} finished trials of a stub under {kills} kills, 0 run again")


def torn_files(folder: Path, rng: random.Random, kills: int, mutation: str) -> list[Path]:
    folder.mkdir()
    torn: list[Path] = []
    for _ in range(kills):
        with started(write_files, folder, rng.randrange(10**6), mutation):
            time.sleep(rng.uniform(0.05, 0.25))
        torn += [path for path in folder.iterdir() if path.name.isdigit() and not is_whole(path)]
    assert any(path.name.isdigit() for path in folder.iterdir())
    return torn


@pytest.mark.parametrize("chaos_database_url", ["sqlite"], indirect=True)
def test_no_half_file_is_seen(
    sessions: Sessions, tmp_path: Path, rng: random.Random, figures: Figures
) -> None:
    kills = 10 * ROUNDS
    assert torn_files(tmp_path / "files", rng, kills, mutation="") == []
    figures.add("R13", "files", f"{kills} writers killed, 0 torn files")


@pytest.mark.parametrize("chaos_database_url", ["sqlite"], indirect=True)
def test_each_safeguard_is_needed(
    settings: ServiceSettings,
    sessions: Sessions,
    tmp_path: Path,
    rng: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Switched off, the token, the rename and the key in the transaction of its search are missed
    by the tests above.
    """
    assert torn_files(tmp_path / "files", rng, 20, mutation="in place")

    end_all(sessions)
    with monkeypatch.context() as patch:
        for module in (lease, transitions):
            patch.setattr(module, "holds", lambda claim: (Search.id == claim.search_id,))
        with pytest.raises(AssertionError, match="wrote to"):
            refused_writes(sessions, rng, 20)

    end_all(sessions)
    before = count(sessions)
    accepted, _ = accepted_under_kills(settings, sessions, rng, 4, "key apart")
    with pytest.raises(AssertionError):
        posted_once(sessions, accepted, before)
    with sessions.read() as session:
        assert session.scalar(select(func.count()).select_from(IdempotencyKey))
