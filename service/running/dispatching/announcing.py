"""Sends what webhooks are to be told, beside everything else that a dispatcher does."""

from __future__ import annotations

import logging
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from service.settings import ServiceSettings
from service.sql.database import connect
from service.sql.outages import is_outage
from service.sql.webhooks import Due, Outbox

log = logging.getLogger(__name__)

SENDERS = 4
POLL_SECONDS = 1.0
TIDY_SECONDS = 3600.0

_GONE = 410
"""An answer by which a receiver says that it wants nothing any more."""


class Announcer:
    """Does nothing where the settings have no webhooks."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._is_on = settings.webhooks != "off"
        self._to_any_address = settings.webhooks == "any"
        self._sessions = connect(settings.database_url, connections=SENDERS + 1)
        self._outbox = Outbox(self._sessions)
        self._is_over = threading.Event()
        self._free = threading.Semaphore(SENDERS)
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """On a migrated database; again it changes nothing."""
        if self._is_on and self._thread.ident is None:
            self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """Attempts under way are not waited for: who starts next makes them again."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        self._sessions.engine.dispose()

    def _run(self) -> None:
        tidied = time.monotonic()
        while not self._is_over.is_set():
            due = None
            if self._free.acquire(timeout=POLL_SECONDS):
                try:
                    due = self._outbox.take()
                    if time.monotonic() - tidied > TIDY_SECONDS:
                        tidied = time.monotonic()
                        self._outbox.forget_old()
                except SQLAlchemyError as error:
                    self._tell(error)
                if due is None:
                    self._free.release()
                else:
                    threading.Thread(target=self._attempt, args=(due,), daemon=True).start()
            if due is None:
                self._is_over.wait(POLL_SECONDS)

    def _attempt(self, due: Due) -> None:
        from service.webhooks.sending import AttemptError, send

        try:
            try:
                status = send(
                    due.url, due.secret, due.id, due.payload, to_any_address=self._to_any_address
                )
            except AttemptError as error:
                self._outbox.failed(due, str(error), last=False)
            else:
                self._note(due, status)
        except SQLAlchemyError as error:
            self._tell(error)
        except Exception:
            log.exception("a webhook could not be sent: %s", due.id)
        finally:
            self._free.release()

    def _note(self, due: Due, status: int) -> None:
        if 200 <= status < 300:
            self._outbox.arrived(due, status)
        elif 300 <= status < 400:
            said = f"answered {status}: redirects are not followed"
            self._outbox.failed(due, said, status, last=False)
        else:
            self._outbox.failed(due, f"answered {status}", status, last=status == _GONE)

    def _tell(self, error: SQLAlchemyError) -> None:
        if is_outage(error):
            log.debug("the database is away: %s", error)
        else:
            log.error("webhooks are not sent: %s", error)
