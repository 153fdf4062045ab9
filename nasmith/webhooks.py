"""The webhooks of one server: whom it tells of the end of a search."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import Any

from nasmith.connection import Connection, pages, path_part


class Webhooks:
    """Those of the tenant of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, url: str, *, events: Sequence[str] | None = None) -> dict[str, Any]:
        """A new webhook; the answer's `secret` signs what is sent, and is shown this once.

        Args:
            url: what gets a POST for each event, https.
            events: `search.succeeded`, `search.failed`, `search.cancelled`; default: all.

        Raises:
            ConflictError: the server sends none, or the tenant has as many as it may.
            InvalidRequestError: the URL is none, or not one of the public internet.
        """
        body: dict[str, Any] = {"url": url}
        if events is not None:
            body["events"] = list(events)
        answer = self._connection.request("POST", "/v1/webhooks", json=body, repeat=False)
        return dict(answer.json())

    def list(self) -> builtins.list[dict[str, Any]]:
        """All of the tenant, newest first."""
        return [*self._connection.request("GET", "/v1/webhooks").json()["items"]]

    def delete(self, webhook_id: str) -> None:
        """
        Raises:
            NotFoundError: no such webhook.
        """
        self._connection.request("DELETE", f"/v1/webhooks/{path_part(webhook_id)}")

    def deliveries(
        self, webhook_id: str, *, state: str | None = None, page_size: int = 100
    ) -> Iterator[dict[str, Any]]:
        """What was sent or is to be, newest first, in one state (`dead`: given up) or in all.

        Raises:
            NotFoundError: no such webhook.
        """
        params: dict[str, Any] = {"page_size": page_size}
        if state is not None:
            params["state"] = state
        path = f"/v1/webhooks/{path_part(webhook_id)}/deliveries"
        yield from pages(self._connection, path, params)
