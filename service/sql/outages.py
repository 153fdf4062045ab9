"""What to do while the database is away: try again, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.backoff import Backoff

T = TypeVar("T")

OUTAGE_SECONDS = 60.0


def is_outage(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: no connection, a restart, a lock."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


def outlast(
    action: Callable[[bool], T],
    seconds: float = OUTAGE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """`action(False)`; after an outage `action(True)` again, for at most `seconds`.

    A connection lost while committing leaves open whether the transaction counted: an action that
    gets True looks before it writes twice.
    """
    end = time.monotonic() + seconds
    backoff = Backoff(0.05, 2.0)
    again = False
    while True:
        try:
            return action(again)
        except (DBAPIError, PoolTimeoutError) as error:
            pause = backoff.pause()
            if not is_outage(error) or time.monotonic() + pause > end:
                raise
        sleep(pause)
        again = True
