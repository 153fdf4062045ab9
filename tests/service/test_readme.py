"""What the README tells people to type works, and its settings are those that there are."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from service.server.local_server import LocalServer, running_server
from service.settings import ServiceSettings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
DOCS = Path(__file__).parents[2] / "docs"
OF_THE_COMMAND_LINE = {"NASMITH_API_KEY", "NASMITH_URL", "NASMITH_INSECURE_NO_AUTH"}


def session(name: str, url: str) -> str:
    """The code block below `<!-- session: name -->`, for the server at `url`."""
    found = re.search(rf"<!-- session: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no session {name}"
    assert "http://127.0.0.1:8000" in found[1]
    return found[1].replace("http://127.0.0.1:8000", url)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("home")) as server:
        yield server


def test_the_table_of_settings_is_complete() -> None:
    table = README.partition("| variable |")[2].partition("\n\n")[0]
    fields = {f"NASMITH_{name.upper()}" for name in ServiceSettings.model_fields}
    assert set(re.findall(r"`(NASMITH_\w+)`", table)) == fields | OF_THE_COMMAND_LINE


@pytest.mark.slow
def test_the_curl_session(server: LocalServer, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", session("curl", server.url)],  # noqa: S607 - any bash
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "event: search.succeeded" in done.stdout
    assert '"final_metrics":{' in done.stdout
    with zipfile.ZipFile(tmp_path / "model.zip") as bundle:
        assert {"model.py", "model.safetensors", "SHA256SUMS"} <= set(bundle.namelist())


@pytest.mark.slow
def test_the_python_session(server: LocalServer, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", session("python", server.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stderr
    assert "'mean': " in done.stdout
    assert (tmp_path / "best-model" / "model.py").is_file()


@pytest.mark.slow
def test_the_notebook(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASMITH_URL", server.url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(DOCS / "first-search.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output["output_type"] == "execute_result"
    ]
    created, ended, best, progress, test, network, frame, files = shown
    assert "of 4 trials" in created["text/html"] and "succeeded" in ended["text/html"]
    assert " ± " in best["text/html"] and "test_accuracy, retrained" in best["text/html"]
    for picture in (progress, test, network):
        assert picture["text/html"].count("data:image/svg+xml;base64,") == 1
    assert {"candidate", "final"} <= set(frame["text/plain"].split())
    assert "'model.py'" in files["text/plain"]


@pytest.mark.slow
def test_from_a_file_to_a_model(server: LocalServer, tmp_path: Path) -> None:
    """`nasmith fit` finds the server of the home, tells the task from the target, and predicts."""
    rows = [f"{i % 7},{i % 5},{'high' if i % 7 > 3 else 'low'}" for i in range(120)]
    (tmp_path / "levels.csv").write_text("\n".join(["first,second,level", *rows]))
    options = ["--target", "level", "--minutes", "30", "--trials", "2", "--ensemble", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "fit", "levels.csv", *options],
        cwd=tmp_path,
        env={**os.environ, "NASMITH_HOME": str(server.home)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Starting a server" not in done.stderr
    assert "Taken for tabular_classification: level is a" in done.stderr
    result = json.loads(done.stdout)
    assert Path(result["bundle"]) == tmp_path / "levels-model"
    *trained, boosting, logistic = result["leaderboard"]
    assert trained[-1]["name"].startswith("mlp (trial ")
    assert all(entry["name"].startswith("ensemble of 2 (trial ") for entry in trained[:-1])
    assert all(entry["seconds"] > 0 for entry in trained)
    assert trained[0]["test"]["test_accuracy"] > 0.7  # by a threshold of the first column
    names = [boosting["name"], logistic["name"]]
    assert names == ["histogram_gradient_boosting", "logistic_regression"]
    assert all(0 < e["test"]["test_accuracy"] <= 1 for e in result["leaderboard"])
    predicted = subprocess.run(
        [sys.executable, f"{result['bundle']}/predict.py", str(tmp_path / "levels.csv")],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    labels = [line["label"] for line in csv.DictReader(io.StringIO(predicted.stdout))]
    assert len(labels) == 120 and set(labels) <= {"high", "low"}
