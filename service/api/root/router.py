"""`/`: what this server is, and where to go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from service.api.html.negotiation import prefers_html
from service.api.problems import problems
from service.api.requests import StrictRoute
from service.api.root_path import RootPath
from service.api.security import open_to_all

router = APIRouter(tags=["health"], route_class=StrictRoute)


class RootLinks(BaseModel):
    """Paths on this server."""

    dashboard: str = Field(description="for people, in a browser")
    docs: str = Field(description="the API, to read and to try")
    openapi: str = Field(description="the API as a document")
    catalog: str
    searches: str
    datasets: str
    validate_space: str
    api_keys: str
    quota: str
    health: str
    readiness: str
    version: str
    metrics: str


class Root(BaseModel):
    name: str
    version: str
    links: RootLinks


@router.get(
    "/",
    operation_id="getRoot",
    summary="What is here",
    response_model=Root,
    responses={303: {"description": "Browsers are led to the dashboard"}, **problems(422)},
)
@open_to_all
async def read_root(
    request: Request,
    response: Response,
    root: RootPath,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Root | Response:
    response.headers["Vary"] = "Accept"
    if prefers_html(accept):
        return RedirectResponse(f"{root}/dashboard", 303, headers={"Vary": "Accept"})
    return Root(
        name=request.app.title,
        version=request.app.version,
        links=RootLinks(
            dashboard=f"{root}/dashboard",
            docs=f"{root}/docs",
            openapi=f"{root}/openapi.json",
            catalog=f"{root}/v1/catalog",
            searches=f"{root}/v1/searches",
            datasets=f"{root}/v1/datasets",
            validate_space=f"{root}/v1/search-spaces/validate",
            api_keys=f"{root}/v1/api-keys",
            quota=f"{root}/v1/quota",
            health=f"{root}/healthz",
            readiness=f"{root}/readyz",
            version=f"{root}/version",
            metrics=f"{root}/metrics",
        ),
    )
