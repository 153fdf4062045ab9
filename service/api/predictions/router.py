"""`/v1/searches/{search_id}/best/predict`: the best model asked by the server, in a cage."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from models.processes.folders import temporary_folder
from service.api.artifacts.router import best_artifact, read_artifact
from service.api.json_body import JsonBody
from service.api.predictions.schemas import PredictionRead, PredictionRequest
from service.api.problems import problems
from service.api.requests import SearchId, StrictRoute
from service.api.security import TenantDep
from service.refusals import InvalidError, ProblemError, ProblemItem, item, pointer

router = APIRouter(
    prefix="/v1/searches/{search_id}",
    tags=["artifacts"],
    route_class=StrictRoute,
)

AT_ONCE = 2
_PLACES = threading.BoundedSemaphore(AT_ONCE)


@router.post(
    "/best/predict",
    operation_id="predictBest",
    summary="Predict with the best model",
    response_model=PredictionRead,
    responses=problems(400, 404, 409, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"$ref": "PredictionRequest"}},
)
def predict_best(
    search_id: SearchId, body: JsonBody, request: Request, tenant: TenantDep
) -> dict[str, Any]:
    """What the best model says of rows as people write them, by its own `predict.py`; for more, or
    for pictures and graphs, download the bundle.
    """
    artifact = best_artifact(request, tenant, search_id)
    try:
        wanted = PredictionRequest.model_validate(body)
    except ValidationError as error:
        raise InvalidError(_wrong(error)) from None
    from models.asking import RowsError, TooMuchError, ask

    with _place(), temporary_folder("bundle") as folder:
        with read_artifact(request, artifact) as file, zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        if not Path(folder, "predict.py").is_file():
            raise InvalidError([item("path", "/search_id", "its model predicts no rows")])
        try:
            answer = ask(folder, wanted.rows, wanted.missing)
        except RowsError as error:
            place: list[object] = ["rows"]
            place += [] if error.row is None else [error.row]
            place += [] if error.column is None or error.row is None else [error.column]
            raise InvalidError([item("body", pointer(place), str(error))]) from None
        except TooMuchError as error:
            raise ProblemError(503, str(error)) from None
    return {"trial": artifact.number, **answer}


@contextmanager
def _place() -> Iterator[None]:
    if not _PLACES.acquire(timeout=30):
        raise ProblemError(
            503, f"{AT_ONCE} predictions at a time; try again", headers={"Retry-After": "5"}
        )
    try:
        yield
    finally:
        _PLACES.release()


def _wrong(error: ValidationError) -> list[ProblemItem]:
    """Each row or cell once, without what it is not either."""
    found: dict[tuple[object, ...], str] = {}
    for wrong in error.errors():
        path, detail = wrong["loc"], wrong["msg"]
        if path[:1] == ("rows",) and len(path) > 3:
            path, detail = (*path[:2], path[3]), "a cell is a text, a number, true, false or null"
        elif path[:1] == ("rows",) and len(path) > 1:
            path, detail = path[:2], "a row is a mapping from columns to cells, or a text"
        found.setdefault(path, detail)
    inner = {path[:2] for path in found if len(path) > 2}
    return [
        item("body", pointer(path), detail) for path, detail in found.items() if path not in inner
    ]
