from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api.openapi.examples import REQUESTS, RESPONSES
from service.api.predictions.schemas import PredictionRequest
from service.api.searches import validation
from service.api.webhooks.schemas import WebhookRequest
from tests.service.support.requests import submit


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """The document does not depend on the database."""
    return str(request.param)


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def validate(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    """A key that the schema does not name is refused, but where it says that others may come."""
    whole = closed({**schema, "components": document["components"]})
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(whole).validate(value)


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "type" in found:
        found.setdefault("additionalProperties", False)
    return found


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    names = []
    for path, method, operation in operations(document):
        names.append(operation["operationId"])
        assert re.fullmatch(r"[a-z]+[A-Za-z]+", operation["operationId"]), path
        assert len(operation["tags"]) == 1 and set(operation["tags"]) <= tags, path
        assert operation.get("summary") and operation["responses"], (path, method)
    assert len(names) == len(set(names)) == 42


def test_every_refusal_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        refusals = {s: r for s, r in operation["responses"].items() if s >= "400"}
        assert {"408", "421", "422", "431", "500"} <= refusals.keys(), path
        assert not any("content" in refusals.pop(status) for status in ("408", "431")), path
        for status, response in refusals.items():
            content = response["content"]
            assert list(content) == ["application/problem+json"], (path, status)
            schema = content["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
        if "{search_id}" in path:
            assert "404" in refusals, path


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere(
    document: dict[str, Any],
) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    assert "HTTPValidationError" not in text


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()
    stream = document["paths"]["/v1/searches/{search_id}/events"]["get"]["responses"]["200"]
    content = stream["content"]["text/event-stream"]  # 3.1 has no word for a stream's items
    assert content == {} and "`SearchEvent`" in stream["description"]
    assert "number of the event" in stream["description"]


def event_schemas(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema of the data of each type of event, as a reader of the document finds it."""
    schemas = document["components"]["schemas"]
    found = {}
    for reference in schemas["SearchEvent"]["oneOf"]:
        event = schemas[reference["$ref"].rpartition("/")[2]]["properties"]
        data = event["data"]
        assert (data["type"], data["contentMediaType"]) == ("string", "application/json")
        found.update(dict.fromkeys(event["event"]["enum"], data["contentSchema"]))
    return found


def test_every_event_that_was_recorded_is_as_documented(document: dict[str, Any]) -> None:
    recorded = json.loads((Path(__file__).parents[2] / "golden" / "events.json").read_text())
    schemas = event_schemas(document)
    assert schemas.keys() == {type_ for _, type_, _ in recorded}
    for number, (_, type_, data) in enumerate(recorded, 1):
        told = {**data, "created_at": "2026-01-31T12:00:00+00:00"}
        validate(document, schemas[type_], told)
        event = {"id": str(number), "event": type_, "data": json.dumps(told)}
        validate(document, {"$ref": "#/components/schemas/SearchEvent"}, event)
        wrong = {**event, "event": "trial.gone"}
        with pytest.raises(ValidationError):
            validate(document, {"$ref": "#/components/schemas/SearchEvent"}, wrong)
    with pytest.raises(ValidationError, match="metrics"):
        validate(document, schemas["best.changed"], {"trial": 0, "created_at": "2026-01-31"})


def test_what_a_stream_sends_is_as_documented(client: TestClient, document: dict[str, Any]) -> None:
    search_id = submit(client)
    client.patch(f"/v1/searches/{search_id}", json={"name": "other", "budget": {"trials": 7}})
    client.post(f"/v1/searches/{search_id}/cancel")
    with client.stream("GET", f"/v1/searches/{search_id}/events") as response:
        blocks = response.read().decode().replace("\r\n", "\n").split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    events = [event for event in events if "data" in event]
    assert [event["event"] for event in events] == [
        "search.queued",
        "search.updated",
        "search.cancelled",
    ]
    for event in events:
        validate(document, {"$ref": "#/components/schemas/SearchEvent"}, event)
        validate(document, event_schemas(document)[event["event"]], json.loads(event["data"]))


def test_words_of_a_closed_list_are_an_enumeration(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    kind = schemas["FailureRead"]["properties"]["kind"]
    assert schemas[kind["$ref"].rpartition("/")[2]]["enum"] == [
        "error",
        "non_finite",
        "out_of_memory",
        "worker_died",
        "infeasible",
        "fidelity",
        "budget",
        "cancelled",
        "bundle",
    ]
    for name in ("DatasetRead", "DatasetEntry"):
        tasks = schemas[name]["properties"]["task"]["enum"]
        assert {"tabular_classification", "forecasting", "table"} <= set(tasks)
    assert schemas["FamilyEntry"]["properties"]["tasks"]["items"]["enum"] == tasks


def test_the_document_says_where_the_server_is_and_what_key_it_takes(
    document: dict[str, Any],
) -> None:
    assert [server["url"] for server in document["servers"]] == ["/"]
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert document["security"] == [{}, {"apiKey": []}]  # optional: this one asks for none


def test_the_refusals_of_who_may_not_stand_at_every_route_that_is_not_open(
    document: dict[str, Any],
) -> None:
    is_open = {"getHealth", "getReadiness", "getVersion", "getRoot"}
    for path, method, operation in operations(document):
        refusals = {"401", "403", "429"} & operation["responses"].keys()
        if operation["operationId"] in is_open:
            assert (operation["security"], refusals) == ([], set()), path
            continue
        assert "security" not in operation, path  # that of the document
        assert refusals == {"401", "403", "429"}, path
        scope = "admin" if "/api-keys" in path else "read" if method == "get" else "write"
        if operation["operationId"] in ("validateSpace", "predictBest"):
            scope = "read"
        assert operation["x-required-scope"] == scope, path


def test_no_field_has_a_default_that_generators_cannot_write(document: dict[str, Any]) -> None:
    defaults = {
        f"{name}.{field}": described["default"]
        for name, schema in document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if "default" in described
    }
    assert {type(value) for value in defaults.values()} <= {bool, int, float, str, type(None)}
    width = document["components"]["schemas"]["MlpSettings"]["properties"]["width"]
    assert width["description"].endswith('default: {"choice": [16, 32, 64, 128]}')


def test_an_example_with_a_key_of_its_own_is_refused(document: dict[str, Any]) -> None:
    best = RESPONSES["getSearch", "200"]["best"]
    wrong = {**RESPONSES["getSearch", "200"], "best": {**best, "derived": None}}
    with pytest.raises(ValidationError, match="derived"):
        validate(document, {"$ref": "#/components/schemas/SearchRead"}, wrong)


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    seen = 0
    for _, _, operation in operations(document):
        contents = list(operation.get("requestBody", {}).get("content", {}).values())
        for response in operation["responses"].values():
            contents += response.get("content", {}).values()
        for content in contents:
            values = [example["value"] for example in content.get("examples", {}).values()]
            if "example" in content:
                values.append(content["example"])
            for value in values:
                validate(document, content["schema"], value)
                seen += 1
    assert seen >= len(RESPONSES) + sum(len(examples) for examples in REQUESTS.values())


def test_every_example_of_a_request_is_accepted(client: TestClient) -> None:
    for name, examples in REQUESTS.items():
        for example in examples.values():
            body = example["value"]
            if name == "createSearch":
                assert client.post("/v1/searches", json=body).status_code == 202
            elif name == "updateSearch":
                path = f"/v1/searches/{submit(client)}"
                assert client.patch(path, json=body).status_code == 200
            elif name == "predictBest":  # read, of a search that has no model yet
                assert PredictionRequest.model_validate(body).rows == body["rows"]
            elif name == "createWebhook":  # read, by a server that sends none
                assert WebhookRequest.model_validate(body).url == body["url"]
            else:
                assert client.post("/v1/search-spaces/validate", json=body).status_code == 200


def test_what_a_search_answers_is_what_is_documented(
    client: TestClient, document: dict[str, Any]
) -> None:
    path = f"/v1/searches/{submit(client)}"
    schema = {"$ref": "#/components/schemas/SearchRead"}
    validate(document, schema, client.get(path).json())
    body = {"$ref": "#/components/schemas/SearchSpec"}
    validate(document, body, client.get(path).json()["spec"])  # a resolved spec is a request
    validate(document, {"$ref": "#/components/schemas/Catalog"}, client.get("/v1/catalog").json())


def test_a_patch_has_the_rules_of_the_request(app: FastAPI) -> None:
    patch = validation.patch_model().model_json_schema()
    parts = patch["$defs"]
    assert parts["BudgetPatch"]["properties"]["trials"]["maximum"] == 100_000
    assert parts["ResourcesPatch"]["properties"]["parallel_trials"]["maximum"] == 10_000
    assert patch["properties"]["name"]["maxLength"] == 200
    assert all(part["additionalProperties"] is False for part in (patch, *parts.values()))


# /docs


def test_the_docs_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "http" not in policy
    sources = re.findall(r'(?:src|href)="([^":]+)"', page.text)
    assert len(sources) == 3
    for source in sources:
        asset = client.get(urljoin("/docs", source))
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(("text/javascript", "text/css"))
    assert '"openapi.json"' in client.get("/docs/start.js").text
