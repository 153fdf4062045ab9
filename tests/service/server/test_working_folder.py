"""Nasmith in a folder that holds modules with the names of its packages: none of them is imported,
and a whole search runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from models.processes.trees import end_tree
from service.own_packages import PACKAGES
from tests.support.environments import (
    ROOT,
    build_wheel,
    new_environment,
    see_all_installed,
    site_packages,
)
from tests.support.strangers import imported_strangers, strange_folder

REQUEST = {
    "dataset": "mine",
    "space": {"family": "mlp", "depth": 1, "width": 8},
    "training": {"epochs": 1},
    "strategy": {"name": "random"},
    "budget": {"trials": 2},
    "final": {"top": 1, "seeds": 1, "epochs": 1},
}
ROWS = [f"{number},{'ab'[number % 2]}" for number in range(60)]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    return {name: build_wheel(name, folder) for name in ("nasmith", "nasmith-server")}


@pytest.fixture
def from_wheels(wheels: dict[str, Path], tmp_path: Path) -> Path:
    """Where `python` and `nasmith` are, installed from wheels."""
    python = new_environment(tmp_path / "venv", *wheels.values())
    see_all_installed(tmp_path / "venv")
    return python.parent


@pytest.fixture(params=["checkout", "wheel"])
def binaries(request: pytest.FixtureRequest) -> Path:
    """Linked to the checkout, or installed from wheels."""
    if request.param == "checkout":
        return Path(sys.executable).parent
    found: Path = request.getfixturevalue("from_wheels")
    return found


def environment(**changes: str) -> dict[str, str]:
    """Without what this test itself was started with."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, **changes}


@contextmanager
def serving(binaries: Path, folder: Path, home: Path) -> Iterator[str]:
    """`nasmith serve` as a person types it in that folder; its URL."""
    log = home.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binaries / "nasmith", "serve", "--port", "0", "--home", home],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        port_file = home / "server.json"
        while not port_file.exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield json.loads(port_file.read_text())["url"]
    finally:
        end_tree(process, 30)


@pytest.mark.slow
def test_a_whole_search_imports_nothing_from_the_working_folder(
    binaries: Path, tmp_path: Path
) -> None:
    folder = strange_folder(tmp_path / "project")
    (folder / "mine.csv").write_text("\n".join(["size,kind", *ROWS]))
    (folder / "search.json").write_text(json.dumps(REQUEST))

    def nasmith(*arguments: str, url: str) -> str:
        done = subprocess.run(
            [binaries / "nasmith", *arguments],
            cwd=folder,
            env=environment(NASMITH_URL=url),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with serving(binaries, folder, tmp_path / "home") as url:
        options = ["--task", "tabular_classification", "--target", "kind"]
        nasmith("datasets", "add", "mine.csv", *options, url=url)
        document = json.loads(nasmith("submit", "search.json", "--watch", "--json", url=url))
        nasmith("download", document["id"], "model", url=url)
        members = psutil.Process().children(recursive=True)
        assert any("ray" in member.name() for member in members)
    assert document["state"] == "succeeded"
    assert (folder / "model" / "model.py").is_file()
    assert imported_strangers(folder) == []


def test_a_stranger_on_the_path_is_refused(tmp_path: Path) -> None:
    """Whoever puts the folder on the path by hand hears of it, and no server says ready."""
    folder = strange_folder(tmp_path / "project")
    (folder / "service" / "__init__.py").unlink()
    (folder / "service").rmdir()
    for command in ("serve", "dispatch"):
        done = subprocess.run(
            [Path(sys.executable).with_name("nasmith"), command, "--home", tmp_path / "home"],
            env=environment(PYTHONPATH=str(folder)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        for name in ("models", "search", "migrations"):
            assert f"{name} is {folder / name}" in done.stderr
    checked = subprocess.run(
        [
            Path(sys.executable).with_name("nasmith"),
            "doctor",
            "--json",
            "--home",
            tmp_path / "home",
        ],
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 1
    findings = {finding["check"]: finding for finding in json.loads(checked.stdout)}
    assert findings["imports"]["status"] == "fail"
    assert findings["imports"]["message"].startswith(f"models is {folder / 'models.py'}; ")
    assert imported_strangers(folder) == []
    assert not (tmp_path / "home").exists()


def test_the_wheel_holds_the_four_packages_whole_and_nothing_else(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["nasmith-server"]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    ours = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert held == ours


def test_a_package_that_another_distribution_wrote_over_is_refused(
    from_wheels: Path, tmp_path: Path
) -> None:
    check = "from service.own_packages import refuse_foreign_packages as check; check()"
    command = [from_wheels / "python", "-P", "-c", check]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = site_packages(tmp_path / "venv") / "search" / "__init__.py"
    ours.write_text("# of somebody else\n")
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert f"search is {ours} of another distribution" in done.stderr


def test_the_client_goes_on_where_the_server_is_hidden(from_wheels: Path, tmp_path: Path) -> None:
    hiding = tmp_path / "project" / "service" / "__init__.py"
    hiding.parent.mkdir(parents=True)
    hiding.touch()
    for arguments, code in ((["init", tmp_path / "search.toml"], 0), (["serve"], 2)):
        done = subprocess.run(
            [from_wheels / "nasmith", *arguments],
            env=environment(PYTHONPATH=str(tmp_path / "project")),
            capture_output=True,
            text=True,
        )
        assert done.returncode == code
        assert "the commands of nasmith-server are left out" in done.stderr
        assert f"service is {hiding}" in done.stderr
    assert (
        "`nasmith serve` comes with the distribution nasmith-server, which does not" in done.stderr
    )
