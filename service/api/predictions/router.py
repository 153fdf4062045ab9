"""`/v1/searches/{search_id}/best/predict`: the best model asked by the server, in a cage."""

from __future__ import annotations

import zipfile
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from models.asking import BusyError, NoPredictorError, RowsError, TooMuchError, WarmModels
from service.api.artifacts.router import best_artifact, read_artifact
from service.api.json_body import JsonRows
from service.api.predictions.schemas import PredictionRead, PredictionRequest, wrong_cells
from service.api.problems import problems
from service.api.requests import SearchId, StrictRoute
from service.api.security import TenantDep, needs
from service.api.turns import NoTurnError, dear
from service.refusals import MAX_ERRORS, InvalidError, ProblemError, item, pointer
from service.sql.api_keys import Scope

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
    responses=problems(400, 404, 409, 410, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"$ref": "PredictionRequest"}},
)
@needs(Scope.READ)
async def predict_best(
    search_id: SearchId, body: JsonRows, request: Request, tenant: TenantDep
) -> dict[str, Any]:
    """What the best model says of rows as people write them, by its own `predict.py`; for more, or
    for pictures and graphs, download the bundle.
    """
    artifact = await run_in_threadpool(best_artifact, request, tenant, search_id)
    wanted = await run_in_threadpool(_checked, body)
    models: WarmModels = request.app.state.models

    def unpack(folder: Path) -> None:
        with read_artifact(request, artifact) as file, zipfile.ZipFile(file) as archive:
            archive.extractall(folder)

    try:
        answer = await dear(request).asking.take(
            models.ask, artifact.sha256, unpack, wanted.rows, wanted.missing
        )
    except NoPredictorError as error:
        raise InvalidError([item("path", "/search_id", str(error))]) from None
    except RowsError as error:
        place: list[object] = ["rows"]
        place += [] if error.row is None else [error.row]
        place += [] if error.column is None or error.row is None else [error.column]
        raise InvalidError([item("body", pointer(place), str(error))]) from None
    except TooMuchError as error:
        raise ProblemError(503, str(error)) from None
    except (BusyError, NoTurnError) as error:
        raise ProblemError(503, str(error), headers={"Retry-After": "5"}) from None
    return {"trial": artifact.number, **answer}


def _checked(body: object) -> PredictionRequest:
    """
    Raises:
        InvalidError: each field, row and cell that is wrong.
    """
    if not isinstance(body, dict):
        raise InvalidError([item("body", "", "must be an object with rows")])
    known = {name: body[name] for name in PredictionRequest.model_fields if name in body}
    wrong = chain(
        (((name,), "unknown field, known are rows, missing") for name in body if name not in known),
        wrong_cells(body.get("rows")),
    )
    told = [item("body", pointer(path), detail) for path, detail in islice(wrong, MAX_ERRORS)]
    count = len(told) + sum(1 for _ in wrong)
    try:
        wanted = PredictionRequest.model_validate(known)
    except ValidationError as error:
        fields = [item("body", pointer(found["loc"]), found["msg"]) for found in error.errors()]
        raise InvalidError([*fields, *told], len(fields) + count) from None
    if told:
        raise InvalidError(told, count)
    return wanted
