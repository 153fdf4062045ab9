"""While no dispatcher is alive, nobody but the API can say so in the searches that wait."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from models.processes.names import is_gone
from service.sql.database import Sessions
from service.sql.dispatchers import Dispatchers

INTERVAL_SECONDS = 5.0

log = structlog.get_logger("nasmith.absence")


async def tell_absence(sessions: Sessions, interval: float = INTERVAL_SECONDS) -> None:
    """Look until cancelled. One look is not enough: after an outage of the database, dispatchers
    need a moment to say that they are there.
    """
    dispatchers, was_absent = Dispatchers(sessions), False
    while True:
        await asyncio.sleep(interval)
        try:
            is_absent = not await asyncio.to_thread(dispatchers.alive, is_gone)
            if is_absent and was_absent:
                await asyncio.to_thread(dispatchers.explain, is_gone)
        except SQLAlchemyError as error:
            log.debug("the database is away", error=str(error).splitlines()[0])
            is_absent = False
        was_absent = is_absent
