"""HTTP as uvicorn reads it, with an end to what a client may send before there is a request, and to
how long it may be silent in the middle of one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200
SILENT_SECONDS = 15.0


class _TooLargeError(Exception):
    """Ends the parser."""


class GuardedProtocol(HttpToolsProtocol):
    """Answers 431 where the head of a request is too large, and 408 where one stays half-sent."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._is_in_head, self._is_too_large = True, False
        self._head_bytes = 0
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn's own, which narrows asyncio's
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_listening()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._listen()
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)  # of a field that has no end yet, too
            if self._head_bytes > MAX_HEAD_BYTES:
                self._is_too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop_listening()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self._is_too_large:
            super().send_400_response(msg)
            return
        self._refuse(431)

    def _refuse(self, status: int) -> None:
        """Without a body: there is no request that an answer could tell of."""
        nothing = b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + nothing)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) >= MAX_HEADERS:
            self._is_too_large = True
            raise _TooLargeError

    def _listen(self) -> None:
        self._stop_listening()
        self._silence = self.loop.call_later(SILENT_SECONDS, self._end_silence)

    def _stop_listening(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _end_silence(self) -> None:
        if self.flow.read_paused:  # it is we who do not read
            self._listen()
        elif self._is_half_sent():
            self._refuse(408)
        else:
            self.transport.close()

    def _is_half_sent(self) -> bool:
        """Whether there is the beginning of a request, and none of its answer."""
        if self._is_in_head:
            return self._head_bytes > 0
        return self.cycle is not None and not self.cycle.response_started
