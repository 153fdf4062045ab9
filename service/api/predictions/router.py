"""`/v1/searches/{search_id}/best/predict`: the best model asked by the server, in a cage."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from models.asking import BusyError, NoPredictorError, RowsError, TooMuchError, WarmModels
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
    models: WarmModels = request.app.state.models

    def unpack(folder: Path) -> None:
        with read_artifact(request, artifact) as file, zipfile.ZipFile(file) as archive:
            archive.extractall(folder)

    try:
        answer = models.ask(artifact.sha256, unpack, wanted.rows, wanted.missing)
    except NoPredictorError as error:
        raise InvalidError([item("path", "/search_id", str(error))]) from None
    except RowsError as error:
        place: list[object] = ["rows"]
        place += [] if error.row is None else [error.row]
        place += [] if error.column is None or error.row is None else [error.column]
        raise InvalidError([item("body", pointer(place), str(error))]) from None
    except TooMuchError as error:
        raise ProblemError(503, str(error)) from None
    except BusyError as error:
        raise ProblemError(503, str(error), headers={"Retry-After": "5"}) from None
    return {"trial": artifact.number, **answer}


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
