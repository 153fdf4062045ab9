"""A store in a bucket: moto speaks S3 on loopback, s3fs finds it as the AWS CLI does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from service.backup.making import make_backup
from service.backup.restoring import restore_backup
from service.settings import ServiceSettings
from service.sql.database import Sessions, connect, migrate
from service.sql.states import SearchState
from service.store.holds import held, is_held
from service.store.leftovers import Leftovers
from service.store.orphans import find_orphans
from service.store.store import DamagedError, MissingError, Store
from tests.service.support.requests import Driver
from tests.service.support.rows import add_search, read_search

pytestmark = pytest.mark.slow
BUNDLE, SHA256 = b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""FIPS 180-2, appendix B.1."""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "of moto")
        fsspec.filesystem("s3").mkdir("nasmith")
        yield "s3://nasmith"
        fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


@pytest.fixture
def service(bucket: str, tmp_path: Path) -> Iterator[tuple[ServiceSettings, Sessions]]:
    home = tmp_path / "home"
    home.mkdir()
    settings = ServiceSettings(home=home, store_url=f"{bucket}/{tmp_path.name}")
    migrate(settings.database_url)
    sessions = connect(settings.database_url)
    yield settings, sessions
    sessions.engine.dispose()


def with_bundle(settings: ServiceSettings, sessions: Sessions) -> str:
    """The path of the bundle of a search."""
    driver = Driver(sessions, add_search(sessions))
    driver.run(0, 0.25)
    path = driver.publish(0, BUNDLE, settings.home)
    (settings.home / path).unlink()
    Store(settings.store_url).write(path, BUNDLE)
    return path


def test_a_backup_goes_from_bucket_to_bucket_and_to_a_folder(
    service: tuple[ServiceSettings, Sessions], bucket: str, tmp_path: Path
) -> None:
    settings, sessions = service
    path = with_bundle(settings, sessions)
    search_id = path.split("/")[1]
    checkpoint = f"checkpoints/{search_id}/0.safetensors"
    Store(settings.store_url).write(checkpoint, b"weights")
    report = make_backup(settings, tmp_path / "backup")
    assert (report.searches, report.files, report.missing) == (1, 2, [])
    assert Store(settings.store_url).files_under("holds") == []
    for number, url in enumerate((f"{bucket}/another-{tmp_path.name}", f"file://{tmp_path}/store")):
        target = ServiceSettings(home=tmp_path / f"home{number}", store_url=url)
        assert restore_backup(target, tmp_path / "backup").missing == []
        store = Store(url)
        with store.read_whole(path, SHA256) as content:
            assert content.read() == BUNDLE
        assert store.read(checkpoint) == b"weights"
        restored = connect(target.database_url)
        assert read_search(restored, search_id).state == "running"
        assert find_orphans(restored, store).files == []
        restored.engine.dispose()


def test_what_a_bucket_has_lost_is_told(
    service: tuple[ServiceSettings, Sessions], tmp_path: Path
) -> None:
    settings, sessions = service
    path, store = with_bundle(settings, sessions), Store(settings.store_url)
    with pytest.raises(DamagedError):
        store.read_whole(path, "0" * 64)
    store.remove([path, path, "artifacts/nowhere"])
    with pytest.raises(MissingError):
        store.read_whole(path, SHA256)
    assert find_orphans(sessions, store).missing == [path]
    assert make_backup(settings, tmp_path / "backup").missing == [path]


def test_what_another_process_has_left_in_a_bucket_goes(
    service: tuple[ServiceSettings, Sessions], bucket: str
) -> None:
    """After a first look, which a file system may remember. Nothing goes while a backup is made."""
    settings, sessions = service
    leftovers, store = Leftovers(sessions, settings.store_url), Store(settings.store_url)
    search_id = add_search(sessions)
    driver = Driver(sessions, search_id)
    store.write(f"checkpoints/{search_id}/0.safetensors", b"weights")
    assert leftovers.remove_all()
    assert store.files_under("checkpoints") == [f"checkpoints/{search_id}/0.safetensors"]
    name, folder = bucket.removeprefix("s3://"), settings.store_url.rpartition("/")[2]
    s3 = boto3.client("s3")
    driver.queue.finish(driver.claim, SearchState.FAILED, "of a test")
    gone = "srch_01890a5d-ac96-774b-bcce-b302099a8057"
    for written in (f"checkpoints/{gone}/0.safetensors", f"artifacts/{search_id}/0.zip"):
        s3.put_object(Bucket=name, Key=f"{folder}/{written}", Body=b"of another process")
    with held(store):
        assert is_held(store)
        assert not leftovers.remove_all()
    assert leftovers.remove_all() and leftovers.remove(search_id)
    left = s3.list_objects_v2(Bucket=name, Prefix=f"{folder}/")
    assert [entry["Key"] for entry in left.get("Contents", [])] == []
