"""`/v1/searches/{search_id}/report`: as JSON for programs, as one file of HTML for people."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from service.api.html.negotiation import prefers_html
from service.api.problems import problems
from service.api.reports.page import page, policy
from service.api.reports.shown import read
from service.api.requests import SearchId, StrictRoute, get_sessions
from service.api.root_path import RootPath
from service.api.security import TenantDep
from service.api.trials.reporting import Reports
from service.api.trials.schemas import ReportRead

router = APIRouter(prefix="/v1/searches/{search_id}", tags=["trials"], route_class=StrictRoute)

Format = Annotated[
    Literal["json", "html"] | None,
    Query(description="html: a page, whole in one file; left out: as Accept says, else JSON"),
]


@router.get(
    "/report",
    operation_id="getReport",
    summary="How the search went",
    response_model=ReportRead,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}},
        **problems(404, 422, 503),
    },
)
def read_report(
    search_id: SearchId,
    request: Request,
    response: Response,
    tenant: TenantDep,
    root: RootPath,
    format: Format = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> ReportRead | Response:
    """The best so far by trial, the comparison with the baseline, which decisions mattered, and
    how well the zero-cost scores ranked the networks. The page has it as charts, with the scores
    of the best, what was asked, what it cost, and how to repeat it.
    """
    reports: Reports = request.app.state.reports
    if format == "html" or (format is None and prefers_html(accept)):
        shown = read(get_sessions(request), reports, tenant, search_id, root)
        headers = {"Content-Security-Policy": policy(), "Vary": "Accept"}
        return Response(page(shown), media_type="text/html", headers=headers)
    response.headers["Vary"] = "Accept"
    return ReportRead.model_validate(reports.of(tenant, search_id))
