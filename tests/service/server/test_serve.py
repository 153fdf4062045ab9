"""`nasmith serve` as a process: how it starts, what it refuses, and that it leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from nasmith import Client, UnreachableError
from service.server.local_server import LocalServer, running_server
from service.server.serve import ServeError, refuse_exposure
from tests.support.processes import runs

pytestmark = pytest.mark.slow

REQUEST: dict[str, Any] = {
    "dataset": "digits",
    "baselines": [],
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "random"},
}


def serve(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "serve", "--home", str(home), *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def eventually(condition: Callable[[], object], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def is_ready(server: LocalServer) -> bool:
    with Client(server.url) as client:
        return client.is_ready()


def dispatchers(server: LocalServer) -> list[psutil.Process]:
    return [p for p in server.processes() if runs(p, "service.running.dispatcher_process")]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    refuse_exposure(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "example.org", ""])  # noqa: S104
def test_an_address_beyond_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ServeError, match="no authentication"):
        refuse_exposure(host)


def test_the_command_refuses_an_open_address(tmp_path: Path) -> None:
    refused = serve(tmp_path / "home", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert refused.returncode == 2
    assert "--auth keys" in refused.stderr and "--insecure-no-auth" in refused.stderr
    assert not (tmp_path / "home").exists()


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = serve(tmp_path, "--port", port, "--no-dispatcher")
    assert refused.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_one_home_one_server_and_any_number_of_apis(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        written = json.loads((tmp_path / "server.json").read_text())
        assert written == {"url": server.url, "pid": server.pid}
        refused = serve(tmp_path, "--port", "0")
        assert refused.returncode == 2
        assert f"another server (process {server.pid}) at {server.url} uses" in refused.stderr
        assert eventually(lambda: is_ready(server))
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob("*.db*")} == {0o600}

        port_file = tmp_path / "second.json"
        command = [sys.executable, "-m", "service.cli", "serve", "--home", str(tmp_path)]
        second = subprocess.Popen(
            [*command, "--port", "0", "--no-dispatcher", "--port-file", str(port_file)]
        )
        try:
            assert eventually(port_file.exists)
            other = json.loads(port_file.read_text())["url"]
            with Client(server.url) as one, Client(other) as two:
                assert two.searches.get(one.searches.create(REQUEST).id).state
        finally:
            second.send_signal(signal.SIGINT)
            assert second.wait(120) == 0
        assert not port_file.exists()
    assert not (tmp_path / "server.json").exists()


def test_sigterm_ends_everything_with_streams_open(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, Client(server.url, patience=0) as client:
        search = client.searches.create(REQUEST)
        stream = search.events(patience=0)
        assert next(stream).type == "search.queued"
        assert eventually(lambda: dispatchers(server))
        process = psutil.Process(server.pid)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(UnreachableError):
            list(stream)
        assert process.wait(120) == 0
        assert server.processes() == []


def test_a_killed_server_leaves_nothing_and_frees_its_home(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert eventually(lambda: dispatchers(server))
        server.kill()
        assert eventually(lambda: not server.processes()), server.processes()
        server.start()
        assert eventually(lambda: is_ready(server))


def test_a_dead_dispatcher_is_replaced(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert eventually(lambda: dispatchers(server))
        first = dispatchers(server)[0]
        first.kill()
        assert eventually(lambda: {p.pid for p in dispatchers(server)} - {first.pid})
        assert eventually(lambda: is_ready(server))


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8, 1.5])
def test_a_stop_while_it_starts_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    server = LocalServer(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--port", "0"],
        env={**os.environ, "NASMITH_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in errors
    assert eventually(lambda: not server.processes())
    assert not (tmp_path / "server.json").exists()
