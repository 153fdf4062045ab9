"""From an uploaded file to a dataset that searches can name: whole, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from models.processes.folders import OwnedFolder
from models.processes.forks import Forks
from models.processes.names import process_name
from service.api.datasets.form import UploadForm
from service.api.datasets.lanes import SMALL_BYTES, Lanes
from service.api.quota.quotas import Quotas
from service.identifiers import new_dataset_id
from service.refusals import InvalidError, ProblemError, item, pointer
from service.settings import ServiceSettings
from service.sql.database import Sessions
from service.sql.datasets import DatasetRepository
from service.sql.tables import Dataset, Upload
from service.sql.uploads import UploadRepository, give_up_lost
from service.store.layout import DATASETS
from service.store.store import Store

if TYPE_CHECKING:
    from models.datasets.formats import Options

WAIT_SECONDS = 60.0
"""That an answer waits for a small file; then, and at once for a large one, it is 202."""

MAX_WAITING = 1024
LOOK_SECONDS = 30.0
_CHUNK_BYTES = 1024 * 1024
_RETRY_AFTER_SECONDS = 30
_AT_THE_DOOR = 2
"""Small files that are written down at a time: each writes to the database, and with gaps between
them others come to write there too.
"""

_READ_A_SECOND = 10
"""Small files, at a guess."""

_STOPPED = "the server was stopped before it had read the file; upload it again"

log = structlog.get_logger("nasmith.datasets")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken:
    """An upload that is a dataset now, new or not, or one that is still read."""

    found: Dataset | Upload
    is_new: bool


class Intake:
    """Each file is read in a process of its own, in one of the `Lanes`. Whatever waits here takes
    no thread; what blocks has threads that no other route needs.
    """

    def __init__(
        self, settings: ServiceSettings, sessions: Sessions, store: Store, quotas: Quotas
    ) -> None:
        self._store_url = settings.store_url.rstrip("/")
        self._sessions, self._store, self._quotas = sessions, store, quotas
        self._limit_bytes = settings.max_upload_bytes
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="uploads")
        self._lanes = Lanes()
        self._door, self._before_it = asyncio.Semaphore(_AT_THE_DOOR), 0
        self._jobs: set[asyncio.Task[Dataset]] = set()
        self._sizes: dict[str, int] = {}
        self._readers = Forks("models.sandbox")
        self._folder: OwnedFolder | None = None
        self.patience = WAIT_SECONDS

    async def take(self, form: UploadForm, tenant_id: str) -> Taken:
        """The same file with the same options under the same name is the one that is there.

        Raises:
            InvalidError: the options, or the file, make no dataset.
            ProblemError: 409, the name is taken; 413, it is too large, or for this tenant; 503,
                too many uploads wait.
        """
        self._admit()
        self._before_it += 1
        try:
            async with self._door if _is_small(form) else nullcontext():
                begun = await self._write_down(form, tenant_id)
        finally:
            self._before_it -= 1
        if isinstance(begun, Dataset | Upload):
            return Taken(begun, False)
        given, upload, folder = begun
        job = asyncio.create_task(self._read(given, upload, folder))
        self._jobs.add(job)
        job.add_done_callback(self._ended)
        if given.size_bytes <= SMALL_BYTES:
            await asyncio.wait({job}, timeout=self.patience)
        if not job.done() or job.cancelled():
            return Taken(upload, True)
        if job.exception() is not None:
            await self._do(self._forget, upload.id)  # who asked is told now
        return Taken(job.result(), True)

    async def _write_down(
        self, form: UploadForm, tenant_id: str
    ) -> Dataset | Upload | tuple[Given, Upload, Path]:
        """What is there already, or an upload that can be read now, from its folder."""
        options = await self._do(_options, form)
        folder = await self._do(self._new_folder)
        try:
            sha256, size = await self._do(self._copy, form, folder / "source")
            given = Given(form.name, form.task, options, sha256, size, form.file.filename or "")
            if (there := await self._do(self._there, given, tenant_id)) is not None:
                await self._do(shutil.rmtree, folder)
                return there
            self._admit_bytes(size)
            await self._do(self._check_room, tenant_id)
            upload_id = new_dataset_id()
            self._sizes[upload_id] = size
            try:
                upload = await self._do(self._begin, given, tenant_id, upload_id)
            except BaseException:
                del self._sizes[upload_id]
                raise
        except BaseException:
            await self._do(shutil.rmtree, folder)
            raise
        return given, upload, folder

    @property
    def look_again_seconds(self) -> int:
        """When it is worth while to ask for an upload that is being read: many that ask every
        second are more work than the files.
        """
        return 1 + len(self._sizes) // _READ_A_SECOND

    async def close(self) -> None:
        """End what is being read, and say so."""
        self._readers.end()
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        self._lanes.close()
        self._threads.shutdown(wait=False)
        if self._folder is not None:
            await asyncio.to_thread(self._folder.remove)

    def give_up_lost(self) -> None:
        """What other processes of this machine began to read, and did not live to end; and what
        ended here while the database was away.
        """
        with self._sessions.begin() as session:
            if lost := give_up_lost(session, self._sizes):
                log.warning("uploads whose readers have ended", count=lost)

    async def _do(self, call: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, copy_context().run, call, *given
        )

    def _admit(self) -> None:
        waiting = len(self._sizes) + self._before_it
        if waiting >= MAX_WAITING:
            raise _busy(waiting)

    def _admit_bytes(self, size: int) -> None:
        waiting = sum(self._sizes.values())
        if waiting and waiting + size > 4 * self._limit_bytes:
            raise _busy(len(self._sizes))

    def _ended(self, job: asyncio.Task[Dataset]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # it is in the row, or told to who waits

    async def _read(self, given: Given, upload: Upload, folder: Path) -> Dataset:
        """Until there is a dataset, or a reason why there is none."""
        source, target = folder / "source", folder / "target"
        parse = partial(_parsed, given, source, target, self._readers)
        reason: str | None = _STOPPED
        try:
            facts = await self._lanes.run(given.size_bytes, parse)
            dataset = await self._do(self._keep, given, upload, facts, target)
            reason = None
            return dataset
        except ProblemError as error:
            reason = error.errors[0].detail if error.errors else error.detail
            raise
        except Exception:
            log.exception("an upload broke", upload=upload.id)
            reason = f"the server made a mistake; its log tells more under {upload.id}"
            raise
        finally:
            del self._sizes[upload.id]
            await self._do(shutil.rmtree, folder)
            if reason is not None:
                reason = _STOPPED if self._readers.ended else reason
                await self._do(self._end, upload.id, reason)

    def _check_room(self, tenant_id: str) -> None:
        """Before the file is read, which is dear."""
        with self._sessions.read() as session:
            self._quotas.check_room(session, tenant_id, 1)

    def _new_folder(self) -> Path:
        self._folder = self._folder or OwnedFolder("upload")
        return Path(tempfile.mkdtemp(dir=self._folder.path))

    def _begin(self, given: Given, tenant_id: str, upload_id: str) -> Upload:
        upload = Upload(
            id=upload_id,
            tenant_id=tenant_id,
            name=given.name,
            task=given.task,
            options=given.document,
            source_sha256=given.sha256,
            size_bytes=given.size_bytes,
            reader=process_name(),
            created_at=datetime.now(UTC),
        )
        try:
            with self._sessions.begin() as session:
                failed = UploadRepository(session, tenant_id).find(given.name, lock=True)
                if failed is not None and failed.reason is not None:
                    session.delete(failed)
                    session.flush()
                session.add(upload)
        except IntegrityError:  # another one came first
            raise _taken(given.name) from None
        return upload

    def _end(self, upload_id: str, reason: str) -> None:
        """Say why there is no dataset of it."""
        with self._sessions.begin() as session:
            session.execute(update(Upload).where(Upload.id == upload_id).values(reason=reason))

    def _forget(self, upload_id: str) -> None:
        with self._sessions.begin() as session:
            session.execute(delete(Upload).where(Upload.id == upload_id))

    def _copy(self, form: UploadForm, path: Path) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        form.file.file.seek(0)
        with path.open("wb") as file:
            while chunk := form.file.file.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > self._limit_bytes:
                    raise ProblemError(413, f"the file is larger than {self._limit_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest(), size

    def _there(self, given: Given, tenant_id: str) -> Dataset | Upload | None:
        with self._sessions.read() as session:
            upload = UploadRepository(session, tenant_id).find(given.name)  # it may move meanwhile
            found = DatasetRepository(session, tenant_id).find(given.name) or upload
        if isinstance(found, Upload) and found.reason is not None:
            return None  # it may be tried again
        if found is None:
            return None
        same = (given.task, given.document, given.sha256)
        if (found.task, found.options, found.source_sha256) != same:
            raise _taken(given.name)
        return found

    def _keep(self, given: Given, upload: Upload, facts: Mapping[str, Any], file: Path) -> Dataset:
        """Its file into the store, its row in the place of the upload's: both, or none."""
        from models.storage import sha256_of_file, store_file

        sha256 = sha256_of_file(file)
        folder = f"{DATASETS}/{upload.id}"
        path = f"{folder}/{sha256}.safetensors"
        try:
            stored = store_file(f"{self._store_url}/{path}", file)
            dataset = Dataset(
                id=upload.id,
                tenant_id=upload.tenant_id,
                name=given.name,
                task=given.task,
                format=facts["format"],
                options=given.document,
                facts={name: value for name, value in facts.items() if name != "format"},
                fingerprint=facts["fingerprint"],
                source_sha256=given.sha256,
                path=path,
                sha256=sha256,
                size_bytes=stored.size_bytes,
                created_at=datetime.now(UTC),
            )
            with self._sessions.begin() as session:
                self._quotas.admit_bytes(session, upload.tenant_id, dataset.size_bytes)
                row = session.get(Upload, upload.id, with_for_update=True)
                if row is None:
                    raise ProblemError(409, f"{given.name!r} was deleted while it was read")
                session.delete(row)
                session.add(dataset)
        except BaseException as error:
            self._store.remove([path, folder])
            if isinstance(error, IntegrityError):
                raise _taken(given.name) from None
            raise
        return dataset


def _is_small(form: UploadForm) -> bool:
    return (form.file.size or 0) <= SMALL_BYTES


def warm_up() -> None:
    """Import what the first upload would hold up everybody for."""
    import models.sandbox  # noqa: F401 - for its effect
    from models.datasets.formats import uploadable_tasks

    uploadable_tasks()


async def give_up_lost_uploads(intake: Intake) -> None:
    """Look until cancelled."""
    while True:
        try:
            await asyncio.to_thread(intake.give_up_lost)
        except SQLAlchemyError as error:
            log.debug("the database is away", error=str(error).splitlines()[0])
        await asyncio.sleep(LOOK_SECONDS)


def _busy(waiting: int) -> ProblemError:
    return ProblemError(
        503,
        f"{waiting} uploads wait to be read; nothing was stored",
        kind="busy",
        headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
    )


def _taken(name: str) -> ProblemError:
    return ProblemError(
        409, f"there is another dataset {name!r}; choose another name, or delete it first"
    )


@dataclass(frozen=True, slots=True)
class Given:
    """What came with a file, and its own name and size."""

    name: str
    task: str
    options: Options
    sha256: str
    size_bytes: int
    file_name: str

    @property
    def document(self) -> dict[str, Any]:
        return self.options.model_dump(mode="json", exclude_unset=True)


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


def _parsed(given: Given, source: Path, target: Path, readers: Forks) -> dict[str, Any]:
    from models.datasets.formats import FormatError
    from models.datasets.formats import Upload as File
    from models.sandbox import parse

    try:
        return parse(File(source, given.name, given.task, given.options), target, readers=readers)
    except FormatError as error:
        if error.option is not None:
            where = f"/options/{error.option}"
            raise InvalidError([item("body", where, str(error))]) from None
        file_name = (given.file_name or "the file")[:200]
        raise InvalidError([item("body", "/file", f"{file_name}: {error}")]) from None
