"""The topology of docker-compose.yml as plain processes: PostgreSQL, a Ray head started apart with
a token and without CPUs of its own, a worker node, the migration, the API alone, the dispatcher.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from nasmith import Client
from service.running.ray_runtime import LOOPBACK
from service.server.local_server import running_server
from tests.support.strangers import imported_strangers, strange_folder

RAY = Path(sys.executable).with_name("ray")
NASMITH = Path(sys.executable).with_name("nasmith")
REQUEST = {
    "dataset": "digits",
    "baselines": [],
    "space": {"family": "cnn_cell", "nodes": 1, "channels": 4, "cells": 1},
    "training": {"epochs": 1},
    "strategy": {"name": "random"},
    "budget": {"trials": 4},
    "final": {"top": 1, "seeds": 1, "epochs": 2},
}

WORKER_NODE = """
# `ray start --address` refuses to join a head that is bound to loopback alone.
import signal, sys
from ray._private.node import Node
from ray._private.parameter import RayParams
parameters = RayParams(
    gcs_address=sys.argv[1], node_ip_address="127.0.0.1", num_cpus=2, object_store_memory=10**8
)
node = Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=True)
signal.sigwait([signal.SIGTERM])
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def process(
    name: str, command: list[str], environment: Mapping[str, str], logs: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A role of the topology; whatever it leaves behind in its session is killed at the end."""
    with (logs / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield started
        assert started.poll() is None, (logs / f"{name}.log").read_text()[-2000:]
    finally:
        session = [child for child in psutil.process_iter() if _session(child) == started.pid]
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(15)
        for child in session:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        started.wait()


def _session(child: psutil.Process) -> int | None:
    try:
        return os.getsid(child.pid)
    except ProcessLookupError:
        return None


def wait_for_ray(
    head: subprocess.Popen[bytes], address: str, environment: Mapping[str, str]
) -> None:
    deadline = time.monotonic() + 60
    host, port = address.split(":")
    while True:  # a command of Ray takes seconds to hear that nobody is there yet
        assert head.poll() is None and time.monotonic() < deadline, "no Ray head listens"
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1.0):
            break
        time.sleep(0.1)
    command = [str(RAY), "health-check", "--address", address]
    while subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True
    ).returncode:
        assert head.poll() is None and time.monotonic() < deadline, "the Ray head does not answer"
        time.sleep(0.5)


@pytest.mark.slow
def test_the_composed_topology_runs_a_search(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started in a folder whose modules have the names of our packages."""
    folder = strange_folder(tmp_path / "project")
    monkeypatch.chdir(folder)
    database = f"topology_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    sockets = tempfile.mkdtemp(prefix="ns", dir="/tmp")  # short: Unix sockets lie in it
    address = f"127.0.0.1:{free_port()}"
    url = make_url(postgresql_url).set(database=database)
    environment = {
        "NASMITH_HOME": str(tmp_path),
        "NASMITH_DATABASE_URL": url.render_as_string(hide_password=False),
        "NASMITH_STORE_URL": f"file://{tmp_path / 'store'}",
        "NASMITH_RAY_ADDRESS": address,
        **LOOPBACK,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    # the server's end kills what is left of its home: Ray belongs to nobody's
    cluster = {name: text for name, text in environment.items() if name != "NASMITH_HOME"}
    host, port = address.split(":")
    head = [str(RAY), "start", "--head", "--block", "--num-cpus=0", "--include-dashboard=false"]
    head += [f"--node-ip-address={host}", f"--port={port}", f"--temp-dir={sockets}"]
    head += ["--object-store-memory=100000000"]
    node = [sys.executable, "-P", "-c", WORKER_NODE, address]
    try:
        subprocess.run([str(NASMITH), "migrate"], env={**os.environ, **environment}, check=True)
        with process("head", head, cluster, tmp_path) as started:
            wait_for_ray(started, address, environment)
            with (
                process("node", node, cluster, tmp_path),
                running_server(tmp_path, with_dispatcher=False, environment=environment) as server,
                process("dispatch", [str(NASMITH), "dispatch"], environment, tmp_path),
                Client(server.url) as client,
            ):
                search = client.searches.create(**REQUEST)
                search.wait(timeout=150)
                assert search.state == "succeeded", search.state_reason
                folder = search.download(tmp_path / "bundle")
                assert (Path(folder) / "model.py").exists()
                states = {trial["state"] for trial in search.trials()}
                assert states <= {"completed", "cached"}
        assert imported_strangers(folder) == []
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
