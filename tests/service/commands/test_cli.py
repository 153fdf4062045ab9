"""The commands of the server: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasmith import Client, NotFoundError
from search.engine.serial import run_serial
from service.commands.findings import admin_key
from service.server.local_server import LocalServer, running_server
from service.settings import ServiceSettings
from service.sql.database import connect
from tests.service.support.requests import SMALL, Driver, Hashed
from tests.support.command_line import REQUEST, Nasmith

NOWHERE = "srch_01890a5d-ac96-774b-bcce-b302099a8057"
COMMANDS = (
    "fit serve demo init validate submit list watch show trials download cancel pause resume "
    "report compare replay doctor dispatch migrate backup restore prune train version"
).split()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("home"), with_dispatcher=False) as server:
        yield server


@pytest.fixture
def url(server: LocalServer, monkeypatch: pytest.MonkeyPatch, nasmith: Nasmith) -> str:
    monkeypatch.setenv("NASMITH_URL", server.url)
    return server.url


def test_help_is_light_and_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "service.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    heavy = {"torch", "ray", "fastapi", "sqlalchemy", "numpy", "pydantic", "httpx2", "alembic"}
    assert not heavy & imported
    assert not {"models", "search", "migrations"} & imported  # whoever is hidden hears of it
    assert all(f" {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(nasmith: Nasmith, command: str) -> None:
    outcome = nasmith(command, "--help")
    assert outcome.code == 0
    assert f"Usage: nasmith {command}" in outcome.out


def test_init_writes_what_validate_and_submit_accept(nasmith: Nasmith, url: str) -> None:
    assert nasmith("init").out == "search.toml\n"
    again = nasmith("init")
    assert (again.code, again.out) == (2, "")
    assert "--force" in again.err
    assert nasmith("init", "--force").code == 0

    answer = nasmith("validate", "search.toml", "--json").data
    assert answer["spec"]["name"] == "digits-cnn_cell-regularized_evolution"
    assert len(answer["examples"]) == 3
    assert "parameters" in nasmith("validate", "search.toml").out

    document = nasmith("submit", "search.toml", "--name", "other", "--json").data
    assert (document["name"], document["state"]) == ("other", "queued")
    assert document["spec"] == {**answer["spec"], "name": "other"}


def test_validate_needs_no_server_and_tells_all_problems(nasmith: Nasmith) -> None:
    assert nasmith("validate", "-", "--json", stdin=json.dumps(REQUEST)).data["trials"] > 0
    wrong = {**REQUEST, "dataset": "nothing", "colour": "red", "budget": {"trials": 0}}
    outcome = nasmith("validate", "-", stdin=json.dumps(wrong))
    assert (outcome.code, outcome.out) == (2, "")
    assert all(f"  {pointer}: " in outcome.err for pointer in ("/dataset", "/colour"))
    assert "/budget/trials: " in outcome.err


def test_the_server_tells_all_problems(nasmith: Nasmith, url: str) -> None:
    wrong = {**REQUEST, "dataset": "nothing", "colour": "red"}
    for command in ("submit", "validate"):
        outcome = nasmith(command, "-", stdin=json.dumps(wrong))
        assert (outcome.code, outcome.out) == (2, "")
        assert all(f"  {pointer}: " in outcome.err for pointer in ("/dataset", "/colour"))
        assert "Traceback" not in outcome.err


def test_looking_back_at_searches(nasmith: Nasmith, server: LocalServer, url: str) -> None:
    fields = {**SMALL, "budget": {"trials": 12}, "baseline": "random"}
    file = server.home / "nasmith.db"
    sessions, ids = connect(f"sqlite:///{file}"), []
    with Client(url) as client:
        for search in client.searches.list(state="queued"):
            search.cancel()
        for strategy in ("random", "local_search"):
            request = {**REQUEST, **fields, "strategy": {"name": strategy}}
            ids.append(client.searches.create(request).id)
            for search_id in (ids[-1], client.searches.get(ids[-1]).repeat(1).id):
                driver = Driver(sessions, search_id)
                run_serial(driver.resume(), Hashed())
                driver.finish()
        search = client.searches.get(ids[0])
        assert "<svg" in search.plot().svg and "<svg" in search.plot("network").svg
        with pytest.raises(NotFoundError, match="progress, trials, scores, test"):
            search.plot("nothing")
        best = [item["trial"] for item in search.best()]
        assert [row[0] for row in search.best_table().rows] == best
        frame, progress = search.trials(kind="candidate").to_pandas(), search.progress
        assert len(frame) == sum(1 for _ in search.trials(kind="candidate"))
        assert f"{progress['trials_done']} of 12 trials" in search._repr_html_()
    sessions.engine.dispose()

    shown = nasmith("report", ids[1]).out
    assert shown.startswith("maximize val_accuracy\n")
    assert all(f"  {name:<11}0." in shown for name in ("strategy", "baseline"))
    assert "of the best " in shown and "over 12 trials" in shown and "%  edge_" in shown
    (objective,) = nasmith("report", ids[1], "--json").data["objectives"]
    assert objective["strategy"]["trials"] == 12

    compared = nasmith("compare", *ids, "--json").data
    assert [found["strategy"] for found in compared["searches"]] == ["random", "local_search"]
    (difference,) = compared["differences"]
    best = [
        found["objectives"][0]["strategy"]["best_so_far"][-1]["value"]
        for found in compared["searches"]
    ]
    assert difference["final"]["difference"] == best[0] - best[1]
    assert difference["final"]["low"] is None and compared["over_seeds"] == []
    shown = nasmith("compare", *ids)
    assert "after 12" in shown.out and "--seeds" in shown.err
    compared = nasmith("compare", *ids, "--seeds", "2", "--json").data
    assert {(known["score"], known["seeds"]) for known in compared["over_seeds"]} >= {("search", 2)}
    (found,) = (known for known in compared["over_seeds"] if known["score"] == "search")
    assert found["low"] <= found["difference"] <= found["high"]
    with Client(url) as client:
        pairs = [[s["id"], *s["repeats"]] for s in compared["searches"]]
        best = [
            [client.searches.get(i).best()[0]["search_metrics"] for i in side] for side in pairs
        ]
    by_seed = [x["val_accuracy"] - y["val_accuracy"] for x, y in zip(*best, strict=True)]
    assert found["difference"] == pytest.approx(sum(by_seed) / 2)
    assert "over 2 seeds" in nasmith("compare", *ids, "--seeds", "2").out
    assert nasmith("compare", ids[0]).code == 2

    assert nasmith("replay", ids[1]).out.startswith(f"{ids[1]} ")
    assert nasmith("replay", ids[0], "--json").data["difference"] is None
    with sqlite3.connect(file) as database:
        forge = "UPDATE trials SET asked_after = 5 WHERE search_id = ? AND number = 3"
        database.execute(forge, ids[:1])
    database.close()
    forged = nasmith("replay", ids[0])
    assert forged.code == 1 and "trial 3 was asked for after 5 results" in forged.out


@pytest.mark.parametrize(
    "command", "watch show trials download cancel pause resume report replay".split()
)
def test_a_search_that_is_not_there(nasmith: Nasmith, url: str, command: str) -> None:
    for search_id in (NOWHERE, "../catalog"):
        outcome = nasmith(command, search_id)
        assert (outcome.code, outcome.out) == (3, "")
        assert outcome.err.startswith("nasmith: 404 ")


def test_version(nasmith: Nasmith) -> None:
    said = nasmith("version", "--json").data
    assert said["nasmith"] == said["nasmith-server"]
    assert nasmith("version").out == nasmith("--version").out == f"{said['nasmith']}\n"


def test_completion_knows_the_commands_of_client_and_server() -> None:
    asked = {
        "_NASMITH_COMPLETE": "complete_bash",
        "COMP_WORDS": "nasmith s",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("nasmith")],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"submit", "show", "serve"}


def test_doctor_finds_this_machine_able(nasmith: Nasmith, tmp_path: Path) -> None:
    outcome = nasmith("doctor", "--home", str(tmp_path / "home"), "--json")
    findings = {finding["check"]: finding for finding in outcome.data}
    assert outcome.code == 0
    checks = "python packages torch ray walls disk sqlite database port"
    assert set(checks.split()) <= set(findings)
    assert all(finding["status"] != "fail" for finding in findings.values())
    assert findings["sqlite"]["status"] == "ok"
    assert not (tmp_path / "home").exists()  # a doctor changes nothing


def test_doctor_tells_of_a_key_that_trials_can_read(tmp_path: Path) -> None:
    settings = ServiceSettings(home=tmp_path)
    assert admin_key(settings).status == "ok"
    settings.admin_key.write_text("nas_secret")
    found = admin_key(settings)
    assert (found.status, str(settings.admin_key) in found.message) == ("warn", True)
    assert "nas_secret" not in found.message + found.advice


def test_doctor_says_what_is_wrong(
    nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    assert nasmith("migrate", "--home", str(home)).code == 0
    monkeypatch.setenv("NASMITH_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/none")
    outcome = nasmith("doctor", "--home", str(home))
    assert outcome.code == 1
    assert "fail  database" in outcome.out
    assert "NASMITH_DATABASE_URL" in outcome.out
    assert "secret" not in outcome.out + outcome.err

    monkeypatch.setenv("NASMITH_DATABASE_URL", "mysql://127.0.0.1/x")
    assert "supported are sqlite and postgresql" in nasmith("doctor", "--home", str(home)).out
    refused = nasmith("migrate", "--home", str(home))
    assert refused.code == 2
    assert "postgresql" in refused.err
