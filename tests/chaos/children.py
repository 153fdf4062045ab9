"""What is killed: processes that fork from one which has imported everything, so that a hundred
of them take seconds. Each may run with one safeguard switched off (`mutation`): a test that does
not fail then proves nothing.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import event
from sqlalchemy.orm import Session

import models.storage
from models.processes.names import process_name
from models.storage import write_file
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluation import Measurement
from search.request.resolve import resolve
from search.trial import Trial
from service.api.app import create_app
from service.server.protocol import GuardedProtocol
from service.settings import ServiceSettings
from service.sql.database import connect
from service.sql.journal import SqlJournal
from service.sql.queue import Queue
from service.sql.searches import SearchRepository
from service.sql.states import SearchState
from service.sql.tables import IdempotencyKey

FILE_BYTES = 2**20


@contextmanager
def started(target: Callable[..., None], *arguments: Any) -> Iterator[BaseProcess]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def serve(settings: ServiceSettings, port: int, mutation: str) -> None:
    """The API. `key apart`: an idempotency key is kept in a transaction after its search's."""
    os.setsid()
    if mutation == "key apart":
        SearchRepository.submit = _submit_and_keep_the_key_later  # type: ignore[method-assign]
    uvicorn.run(
        create_app(settings), host="127.0.0.1", port=port, http=GuardedProtocol, log_config=None
    )


_submit = SearchRepository.submit


def _submit_and_keep_the_key_later(
    self: SearchRepository, submission: Any, key: str | None, digest: str
) -> Any:
    search, is_new = _submit(self, submission, None, digest)
    tenant_id, created_at, engine = search.tenant_id, search.created_at, self._session.get_bind()

    def keep(session: Session) -> None:
        time.sleep(0.05)
        with Session(engine) as later, later.begin():
            row = {"tenant_id": tenant_id, "key": key, "body_sha256": digest}
            later.add(IdempotencyKey(**row, search_id=search.id, created_at=created_at))

    event.listen(self._session, "after_commit", keep, once=True)
    return search, is_new


class Stub:
    """Scores what an architecture and its recipe hash to, after two epochs of some milliseconds;
    leaves a line in `begun` for each trial that it begins.
    """

    def __init__(self, begun: Path) -> None:
        self._begun = begun

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        with self._begun.open("a") as file:
            file.write(f"{trial.number}\n")
        score = int((trial.architecture_key + trial.recipe_key)[-6:], 16) / 16**6
        for epoch in (1.0, 2.0):
            time.sleep(0.005)
            metrics = {"epoch": epoch, "val_accuracy": score, "val_loss": 1 - score}
            yield Measurement(metrics | ({"test_accuracy": score} if trial.kind.sees_test else {}))


def search(settings: ServiceSettings, begun: Path) -> None:
    """A driver of the one search that waits, told in order, until it is done or killed."""
    sessions = connect(settings.database_url)
    queue = Queue(sessions, lease_seconds=600.0)
    claim = queue.claim(process_name())
    assert claim is not None
    resolved = resolve(queue.requests(claim).document)
    run = SearchRun(
        resolved.spec,
        resolved.space,
        resolved.strategy(),
        SqlJournal(sessions, claim, lambda: 1.0),
        resolved.cost,
    )
    run_serial(run, Stub(begun))
    queue.finish(claim, SearchState.SUCCEEDED)


def write_files(folder: Path, seed: int, mutation: str) -> None:
    """Files that end with the hash of their content, one over the other, until it is killed.
    `in place`: written where they are read.
    """
    if mutation == "in place":
        models.storage._replace = _write_in_place
    number = seed
    while True:
        number += 1
        content = hashlib.sha256(str(number).encode()).digest() * (FILE_BYTES // 32)
        whole = content + hashlib.sha256(content).digest()
        write_file(str(folder / str(number % 3)), whole)


def _write_in_place(path: Path, content: bytes | Path) -> None:
    assert isinstance(content, bytes)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def is_whole(path: Path) -> bool:
    content = path.read_bytes()
    return hashlib.sha256(content[:-32]).digest() == content[-32:]
