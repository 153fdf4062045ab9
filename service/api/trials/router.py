"""`/v1/searches/{search_id}/trials`, `/best` and `/comparison`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from search.trial import TrialState
from service.api.pages import (
    DEFAULT_SIZE,
    PageSize,
    PageToken,
    decode_token,
    encode_token,
    invalid_token,
)
from service.api.problems import problems
from service.api.requests import (
    ReadingDep,
    SearchId,
    StrictRoute,
    TrialNumber,
    is_trial_number,
)
from service.api.root_path import RootPath
from service.api.security import TenantDep
from service.api.trials.ranking import best_items, hypervolume_points
from service.api.trials.reporting import Reports
from service.api.trials.schemas import (
    BestItem,
    BestRead,
    ComparisonRead,
    HypervolumePoint,
    KindName,
    TrialPage,
    TrialRead,
)
from service.api.trials.seeds import MAX_SEEDS, over_seeds, side
from service.sql.artifacts import ArtifactRepository
from service.sql.searches import SearchRepository
from service.sql.trials import TrialRepository

Runs = Annotated[
    str,
    Query(description=f"ids of repeats with other seeds, between commas; {MAX_SEEDS - 1} at most"),
]

router = APIRouter(
    prefix="/v1/searches/{search_id}",
    tags=["trials"],
    route_class=StrictRoute,
)


@router.get(
    "/trials",
    operation_id="listTrials",
    summary="List trials by number",
    responses=problems(404, 422, 503),
)
def list_trials(
    search_id: SearchId,
    session: ReadingDep,
    tenant: TenantDep,
    root: RootPath,
    state: Annotated[TrialState | None, Query(description="only in this state")] = None,
    kind: Annotated[KindName | None, Query(description="only of this kind")] = None,
    page_size: PageSize = DEFAULT_SIZE,
    page_token: PageToken = None,
) -> TrialPage:
    SearchRepository(session, tenant).check(search_id)
    filters = {"state": state, "kind": kind}
    after = -1
    if page_token is not None:
        position = decode_token(page_token, filters)
        if not (isinstance(position, int) and is_trial_number(str(position))):
            raise invalid_token()
        after = position
    trials = TrialRepository(session, tenant, search_id)
    rows = trials.page(page_size + 1, after=after, state=state, kind=kind)
    shown = rows[:page_size]
    curves = trials.curves([row.number for row in shown])
    bundles = ArtifactRepository(session, tenant).bundles(search_id)
    return TrialPage(
        items=[
            TrialRead.of(row, curves.get(row.number, ()), row.number in bundles, root)
            for row in shown
        ],
        next_page_token=encode_token(shown[-1].number, filters) if len(rows) > page_size else None,
    )


@router.get(
    "/trials/{number}",
    operation_id="getTrial",
    summary="One trial with its learning curve",
    responses=problems(404, 422, 503),
)
def read_trial(
    search_id: SearchId,
    number: TrialNumber,
    session: ReadingDep,
    tenant: TenantDep,
    root: RootPath,
) -> TrialRead:
    SearchRepository(session, tenant).check(search_id)
    trials = TrialRepository(session, tenant, search_id)
    trial = trials.get(number)
    bundles = ArtifactRepository(session, tenant).bundles(search_id)
    return TrialRead.of(trial, trials.curves([number]).get(number, ()), number in bundles, root)


@router.get(
    "/best",
    operation_id="getBest",
    summary="The winner, or the Pareto set",
    responses=problems(404, 422, 503),
)
def read_best(
    search_id: SearchId, session: ReadingDep, tenant: TenantDep, root: RootPath
) -> BestRead:
    """Before the end, the best so far. Test metrics exist only after the final stage."""
    search = SearchRepository(session, tenant).get(search_id)
    trials = TrialRepository(session, tenant, search_id)
    items = best_items(search, trials)
    bundles = ArtifactRepository(session, tenant).bundles(search_id)
    path = f"{root}/v1/searches/{search_id}/trials"
    return BestRead(
        items=[
            BestItem.model_validate(
                {
                    **found,
                    "bundle": f"{path}/{found['trial']}/bundle"
                    if found["trial"] in bundles
                    else None,
                }
            )
            for found in items
        ],
        hypervolume=[
            HypervolumePoint(trial=number, hypervolume=value)
            for number, value in hypervolume_points(search, trials)
        ],
    )


@router.get(
    "/comparison/{other_id}",
    operation_id="compareSearches",
    summary="By how much it is better than another search",
    responses=problems(404, 422, 503),
)
def read_comparison(
    search_id: SearchId,
    other_id: SearchId,
    request: Request,
    session: ReadingDep,
    tenant: TenantDep,
    runs: Runs = "",
    other_runs: Runs = "",
) -> ComparisonRead:
    """Trial by trial in the order of asking, as far as both go, for searches on the same data.

    One search is one seed. With repeats of both, which differ in nothing but name and seed,
    `over_seeds` says what the difference is over seeds: pair k is `runs[k]` and `other_runs[k]`.
    """
    reports: Reports = request.app.state.reports
    sides = side(search_id, runs), side(other_id, other_runs)
    return ComparisonRead.model_validate(
        {
            "over_seeds": over_seeds(session, tenant, *sides),
            "differences": reports.differences(tenant, search_id, other_id),
        }
    )
