"""The client as people install it: alone, beside code of their own."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from nasmith.cli import OF_THE_SERVER
from service.cli import add_commands
from service.server.local_server import LocalServer, running_server
from tests.support.environments import ROOT, build_wheel, new_environment, see_requirements

MOST_BYTES = 30 * 2**20
SCRIPT = """
import service  # this person's own
from nasmith import Client

with Client() as client:
    request = {"dataset": "digits", "space": {"family": "cnn_cell"}}
    search = client.searches.create(request, strategy={"name": service.STRATEGY})
    print(search.state, service.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel("nasmith", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    new_environment(folder, wheel)
    see_requirements(folder, "nasmith")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("home"), with_dispatcher=False) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A person's folder."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("STRATEGY = 'random'\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def run(
    environment: Path, command: str, *arguments: str, cwd: Path, url: str = ""
) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [environment / "bin" / command, *arguments],
        cwd=cwd,
        env={**clean, "NASMITH_URL": url, "PYTHONPATH": str(cwd)},
        capture_output=True,
        text=True,
    )


def test_the_wheel_holds_the_files_of_the_folder_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    files = [
        path.relative_to(ROOT).as_posix()
        for pattern in ("**/*.py", "py.typed", "templates/**/*.toml")
        for path in (ROOT / "nasmith").glob(pattern)
    ]
    assert sorted(names) == sorted(files)
    assert len(names) > 30


def test_the_client_is_small_and_brings_no_server(environment: Path) -> None:
    needed = {found.name for found in see_requirements(environment, "nasmith")}
    assert {"httpx2", "rich", "typer"} <= needed
    assert not {"torch", "ray", "numpy", "fastapi", "SQLAlchemy"} & needed
    size = sum(
        file.stat().st_size
        for found in see_requirements(environment, "nasmith")
        for path in found.files or ()
        if (file := Path(str(found.locate_file(path)))).exists() and file.suffix != ".pyc"
    )
    assert size < MOST_BYTES


def test_a_script_beside_a_service_of_its_own(
    environment: Path, project: Path, server: LocalServer
) -> None:
    done = run(environment, "python", "script.py", cwd=project, url=server.url)
    assert done.stdout == f"queued {project / 'service' / '__init__.py'}\n", done.stderr


def test_the_commands_beside_a_service_of_its_own(
    environment: Path, project: Path, server: LocalServer
) -> None:
    assert run(environment, "nasmith", "init", "a.toml", cwd=project).returncode == 0
    submitted = run(environment, "nasmith", "submit", "a.toml", cwd=project, url=server.url)
    assert submitted.stdout.startswith("srch_"), submitted.stderr
    listed = run(environment, "nasmith", "list", "--json", cwd=project, url=server.url)
    assert submitted.stdout.strip() in {search["id"] for search in json.loads(listed.stdout)}
    asked = run(
        environment, "nasmith", "submit", "a.toml", "--dry-run", cwd=project, url=server.url
    )
    assert "Networks of this space" in asked.stdout, asked.stderr


def test_a_command_of_the_server_says_where_it_comes_from(environment: Path, project: Path) -> None:
    shown = run(environment, "nasmith", "--help", cwd=project)
    assert " submit " in shown.stdout and " serve " not in shown.stdout
    for command in sorted(OF_THE_SERVER):
        refused = run(environment, "nasmith", command, "--help", cwd=project)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"`nasmith {command}` comes with the distribution nasmith-server" in refused.stderr
    unknown = run(environment, "nasmith", "nonsense", cwd=project)
    assert "No such command" in unknown.stderr


def test_the_commands_that_the_server_adds_are_those_that_the_client_knows_of() -> None:
    app = typer.Typer()
    add_commands(app)
    added = [*app.registered_commands, *app.registered_groups]
    assert {command.name for command in added} == OF_THE_SERVER
