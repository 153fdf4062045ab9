"""A service on a disk that fills up: `python -m tests.chaos.full_disk FOLDER`, run by
`test_full_disk.py` in a mount namespace, where FOLDER is a small disk of its own.

Without training: two searches of a table. Raises where something is not as promised; prints how
many writes found no space.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import event, select, text
from sqlalchemy.engine import ExceptionContext

from service.api.app import create_app
from service.running.driver import Driver
from service.running.exits import Exit
from service.settings import ServiceSettings
from service.sql.database import Sessions, migrate
from service.sql.dispatchers import Dispatchers
from service.sql.queue import Queue
from service.sql.tables import Search
from tests.chaos.checker import of_search
from tests.service.support.tables import table_file

RESERVE_BYTES = 8 * 2**20
REFUSED_WRITES = 3
BODY = {
    "dataset": "cells",
    "strategy": {"name": "random"},
    "budget": {"trials": 30},
    "final": {"top": 1},
}
TABLE: dict[str, Any] = {
    "data": {"name": "cells", "task": "table"},
    "files": {"file": ("cells.npz", table_file())},
}


class Ballast:
    """What fills the disk."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def leave(self, free_bytes: int) -> None:
        self._file.write_bytes(bytes(shutil.disk_usage(self._file.parent).free - free_bytes))

    def fill(self, sessions: Sessions) -> None:
        """To the last byte; what the log of the database has in reserve goes first."""
        with contextlib.closing(sessions.engine.raw_connection()) as raw:
            raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        with self._file.open("wb", buffering=0) as file:
            for size in (2**16, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def drop(self) -> None:
        self._file.unlink()


def main() -> None:
    folder = Path(sys.argv[1])
    settings = ServiceSettings(home=folder / "home", disk_reserve_bytes=RESERVE_BYTES)
    migrate(settings.database_url)
    app, ballast = create_app(settings), Ballast(folder / "ballast")
    sessions: Sessions = app.state.sessions
    Dispatchers(sessions).beat("elsewhere/1/0.00", 3600.0, None)
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        assert client.post("/v1/datasets", **TABLE).status_code == 201
        first, second = (client.post("/v1/searches", json=BODY).json()["id"] for _ in range(2))

        ballast.leave(RESERVE_BYTES // 2)
        assert _driver(settings, sessions).run() is Exit.DONE
        paused = client.get(f"/v1/searches/{first}").json()
        assert paused["state"] == "paused" and "MiB free" in paused["state_reason"], paused

        ballast.fill(sessions)
        answers = [client.post("/v1/searches", json=BODY) for _ in range(REFUSED_WRITES)]
        more = {**TABLE, "data": {"name": "more", "task": "table"}}
        answers.append(client.post("/v1/datasets", **more))
        assert [answer.status_code for answer in answers] == [507] * 4, answers
        listed = client.get("/v1/searches").json()["items"]
        assert {search["id"] for search in listed} == {first, second}
        ballast.drop()

        assert Queue(sessions).go_on("waiting for space") == [first]
        full = settings.model_copy(update={"disk_reserve_bytes": 0})
        refused = _driven_through_want_of_space(full, sessions, ballast)
        assert _driver(settings, sessions).run() is Exit.DONE
        for search_id in (first, second):
            search = client.get(f"/v1/searches/{search_id}").json()
            assert (search["state"], search["progress"]["trials_done"]) == ("succeeded", 30), search
    with sessions.read() as session:
        assert session.scalars(text("PRAGMA integrity_check")).all() == ["ok"]
        searches = session.scalars(select(Search)).all()
        assert [of_search(session, search) for search in searches] == [[], []]
    print(json.dumps({"refused": len(answers) + refused}))


def _driver(settings: ServiceSettings, sessions: Sessions) -> Driver:
    claim = Queue(sessions, settings.lease_seconds).claim("me")
    assert claim is not None
    return Driver(settings, sessions, claim)


def _driven_through_want_of_space(
    settings: ServiceSettings, sessions: Sessions, ballast: Ballast
) -> int:
    """There is space again when some writes have found none; how many did."""
    driver, refused = _driver(settings, sessions), 0

    def count(context: ExceptionContext) -> None:
        nonlocal refused
        refused += "disk is full" in str(context.original_exception)
        if refused == REFUSED_WRITES:
            ballast.drop()

    ballast.fill(sessions)
    event.listen(sessions.engine, "handle_error", count)
    assert driver.run() is Exit.DONE
    event.remove(sessions.engine, "handle_error", count)
    return refused


if __name__ == "__main__":
    main()
