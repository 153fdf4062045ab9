"""One attempt to deliver: signed as Standard Webhooks says, https://www.standardwebhooks.com, to an
address that was looked at after it was resolved, without redirects or proxies.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpcore2
from standardwebhooks import Webhook

from service.webhooks.addresses import is_public

ATTEMPT_SECONDS = 15.0
"""Of an attempt, from its first step to the status of the answer, however slowly that comes."""


class AttemptError(Exception):
    """No answer, or none that was asked for; the message is for the tenant."""


def send(
    url: str,
    secret: str,
    message_id: str,
    payload: Mapping[str, Any],
    *,
    to_any_address: bool,
    seconds: float = ATTEMPT_SECONDS,
) -> int:
    """The status of the answer; nothing else of it is read.

    Raises:
        AttemptError: nobody answered, or the address is refused.
    """
    now, text = datetime.now(UTC), json.dumps(payload, allow_nan=False)
    headers: dict[bytes | str, bytes | str] = {
        "Content-Type": "application/json",
        "User-Agent": "nasmith-webhooks",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, text),
    }
    network = _Network(time.monotonic() + seconds, to_any_address)
    waits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    try:
        with (
            httpcore2.ConnectionPool(network_backend=network) as pool,
            pool.stream(
                "POST",
                url,
                headers=headers,
                content=text.encode(),
                extensions={"timeout": waits},
            ) as answer,
        ):
            return answer.status
    except httpcore2.TimeoutException:
        raise AttemptError(f"no answer within {seconds:g} seconds") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
        raise AttemptError(f"no connection, or it broke: {error}"[:300]) from None


class _Network(httpcore2.NetworkBackend):
    """Connects to the very address that was looked at: a name that is resolved to another one a
    moment later changes nothing. Everything ends at `deadline`, a time of the monotonic clock.
    """

    def __init__(self, deadline: float, to_any_address: bool) -> None:
        self._deadline, self._to_any_address = deadline, to_any_address
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        last: Exception | None = None
        for address in _resolved(host, port, self._to_any_address):
            try:
                stream = self._sockets.connect_tcp(address, port, _left(self._deadline))
                return _Stream(stream, self._deadline)
            except httpcore2.ConnectError as error:
                last = error
        raise httpcore2.ConnectError(str(last))


class _Stream(httpcore2.NetworkStream):
    """A stream that ends in time though each of its bytes comes in time."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """The certificate is that of the name, whatever the address."""
        secure = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _resolved(host: str, port: int, to_any_address: bool) -> list[str]:
    """Every address of a name.

    Raises:
        AttemptError: it has none, or one that is not public: which is not told, because it may be
            of a network that the tenant does not see.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AttemptError(f"there is no host {host!r}") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not to_any_address and not all(map(is_public, addresses)):
        raise AttemptError(f"{host!r} is not on the public internet, which is refused here")
    return addresses


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout
    return left
