from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.settings import ServiceSettings, environment
from service.sql.database import Sessions, connect
from tests.service.support.rows import add_search, read_search

DISPATCH = (
    "from service.running.dispatcher import dispatch; "
    "from service.settings import ServiceSettings; "
    "dispatch(ServiceSettings())"
)


@pytest.fixture
def sessions(settings: ServiceSettings) -> Iterator[Sessions]:
    sessions = connect(settings.database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def dispatcher(settings: ServiceSettings) -> Iterator[subprocess.Popen[bytes]]:
    """Of a Ray cluster that does not answer."""
    process = subprocess.Popen(
        [sys.executable, "-c", DISPATCH],
        env={**os.environ, **environment(settings), "NASMITH_RAY_ADDRESS": "127.0.0.1:1"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def test_a_search_that_cannot_start_says_why(
    dispatcher: subprocess.Popen[bytes], sessions: Sessions
) -> None:
    search_id = add_search(sessions)
    deadline = time.monotonic() + 240
    while not read_search(sessions, search_id).state_reason and time.monotonic() < deadline:
        time.sleep(0.1)
    search = read_search(sessions, search_id)
    assert search.state == "queued"
    assert search.state_reason == "waiting for Ray: no answer from the Ray cluster 127.0.0.1:1"
    dispatcher.terminate()
    assert dispatcher.wait(120) == 0


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_dispatcher_imports_neither_torch_nor_ray(
    dispatcher: subprocess.Popen[bytes], sessions: Sessions
) -> None:
    search_id = add_search(sessions)
    deadline = time.monotonic() + 240
    while not read_search(sessions, search_id).state_reason and time.monotonic() < deadline:
        time.sleep(0.1)
    libraries = Path(f"/proc/{dispatcher.pid}/maps").read_text()
    assert "libtorch" not in libraries
    assert "_raylet" not in libraries
    assert psutil.Process(dispatcher.pid).children() == []
