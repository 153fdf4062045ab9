"""Who asks: every route takes a `TenantDep`, and every query goes through it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from service.sql.database import DEFAULT_TENANT


async def current_tenant() -> str:
    """The tenant of the request: one for all, until there are API keys."""
    return DEFAULT_TENANT


TenantDep = Annotated[str, Depends(current_tenant)]
