"""What a server logs, in a process of its own as `nasmith serve` sets it up."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
    import sys
    from fastapi.testclient import TestClient
    from service.api.app import create_app
    from service.sql.database import migrate
    from service.logs import configure_logs
    from service.settings import ServiceSettings

    settings = ServiceSettings(home=sys.argv[1], log_format=sys.argv[2])
    configure_logs(settings.log_level, settings.log_format)
    migrate(settings.database_url)
    app = create_app(settings)

    @app.get("/broken")
    def broken() -> None:
        password = "geheim-" + "4711"
        raise RuntimeError("what happened")

    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        client.get("/healthz", headers={"Authorization": "Bearer geheim-4711"})
        client.get("/broken", headers={"X-Request-ID": "id-1"})
        client.delete("/nothing", headers={"X-Request-ID": "id-2"})
"""


@pytest.fixture
def logged(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path), request.param]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""  # data alone goes there
    return done.stderr


@pytest.mark.parametrize("logged", ["json"], indirect=True)
def test_json_logs_are_one_object_a_line(logged: str) -> None:
    lines = [json.loads(line) for line in logged.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    of_request = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert of_request["id-2"]["status"] == 404
    assert of_request["id-2"]["method"] == "DELETE"
    (broken,) = [line for line in lines if line["event"] == "a request broke"]
    assert broken["request_id"] == "id-1"
    assert "RuntimeError: what happened" in broken["exception"]
    assert not [line for line in lines if line.get("path") == "/healthz"]  # polls are no news
    assert "geheim" not in logged  # not a header, and not a variable in a traceback


@pytest.mark.parametrize("logged", ["console"], indirect=True)
def test_logs_for_people_tell_the_same(logged: str) -> None:
    assert "RuntimeError: what happened" in logged
    assert "request_id=id-2" in logged
    assert "geheim" not in logged
