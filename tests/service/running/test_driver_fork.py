"""A driver from the forks, as who ordered it sees it. The test itself is where the forks come from,
so that it says what happens when.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.running.driver_fork import DriverFork
from service.running.exits import Exit


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "forks"))
        listener.listen()
        yield listener


@pytest.fixture
def driver(listener: socket.socket, tmp_path: Path) -> Iterator[DriverFork]:
    with (tmp_path / "log").open("wb") as errors:
        driver = DriverFork(tmp_path / "forks", {"KEY": "a secret"}, errors.fileno())
    yield driver
    for pipe in (driver.stdin, driver.stdout):
        pipe.close()
    driver.close()


@pytest.fixture
def life(listener: socket.socket, driver: DriverFork) -> Iterator[socket.socket]:
    """Where the origin of the forks tells of the driver."""
    connection, _ = listener.accept()
    with connection:
        message, streams, _, _ = socket.recv_fds(connection, 1, 4)
        while part := connection.recv(65_536):
            message += part
    order = json.loads(message)
    assert order["arguments"] == ["service.running.driver"]
    assert (order["environment"], order["folder"]) == ({"KEY": "a secret"}, os.getcwd())
    for stream in streams[:3]:
        os.close(stream)
    with socket.socket(fileno=streams[3]) as life:
        yield life


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """What stands for the process of the driver."""
    with subprocess.Popen(["/bin/sleep", "600"]) as child:
        yield child
        child.kill()


def test_number_and_code_are_what_the_origin_says(driver: DriverFork, life: socket.socket) -> None:
    assert (driver.pid, driver.poll()) == (0, None)
    life.send(f"{os.getpid()}\n".encode())
    assert (driver.pid, driver.poll()) == (os.getpid(), None)
    with pytest.raises(subprocess.TimeoutExpired):
        driver.wait(0.01)
    life.send(b"-11\n")
    assert (driver.wait(60), driver.poll(), driver.pid) == (-11, -11, os.getpid())
    driver.kill()  # nobody: this process goes on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_it(
    driver: DriverFork,
    life: socket.socket,
    child: subprocess.Popen[bytes],
    number: signal.Signals,
) -> None:
    life.send(f"{child.pid}\n".encode())
    driver.terminate() if number is signal.SIGTERM else driver.kill()
    assert child.wait(60) == -number
    assert driver.poll() is None  # until it is told


def test_one_that_is_not_there_yet_is_not_made_any_more(
    driver: DriverFork, life: socket.socket
) -> None:
    driver.terminate()
    assert driver.poll() == -signal.SIGTERM
    with pytest.raises(BrokenPipeError):
        life.send(b"1\n")


@pytest.mark.parametrize("said", [b"", b"1\n"])
def test_it_ends_with_the_origin_for_want_of_ray(
    driver: DriverFork, life: socket.socket, said: bytes
) -> None:
    life.send(said)
    life.close()
    assert driver.wait(60) == Exit.NO_RAY


def test_without_an_origin_there_is_none(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as errors:
        driver = DriverFork(tmp_path / "nothing", {}, errors.fileno())
    assert (driver.poll(), driver.pid) == (Exit.NO_RAY, 0)
    assert driver.stdout.read() == b""
    for pipe in (driver.stdin, driver.stdout):
        pipe.close()
    driver.close()
