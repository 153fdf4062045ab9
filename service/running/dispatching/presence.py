"""A dispatcher says that it is there, where the API sees it: in the database."""

from __future__ import annotations

from models.processes.names import is_gone
from service.sql.dispatchers import Dispatchers, Node
from service.sql.limits import TenantLimits

ABSENT_SECONDS = 30.0
"""Silent this long, a dispatcher counts as dead; on one machine it is seen at once."""


class Presence:
    def __init__(self, dispatchers: Dispatchers, owner: str, limits: TenantLimits) -> None:
        self._dispatchers, self._owner, self._limits = dispatchers, owner, limits

    def tell(
        self, obstacle: str | None, node: Node | None = None, *, silent_seconds: float = 0.0
    ) -> None:
        """`obstacle`: what searches wait for. `node`: the one for trials, where no other can join.
        `silent_seconds`: it may be busy for so long now.
        """
        self._dispatchers.beat(self._owner, ABSENT_SECONDS + silent_seconds, obstacle, node)
        self._dispatchers.explain(is_gone, self._limits)

    def sweep(self) -> None:
        """Remove the traces of dispatchers that are dead."""
        self._dispatchers.sweep(is_gone)

    def leave(self) -> None:
        self._dispatchers.leave(self._owner)
