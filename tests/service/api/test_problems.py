from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.api.app import create_app
from service.api.strict_json import MAX_DEPTH, parse_json
from service.refusals import InvalidError
from service.settings import ServiceSettings
from service.sql.tables import Search
from tests.service.support.requests import BODY, pointers, problem, submit

JSON = {"Content-Type": "application/json"}


def post(client: TestClient, content: bytes, **headers: str):  # type: ignore[no-untyped-def]
    return client.post("/v1/searches", content=content, headers={**JSON, **headers})


@pytest.fixture
def stored_nothing(app: FastAPI) -> Iterator[None]:
    yield
    with app.state.sessions.read() as session:
        assert session.scalar(select(func.count()).select_from(Search)) == 0


@pytest.mark.usefixtures("stored_nothing")
def test_a_body_that_is_not_json_is_refused(client: TestClient) -> None:
    whole = json.dumps(BODY).encode()
    for content, said in {
        b"": "line 1, column 1",
        whole[:-1]: "line 1",
        b"{'a': 1}": "double quotes",
        b"\xff\xfe": "UTF-8 at byte 0",
        b'{"a": 01}': "line 1",
        b"[" * 100_000: "nested",
        b"[" * 100_000 + b"]" * 100_000: "nested",
        b"\x00": "line 1",
    }.items():
        assert said in problem(post(client, content), 400)["detail"], content[:20]


@pytest.mark.usefixtures("stored_nothing")
def test_json_that_has_no_place_in_a_request_is_refused(client: TestClient) -> None:
    for text, pointer in {
        '{"training": {"learning_rate": NaN}}': "/training/learning_rate",
        '{"training": {"learning_rate": Infinity}}': "/training/learning_rate",
        '{"training": {"learning_rate": -Infinity}}': "/training/learning_rate",
        '{"training": {"learning_rate": 1e999}}': "/training/learning_rate",
        '{"budget": {"trials": ' + "9" * 5000 + "}}": "/budget/trials",
        '{"name": "a", "name": "b"}': "/name",
        '{"space": {"family": "cnn_cell", "family": "mlp"}}': "/space/family",
        '{"name": "a\\u0000b"}': "/name",
        '{"name": "\\ud800"}': "/name",
        '{"a/b~": NaN}': "/a~1b~0",
        '{"a": ' + "[" * 40 + "]" * 40 + "}": "/a" + "/0" * (MAX_DEPTH - 1),
        "null": "",
        "[]": "",
        '"text"': "",
        "3": "",
    }.items():
        assert pointers(post(client, text.encode())) == {pointer}, text[:60]


@pytest.mark.usefixtures("stored_nothing")
def test_the_hand_picked_bad_searches_are_refused(client: TestClient) -> None:
    def space(**fields: object) -> dict[str, object]:
        return {"space": {"family": "cnn_cell", **fields}}

    for change, pointer in (
        (space(operations=["sep_conv_3x3", "sep_conv_4x4"]), "/space/operations"),
        (space(channels={"choice": []}), "/space/channels/choice"),
        (space(cells={"low": 3, "high": 1}), "/space/cells"),
        ({"space": {"family": "cnn"}}, "/space/family"),
        ({"budget": {"trials": 10**6}}, "/budget/trials"),
        ({"strategy": {"name": "random", "size": 1}}, "/strategy/size"),
        ({"dataset": "../../etc/passwd"}, "/dataset"),
        ({"objectives": [{"metric": "test_accuracy"}]}, "/objectives/0/metric"),
    ):
        found = problem(client.post("/v1/searches", json={**BODY, **change}), 422)["errors"]
        assert [item["pointer"] for item in found] == [pointer] or (
            len(found) == 1 and found[0]["pointer"].startswith(f"{pointer}/")
        ), (change, found)


@pytest.mark.usefixtures("stored_nothing")
def test_a_body_has_a_largest_size(client: TestClient, settings: ServiceSettings) -> None:
    limit = settings.max_body_bytes
    assert limit == 1024 * 1024
    for size in (limit + 1, 5_000_000, 20_000_000):
        document = problem(post(client, b'"' + b"x" * (size - 2) + b'"'), 413)
        assert str(limit) in document["detail"]

    def chunked() -> Iterator[bytes]:  # no Content-Length: it is counted as it comes
        for _ in range(5):
            yield b" " * 400_000

    problem(client.post("/v1/searches", content=chunked(), headers=JSON), 413)
    problem(post(client, b'"' + b"x" * (limit - 2) + b'"'), 422)  # exactly as much as may be


@pytest.mark.usefixtures("stored_nothing")
def test_another_content_type_is_refused(client: TestClient) -> None:
    content = json.dumps(BODY).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        response = client.post("/v1/searches", content=content, headers={"Content-Type": kind})
        assert "application/json" in problem(response, 415)["detail"]


def test_json_with_parameters_and_suffixes_is_taken(client: TestClient) -> None:
    content = json.dumps(BODY).encode()
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"):
        response = client.post("/v1/searches", content=content, headers={"Content-Type": kind})
        assert response.status_code == 202
    path = response.headers["location"]
    merge = {"Content-Type": "application/merge-patch+json"}
    assert client.patch(path, content=b'{"name": "x"}', headers=merge).status_code == 200


def test_parsing_keeps_what_json_says() -> None:
    text = '{"a": [1, 1.0, -0.5e-3, true, null, "\\u00fc"], "b": {"": 9007199254740993}}'
    assert parse_json(text.encode()) == json.loads(text)
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"  # a whole surrogate pair


@pytest.mark.usefixtures("stored_nothing")
def test_what_no_request_holds_is_refused_unread(client: TestClient) -> None:
    """Counted by hand: members and items, and what holds them; an empty object counts twice."""
    for content, values in (
        (b"{" + b'"a":1,' * 170_000 + b'"a":1}', 170_002),
        (b'{"x":[' + b"NaN," * 250_000 + b"NaN]}", 250_003),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(75_000)) + b"}", 75_001),
        (b'{"dataset":"","objectives":[' + b"{}," * 300_000 + b"{}]}", 2 * 300_001 + 3),
    ):
        assert len(content) <= 2**20
        response = post(client, content)
        assert pointers(response) == {""}
        assert f"holds {values} values" in response.json()["detail"]


@pytest.mark.usefixtures("stored_nothing")
def test_of_many_errors_a_hundred_are_told_and_all_are_counted(client: TestClient) -> None:
    long = "\N{FACE WITH TEARS OF JOY}" * 400
    for content, count in {
        json.dumps({"dataset": "digits", **{f"k{n}": 1 for n in range(9000)}}): 9000,
        json.dumps({"dataset": "digits", "objectives": [{}] * 9000}): 9000,
        json.dumps({"dataset": "digits", **{f"{long}{n}": 1 for n in range(150)}}): 150,
        '{"x": [' + "NaN, " * 9000 + "1e999]}": 9001,
        "{" + '"a": 1, ' * 9000 + '"a": 2}': 9000,
    }.items():
        response = post(client, content.encode())
        document = problem(response, 422)
        assert document["error_count"] == count, content[:40]
        assert f"{count} errors" in document["detail"]
        assert 0 < len(document["errors"]) <= 100
        assert len(response.content) <= 64 * 1024
    document = problem(client.post("/v1/searches", json={"dataset": "no-such-one"}), 422)
    assert document["error_count"] == len(document["errors"]) == 1


def test_a_long_path_is_told_in_part(client: TestClient) -> None:
    response = client.get(f"/v1/{'x' * 50_000}")
    assert problem(response, 404)["instance"].startswith("/v1/xxx")
    assert len(response.content) < 4000


def test_an_unknown_path_is_not_found(client: TestClient) -> None:
    for path in ("/nothing", "/v1", "/v1/search", "/v1/searches/", "/v1/../healthz/x"):
        problem(client.get(path), 404)


def test_another_method_is_told_which_are_possible(client: TestClient) -> None:
    search_id = submit(client)
    for path, allowed in {
        "/v1/searches": "GET, HEAD, OPTIONS, POST",
        f"/v1/searches/{search_id}": "DELETE, GET, HEAD, OPTIONS, PATCH",
        f"/v1/searches/{search_id}/cancel": "OPTIONS, POST",
        f"/v1/searches/{search_id}/trials": "GET, HEAD, OPTIONS",
        "/healthz": "GET, HEAD, OPTIONS",
        "/docs": "GET, HEAD, OPTIONS",
    }.items():
        response = client.put(path)
        problem(response, 405)
        assert response.headers["allow"] == allowed


def test_a_route_without_parameters_takes_none(client: TestClient) -> None:
    assert pointers(client.get("/healthz?verbose=1")) == {"/verbose"}
    search_id = submit(client)
    assert pointers(client.post(f"/v1/searches/{search_id}/cancel?force=1")) == {"/force"}
    assert client.get(f"/v1/searches/{search_id}").json()["state"] == "queued"


# faults of ours and of the database


def test_a_fault_of_ours_is_told_without_its_inside(app: FastAPI) -> None:
    @app.get("/broken")
    def broken(request: Request) -> None:
        raise RuntimeError("the secret inside")

    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        response = client.get("/broken", headers={"X-Request-ID": "abc-1"})
    document = problem(response, 500)
    assert "secret" not in response.text
    assert document["reference"] == response.headers["x-request-id"] == "abc-1"


def test_a_request_has_an_id(client: TestClient) -> None:
    own = client.get("/healthz").headers["x-request-id"]
    assert len(own) == 32
    forged = client.get("/healthz", headers={"X-Request-ID": "a b\nc"}).headers["x-request-id"]
    assert len(forged) == 32 and forged != own


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT 1", {}, Exception("server closed the connection")),
        PoolTimeoutError("QueuePool limit"),
    ],
)
def test_a_database_that_fails_is_a_503(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from service.api.events import revisions
    from service.sql.searches import SearchRepository

    path = f"/v1/searches/{submit(client)}"

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    for name in ("get", "page", "submit"):
        monkeypatch.setattr(SearchRepository, name, fail)
    monkeypatch.setattr(revisions, "revisions", fail)
    for response in (
        client.get("/v1/searches"),
        client.get(path),
        client.get(path, headers={"If-None-Match": 'W/"1"'}),
        client.get(f"{path}/events"),
        client.post(f"{path}/cancel"),
        client.post("/v1/searches", json=BODY),
    ):
        document = problem(response, 503)
        assert response.headers["retry-after"] == "2"
        assert "SELECT" not in str(document) and "QueuePool" not in str(document)


def test_a_full_disk_is_a_507(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.sql.searches import SearchRepository

    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(SearchRepository, "submit", fail)
    problem(client.post("/v1/searches", json=BODY), 507)


def test_a_server_without_its_database_lives_and_is_not_ready(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ServiceSettings(
        home=tmp_path, database_url=f"postgresql://nobody@127.0.0.1:{port}/none"
    )
    with TestClient(
        create_app(settings), "http://localhost", raise_server_exceptions=False
    ) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/v1/catalog").status_code == 200
        for response in (client.get("/readyz"), client.get("/v1/searches"), client.get("/metrics")):
            problem(response, 503)
            assert response.headers["retry-after"] == "2"


def test_an_unmigrated_server_is_not_ready(empty_database_url: str, tmp_path: Path) -> None:
    settings = ServiceSettings(home=tmp_path, database_url=empty_database_url)
    with TestClient(
        create_app(settings), "http://localhost", raise_server_exceptions=False
    ) as client:
        document = problem(client.get("/readyz"), 503)
    assert "migrate" in document["detail"]
    parts = {part["name"]: part["status"] for part in document["parts"]}
    assert parts["database"] == "ok" and parts["migrations"] == "missing"
    assert parts["dispatcher"] == parts["ray"] == "unknown"


def test_a_locked_database_is_a_503_and_then_answers(
    app: FastAPI, client: TestClient, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that holds the row or the file for longer than anybody waits."""
    from sqlalchemy import event

    path = f"/v1/searches/{submit(client)}"
    engine = app.state.sessions.engine
    engine.dispose()

    def impatient(connection: object, record: object) -> None:
        text = "PRAGMA busy_timeout = 200" if backend == "sqlite" else "SET lock_timeout = 200"
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(text)
        if backend == "postgresql":
            connection.commit()  # type: ignore[attr-defined]

    event.listen(engine, "connect", impatient)
    with app.state.sessions.begin() as session:
        session.scalar(select(Search).with_for_update())
        problem(client.post(f"{path}/cancel"), 503)
        assert client.get(path).json()["state"] == "queued"  # readers are not held up
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize("backend", ["postgresql"])
def test_connections_that_died_are_replaced(client: TestClient, database_url: str) -> None:
    """As after a restart of PostgreSQL: the next request is answered, not refused."""
    path = f"/v1/searches/{submit(client)}"
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for _ in range(3):
        assert client.get(path).status_code == 200
        assert client.patch(path, json={"name": "again"}).status_code == 200


@pytest.mark.parametrize("texts", [0, 1, 499, 500, 501, 1000, 1001])
def test_brackets_within_texts_are_none(texts: int) -> None:
    """However many texts there are, and whatever escapes they hold."""
    members = [f'[{{,{n}\\"' for n in range(texts)]
    document = {"a": members, "b": {"[": [1, 2]}}
    body, values = json.dumps(document).encode(), 7 + max(texts - 1, 0)
    assert parse_json(body, values) == document
    with pytest.raises(InvalidError) as refused:
        parse_json(body, values - 1)
    (told,) = refused.value.errors or ()
    assert told.detail == f"holds {values} values, allowed are {values - 1}"
