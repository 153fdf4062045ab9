"""Clients that others generate from the document: every operation is there, and works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.settings import ServiceSettings
from tests.service.support.serving import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "tests" / "generators"
GENERATORS = ROOT / ".generators"

USAGE = """
    import sys
    from client import Client
    from client.api.catalog import get_catalog
    from client.api.searches import cancel_search, create_search, get_search, list_searches
    from client.api.trials import get_best
    from client.models import SearchRead, SearchSpec, SearchState

    client = Client(base_url=sys.argv[1], raise_on_unexpected_status=True, timeout=60)
    body = SearchSpec.from_dict(
        {"dataset": "digits", "space": {"family": "cnn_cell"}, "strategy": {"name": "random"}}
    )
    accepted = create_search.sync_detailed(client=client, body=body)
    assert accepted.status_code == 202
    search = accepted.parsed
    assert isinstance(search, SearchRead) and search.state == SearchState.QUEUED
    assert get_search.sync(search.id, client=client).created_at == search.created_at
    assert [item.id for item in list_searches.sync(client=client).items] == [search.id]
    assert get_best.sync(search.id, client=client).items == []
    assert cancel_search.sync(search.id, client=client).state == SearchState.CANCELLED
    assert "digits" in [entry.name for entry in get_catalog.sync(client=client).datasets]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(ServiceSettings(home=Path(tmp_path_factory.mktemp("home")))) as url:
        yield url


@pytest.fixture(scope="module")
def document(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(tmp_path_factory.mktemp("document")) / "openapi.json"
    path.write_text(httpx2.get(f"{server}/openapi.json", timeout=60).text)
    return path


def operation_ids(document: Path) -> list[str]:
    paths: dict[str, dict[str, Any]] = json.loads(document.read_text())["paths"]
    return [
        operation["operationId"] for methods in paths.values() for operation in methods.values()
    ]


def run(*command: str | Path, cwd: Path) -> str:
    if not (GENERATORS / "installed").exists():
        pytest.fail("the generators of clients are missing: `make generators` installs them")
    path = f"{GENERATORS / 'python' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_python_client_has_every_operation_and_works(
    server: str, document: Path, tmp_path: Path
) -> None:
    python = GENERATORS / "python" / "bin"
    said = run(
        python / "openapi-python-client",
        *("generate", "--path", document, "--meta", "none", "--output-path", "client"),
        *("--config", SOURCES / "openapi-python-client.yaml"),
        cwd=tmp_path,
    )
    assert "WARNING" not in said and "missing" not in said, said
    files = {path.stem for path in (tmp_path / "client" / "api").glob("*/*.py")} - {"__init__"}
    assert files == {re.sub("([A-Z])", r"_\1", name).lower() for name in operation_ids(document)}
    run(python / "python", "-c", textwrap.dedent(USAGE), server, cwd=tmp_path)


def test_a_typescript_client_has_every_operation_and_compiles(
    document: Path, tmp_path: Path
) -> None:
    modules = GENERATORS / "node_modules"
    run(
        *("node", modules / "openapi-typescript" / "bin" / "cli.js", document),
        *("--output", "api.d.ts", "--default-non-nullable=false"),
        cwd=tmp_path,
    )
    text = (tmp_path / "api.d.ts").read_text()
    operations = text[text.index("export interface operations {") :]
    found = re.findall(r"^    (\w+): \{$", operations, flags=re.MULTILINE)
    assert sorted(found) == sorted(operation_ids(document))
    shutil.copy(SOURCES / "usage.ts", tmp_path)
    tsc = modules / "typescript" / "bin" / "tsc"
    run("node", tsc, "--noEmit", "--strict", "--skipLibCheck", "false", "usage.ts", cwd=tmp_path)
