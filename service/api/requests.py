"""What routes take from a request: sessions, JSON bodies, ids; and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params, request_params_to_args
from fastapi.params import Header, Param, Query
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BeforeValidator
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams

from service.api.problems import invalid_items
from service.api.security import guard
from service.identifiers import SEARCH_ID_PATTERN, is_search_id
from service.refusals import InvalidError, NotFoundError, ProblemItem, item, pointer
from service.sql.database import Sessions

_NUMBER = re.compile("^(0|[1-9][0-9]{0,8})$")


def get_sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def get_session(request: Request) -> Iterator[Session]:
    """One request, one transaction: committed before the answer leaves, rolled back on any
    exception.
    """
    with get_sessions(request).begin() as session:
        yield session


def get_reading(request: Request) -> Iterator[Session]:
    """A transaction that only reads and holds up no writer."""
    with get_sessions(request).read() as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session, scope="function")]
ReadingDep = Annotated[Session, Depends(get_reading, scope="function")]


def is_trial_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _checked_search_id(text: str) -> str:
    if not is_search_id(text):
        raise NotFoundError("search", text)
    return text


def _trial_number(text: str) -> int:
    if not is_trial_number(text):
        raise NotFoundError("trial", text)
    return int(text)


SearchId = Annotated[
    str,
    Path(description="`srch_` and a UUIDv7", json_schema_extra={"pattern": SEARCH_ID_PATTERN}),
    AfterValidator(_checked_search_id),
]
"""Anything else names no search: 404, not 422."""

TrialNumber = Annotated[
    int,
    Path(
        description="counts from 0 in the order of asking",
        json_schema_extra={"minimum": 0, "maximum": 999_999_999},
    ),
    BeforeValidator(_trial_number),
]


class StrictRoute(APIRoute):
    """Refuses query parameters that it does not know, beside whatever else is wrong with query and
    headers: a misspelt one must not pass in silence.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        queries, headers = (_taken(self.dependant, part) for part in (Query, Header))
        known = sorted(field.alias for field in queries)

        async def handle_known(request: Request) -> Response:
            given = request.query_params
            if wrong := _unknown(given, known) if request.scope["query_string"] else []:
                await guard(request)  # which has not been asked yet
                wrong += invalid_items(request_params_to_args(queries, given)[1])
                wrong += invalid_items(request_params_to_args(headers, request.headers)[1])
                raise InvalidError(wrong)
            return await handle(request)

        return handle_known


def _taken(dependant: Dependant, part: type[Param]) -> list[Any]:
    """What a route takes from a part of the request, its dependencies included."""
    return [field for field in get_flat_params(dependant) if isinstance(field.field_info, part)]


def _unknown(given: QueryParams, known: list[str]) -> list[ProblemItem]:
    names = ", ".join(known) or "none"
    wrong = [
        item("query", pointer([name]), f"unknown parameter, known are {names}")
        for name in dict.fromkeys(given)
        if name not in known
    ]
    return wrong + [
        item("query", pointer([name]), "given more than once")
        for name in known
        if len(given.getlist(name)) > 1
    ]
