"""Who may do what: one dependency of the application stands before every route.

A route says what it needs by `needs` or `open_to_all`; one that says nothing is closed, and needs
`read` to be asked and `write` for everything else. The route decides, never the path of a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import Depends, Request
from fastapi.routing import APIRoute

from service.api.callers import Callers
from service.api.cookies import authorization_of, check_token
from service.api.quota.quotas import Quotas
from service.refusals import ProblemError
from service.sql.api_keys import Caller, Scope

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Need:
    """`of_operator`: it is about all tenants, so that only the first one is told."""

    scope: Scope
    of_operator: bool = False


_NEEDS: dict[Callable[..., Any], Need | None] = {}


def needs(scope: Scope, *, of_operator: bool = False) -> Callable[[Endpoint], Endpoint]:
    """Of the function of a route, where its method does not say it."""

    def mark(endpoint: Endpoint) -> Endpoint:
        _NEEDS[endpoint] = Need(scope, of_operator)
        return endpoint

    return mark


def open_to_all(endpoint: Endpoint) -> Endpoint:
    """Of the function of a route that tells nothing of anybody's."""
    _NEEDS[endpoint] = None
    return endpoint


def need_of(endpoint: Callable[..., Any], method: str) -> Need | None:
    """None: it is open."""
    return _NEEDS.get(endpoint, Need(Scope.READ if method in ("GET", "HEAD") else Scope.WRITE))


async def guard(request: Request) -> Caller | None:
    """Who asks, if that matters to the route.

    Raises:
        ProblemError: 401, nobody that is known; 403, one who may not do this; 429, one who asked
            too often.
    """
    route = request.scope["route"]
    if not isinstance(route, APIRoute):
        raise ProblemError(403, "this is closed to everybody")
    need = need_of(route.endpoint, request.method)
    if need is None:
        return None
    callers: Callers = request.app.state.callers
    caller = await callers.of(authorization_of(request))
    if callers.asks:
        check_token(request)
    if caller.key_id is not None:
        structlog.contextvars.bind_contextvars(tenant=caller.tenant_id, key=caller.key_id)
    quotas: Quotas = request.app.state.quotas
    quotas.take_request(caller.tenant_id)
    if not caller.may(need.scope):
        raise _too_little(need.scope, f"the scope of this API key is {caller.scope.value}")
    if need.of_operator and not caller.is_of_operator:
        raise _too_little(need.scope, "this is about all tenants, and for those who run the server")
    return caller


async def current_caller(caller: Annotated[Caller | None, Depends(guard)]) -> Caller:
    if caller is None:
        raise ProblemError(403, "this is for somebody who is known, and the route is open to all")
    return caller


async def current_tenant(caller: Annotated[Caller, Depends(current_caller)]) -> str:
    """Every query of a route goes through it."""
    return caller.tenant_id


CallerDep = Annotated[Caller, Depends(current_caller)]
TenantDep = Annotated[str, Depends(current_tenant)]


def _too_little(scope: Scope, detail: str) -> ProblemError:
    challenge = f'Bearer realm="nasmith", error="insufficient_scope", scope="{scope.value}"'
    return ProblemError(
        403, f"{detail}; needed is {scope.value}", headers={"WWW-Authenticate": challenge}
    )
