"""`/v1/datasets`."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from service.api.datasets.form import REQUEST_BODY, UploadFormDep
from service.api.datasets.intake import Intake
from service.api.datasets.schemas import NAME_PATTERN, DatasetPage, DatasetRead
from service.api.pages import (
    DEFAULT_SIZE,
    PageSize,
    PageToken,
    decode_token,
    encode_token,
    invalid_token,
)
from service.api.problems import problems
from service.api.requests import ReadingDep, StrictRoute, get_sessions
from service.api.root_path import RootPath
from service.api.security import TenantDep
from service.refusals import NotFoundError
from service.sql.datasets import DatasetRepository
from service.sql.states import DatasetState
from service.sql.tables import Dataset, Upload
from service.sql.uploads import UploadRepository
from service.store.store import Store

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=StrictRoute)


def _checked_name(text: str) -> str:
    if re.fullmatch(NAME_PATTERN, text) is None:
        raise NotFoundError("dataset", text)
    return text


DatasetName = Annotated[
    str, Path(description="as it is written in a search"), AfterValidator(_checked_name)
]
"""Anything else names no dataset: 404, not 422."""


@router.post(
    "",
    operation_id="createDataset",
    summary="Upload a dataset",
    status_code=201,
    response_model=DatasetRead,
    responses={
        200: {"model": DatasetRead, "description": "The same upload was here before"},
        202: {"model": DatasetRead, "description": "The file is being read; ask until it is"},
        **problems(400, 409, 413, 415, 422, 503, 507),
    },
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def create_dataset(
    form: UploadFormDep, request: Request, tenant: TenantDep, root: RootPath
) -> Response:
    """A file as multipart/form-data, with a `name`, the `task` that it is for, and `options` as
    JSON. It is read, checked, split once, and stored as searches will use it. Rows count as in a
    spreadsheet: the header of a CSV is row 1. A large file is answered before it has been read,
    with 202: ask for the dataset, after as many seconds as `Retry-After` says, until its `state`
    is `ready`, or `failed` with a `reason`.
    """
    intake: Intake = request.app.state.intake
    taken = await intake.take(form, tenant)
    status = 202 if isinstance(taken.found, Upload) else 201 if taken.is_new else 200
    later = _later(intake) if status == 202 else {}
    return Response(
        DatasetRead.of(taken.found).model_dump_json(),
        status_code=status,
        media_type="application/json",
        headers={"Location": f"{root}/v1/datasets/{taken.found.name}", **later},
    )


@router.get(
    "",
    operation_id="listDatasets",
    summary="List datasets by name",
    responses=problems(422, 503),
)
def list_datasets(
    session: ReadingDep,
    tenant: TenantDep,
    page_size: PageSize = DEFAULT_SIZE,
    page_token: PageToken = None,
) -> DatasetPage:
    """Those that were uploaded, and those that everybody can name."""
    after = decode_token(page_token, {}) if page_token is not None else ""
    if not isinstance(after, str):
        raise invalid_token()
    rows: list[Dataset | Upload] = []
    for repository in (UploadRepository, DatasetRepository):  # in the order in which a row moves
        rows += repository(session, tenant).after(after, page_size + 1)
    own = {row.name: DatasetRead.of(row) for row in rows}
    named = {n: entry for n, entry in _named().items() if n > after}
    items = [entry for _, entry in sorted((named | own).items())]
    shown = items[:page_size]
    more = len(items) > page_size
    return DatasetPage(
        items=shown, next_page_token=encode_token(shown[-1].name, {}) if more else None
    )


@router.get(
    "/{name}",
    operation_id="getDataset",
    summary="One dataset",
    responses=problems(404, 422, 503),
)
def read_dataset(
    name: DatasetName,
    session: ReadingDep,
    tenant: TenantDep,
    request: Request,
    response: Response,
) -> DatasetRead:
    """While its file is being read, `Retry-After` says when to ask again."""
    dataset = dataset_of(name, session, tenant)
    if dataset.state == DatasetState.READING:
        response.headers.update(_later(request.app.state.intake))
    return dataset


@router.delete(
    "/{name}",
    operation_id="deleteDataset",
    summary="Delete an uploaded dataset",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409, 422, 503),
)
def delete_dataset(name: DatasetName, request: Request, tenant: TenantDep) -> Response:
    """Not while a search that has not ended needs it. One that is being read, or could not be, is
    forgotten.
    """
    with get_sessions(request).begin() as session:
        if (upload := UploadRepository(session, tenant).find(name, lock=True)) is not None:
            session.delete(upload)
            return Response(status_code=204)
        path = DatasetRepository(session, tenant).delete(name)
    store: Store = request.app.state.store
    store.remove([path, path.rpartition("/")[0]])
    return Response(status_code=204)


def dataset_of(name: str, session: Session, tenant: str) -> DatasetRead:
    """
    Raises:
        NotFoundError: there is none of this name.
    """
    row = _found(session, tenant, name)
    if row is not None:
        return DatasetRead.of(row)
    if (entry := _named().get(name)) is None:
        raise NotFoundError("dataset", name)
    return entry


def _later(intake: Intake) -> dict[str, str]:
    return {"Retry-After": str(intake.look_again_seconds)}


def _found(session: Session, tenant: str, name: str) -> Dataset | Upload | None:
    upload = UploadRepository(session, tenant).find(name)  # first: it may become a dataset now
    return DatasetRepository(session, tenant).find(name) or upload


def _named() -> dict[str, DatasetRead]:
    """The datasets of the registry; importing it takes seconds the first time."""
    from models.datasets import datasets

    return {
        name: DatasetRead(
            name=name, task=entry.task_name, source="named", description=entry.description
        )
        for name, entry in datasets.items()
    }
