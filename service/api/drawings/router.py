"""`/v1/searches/{search_id}/trials/{number}/architecture.svg`: the picture of a network."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.api.datasets.lookup import lookup_of
from service.api.drawings.pictures import Networks, drawn
from service.api.etags import IfNoneMatch, is_held
from service.api.problems import problems
from service.api.requests import SearchId, StrictRoute, TrialNumber, get_sessions
from service.api.security import TenantDep
from service.sql.searches import SearchRepository
from service.sql.trials import TrialRepository

router = APIRouter(prefix="/v1/searches/{search_id}", tags=["trials"], route_class=StrictRoute)


@router.get(
    "/trials/{number}/architecture.svg",
    operation_id="getArchitecturePicture",
    summary="The picture of a network",
    response_class=Response,
    responses={
        200: {
            "description": "SVG",
            "content": {"image/svg+xml": {"schema": {"type": "string"}}},
        },
        304: {"description": "The picture is held already"},
        **problems(404, 409, 422, 503),
    },
)
def read_picture(
    search_id: SearchId,
    number: TrialNumber,
    request: Request,
    tenant: TenantDep,
    beside: Annotated[
        int | None,
        Query(
            ge=0,
            le=2**31 - 1,
            description="another trial, drawn beside it; what differs is marked",
        ),
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Its layers with shapes, parameters and FLOPs, repeats once, and the inside of its blocks and
    cells. Of an ensemble, its members.
    """
    with get_sessions(request).read() as session:
        search = SearchRepository(session, tenant).get(search_id)
        trials = TrialRepository(session, tenant, search_id)
        shown = [Networks.of(trials, n) for n in (number, beside) if n is not None]
        dataset = search.spec["dataset"]
    picture = drawn(shown, dataset, lookup_of(request, tenant))
    etag = f'"{hashlib.sha256(picture.text.encode()).hexdigest()}"'
    if is_held(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag})
    return Response(
        picture.text,
        media_type="image/svg+xml",
        headers={
            "ETag": etag,
            "Cache-Control": "no-cache",
            "Content-Security-Policy": f"default-src 'none'; style-src {picture.style_source}",
        },
    )
