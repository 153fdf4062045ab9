"""Who measures is alone, and nobody waits forever: threads, and processes that stop or die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models import quiet
from models.quiet import alone, at_work, give_way, waited_seconds

LONG = 120.0
"""No test waits for so long; a machine that is busy with other things may stall for a while."""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of our own, in which everybody is patient."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("STEP_SECONDS", "TURN_SECONDS", "PATIENCE_SECONDS"):
        monkeypatch.setattr(quiet, name, LONG)


class Worker(threading.Thread):
    """Counts its steps until it is told to end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.steps, self.is_over = 0, False

    def run(self) -> None:
        for _ in at_work(self._reports()):
            pass

    def _reports(self) -> Generator[int]:
        while not self.is_over:
            for _ in range(50):
                self.steps += 1
                time.sleep(0.001)
                give_way()
            yield self.steps


@contextmanager
def workers(number: int) -> Iterator[list[Worker]]:
    threads = [Worker() for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.is_over = True
        for thread in threads:
            thread.join(LONG)


def until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_nobody_works_while_one_measures_and_all_go_on_afterwards() -> None:
    with workers(3) as working:
        for _ in range(5):
            with alone() as is_alone:
                assert is_alone
                before = [worker.steps for worker in working]
                time.sleep(0.05)
                assert [worker.steps for worker in working] == before
            for worker, steps in zip(working, before, strict=True):
                until(lambda worker=worker, steps=steps: worker.steps > steps + 2)


def test_one_measures_at_a_time() -> None:
    inside, most = 0, 0

    def measure() -> None:
        nonlocal inside, most
        for _ in range(5):
            with alone() as is_alone:
                assert is_alone
                inside += 1
                most = max(most, inside)
                time.sleep(0.005)
                inside -= 1

    measuring = [threading.Thread(target=measure) for _ in range(3)]
    with workers(1):
        for thread in measuring:
            thread.start()
        for thread in measuring:
            thread.join(LONG)
    assert (inside, most) == (0, 1)


def test_between_two_reports_nobody_waits_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an actor between two epochs, or with a paused trial."""
    monkeypatch.setattr(quiet, "STEP_SECONDS", 0.0)
    is_closed = False

    def reports() -> Generator[bool]:
        nonlocal is_closed
        try:
            while True:
                yield measured_elsewhere()
        finally:
            is_closed = True

    at = at_work(reports())
    assert next(at) is False
    assert measured_elsewhere() is True
    assert next(at) is False
    at.close()  # type: ignore[attr-defined]  # a generator
    assert is_closed


def measured_elsewhere() -> bool:
    """Whether another thread would be alone."""
    found: list[bool] = []

    def measure() -> None:
        with alone() as is_alone:
            found.append(is_alone)

    thread = threading.Thread(target=measure)
    thread.start()
    thread.join(LONG)
    return found[0]


def test_a_trial_may_measure_in_the_middle_of_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "STEP_SECONDS", 0.0)

    def reports() -> Generator[tuple[bool, bool]]:
        with alone() as is_alone:
            pass
        yield is_alone, measured_elsewhere()

    assert list(at_work(reports())) == [(True, False)]


@contextmanager
def other(script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `script` and has said so."""
    script = f"import time\nfrom models.quiet import alone, at_work\n{script}"
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir(), "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


IN_THE_ROOM = """
def work():
    print("here", flush=True)
    time.sleep(600)
    yield 0
next(at_work(work()))
"""
BEHIND_THE_DOOR = """
with alone():
    print("here", flush=True)
    time.sleep(600)
"""


def test_a_worker_that_does_not_give_way_is_measured_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with other(IN_THE_ROOM) as process:
        monkeypatch.setattr(quiet, "STEP_SECONDS", 0.1)
        process.send_signal(signal.SIGSTOP)
        with alone() as is_alone:
            assert not is_alone
        monkeypatch.setattr(quiet, "STEP_SECONDS", LONG)
        process.kill()
        with alone() as is_alone:
            assert is_alone


def test_one_that_stopped_while_it_measured_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quiet, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(quiet, "LOOK_SECONDS", 0.0)

    def reports() -> Generator[float]:
        while True:
            for _ in range(20):
                give_way()
            yield waited_seconds()

    at, before = at_work(reports()), waited_seconds()
    assert next(at) == before
    with other(BEHIND_THE_DOOR) as process:
        process.send_signal(signal.SIGSTOP)
        once = next(at)
        assert once >= before + 0.1
        assert next(at) == once
        assert next(at) == once
        process.kill()
        process.wait()
        assert next(at) == once
        with alone() as is_alone:  # nobody else is here now
            assert is_alone
        with other(BEHIND_THE_DOOR):
            assert next(at) > once, "patient again, since the door was seen open"
    assert next(at) > once


def test_without_a_place_for_the_locks_everybody_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))

    def reports() -> Generator[int]:
        for number in range(3):
            give_way()
            yield number

    assert list(at_work(reports())) == [0, 1, 2]
    with alone() as is_alone:
        assert not is_alone


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for suffix in ("door", "room"):
        (tmp_path / f"nasmith-{os.getuid()}-quiet.{suffix}").symlink_to(target)
    with alone() as is_alone:
        assert not is_alone
    assert not target.exists()
