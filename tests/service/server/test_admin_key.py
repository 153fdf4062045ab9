"""The first key of a server, and that the command line of its machine finds it."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from sqlalchemy import func, select

from nasmith import AuthenticationError, Client
from nasmith.home import KEY_FILE, key_for, key_of
from service.server.admin_key import write_admin_key
from service.settings import ServiceSettings
from service.sql.api_keys import Caller, KeyRepository, Scope, caller_of, hash_of
from service.sql.database import DEFAULT_TENANT, connect
from service.sql.tables import ApiKey
from tests.service.support.serving import serving
from tests.support.command_line import Nasmith, nasmith

__all__ = ["nasmith"]

ROOT = Path(__file__).parents[3]


def caller_in(settings: ServiceSettings) -> Caller | None:
    sessions = connect(settings.database_url)
    with sessions.read() as session:
        found = caller_of(session, hash_of((settings.home / KEY_FILE).read_text().strip()))
    sessions.engine.dispose()
    return found


def test_the_first_start_writes_a_key_of_an_admin_for_the_owner_alone(
    settings: ServiceSettings,
) -> None:
    settings.home.mkdir()
    previous = os.umask(0)  # the least careful one
    try:
        file = write_admin_key(settings)
    finally:
        os.umask(previous)
    assert file == settings.home / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in settings.home.iterdir()] == [KEY_FILE]
    caller = caller_in(settings)
    assert caller is not None and caller.key_id is not None
    assert (caller.tenant_id, caller.scope) == (DEFAULT_TENANT, Scope.ADMIN)

    before = file.read_text()
    assert write_admin_key(settings) is None and file.read_text() == before
    sessions = connect(settings.database_url)
    with sessions.begin() as session:
        KeyRepository(session, None).revoke(caller.key_id)
    sessions.engine.dispose()
    assert write_admin_key(settings) == file and file.read_text() != before  # nobody is locked out
    assert caller_in(settings) is not None


def test_what_runs_trials_in_the_composed_topology_cannot_read_the_key() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = composed["services"]
    file = Path(services["api"]["environment"]["NASMITH_ADMIN_KEY_FILE"])
    mounted = {
        name: {Path(volume.split(":")[1]) for volume in service.get("volumes", ())}
        for name, service in services.items()
    }
    assert {name for name, paths in mounted.items() if paths & {*file.parents}} == {"api"}
    assert str(file.parent) in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_key_is_written_where_a_setting_says(
    settings: ServiceSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "elsewhere"
    assert write_admin_key(settings.model_copy(update={"admin_key_file": file})) == file
    assert not settings.home.exists()
    monkeypatch.setenv("NASMITH_ADMIN_KEY_FILE", str(file))
    assert key_of(settings.home) == file.read_text().strip()


def test_of_servers_that_start_at_once_one_makes_the_key(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    homes = [settings.model_copy(update={"home": tmp_path / str(n)}) for n in range(4)]
    for one in homes:
        one.home.mkdir()
    with ThreadPoolExecutor(4) as pool:
        files = [file for file in pool.map(write_admin_key, homes) if file is not None]
    assert len(files) == 1
    sessions = connect(settings.database_url)
    with sessions.read() as session:
        assert session.scalar(select(func.count()).select_from(ApiKey)) == 1
    sessions.engine.dispose()


def test_a_lost_key_is_followed_by_another(tmp_path: Path, nasmith: Nasmith) -> None:
    """On the machine that may use the database; the other one is revoked with it."""
    settings = ServiceSettings(home=tmp_path / "home", auth="keys")
    with serving(settings) as url:
        first = write_admin_key(settings)
        assert first is not None
        lost = first.read_text().strip()
        made = nasmith("admin-key", "--home", str(settings.home))
        assert (made.code, made.out.splitlines()[-1]) == (0, str(settings.home / KEY_FILE))
        assert first.stat().st_mode & 0o777 == 0o600
        with (
            Client(url, api_key=first.read_text().strip()) as admin,
            Client(url, api_key=lost) as old,
        ):
            new, known = admin.keys.list()
            assert old.quota() and known["hint"] == lost[:10] != new["hint"]
            admin.keys.revoke(known["id"])
            with pytest.raises(AuthenticationError):
                old.quota()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / KEY_FILE).write_text("nsk_of-the-home\n")
    return tmp_path


@pytest.mark.parametrize(
    ("served", "asked", "is_shown"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("http://127.0.0.1:8000", "http://localhost:8000/", True),
        ("http://0.0.0.0:8000", "http://127.0.0.1:8000", True),
        ("http://10.0.0.7:8000", "http://10.0.0.7:8000", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001", False),
        ("http://127.0.0.1:8000", "http://example.org:8000", False),
        ("http://0.0.0.0:8000", "http://example.org:8000", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000@example.org", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:port", False),
    ],
)
def test_the_key_of_a_home_goes_to_its_own_server_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, served: str, asked: str, is_shown: bool
) -> None:
    monkeypatch.delenv("NASMITH_API_KEY", raising=False)
    (home / "server.json").write_text(json.dumps({"url": served, "pid": os.getpid()}))
    assert key_for(asked, home) == ("nsk_of-the-home" if is_shown else None)
    monkeypatch.setenv("NASMITH_API_KEY", "nsk_given")
    assert key_for(asked, home) == "nsk_given"


def test_the_key_of_a_home_goes_nowhere_when_its_server_is_gone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NASMITH_API_KEY", raising=False)
    assert key_for("http://127.0.0.1:8000", home) is None
    (home / "server.json").write_text('{"url": "http://127.0.0.1:8000", "pid": 4194305}')
    assert key_for("http://127.0.0.1:8000", home) is None  # beyond the largest pid of Linux


def test_admins_make_list_and_revoke_keys_by_command(
    tmp_path: Path, nasmith: Nasmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServiceSettings(home=tmp_path / "home", auth="keys")
    with serving(settings) as url:
        write_admin_key(settings)
        refused = nasmith("list", "--url", url)
        assert refused.code == 4 and "asks for an API key" in refused.err

        (settings.home / "server.json").write_text(json.dumps({"url": url, "pid": os.getpid()}))
        monkeypatch.setenv("NASMITH_HOME", str(settings.home))
        made = nasmith("keys", "create", "ci", "--scope", "read", "--days", "2", "--url", url)
        key = made.out.splitlines()[-1]  # the server logs to the same place
        assert made.code == 0 and key.startswith("nsk_") and key not in made.err
        listed = nasmith("keys", "list", "--url", url, "--json").data
        assert [(one["name"], one["scopes"], one["hint"]) for one in listed] == [
            ("ci", ["read"], key[:10]),
            ("of the home", ["admin"], listed[1]["hint"]),
        ]
        with Client(url, api_key=key_for(url, settings.home)) as admin:
            other = admin.keys.create("x", tenant="other")
        assert (other["tenant"], other["scopes"]) == ("other", ["read", "write"])
        with Client(url, api_key=other["key"]) as client:
            assert list(client.searches.list()) == []
            assert other["key"][:10] in nasmith("keys", "list", "--url", url).out
            assert nasmith("keys", "revoke", other["id"], "--url", url).code == 0
            with pytest.raises(AuthenticationError):
                client.catalog()
        assert nasmith("keys", "revoke", "nothing", "--url", url).code == 3
        monkeypatch.setenv("NASMITH_API_KEY", key)
        assert nasmith("list", "--url", url).code == 0
        assert nasmith("keys", "list", "--url", url).code == 4  # it may read


def test_a_server_that_asks_for_no_key_makes_none(tmp_path: Path, nasmith: Nasmith) -> None:
    with serving(ServiceSettings(home=tmp_path / "home")) as url:
        refused = nasmith("keys", "create", "ci", "--url", url)
    assert refused.code == 2 and "NASMITH_AUTH=keys" in refused.err
