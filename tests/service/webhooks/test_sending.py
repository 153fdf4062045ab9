"""An attempt: what arrives, and what is never connected to."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpcore2
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from service.webhooks.sending import AttemptError, send
from tests.service.support.receiver import Receiver, receiving

SECRET = f"whsec_{base64.b64encode(b'x' * 32).decode()}"
PAYLOAD = {"type": "search.failed", "data": {"name": "Ü"}}


def attempt(url: str, *, to_any_address: bool = True, seconds: float = 20.0) -> int:
    return send(url, SECRET, "msg_1", PAYLOAD, to_any_address=to_any_address, seconds=seconds)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_what_arrives_is_signed_as_the_standard_says(receiver: Receiver) -> None:
    assert attempt(receiver.url) == 204
    ((path, headers, body),) = receiver.got
    assert path == "/hook" and headers["Content-Type"] == "application/json"
    assert Webhook(SECRET).verify(body, headers) == PAYLOAD == json.loads(body)
    assert headers["webhook-id"] == "msg_1"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"failed", b"succeeded"), headers)


def test_a_redirect_is_an_answer(receiver: Receiver) -> None:
    with receiving(302, location=receiver.url) as elsewhere:
        assert attempt(elsewhere.url) == 302
    assert receiver.got == []


def test_who_is_not_on_the_internet_is_not_connected_to(receiver: Receiver) -> None:
    for url in (receiver.url, receiver.url.replace("localhost", "127.0.0.1")):
        with pytest.raises(AttemptError, match="not on the public internet"):
            attempt(url, to_any_address=False)
    assert receiver.got == []


def test_proxies_of_the_environment_see_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        attempt(receiver.url)
    assert (len(receiver.got), proxy.got) == (1, [])


class Resolver:
    """Answers each question otherwise, as a hostile name server does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.asked, self.connected, left = 0, list[str](), list(answers)

        def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            self.asked += 1
            found = left.pop(0)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

        def connect_tcp(_: object, host: str, *__: Any, **___: Any) -> None:
            self.connected.append(host)
            raise httpcore2.ConnectError("nobody there")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", connect_tcp)


def test_a_name_that_changes_its_address_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(AttemptError, match="no connection"):
        attempt("https://rebound.example/", to_any_address=False)
    assert (resolver.asked, resolver.connected) == (1, ["8.8.8.8"])


def test_a_name_with_one_address_within_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(AttemptError) as refused:
        attempt("https://mixed.example/", to_any_address=False)
    assert resolver.connected == [] and "10.0.0.1" not in str(refused.value)


def test_who_answers_byte_by_byte_is_left_in_time() -> None:
    is_over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        client, _ = listener.accept()
        with client:
            while not is_over.wait(0.05):
                try:
                    client.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    with pytest.raises(AttemptError):
        attempt(f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.3)
    assert time.monotonic() - began < 15, "each byte came in time, all of them never"
    is_over.set()
    thread.join()
    listener.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://none.invalid/"])
def test_nobody_there(url: str) -> None:
    with pytest.raises(AttemptError):
        attempt(url)
