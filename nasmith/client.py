"""The client: one server, its searches, its catalog."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from nasmith.connection import Connection, pages, path_part
from nasmith.dataset import Datasets
from nasmith.errors import ServerError
from nasmith.keys import Keys
from nasmith.search import Search
from nasmith.webhooks import Webhooks

DEFAULT_URL = "http://127.0.0.1:8000"


class Client:
    """A connection to one server.

    Args:
        url: of the server; default: `NASMITH_URL`, else a local server.
        api_key: default: `NASMITH_API_KEY`, else none.
        timeout: seconds to wait for an answer.
        patience: seconds to go on trying while the server is away.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        patience: float = 10.0,
    ) -> None:
        self.url = url or os.environ.get("NASMITH_URL") or DEFAULT_URL
        key = api_key or os.environ.get("NASMITH_API_KEY")
        self._connection = Connection(self.url, key, timeout, patience)
        self.searches = Searches(self._connection)
        self.datasets = Datasets(self._connection)
        self.keys = Keys(self._connection)
        self.webhooks = Webhooks(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pooled connections; searches of this client cannot be asked any more."""
        self._connection.close()

    def catalog(self) -> dict[str, Any]:
        """Families, operations, strategies, optimizers and datasets, with their settings."""
        return _document(self._connection.request("GET", "/v1/catalog").json())

    def validate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Check the body of a search and store nothing: size of its space, example networks, an
        estimate of the cost.

        Raises:
            InvalidRequestError: lists everything that is wrong with it.
        """
        return self._dry_run("/v1/searches", request, {"dry_run": "true"})

    def validate_space(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The same for a space alone, with the dataset or task that it is for."""
        return self._dry_run("/v1/search-spaces/validate", request, None)

    def predict(
        self,
        search: Search | str,
        rows: Iterable[Mapping[str, Any] | str],
        *,
        missing: str = "error",
    ) -> dict[str, Any]:
        """`Search.predict` of a search or of its id."""
        found = self.searches.get(search) if isinstance(search, str) else search
        return found.predict(rows, missing=missing)

    def quota(self) -> dict[str, Any]:
        """What the tenant uses of what it may: `used` and `limit` of each, null without one."""
        return _document(self._connection.request("GET", "/v1/quota").json())

    def version(self) -> dict[str, Any]:
        """What the server runs."""
        return _document(self._connection.request("GET", "/version").json())

    def is_ready(self) -> bool:
        """Whether a search that is posted now would run: the server, its database and store, a
        dispatcher and its Ray are there.

        Raises:
            UnreachableError: there is no server at this URL.
        """
        try:
            self._connection.request("GET", "/readyz", patience=0)
        except ServerError:
            return False
        return True

    def _dry_run(
        self, path: str, request: Mapping[str, Any], params: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        answer = self._connection.request("POST", path, json=dict(request), params=params)
        return _document(answer.json())


class Searches:
    """The searches of one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        request: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Search:
        """Submit a search: the body of `POST /v1/searches`, as a mapping, as named fields, or both.

        Sent with an idempotency key, so that a repeat after a lost answer makes no second search.

        Raises:
            InvalidRequestError: lists everything that is wrong; nothing is stored.
            ConflictError: `idempotency_key` was used with another body.
        """
        key = idempotency_key or str(uuid.uuid4())
        response = self._connection.request(
            "POST",
            "/v1/searches",
            json={**(request or {}), **fields},
            headers={"Idempotency-Key": key},
        )
        return Search(self._connection, _document(response.json()), response.headers.get("ETag"))

    def get(self, search_id: str) -> Search:
        """
        Raises:
            NotFoundError: no such search.
        """
        response = self._connection.request("GET", f"/v1/searches/{path_part(search_id)}")
        return Search(self._connection, _document(response.json()), response.headers.get("ETag"))

    def list(self, *, state: str | None = None, page_size: int = 100) -> Iterator[Search]:
        """All searches, or those in one state, newest first, fetched a page at a time."""
        params: dict[str, Any] = {"page_size": page_size}
        if state is not None:
            params["state"] = state
        for document in pages(self._connection, "/v1/searches", params):
            yield Search(self._connection, document)


def _document(answer: Any) -> dict[str, Any]:
    return dict(answer)
