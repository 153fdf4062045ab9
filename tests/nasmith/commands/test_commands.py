"""The commands of the client against a real server process: what they print, where, and how they
end.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
from PIL import Image

from models.architecture import Architecture
from models.domains import Scalar
from models.recipe import Recipe
from nasmith import Client
from search.trial import Candidate
from service.running.driver import Driver as SearchDriver
from service.running.exits import Exit
from service.server.local_server import LocalServer, running_server
from service.settings import ServiceSettings
from service.sql.database import connect
from service.sql.queue import Queue
from service.sql.tables import Search
from tests.service.support.requests import Driver as ByHand
from tests.service.support.tables import table_file
from tests.support.command_line import REQUEST, Nasmith


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("home"), with_dispatcher=False) as server:
        yield server


@pytest.fixture
def url(server: LocalServer, monkeypatch: pytest.MonkeyPatch, nasmith: Nasmith) -> str:
    monkeypatch.setenv("NASMITH_URL", server.url)
    return server.url


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
    watched = nasmith("watch", search_id)
    assert (watched.code, "nasmith download" in watched.err) == (0, False)
    assert watched.out.startswith(f"{search_id} succeeded")
    (best,) = nasmith("show", search_id, "--json").data["best_items"]
    lines = [line.split() for line in nasmith("show", search_id).out.splitlines()]
    score = f"{best['search_metrics']['search_score']:.6g}"
    assert ["search_score", score, "final", score, "(one", "run)"] in lines
    final = f"{best['final_metrics']['final_score']['mean']:.6g}"
    assert ["final_score", "final", final, "(one", "run)"] in lines

    with sessions.begin() as session:  # as if what knows nothing scored more
        session.get_one(Search, search_id).floor = {"search_score": 1000.0}
    sessions.engine.dispose()
    for command in ("watch", "show", "report"):
        said = nasmith(command, search_id).out
        assert said.startswith(f"No better than the baseline: search_score is {score}, what knows")
    assert "floor      1000 by what knows nothing of the inputs" in said
    assert nasmith("report", search_id, "--json").data["verdict"] in said
    assert nasmith("report", search_id, "--html", "report.html").out == "report.html\n"
    page = Path("report.html").read_text("utf-8")
    assert page.lstrip().startswith("<!doctype html>") and escape(said.splitlines()[0]) in page
    shown = nasmith("show", search_id).out.splitlines()
    assert any(line.split()[-2:] == ["baseline", "1000"] for line in shown)
    refused = nasmith("show", search_id, "--svg", "network.svg")
    assert refused.code == 2 and "built no network" in refused.err
    assert not Path("network.svg").exists()


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


def test_a_dry_run_asks_the_server_and_stores_nothing(nasmith: Nasmith, url: str) -> None:
    before = [search["id"] for search in nasmith("list", "--json").data]
    answer = nasmith("submit", "-", "--dry-run", "--json", stdin=json.dumps(REQUEST))
    assert answer.code == 0 and answer.data["spec"]["name"] == "from-a-test"
    assert "points" in nasmith("submit", "-", "--dry-run", stdin=json.dumps(REQUEST)).out
    assert [search["id"] for search in nasmith("list", "--json").data] == before


def test_every_error_is_told_once(nasmith: Nasmith, url: str) -> None:
    refused = nasmith("submit", "-", stdin=json.dumps({**REQUEST, "dataset": "nothing"}))
    assert refused.code == 2
    assert refused.err.count("unknown dataset") == 1


def test_watch_draws_a_bar_on_a_terminal(url: str) -> None:
    with Client(url) as client:
        search = client.searches.create(REQUEST, budget={"trials": 21})
        controller, terminal = pty.openpty()
        watcher = subprocess.Popen(
            [sys.executable, "-m", "nasmith.cli", "watch", search.id],
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
        out, _ = watcher.communicate(timeout=240)
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
                [sys.executable, "-m", "nasmith.cli", "watch", search.id, "--url", server.url],
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
        out, err = watchers[0].communicate(timeout=240)
        assert watchers[0].returncode == 1
        assert out.startswith(f"{searches[0].id} cancelled")
        assert err.count("trying again") == 1  # one line an outage, however many attempts
        assert "is back" in err

        watchers[1].send_signal(signal.SIGINT)
        out, err = watchers[1].communicate(timeout=240)
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


def test_a_folder_is_added_without_what_the_system_left_in_it(
    url: str, nasmith: Nasmith, tmp_path: Path
) -> None:
    for number in range(20):
        picture = tmp_path / "signs" / ("cross" if number % 2 else "dot") / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(picture)
    for name in (".DS_Store", "cross/Thumbs.db", "__MACOSX/dot/._1.png"):
        (tmp_path / "signs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "signs" / name).write_bytes(b"of the system")
    (tmp_path / "signs" / "notes.txt").write_text("of a person")
    (tmp_path / "empty").mkdir()
    nothing = nasmith("datasets", "add", "empty", "--task", "image_classification")
    assert nothing.code == 2 and "empty has no file in it" in nothing.err
    added = nasmith("datasets", "add", "signs", "--task", "image_classification", "--json")
    assert added.code == 0, added.err
    assert added.data["name"] == "signs" and sum(added.data["samples"].values()) == 20
    assert added.err.splitlines()[0] == (
        "left out: .DS_Store, __MACOSX/dot/._1.png, cross/Thumbs.db"
    )
    (ignored,) = (w for w in added.data["warnings"] if w["code"] == "files_ignored")
    assert ignored["where"] == "notes.txt" and ignored["count"] == 1
    assert nasmith("datasets", "delete", "signs").code == 0


def test_the_picture_of_a_network(nasmith: Nasmith, server: LocalServer, url: str) -> None:
    request = {"dataset": "wine", "space": {"family": "mlp"}, "budget": {"trials": 5}}
    with Client(url) as client:
        for search in client.searches.list(state="queued"):
            search.cancel()
        search_id = client.searches.create(request).id
    sessions = connect(ServiceSettings(home=server.home).database_url)
    driver = ByHand(sessions, search_id)
    for number, depth in enumerate((0, 1)):
        values: dict[str, Scalar] = {"depth": depth}
        if depth:
            values |= {"layer_1_activation": "silu", "layer_1_residual": False, "layer_1_width": 8}
            values |= {"norm": "none", "dropout": 0.0}
        network = Candidate(Architecture("mlp", values), Recipe())
        driver.run(number, 0.5 + number / 10, proposal=network)
    sessions.engine.dispose()
    assert nasmith("show", search_id, "--svg", "best.svg").out == "best.svg\n"
    assert "linear \N{RIGHTWARDS ARROW} SiLU" in Path("best.svg").read_text("utf-8")
    two = nasmith("show", search_id, "--svg", "two.svg", "--trial", "0", "--beside", "1", "--json")
    assert two.data == {"picture": "two.svg"}
    assert "trial 0: mlp" in Path("two.svg").read_text("utf-8")
    alone = nasmith("show", search_id, "--trial", "0")
    assert alone.code == 2 and "--svg FILE" in alone.err
