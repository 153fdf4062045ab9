"""Pages about datasets, the catalog, keys and quota."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.api.catalog.content import catalog
from service.api.dashboard.views import PageRoute, render
from service.api.datasets.router import DatasetName, dataset_of, list_datasets
from service.api.keys.router import list_keys
from service.api.pages import LARGEST_SIZE, PageToken
from service.api.quota.quotas import quotas_of
from service.api.requests import ReadingDep
from service.api.security import CallerDep, TenantDep
from service.sql.api_keys import Scope

router = APIRouter(prefix="/dashboard", route_class=PageRoute, include_in_schema=False)


@router.get("/datasets")
def show_datasets(
    request: Request, session: ReadingDep, tenant: TenantDep, page_token: PageToken = None
) -> Response:
    page = list_datasets(session, tenant, LARGEST_SIZE, page_token)
    return render(request, "datasets.html", page=page, here="datasets")


@router.get("/datasets/{name}")
def show_dataset(
    name: DatasetName, request: Request, session: ReadingDep, tenant: TenantDep
) -> Response:
    dataset = dataset_of(name, session, tenant)
    return render(request, "dataset.html", dataset=dataset, here="datasets")


@router.get("/catalog")
def show_catalog(request: Request, tenant: TenantDep) -> Response:
    return render(request, "catalog.html", catalog=catalog(), here="catalog")


@router.get("/keys")
def show_keys(request: Request, session: ReadingDep, caller: CallerDep) -> Response:
    """Quota for everybody; the keys for admins, where there are any."""
    may_see = caller.may(Scope.ADMIN) and request.app.state.callers.asks
    return render(
        request,
        "keys.html",
        quota=quotas_of(request).read(session, caller.tenant_id),
        caller=caller,
        keys=list_keys(session, caller, LARGEST_SIZE, None).items if may_see else None,
        here="keys",
    )
