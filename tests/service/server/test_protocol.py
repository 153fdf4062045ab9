"""What never becomes a request ends, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.server import protocol
from service.server.protocol import MAX_HEAD_BYTES, MAX_HEADERS, GuardedProtocol


async def length(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", length, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, http=GuardedProtocol))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def answer(port: int, *parts: bytes) -> bytes:
    """All that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for part in parts:
            client.sendall(part)
        found = b""
        try:
            while chunk := client.recv(65_536):
                found += chunk
        except ConnectionResetError:  # it closed with some of ours unread
            pass
        return found


def head(*fields: bytes, method: bytes = b"GET", path: bytes = b"/") -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_a_head_has_a_largest_size(port: int) -> None:
    few = [b"X-%d: 1" % number for number in range(MAX_HEADERS - 2)]
    assert answer(port, head(*few)).startswith(b"HTTP/1.1 200")
    assert answer(port, head(*few, b"X: 1")).startswith(b"HTTP/1.1 431")
    assert answer(port, head(b"X: " + b"x" * 60_000)).startswith(b"HTTP/1.1 200")
    assert answer(port, head(b"X: " + b"x" * MAX_HEAD_BYTES)).startswith(b"HTTP/1.1 431")
    assert answer(port, head(path=b"/" + b"x" * MAX_HEAD_BYTES)).startswith(b"HTTP/1.1 431")
    endless = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (2 * MAX_HEAD_BYTES)
    assert answer(port, endless).startswith(b"HTTP/1.1 431"), "a field that does not end"


def test_a_body_may_be_longer_than_a_head(port: int) -> None:
    body = b"x" * 500_000
    given = head(b"Content-Length: %d" % len(body), method=b"POST")
    assert answer(port, given + body).endswith(b"\r\n\r\n500000")
    assert answer(port, given, body[:1], body[1:]).endswith(b"\r\n\r\n500000")


def test_what_stays_half_sent_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SILENT_SECONDS", 0.1)
    assert answer(port) == b"", "nothing was asked"
    assert answer(port, b"GET / HTTP/1.1\r\nHost: local").startswith(b"HTTP/1.1 408 ")
    given = head(b"Content-Length: 10", method=b"POST")
    refused = answer(port, given, b"12345")
    assert refused.startswith(b"HTTP/1.1 408 ") and refused.count(b"HTTP/1.1") == 1
