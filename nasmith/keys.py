"""The API keys of one server, for its admins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from nasmith.connection import Connection, pages, path_part


class Keys:
    """Who may come in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] = ("read", "write"),
        expires_at: datetime | None = None,
        tenant: str | None = None,
    ) -> dict[str, Any]:
        """A new key; the answer's `key` is shown this once.

        Args:
            name: what it is for.
            scopes: `read`, `write`, `admin`.
            expires_at: with a zone; None: it is good until it is revoked.
            tenant: whose it is; default: that of the key that asks.

        Raises:
            AuthenticationError: the own key is no admin's, or the tenant is another one.
        """
        body: dict[str, Any] = {"name": name, "scopes": list(scopes), "tenant": tenant}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        answer = self._connection.request("POST", "/v1/api-keys", json=body, repeat=False)
        return dict(answer.json())

    def list(self, *, page_size: int = 100) -> Iterator[dict[str, Any]]:
        """All of the tenant, newest first, fetched a page at a time."""
        yield from pages(self._connection, "/v1/api-keys", {"page_size": page_size})

    def revoke(self, key_id: str) -> None:
        """
        Raises:
            NotFoundError: no such key.
        """
        self._connection.request("DELETE", f"/v1/api-keys/{path_part(key_id)}")
