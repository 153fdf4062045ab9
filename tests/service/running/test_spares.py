"""Real driver processes, which are stopped and killed before they get far."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.running.dispatching import spares
from service.running.dispatching.claims import Claims
from service.running.dispatching.drivers import Drivers
from service.running.dispatching.frozen import Frozen
from service.running.dispatching.spares import Spares
from service.running.driver_process import DriverProcess
from service.settings import ServiceSettings
from service.sql.database import Sessions, connect
from service.sql.lease import Claim
from service.sql.queue import Queue
from tests.service.support.rows import add_search

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def sessions(settings: ServiceSettings) -> Iterator[Sessions]:
    sessions = connect(settings.database_url)
    yield sessions
    sessions.engine.dispose()


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drivers]:
    monkeypatch.setattr(spares, "STARTING_AT_A_TIME", 1)
    drivers = Drivers()
    yield drivers
    for driver in drivers:
        driver.kill()
    assert all(driver.code is not None for driver in drivers.ended(60.0))
    drivers.close()


def kept(drivers: Drivers, queue: Queue, folder: Path, frozen: int, most: int = 2) -> int:
    """How many drivers are held in reserve in the end; each gets ready before the next starts."""
    claims = Claims(queue, "here/1/0.00", drivers, most=most, most_crashes=3)
    reserve = Spares(drivers, claims, folder / "drivers.log")
    while True:
        before = len(list(drivers))
        reserve.keep({}, frozen)
        started = [driver for driver in drivers if driver.claim is None]
        assert len(list(drivers)) - before <= 1
        reserve.keep({}, frozen)  # one is not ready yet: nothing happens
        if len(list(drivers)) == before:
            return len(started)
        for driver in started:
            driver.is_ready = True


def test_one_is_held_in_reserve(drivers: Drivers, sessions: Sessions, tmp_path: Path) -> None:
    assert kept(drivers, Queue(sessions, 60.0), tmp_path, frozen=0) == 1


def test_one_more_for_each_search_that_waits_and_has_a_place(
    drivers: Drivers, sessions: Sessions, tmp_path: Path
) -> None:
    for _ in range(3):
        add_search(sessions)
    assert kept(drivers, Queue(sessions, 60.0), tmp_path, frozen=0, most=2) == 2


def test_successors_of_frozen_drivers_start_before_these_are_ended(
    drivers: Drivers, sessions: Sessions, tmp_path: Path
) -> None:
    """Their places are taken as long, and no search waits."""
    for number in range(2):
        drivers.add(driver := DriverProcess({}, tmp_path / "drivers.log"))
        driver.claim = Claim(f"srch_{number}", 1, "here/1/0.00")
        psutil.Process(driver.pid).send_signal(signal.SIGSTOP)
        while not driver.is_frozen:
            time.sleep(0.01)
    frozen = Frozen(drivers, lease_seconds=60.0)
    assert frozen.busy == 0
    frozen.check()
    assert frozen.busy == 2
    assert kept(drivers, Queue(sessions, 60.0), tmp_path, frozen.busy) == 3
