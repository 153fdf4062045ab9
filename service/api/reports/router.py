"""`/v1/searches/{search_id}/report`: as JSON for programs, as one file of HTML for people."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response

from service.api.charts.csv import as_csv
from service.api.charts.svg import style, svg
from service.api.datasets.lookup import lookup_of
from service.api.drawings.pictures import Networks, drawn
from service.api.html.environment import source_of
from service.api.html.negotiation import prefers_html
from service.api.problems import problems
from service.api.reports.figures import figures
from service.api.reports.page import page, policy
from service.api.reports.shown import Shown, read
from service.api.requests import SearchId, StrictRoute, get_sessions
from service.api.root_path import RootPath
from service.api.security import TenantDep
from service.api.trials.reporting import Reports
from service.api.trials.schemas import ReportRead
from service.refusals import ProblemError
from service.sql.trials import TrialRepository

router = APIRouter(prefix="/v1/searches/{search_id}", tags=["trials"], route_class=StrictRoute)

Format = Annotated[
    Literal["json", "html"] | None,
    Query(description="html: a page, whole in one file; left out: as Accept says, else JSON"),
]


@router.get(
    "/charts/{name}",
    operation_id="getChart",
    summary="A chart of the report",
    response_class=Response,
    responses={
        200: {
            "description": "The picture, or its data",
            "content": {
                "image/svg+xml": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        **problems(404, 422, 503),
    },
)
def read_chart(
    search_id: SearchId,
    name: Annotated[str, Path(description="`progress`, `scores`, `test`, `pareto` and others")],
    request: Request,
    tenant: TenantDep,
    root: RootPath,
    format: Annotated[
        Literal["svg", "csv"], Query(description="csv: every point of it as a table")
    ] = "svg",
) -> Response:
    """One that the search has: `trials`, `importance`, `curves` and `proxies` too. Those of a
    second objective have its metric behind their name: `progress-parameters`.
    """
    shown = read(get_sessions(request), request.app.state.reports, tenant, search_id, root)
    known = {figure.name: figure for figure in figures(shown)}
    if name not in known:
        names = ", ".join(known) or "none so far"
        raise ProblemError(404, f"there is no chart {name[:100]!r}; the search has {names}")
    if format == "csv":
        return Response(as_csv(known[name]), media_type="text/csv")
    headers = {"Content-Security-Policy": f"default-src 'none'; style-src {source_of(style())}"}
    return Response(svg(known[name], alone=True), media_type="image/svg+xml", headers=headers)


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
        drawing = _drawing(request, tenant, shown)
        return Response(page(shown, drawing), media_type="text/html", headers=headers)
    response.headers["Vary"] = "Accept"
    return ReportRead.model_validate(reports.of(tenant, search_id))


def _drawing(request: Request, tenant: str, shown: Shown) -> str | None:
    """Of the winner; None where there is none, or nothing to draw it by."""
    if not shown.best:
        return None
    try:
        with get_sessions(request).read() as session:
            trials = TrialRepository(session, tenant, shown.search.id)
            winner = Networks.of(trials, shown.best[0]["trial"])
        return drawn([winner], shown.search.spec["dataset"], lookup_of(request, tenant)).text
    except ProblemError:
        return None
