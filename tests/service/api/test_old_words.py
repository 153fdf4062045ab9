"""A word of the request that was renamed: taken, answered with a warning, stored under its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from nasmith.cli import application
from tests.service.support.requests import BODY, submit

OLD: dict[str, Any] = {**BODY, "proxies": [{"name": "snip", "use": "warm_start", "samples": 2}]}
WARNING = {
    "code": "deprecated_word",
    "message": '"warm_start" is called "first" now; the next release refuses it',
    "where": "/proxies/0/use",
}


def test_the_answers_to_a_submit_and_a_dry_run_say_what_to_change(client: TestClient) -> None:
    key = {"Idempotency-Key": "one"}
    for _ in range(2):  # the same key and body give the same search again, and say the same
        answer = client.post("/v1/searches", json=OLD, headers=key)
        assert answer.status_code == 202 and answer.json()["warnings"] == [WARNING]
        assert answer.json()["spec"]["proxies"][0]["use"] == "first"
    dry = client.post("/v1/searches?dry_run=true", json=OLD).json()
    assert dry["warnings"] == [WARNING] and dry["spec"]["proxies"][0]["use"] == "first"
    new = submit(client, proxies=[{"name": "snip", "use": "first", "samples": 2}])
    assert client.get(f"/v1/searches/{new}").json()["warnings"] == []


def test_the_command_line_says_it_beside_its_answer(tmp_path: Path) -> None:
    file = tmp_path / "search.json"
    file.write_text(json.dumps(OLD))
    result = CliRunner().invoke(application(), ["validate", str(file), "--json"])
    assert result.exit_code == 0 and json.loads(result.stdout)["warnings"] == [WARNING]
    result = CliRunner().invoke(application(), ["validate", str(file)])
    assert 'warning: /proxies/0/use: "warm_start" is called "first" now' in result.stderr
