"""HTTP to one server: retries what is safe to repeat, turns refusals into exceptions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import quote

import httpx2

from nasmith.errors import ProblemError, UnreachableError, problem_of

OnOutage = Callable[[str], None]
"""Called with a sentence before each wait for a server that is away."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_LONGEST_RETRY_AFTER = 60.0
_RETRIED = frozenset({502, 503, 504})


class Connection:
    """One pooled HTTP client. Nagle's algorithm is off: httpcore2 sets TCP_NODELAY.

    A request that is safe to repeat is repeated while the server cannot be reached or answers
    502, 503 or 504 (a restart, a database that is away), with exponential backoff or as
    Retry-After says, for `patience` seconds.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float, patience: float) -> None:
        headers = {"Accept": "application/json", "User-Agent": "nasmith-client"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.url, self.patience = url.rstrip("/"), patience
        try:
            self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout)
        except httpx2.InvalidURL as error:
            raise UnreachableError(f"{url!r} is no URL: {error}") from None

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        data: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, IO[bytes]]] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
        read_timeout: float | None = None,
        patience: float | None = None,
        on_outage: OnOutage | None = None,
    ) -> httpx2.Response:
        """The answer, any status below 400.

        `data` and `files`, by field, are sent as a multipart form; a repeat reads the files again.
        `repeat`: the request may be sent again when its answer got lost; one that never arrived,
        or was answered 503, always is. `read_timeout`: seconds to wait for an answer, where the
        server may take its time.

        Raises:
            ProblemError: the server refused.
            UnreachableError: no answer within `patience` seconds.
        """
        timeout = httpx2.USE_CLIENT_DEFAULT if read_timeout is None else read_timeout
        request = self._http.build_request(
            method,
            path,
            params=params,
            json=json,
            data=data,
            files=files,
            headers=headers,
            timeout=timeout,
        )
        backoff = Backoff(self.url, self.patience if patience is None else patience, on_outage)
        while True:
            try:
                response = self._http.send(request)
            except httpx2.UnsupportedProtocol as error:
                raise UnreachableError(f"{self.url!r} is no http URL: {error}") from None
            except httpx2.TransportError as error:
                if not (repeat or isinstance(error, httpx2.ConnectError)):
                    raise UnreachableError(f"no answer from {self.url}: {error}") from error
                backoff.wait(error)
                continue
            retried = repeat and response.status_code in _RETRIED
            if (retried or response.status_code == 503) and backoff.has_patience:
                backoff.wait(problem_of(response), _retry_after(response))
                continue
            if response.status_code >= 400:
                raise problem_of(response)
            return response

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], read_timeout: float | None
    ) -> Iterator[httpx2.Response]:
        """An answer whose body is read as it comes. Not retried.

        Raises:
            ProblemError: the server refused.
            httpx2.TransportError: no connection, or it broke.
        """
        timeout = httpx2.Timeout(10.0, read=read_timeout)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code >= 400:
                response.read()
                raise problem_of(response)
            yield response


def path_part(text: str) -> str:
    """`text` as one segment of a path: an id that someone typed cannot reach another route."""
    return quote(text, safe="") if text.strip(".") else "-"


def is_outage(error: Exception) -> bool:
    """Whether the same request may succeed when the server is back."""
    if isinstance(error, ProblemError):
        return error.status in _RETRIED
    return isinstance(error, httpx2.TransportError)


def pages(connection: Connection, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The items of a cursor-paged collection, a page at a time."""
    token: str | None = None
    while True:
        query = dict(params) if token is None else {**params, "page_token": token}
        page = connection.request("GET", path, params=query).json()
        yield from page["items"]
        token = page.get("next_page_token")
        if not token:
            return


class Backoff:
    """Waits between attempts, each about twice the last, until the patience is used up."""

    def __init__(self, url: str, patience: float, on_outage: OnOutage | None = None) -> None:
        self._url, self._patience, self._on_outage = url, patience, on_outage
        self._next = _FIRST_WAIT
        self._since: float | None = None

    @property
    def has_patience(self) -> bool:
        used = 0.0 if self._since is None else time.monotonic() - self._since
        return used < self._patience

    def wait(self, error: Exception, seconds: float | None = None) -> None:
        """Sleep before the next attempt, `seconds` if the server named them.

        Raises:
            UnreachableError: the patience is used up.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        left = self._since + self._patience - now
        if left <= 0:
            raise UnreachableError(
                f"{self._url} cannot be reached: {_reason(error)}"
                + (f" (tried for {self._patience:g} s)" if self._patience else "")
            ) from error
        if self._on_outage is not None:
            self._on_outage(f"{self._url} cannot be reached: {_reason(error)}; trying again")
        jittered = self._next * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, no secret
        time.sleep(min(left, jittered if seconds is None else seconds))
        self._next = min(2 * self._next, _LONGEST_WAIT)

    def reset(self) -> None:
        """The server answered: the next outage gets the whole patience."""
        self._next, self._since = _FIRST_WAIT, None


def _reason(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0] if text else type(error).__name__


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds of the Retry-After header, bounded; None without one that is a number."""
    value = response.headers.get("Retry-After", "")
    return min(float(value), _LONGEST_RETRY_AFTER) if value.isdecimal() else None
