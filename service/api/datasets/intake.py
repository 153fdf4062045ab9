"""From an uploaded file to a dataset that searches can name: whole, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import IntegrityError

from models.processes.folders import temporary_folder
from service.api.datasets.form import UploadForm
from service.api.quota.quotas import Quotas
from service.identifiers import new_dataset_id
from service.refusals import InvalidError, ProblemError, item, pointer
from service.settings import ServiceSettings
from service.sql.database import Sessions
from service.sql.datasets import DatasetRepository
from service.sql.tables import Dataset
from service.store.layout import DATASETS
from service.store.store import Store

if TYPE_CHECKING:
    from models.datasets.formats import Options

AT_A_TIME = 2
WAIT_SECONDS = 60.0
_CHUNK_BYTES = 1024 * 1024

log = structlog.get_logger("nasmith.datasets")


class Intake:
    """Reads at most `AT_A_TIME` files at a time, each in a process of its own; another upload
    waits for its turn.
    """

    def __init__(
        self, settings: ServiceSettings, sessions: Sessions, store: Store, quotas: Quotas
    ) -> None:
        self._store_url = settings.store_url.rstrip("/")
        self._sessions, self._store, self._quotas = sessions, store, quotas
        self._limit_bytes = settings.max_upload_bytes
        self._places = BoundedSemaphore(AT_A_TIME)

    def take(self, form: UploadForm, tenant_id: str) -> tuple[Dataset, bool]:
        """The dataset, and whether it is new: the same file with the same options under the same
        name is the one that is there.

        Raises:
            InvalidError: the options, or the file, make no dataset.
            ProblemError: 409, the name is taken; 413, it is too large, or for this tenant; 503,
                too many uploads at a time.
        """
        options = _options(form)
        with temporary_folder("upload") as folder:
            source, target = folder / "source", folder / "target"
            sha256 = self._copy(form, source)
            if (there := self._there(form, tenant_id, options, sha256)) is not None:
                return there, False
            with self._sessions.read() as session:  # before the file is read, which is dear
                self._quotas.check_room(session, tenant_id, 1)
            with self._turn():
                facts = _parsed(form, source, target, options)
            dataset = self._stored(form, tenant_id, options, sha256, facts, target)
        try:
            with self._sessions.begin() as session:
                self._quotas.admit_bytes(session, tenant_id, dataset.size_bytes)
                session.add(dataset)
        except BaseException as error:
            self._store.remove([dataset.path])
            if isinstance(error, IntegrityError):  # another upload came first
                there = self._there(form, tenant_id, options, sha256)
                if there is not None:
                    return there, False
            raise
        return dataset, True

    def _copy(self, form: UploadForm, path: Path) -> str:
        digest, size = hashlib.sha256(), 0
        form.file.file.seek(0)
        with path.open("wb") as file:
            while chunk := form.file.file.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > self._limit_bytes:
                    raise ProblemError(413, f"the file is larger than {self._limit_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def _there(
        self, form: UploadForm, tenant_id: str, options: Options, sha256: str
    ) -> Dataset | None:
        with self._sessions.read() as session:
            found = DatasetRepository(session, tenant_id).find(form.name)
        if found is None:
            return None
        given = (form.task, _given(options), sha256)
        if (found.task, found.options, found.source_sha256) != given:
            raise ProblemError(
                409,
                f"there is another dataset {form.name!r}; choose another name, or delete it first",
            )
        return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise ProblemError(
                503,
                "too many uploads at a time; nothing was stored",
                kind="busy",
                headers={"Retry-After": "10"},
            )
        try:
            yield
        finally:
            self._places.release()

    def _stored(
        self,
        form: UploadForm,
        tenant_id: str,
        options: Options,
        source_sha256: str,
        facts: Mapping[str, Any],
        file: Path,
    ) -> Dataset:
        from models.storage import sha256_of_file, store_file

        dataset_id, sha256 = new_dataset_id(), sha256_of_file(file)
        path = f"{DATASETS}/{dataset_id}/{sha256}.safetensors"
        stored = store_file(f"{self._store_url}/{path}", file)
        return Dataset(
            id=dataset_id,
            tenant_id=tenant_id,
            name=form.name,
            task=form.task,
            format=facts["format"],
            options=_given(options),
            facts={name: value for name, value in facts.items() if name != "format"},
            fingerprint=facts["fingerprint"],
            source_sha256=source_sha256,
            path=path,
            sha256=sha256,
            size_bytes=stored.size_bytes,
            created_at=datetime.now(UTC),
        )


def _given(options: Options) -> dict[str, Any]:
    return options.model_dump(mode="json", exclude_unset=True)


def _options(form: UploadForm) -> Options:
    from pydantic import ValidationError

    from models.datasets import datasets
    from models.datasets.formats import Options, uploadable_tasks

    problems = []
    if form.task not in (known := uploadable_tasks()):
        problems.append(
            item("body", "/task", f"unknown task {form.task[:100]!r}, known are {', '.join(known)}")
        )
    if form.name in datasets:
        problems.append(
            item("body", "/name", f"{form.name!r} is a dataset that everybody has; choose another")
        )
    try:
        options = Options.model_validate(form.options)
    except ValidationError as error:
        problems += [
            item("body", f"/options{pointer(found['loc'])}", found["msg"])
            for found in error.errors()
        ]
    if problems:
        raise InvalidError(problems)
    return options


def _parsed(form: UploadForm, source: Path, target: Path, options: Options) -> dict[str, Any]:
    from models.datasets.formats import FormatError, Upload
    from models.sandbox import parse

    try:
        return parse(Upload(source, form.name, form.task, options), target)
    except FormatError as error:
        if error.option is not None:
            where = f"/options/{error.option}"
            raise InvalidError([item("body", where, str(error))]) from None
        file_name = (form.file.filename or "the file")[:200]
        raise InvalidError([item("body", "/file", f"{file_name}: {error}")]) from None
