"""The whole way, as a user goes it: the demo, and a search from the shell through a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.datasets import datasets
from models.exporters.bundle import score_bundle
from nasmith import Client
from service.server.local_server import running_server

REQUEST: dict[str, Any] = {
    "dataset": "digits",
    "baselines": [],
    "space": {"family": "cnn_cell", "topology": "nasbench201", "channels": {"choice": [4, 8]}},
    "training": {"epochs": 2, "batch_size": 32},
    "strategy": {"name": "regularized_evolution", "population_size": 4, "sample_size": 2},
    "budget": {"trials": 6},
    "final": {"seeds": 1, "epochs": 3},
}


def nasmith(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def leftovers() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("nasmith-demo-")}


def running() -> set[int]:
    """Processes of any demo, told by their environment."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if "nasmith-demo-" in process.environ().get("NASMITH_HOME", ""):
                found.add(process.pid)
    return found


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    before, processes = leftovers(), running()
    done = nasmith("demo", "--json", "--output", "model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["test_accuracy"] >= 0.975  # scikit-learn's SVC has 0.983 on these digits
    assert result["test_accuracy"] == pytest.approx(result["recorded_test_accuracy"], abs=1e-6)
    assert result["search"]["final_metrics"]["test_accuracy"]["seeds"] == 2
    assert "16/16 trials" in done.stderr

    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    scores = score_bundle(tmp_path / "model", datasets["digits"].load())
    assert scores["test_accuracy"] == pytest.approx(result["test_accuracy"], abs=1e-6)
    assert leftovers() <= before
    assert running() <= processes


def test_the_demo_replaces_nothing_but_a_model(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    refused = nasmith("demo", "--output", str(tmp_path), cwd=tmp_path)
    assert refused.returncode == 2
    assert "something else than a model" in refused.stderr
    assert (tmp_path / "diary.txt").read_text() == "dear diary"


@pytest.mark.slow
def test_a_search_from_the_shell_through_a_crash(tmp_path: Path) -> None:
    request = tmp_path / "search.json"
    request.write_text(json.dumps(REQUEST))
    with running_server(tmp_path / "home") as server, Client(server.url, patience=60) as client:
        watching = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "submit", str(request), "--watch", "--json"],
            env={**os.environ, "NASMITH_URL": server.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watching.stderr is not None
        search_id = watching.stderr.readline().split()[-1]
        for event in client.searches.get(search_id).events():
            if event.type == "trial.ended":
                break
        finished = {
            trial["number"]: trial
            for trial in client.searches.get(search_id).trials(state="completed")
        }
        server.kill()
        server.start()
        out, err = watching.communicate(timeout=1200)
        assert watching.returncode == 0, err
        assert json.loads(out)["state"] == "succeeded"

        search = client.searches.get(search_id)
        after = {trial["number"]: trial for trial in search.trials()}
        assert finished
        assert all(after[number] == trial for number, trial in finished.items())
        assert sorted(after) == list(range(len(after)))

        downloaded = nasmith(
            "download", search_id, "model", "--url", server.url, "--json", cwd=tmp_path
        )
        assert "model.py" in json.loads(downloaded.stdout)["files"]
        (best,) = search.best()
        scores = score_bundle(tmp_path / "model", datasets["digits"].load())
        assert scores["test_accuracy"] == pytest.approx(
            best["final_metrics"]["test_accuracy"]["mean"], abs=1e-6
        )
