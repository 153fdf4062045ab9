"""A mistake in the settings is told in a line, with the exit code for it; none is called a bug."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
from pathlib import Path

import pytest

from models.processes.names import process_name
from service.commands import findings
from service.settings import ServiceSettings, known_variables, unknown_variables
from service.sql.database import connect, migrate
from service.sql.dispatchers import Dispatchers
from tests.support.command_line import Nasmith


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_database_that_is_away(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{closed_port()}/none"
    monkeypatch.setenv("NASMITH_DATABASE_URL", url)
    monkeypatch.setenv("NASMITH_HOME", str(Path.cwd() / "home"))
    options = ["--port", "0"] if command == "serve" else []
    outcome = nasmith(command, *options)
    assert outcome.code == 5
    assert "does not answer" in outcome.err and "NASMITH_DATABASE_URL" in outcome.err
    assert "secret" not in outcome.err and "bug" not in outcome.err


@pytest.mark.skipif(
    importlib.util.find_spec("gcsfs") is not None, reason="the package is installed here"
)
@pytest.mark.parametrize("command", ["migrate", "serve", "dispatch"])
def test_a_store_whose_package_is_missing(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("NASMITH_STORE_URL", "gs://bucket/folder")
    outcome = nasmith(command, "--home", str(Path.cwd() / "home"))
    assert outcome.code == 2
    assert "NASMITH_STORE_URL: a store at gs:// needs gcsfs: pip install gcsfs" in outcome.err
    assert not (Path.cwd() / "home").exists()


@pytest.mark.parametrize("variable", ["NASMITH_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_traces_without_the_extra(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    find = importlib.util.find_spec

    def found(name: str) -> object:  # as where the extra is not installed
        return None if name.startswith("opentelemetry.exporter") else find(name)

    monkeypatch.setattr("service.settings.find_spec", found)
    monkeypatch.setenv(variable, "http://127.0.0.1:4318")
    outcome = nasmith("migrate", "--home", str(Path.cwd() / "home"))
    assert outcome.code == 2
    assert "NASMITH_OTEL_ENDPOINT: traces need OpenTelemetry" in outcome.err
    assert "pip install 'nasmith-server[otel]'" in outcome.err and variable in outcome.err
    assert not (Path.cwd() / "home").exists()


def test_a_kind_of_store_that_nobody_knows(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASMITH_STORE_URL", "s33://bucket")
    outcome = nasmith("migrate")
    assert outcome.code == 2
    assert "'s33'" in outcome.err and "s3" in outcome.err


def test_a_misspelt_variable_is_refused_with_the_name_that_was_meant(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASMITH_DATABSE_URL", "postgresql://127.0.0.1/x")
    outcome = nasmith("migrate")
    assert outcome.code == 2
    assert "NASMITH_DATABSE_URL: did you mean NASMITH_DATABASE_URL?" in outcome.err


def test_a_variable_of_somebody_else_is_told_and_ignored(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes sets them in the neighbours of a service of this name."""
    monkeypatch.setenv("NASMITH_PORT_8000_TCP_ADDR", "10.0.0.1")
    outcome = nasmith("migrate", "--home", str(Path.cwd() / "home"))
    assert outcome.code == 0
    assert "NASMITH_PORT_8000_TCP_ADDR is no setting" in outcome.err


def test_every_variable_of_the_readme_is_known() -> None:
    readme = Path(__file__).parents[3] / "README.md"
    rows = [line for line in readme.read_text().splitlines() if line.startswith("| `NASMITH_")]
    names = [part for row in rows for part in row.split("|")[1].split("`") if "NASMITH_" in part]
    assert len(names) >= 14
    assert unknown_variables(names) == []
    assert set(names) <= set(known_variables())


def test_settings_in_small_letters_count_as_they_do_for_the_settings() -> None:
    assert unknown_variables(["nasmith_home", "NASMITH_URL", "PATH", "NASMITHY"]) == []


@pytest.fixture
def served(tmp_path: Path) -> ServiceSettings:
    """Of a home whose server is this process."""
    settings = ServiceSettings(home=tmp_path / "home")
    migrate(settings.database_url)
    document = {"url": "http://127.0.0.1:1", "pid": os.getpid()}
    (settings.home / "server.json").write_text(json.dumps(document))
    return settings


def test_doctor_misses_the_dispatcher_of_a_server(served: ServiceSettings) -> None:
    found = findings.dispatcher(served)
    assert found.status == "fail" and "http://127.0.0.1:1" in found.message
    sessions = connect(served.database_url)
    dispatchers = Dispatchers(sessions)
    dispatchers.beat(process_name(), 600, "Ray: no answer")
    assert findings.dispatcher(served).status == "warn"
    dispatchers.beat(process_name(), 600, None)
    assert findings.dispatcher(served).status == "ok"
    sessions.engine.dispose()


def test_doctor_misses_nothing_where_no_server_is(tmp_path: Path) -> None:
    settings = ServiceSettings(home=tmp_path / "home")
    assert findings.dispatcher(settings).status == "ok"
    assert not settings.home.exists()


def test_doctor_writes_into_the_store(tmp_path: Path) -> None:
    settings = ServiceSettings(home=tmp_path / "home")
    assert findings.store(settings).status == "ok"
    assert not settings.home.exists()
    settings.home.mkdir()
    assert findings.store(settings).status == "ok"
    assert list(settings.home.iterdir()) == []
    (tmp_path / "file").touch()
    wrong = ServiceSettings(home=tmp_path / "home", store_url=f"file://{tmp_path}/file/store")
    assert findings.store(wrong).status == "fail"


@pytest.mark.parametrize(
    ("name", "status"),
    [("NASMITH_HOEM", "fail"), ("NASMITH_SOMETHING_ELSE", "warn"), ("NASMITH_URL", "ok")],
)
def test_doctor_reads_the_environment(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch, name: str, status: str
) -> None:
    monkeypatch.setenv(name, "/tmp")  # noqa: S108 - never used
    assert findings.variables().status == status
