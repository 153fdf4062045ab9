"""A distribution that somebody else installed: built, installed into a folder of its own, and used
by the server, its workers, the commands and the contract tests. What is broken in it is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nasmith import Client
from service.server.local_server import LocalServer, running_server

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "support" / "plugin"
COIN = {"distribution": "nasmith-coin", "version": "1.2.3"}

BODY: dict[str, Any] = {
    "dataset": "few_digits",
    "space": {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "nodes": 2,
        "operations": ["blur", "nor_conv_1x1"],
        "channels": {"choice": [4, 8]},
        "cells": 1,
    },
    "training": {"epochs": 1},
    "strategy": {"name": "coin", "bias": 0.25},
    "fidelity": {"name": "patient"},
    "budget": {"trials": 4},
    "resources": {"parallel_trials": 2},
    "final": {"top": 1, "seeds": 1, "epochs": 1},
}

BROKEN = {
    ("nasmith.strategies", "random"): "taken by the strategy of nasmith-server",
    ("nasmith.strategies", "absent"): "ModuleNotFoundError",
    ("nasmith.strategies", "leaves"): "SystemExit: nothing here",
    ("nasmith.strategies", "speechless"): "lacks objectives, ask, tell",
    ("nasmith.strategies", "No Name"): "its name is none of a request",
    ("nasmith.operations", "bare"): "is no Operation",
}
"""What the distribution gets wrong, and a part of the reason."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the distribution is installed, for other processes."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE, source, dirs_exist_ok=True)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", site, source],
        check=True,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return {"PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def server(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    home = Path(tmp_path_factory.mktemp("home"))
    with running_server(home, environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def catalog(server: LocalServer) -> dict[str, Any]:
    with Client(server.url) as client:
        return client.catalog()


def nasmith(environment: dict[str, str], *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments, "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_catalog_says_where_each_entry_comes_from(catalog: dict[str, Any]) -> None:
    theirs = {
        (kind, entry["name"])
        for kind, entries in catalog.items()
        if isinstance(entries, list) and kind != "broken"
        for entry in entries
        if entry.get("provided_by") == COIN
    }
    assert theirs == {
        ("strategies", "coin"),
        ("families", "tower"),
        ("operations", "blur"),
        ("datasets", "few_digits"),
        ("exporters", "notes"),
        ("fidelities", "patient"),
    }
    random = next(entry for entry in catalog["strategies"] if entry["name"] == "random")
    assert random["provided_by"]["distribution"] == "nasmith-server"
    coin = next(entry for entry in catalog["strategies"] if entry["name"] == "coin")
    assert coin["description"].startswith("Keeps to the last network")
    assert coin["settings"]["properties"]["bias"]["default"] == 0.5


def test_a_broken_entry_is_told_of_and_stops_nothing(
    catalog: dict[str, Any], server: LocalServer, environment: dict[str, str]
) -> None:
    broken = {(entry["group"], entry["name"]): entry for entry in catalog["broken"]}
    assert broken.keys() == BROKEN.keys()
    for where, reason in BROKEN.items():
        assert reason in broken[where]["reason"], where
        assert broken[where]["provided_by"] == COIN
    log = server.log.read_text()
    assert "nasmith_coin.absent:Coin" in log and "is left out" in log
    findings = {entry["check"]: entry for entry in nasmith(environment, "doctor")}
    assert findings["plug-ins"]["status"] == "warn"
    assert "nasmith-coin 1.2.3" in findings["plug-ins"]["message"]
    assert all(name in findings["plug-ins"]["message"] for _, name in BROKEN)


def test_a_search_takes_a_strategy_data_and_a_layer_from_it(
    server: LocalServer, tmp_path: Path
) -> None:
    with Client(server.url, timeout=120) as client:
        search = client.searches.create(**BODY)
        search.wait()
        assert search.state == "succeeded", search.state_reason
        trials = list(search.trials(kind="candidate"))
        assert sum(trial["state"] == "completed" for trial in trials) == 4
        used = {value for t in trials for value in t["architecture"]["decisions"].values()}
        assert "blur" in used
        folder = search.download(tmp_path / "bundle")
    assert (folder / "notes.txt").read_text() == "made of few_digits\n"
    assert json.loads((folder / "manifest.json").read_text())["files"]["notes.txt"]


def test_its_settings_are_held_to_their_rules(server: LocalServer) -> None:
    with Client(server.url, timeout=120) as client:
        refused = client.validate(BODY)
        assert refused["spec"]["strategy"] == {"name": "coin", "bias": 0.25}
        with pytest.raises(Exception, match="bias"):
            client.validate({**BODY, "strategy": {"name": "coin", "bias": 2}})


def test_the_contract_tests_take_its_entries(environment: dict[str, str]) -> None:
    script = """
        from search.testing.fidelities import check_fidelity
        from search.testing.strategies import check_strategy
        check_strategy("coin")
        check_fidelity("patient")
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in script.splitlines())],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
