"""The command line against a real server process: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nasmith import Client
from nasmith.cli import main
from search.engine.serial import run_serial
from service.running.driver import Driver as SearchDriver
from service.running.lease_keeper import Exit
from service.server.local_server import LocalServer, running_server
from service.settings import ServiceSettings
from service.sql.database import connect
from service.sql.queue import Queue
from tests.service.support.requests import SMALL, Driver, Hashed
from tests.service.support.tables import table_file

REQUEST: dict[str, Any] = {
    "name": "from-a-test",
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "random"},
}
NOWHERE = "srch_01890a5d-ac96-774b-bcce-b302099a8057"
COMMANDS = (
    "serve demo init validate submit list watch show trials download cancel pause resume "
    "report compare replay doctor dispatch migrate train version"
).split()


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Nasmith = Callable[..., Outcome]


@pytest.fixture
def nasmith(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Nasmith:
    """Runs a command in this process, in an empty folder, with nothing in the environment."""
    for name in [name for name in os.environ if name.startswith("NASMITH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nasmith", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"dataset": ', "stdin is no JSON"),
        ("dataset = ", "stdin is no TOML"),
        ("[1, 2]", "holds no object"),
        ('{"seed": NaN}', "a value that JSON has not"),
        ("when = 2026-01-01", "a value that JSON has not"),
        ("", "dataset"),
    ],
)
def test_files_that_are_no_request(nasmith: Nasmith, url: str, text: str, says: str) -> None:
    outcome = nasmith("submit", "-", stdin=text)
    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err


def test_files_that_cannot_be_read(nasmith: Nasmith, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    for file in ("missing.toml", ".", "latin.toml"):
        outcome = nasmith("submit", file)
        assert outcome.code == 2
        assert outcome.err.startswith(f"nasmith: {'cannot read ' * (file != 'latin.toml')}{file}")


def test_a_search_from_the_command_line(nasmith: Nasmith, url: str) -> None:
    submitted = nasmith("submit", "-", stdin=json.dumps(REQUEST))
    search_id = submitted.out.strip()
    assert submitted.code == 0
    assert f"nasmith watch {search_id}" in submitted.err

    listed = nasmith("list", "--json", "--limit", "1").data
    assert [document["id"] for document in listed] == [search_id]
    assert search_id in nasmith("list").out
    assert nasmith("list", "--state", "succeeded", "--json").data == []

    shown = nasmith("show", search_id)
    assert "maximize val_accuracy" in shown.out
    assert nasmith("show", search_id, "--json").data["best_items"] == []
    assert nasmith("trials", search_id, "--json").data == []
    assert nasmith("trials", search_id).out.split()[:3] == ["trial", "kind", "state"]

    assert nasmith("pause", search_id).out == f"{search_id} paused\n"
    assert nasmith("resume", search_id, "--json").data["state"] == "queued"

    early = nasmith("download", search_id, "model")
    assert early.code == 2
    assert "no bundle" in early.err
    assert not Path("model").exists()

    assert nasmith("cancel", search_id).out == f"{search_id} cancelled\n"
    watched = nasmith("watch", search_id)
    assert watched.code == 1
    assert watched.out.startswith(f"{search_id} cancelled")


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
            driver = Driver(sessions, ids[-1])
            run_serial(driver.resume(), Hashed())
            driver.finish()
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
    assert "after 12" in nasmith("compare", *ids).out
    assert nasmith("compare", ids[0]).code == 2

    assert nasmith("replay", ids[1]).out.startswith(f"{ids[1]} ")
    assert nasmith("replay", ids[0], "--json").data["difference"] is None
    with sqlite3.connect(file) as database:
        forge = "UPDATE trials SET asked_after = 5 WHERE search_id = ? AND number = 3"
        database.execute(forge, ids[:1])
    database.close()
    forged = nasmith("replay", ids[0])
    assert forged.code == 1 and "trial 3 was asked for after 5 results" in forged.out


def test_a_search_of_a_table_has_scores_and_no_model(
    nasmith: Nasmith, server: LocalServer, url: str, tmp_path: Path
) -> None:
    (tmp_path / "cells.npz").write_bytes(table_file())
    assert nasmith("datasets", "add", "cells.npz", "--task", "table").code == 0
    with Client(url) as client:
        for search in client.searches.list(state="queued"):
            search.cancel()
        request = {"dataset": "cells", "strategy": {"name": "random"}, "budget": {"trials": 5}}
        search_id = client.searches.create(request).id
    settings = ServiceSettings(home=server.home)
    sessions = connect(settings.database_url)
    claim = Queue(sessions).claim("a test")
    assert claim is not None and claim.search_id == search_id
    assert SearchDriver(settings, sessions, claim).run() is Exit.DONE
    sessions.engine.dispose()

    watched = nasmith("watch", search_id)
    assert (watched.code, "nasmith download" in watched.err) == (0, False)
    (best,) = nasmith("show", search_id, "--json").data["best_items"]
    lines = [line.split() for line in nasmith("show", search_id).out.splitlines()]
    score = f"{best['search_metrics']['search_score']:.6g}"
    assert ["search_score", score, "final", score, "(one", "run)"] in lines
    final = f"{best['final_metrics']['final_score']['mean']:.6g}"
    assert ["final_score", "final", final, "(one", "run)"] in lines


@pytest.mark.parametrize(
    "command", "watch show trials download cancel pause resume report replay".split()
)
def test_a_search_that_is_not_there(nasmith: Nasmith, url: str, command: str) -> None:
    for search_id in (NOWHERE, "../catalog"):
        outcome = nasmith(command, search_id)
        assert (outcome.code, outcome.out) == (3, "")
        assert outcome.err.startswith("nasmith: 404 ")


def test_no_server(nasmith: Nasmith) -> None:
    outcome = nasmith("list", "--url", "http://127.0.0.1:9")
    assert (outcome.code, outcome.out) == (5, "")
    assert "http://127.0.0.1:9 cannot be reached" in outcome.err
    assert "nasmith serve" in outcome.err


def test_usage(nasmith: Nasmith) -> None:
    for arguments in (["nonsense"], ["list", "--limit", "0"], ["watch"], ["init", "--family", "x"]):
        outcome = nasmith(*arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err


def test_submitting_twice_with_one_key(nasmith: Nasmith, url: str) -> None:
    arguments = ("submit", "-", "--idempotency-key", "from-the-cli")
    first = nasmith(*arguments, stdin=json.dumps(REQUEST))
    assert nasmith(*arguments, stdin=json.dumps(REQUEST)).out == first.out


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


def test_a_dry_run_asks_the_server_and_stores_nothing(nasmith: Nasmith, url: str) -> None:
    before = nasmith("list", "--json").data
    answer = nasmith("submit", "-", "--dry-run", "--json", stdin=json.dumps(REQUEST))
    assert answer.code == 0 and answer.data["spec"]["name"] == "from-a-test"
    assert "points" in nasmith("submit", "-", "--dry-run", stdin=json.dumps(REQUEST)).out
    assert nasmith("list", "--json").data == before


def test_every_error_is_told_once(nasmith: Nasmith, url: str) -> None:
    refused = nasmith("submit", "-", stdin=json.dumps({**REQUEST, "dataset": "nothing"}))
    assert refused.code == 2
    assert refused.err.count("unknown dataset") == 1


def test_doctor_finds_this_machine_able(nasmith: Nasmith, tmp_path: Path) -> None:
    outcome = nasmith("doctor", "--home", str(tmp_path / "home"), "--json")
    findings = {finding["check"]: finding for finding in outcome.data}
    assert outcome.code == 0
    assert {"python", "packages", "torch", "ray", "disk", "sqlite", "database", "port"} <= set(
        findings
    )
    assert all(finding["status"] != "fail" for finding in findings.values())
    assert findings["sqlite"]["status"] == "ok"
    assert not (tmp_path / "home").exists()  # a doctor changes nothing


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


def test_watch_draws_a_bar_on_a_terminal(url: str) -> None:
    with Client(url) as client:
        search = client.searches.create(REQUEST, budget={"trials": 21})
        controller, terminal = pty.openpty()
        watcher = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "watch", search.id],
            stdout=subprocess.PIPE,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
            text=True,
        )
        os.close(terminal)
        shown = ""
        while "0/21 trials" not in shown:
            shown += os.read(controller, 4096).decode()
        assert "queued" in shown
        assert "━" in shown
        search.cancel()
        out, _ = watcher.communicate(timeout=30)
        os.close(controller)
    assert watcher.returncode == 1
    assert out == f"{search.id} cancelled, 0/21 trials\n"


def _listen_to_ctrl_c() -> None:
    """What a shell starts in the background ignores SIGINT, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_watch_outlives_a_restart_and_ctrl_c_leaves_the_search(tmp_path: Path) -> None:
    with running_server(tmp_path, with_dispatcher=False) as server, Client(server.url) as client:
        searches = [client.searches.create(REQUEST) for _ in range(2)]
        watchers = [
            subprocess.Popen(
                [sys.executable, "-m", "service.cli", "watch", search.id, "--url", server.url],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=_listen_to_ctrl_c,
            )
            for search in searches
        ]
        for watcher in watchers:
            assert watcher.stderr is not None
            assert watcher.stderr.readline().startswith("queued")
        server.kill()
        time.sleep(1)
        server.start()
        searches[0].cancel()
        out, err = watchers[0].communicate(timeout=60)
        assert watchers[0].returncode == 1
        assert out.startswith(f"{searches[0].id} cancelled")
        assert err.count("trying again") == 1  # one line an outage, however many attempts
        assert "is back" in err

        watchers[1].send_signal(signal.SIGINT)
        out, err = watchers[1].communicate(timeout=60)
        assert watchers[1].returncode == 130
        assert f"nasmith watch {searches[1].id}" in err
        assert searches[1].refresh().state == "queued"


def test_a_dataset_is_added_shown_and_deleted(url: str, nasmith: Nasmith, tmp_path: Path) -> None:
    rows = [f"{number},{'ab'[number % 2]}" for number in range(40)]
    (tmp_path / "mine.csv").write_text("\n".join(["size,kind", *rows]))
    wrong = nasmith(
        "datasets", "add", "mine.csv", "--task", "tabular_classification", "--target", "sort"
    )
    assert wrong.code == 2 and "there is no column 'sort', the columns are size, kind" in wrong.err
    added = nasmith(
        "datasets", "add", "mine.csv", "--task", "tabular_classification", "--target", "kind"
    )
    assert (added.code, added.out) == (0, "mine\n"), added.err
    listed = {entry["name"]: entry for entry in nasmith("datasets", "list", "--json").data}
    assert listed["mine"]["samples"] == {"train": 24, "validation": 8, "test": 8}
    assert nasmith("datasets", "show", "mine", "--json").data == listed["mine"]
    assert nasmith("datasets", "delete", "mine").code == 0
    assert nasmith("datasets", "show", "mine").code == 3
