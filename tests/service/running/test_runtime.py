"""The local Ray head: loopback alone, a token, and no process that outlives its owner."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import models
from service.running.driver_process import DriverProcess
from service.running.ray_runtime import (
    LONGEST_FOLDER,
    RayRuntime,
    RuntimeStartError,
)
from service.settings import ServiceSettings, environment
from tests.support.processes import is_driver, runs
from tests.support.strangers import imported_strangers, strange_folder

pytestmark = pytest.mark.slow

ASK = """
import sys
from service.running.ray_runtime import is_connected, join, warm_up
from service.settings import ServiceSettings
join(ServiceSettings())
import ray
print(ray.get(ray.remote(lambda: 6 * 7).remote()), is_connected(), flush=True)
sys.stdin.readline()
print(is_connected(), flush=True)
import os
os._exit(0)
"""

WORKER = """
import os
from service.running.ray_runtime import join
from service.settings import ServiceSettings
join(ServiceSettings())
import ray
def look():
    import sys, models
    return models.__file__, sys.path
print(*ray.get(ray.remote(look).remote()), sep="\\n", flush=True)
os._exit(0)
"""

OWN = """
import sys, time
from pathlib import Path
from service.running.ray_runtime import RayRuntime
from service.settings import ServiceSettings
runtime = RayRuntime(ServiceSettings(home=Path(sys.argv[1])), cpus=1)
runtime.start()
print("ray" in sys.modules, flush=True)
time.sleep(600)
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[RayRuntime]:
    runtime = RayRuntime(ServiceSettings(home=tmp_path), cpus=1)
    try:
        yield runtime
    finally:
        runtime.stop()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayRuntime]:
    """A head for all who leave it as it is."""
    runtime = RayRuntime(ServiceSettings(home=tmp_path_factory.mktemp("home")), cpus=1)
    try:
        runtime.start()
        yield runtime
    finally:
        runtime.stop()


@contextlib.contextmanager
def asking(runtime: RayRuntime) -> Iterator[subprocess.Popen[str]]:
    """A driver that says what Ray answered, and again on the next line of its input."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASK],
        env={**os.environ, **runtime.environment()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process
        process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def processes_of(folder: Path | str) -> list[psutil.Process]:
    """Every process that has the folder on its command line, and their children."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.pid != os.getpid() and any(
                str(folder) in part for part in process.cmdline()
            ):
                for member in (process, *process.children(recursive=True)):
                    found[member.pid] = member
    return list(found.values())


def wait_for_the_end_of(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that are still there."""
    _, alive = psutil.wait_procs(processes, seconds)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def folder_of(runtime: RayRuntime) -> str:
    assert runtime.forks is not None
    return str(runtime.forks.with_name("ray"))


def test_drivers_join_a_head_that_listens_on_loopback_alone(
    runtime: RayRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sqlite:////a/password"  # noqa: S105 - of nothing
    monkeypatch.setenv("NASMITH_DATABASE_URL", secret)  # a driver needs it, and nobody below Ray
    runtime.start()
    assert runtime.is_alive()
    with asking(runtime) as driver:
        assert line(driver) == "42 True"
        members = processes_of(folder_of(runtime))
        (worker, *_) = [p for p in members if p.name().startswith("ray::IDLE")]
        assert worker.nice() == psutil.Process().nice()  # busy neighbours do not starve it
        assert [p for p in members if secret in str(p.environ())] == []
        source = worker.parent()  # which has imported for all of them
        assert source is not None and runs(source, "service.running.worker_forks")
        listening = {
            connection.laddr.ip
            for process in members
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening and {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
        runtime.stop()
        assert not runtime.is_alive()
        assert driver.stdin is not None
        driver.stdin.write("\n")
        driver.stdin.flush()
        assert driver.stdout is not None
        assert "True" not in driver.stdout.read()  # it noticed, or Ray has ended it
    assert wait_for_the_end_of(members, 90) == []


def test_a_driver_comes_from_where_workers_do(standing: RayRuntime, tmp_path: Path) -> None:
    settings = ServiceSettings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'secret'}")
    variables = {**environment(settings), **standing.environment()}
    driver = DriverProcess(variables, tmp_path / "log", standing.forks)
    while not driver.is_ready:
        assert driver.listen(), (tmp_path / "log").read_text()
    process = psutil.Process(driver.pid)
    origin = process.parent()
    assert origin is not None and runs(origin, "service.running.worker_forks")
    assert is_driver(process) and not is_driver(origin)
    assert os.getsid(driver.pid) == driver.pid  # a Ctrl-C is not for it
    assert "secret" not in str(process.environ()) + str(origin.environ())
    driver.terminate()
    assert driver.wait(60) and driver.end == 0  # it had nothing to give back
    driver.close()
    killed = DriverProcess(variables, tmp_path / "log", standing.forks)
    killed.listen()
    killed.kill()
    assert killed.wait(60) and killed.end == -signal.SIGKILL
    killed.close()


def test_workers_import_nothing_from_where_a_driver_works(
    standing: RayRuntime, tmp_path: Path
) -> None:
    folder = strange_folder(tmp_path / "project")
    command = [sys.executable, "-P", "-c", WORKER]
    variables = {**os.environ, **standing.environment()}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.stdout.startswith(f"{models.__file__}\n"), done.stderr
    assert str(folder) not in done.stdout
    assert imported_strangers(folder) == []


def test_nobody_joins_without_the_token(standing: RayRuntime, tmp_path: Path) -> None:
    variables = standing.environment()
    token = Path(variables["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    assert len(token.read_text()) == 64
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    ask = subprocess.run(
        [
            sys.executable,
            "-c",
            "from ray._raylet import GcsClient; import sys;"
            "print(GcsClient(sys.argv[1]).internal_kv_keys(b'', None, timeout=5))",
            standing.address,
        ],
        env={**os.environ, **variables, "RAY_AUTH_TOKEN_PATH": str(wrong)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ask.returncode != 0 and "InvalidAuthToken" in ask.stderr + ask.stdout


def test_nothing_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert line(owner) == "False"  # the owner has not imported Ray
        (head,) = psutil.Process(owner.pid).children()
        members = [head, *head.children(recursive=True)]
        assert len(members) >= 3  # among them gcs_server and raylet
        owner.kill()
    assert wait_for_the_end_of(members, 90) == []
    assert not list(tmp_path.glob("ray/nasmith-ray-*/ray"))  # it cleaned up after itself


def test_a_head_that_lost_a_part_is_dead_and_has_a_successor(runtime: RayRuntime) -> None:
    runtime.start()
    first, address = folder_of(runtime), runtime.address
    members = processes_of(first)
    (gcs,) = [process for process in members if process.name() == "gcs_server"]
    gcs.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 90
    while runtime.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runtime.is_alive()
    runtime.start()
    assert runtime.is_alive() and runtime.address != address
    assert wait_for_the_end_of(members, 90) == []
    assert not Path(first).exists()


def test_a_killed_head_takes_its_processes_along(runtime: RayRuntime) -> None:
    runtime.start()
    folder = folder_of(runtime)
    members = processes_of(folder)
    (head,) = [process for process in members if process.ppid() == os.getpid()]
    head.kill()
    head.wait()
    assert not runtime.is_alive()
    runtime.stop()
    assert wait_for_the_end_of(members, 90) == []
    assert not Path(folder).exists()


def test_a_long_home_moves_the_sockets_to_a_short_folder_and_loses_what_a_head_left_there(
    tmp_path: Path,
) -> None:
    home = tmp_path / ("long" * 30)
    left = home / "ray" / "nasmith-ray-abcdefgh.tmp"
    (left / "ray").mkdir(parents=True)
    runtime = RayRuntime(ServiceSettings(home=home), cpus=1)
    try:
        runtime.start()
        folder = Path(folder_of(runtime))
        assert len(str(folder)) <= LONGEST_FOLDER and not folder.is_relative_to(home)
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert folder.exists() and not left.exists()
    finally:
        runtime.stop()
    assert not folder.parent.exists()


def test_a_head_that_does_not_start_is_an_error(
    runtime: RayRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "service.running.ray_runtime.OBJECT_STORE_BYTES", 1
    )  # Ray refuses less than 75 MB
    with pytest.raises(RuntimeStartError, match=r"did not start, see .*ray\.log"):
        runtime.start()
    assert not runtime.is_alive()


def test_a_cluster_is_joined_and_never_started(tmp_path: Path) -> None:
    settings = ServiceSettings(home=tmp_path, ray_address="127.0.0.1:1")
    runtime = RayRuntime(settings)
    runtime.start()
    assert not runtime.is_alive()  # nothing listens there
    assert runtime.environment()["NASMITH_RAY_ADDRESS"] == "127.0.0.1:1"
    assert not (tmp_path / "ray").exists()
