"""The datasets that a request may name."""

from __future__ import annotations

from fastapi import Request

from service.api.requests import get_sessions
from service.settings import ServiceSettings
from service.sql.dataset_facts import TenantDatasets


def lookup_of(request: Request, tenant_id: str) -> TenantDatasets:
    settings: ServiceSettings = request.app.state.settings
    return TenantDatasets(get_sessions(request), tenant_id, settings.store_url)
