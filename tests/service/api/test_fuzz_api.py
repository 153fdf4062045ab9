"""Schemathesis over the whole API, against a real server that asks for keys: whatever the document
allows, and what it does not, gets a documented answer, also in chains of requests where one asks
about what another has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName

from service.settings import ServiceSettings
from service.sql.api_keys import Scope, add_key, new_key
from service.sql.database import DEFAULT_TENANT, connect
from service.sql.dispatchers import Dispatchers
from tests.service.support.requests import BODY
from tests.service.support.serving import serving

pytestmark = pytest.mark.slow

KEY = new_key()
BEARER = {"Authorization": f"Bearer {KEY}"}
CONFIG = {
    "seed": 1,
    "headers": BEARER,
    "request-timeout": 30,
    "generation": {"max-examples": 25, "deterministic": True},
    "phases": {"coverage": {"unexpected-methods": ["PUT"]}},
    "checks": {
        # a JSON Schema cannot say that low <= high, or that a dataset exists
        "positive_data_acceptance": {"enabled": False}
    },
    "operations": [
        # each rule of each field would be thousands of cases: tests/search/test_resolve.py
        {"include-operation-id": name, "phases": {"coverage": {"enabled": False}}}
        for name in ("createSearch", "validateSpace")
    ]
    + [
        {  # a file is read by a process of its own: tests/models/test_formats.py
            "include-operation-id": "createDataset",
            "generation": {"max-examples": 3},
            "phases": {"coverage": {"enabled": False}},
        },
        {  # a key that was revoked is told as that
            "include-operation-id": "getApiKey",
            "checks": {"use_after_free": {"enabled": False}},
        },
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with an embedded database; it is ready, though nobody runs searches."""
    settings = ServiceSettings(home=Path(tmp_path_factory.mktemp("home")), auth="keys")
    with serving(settings) as url:
        sessions = connect(settings.database_url)
        Dispatchers(sessions).beat("elsewhere/1/0.00", 36_000.0, None)
        with sessions.begin() as session:
            add_key(session, DEFAULT_TENANT, KEY, "of a fuzzer", [Scope.ADMIN])
        sessions.engine.dispose()
        yield url


@pytest.fixture(scope="module")
def search_id(server: str) -> str:
    """A search that has ended, so that nobody waits for more of it."""
    search = httpx2.post(f"{server}/v1/searches", json=BODY, headers=BEARER, timeout=60).json()
    httpx2.post(f"{server}/v1/searches/{search['id']}/cancel", headers=BEARER)
    return str(search["id"])


@pytest.fixture(scope="module")
def api(server: str, search_id: str) -> Iterator[Any]:
    """The schema; of two requests, one is about a search that exists."""
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_url(
        f"{server}/openapi.json", config=config, headers=BEARER, wait_for_schema=30
    )
    turns = 0

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        nonlocal turns
        turns += 1
        deletes = context.operation.method == "delete"
        if path_parameters and "search_id" in path_parameters and turns % 2 and not deletes:
            path_parameters["search_id"] = search_id
        return path_parameters

    @schema.hook
    def map_body(context: Any, body: Any) -> Any:
        """Of four searches, one may begin: what follows then finds it."""
        nonlocal turns
        turns += 1
        return BODY if context.operation.path == "/v1/searches" and turns % 4 == 0 else body

    @schema.hook
    def map_query(context: Any, query: Any) -> Any:
        """A search that is not worked on never changes: do not wait long."""
        if query and isinstance(query.get("wait"), int):
            query["wait"] = min(query["wait"], 1)
        return query

    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        """The events of a search that nobody works on end when it is cancelled."""
        if case.operation.path.endswith("/events"):
            followed = quote(str(case.path_parameters["search_id"]), safe="")
            httpx2.post(f"{server}/v1/searches/{followed}/cancel", headers=BEARER, timeout=30)

    yield schema
    schemathesis.hooks.unregister_all()


def _linked(event: events.ScenarioFinished) -> int:
    """How many requests about what an earlier one has made found it."""
    if event.phase is not PhaseName.STATEFUL_TESTING:
        return 0
    answers = event.recorder.interactions
    return sum(
        node.is_transition_applied and answers[name].response.status_code < 400
        for name, node in event.recorder.cases.items()
        if name in answers and answers[name].response is not None
    )


def test_the_api_keeps_its_document(api: Any, server: str) -> None:
    failures: list[str] = []
    cases, linked = 0, 0
    for event in from_schema(api).execute():
        if isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.cases)
            linked += _linked(event)
            failures += [
                f"{event.label}: {check.failure_info.failure}"
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(str(event))
    assert failures == []
    assert cases > 500 and linked > 0
    opened = httpx2.get(f"{server}/v1/searches", headers=BEARER, timeout=30)
    assert opened.status_code == 200, "the fuzzer has revoked its own key"
