"""Webhooks in SQL. A delivery is written in the transaction in which its search ends, and is sent
until it has arrived or was tried often enough: at least once.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.identifiers import new_message_id, new_webhook_id
from service.refusals import NotFoundError, ProblemError
from service.sql.clock import database_time
from service.sql.database import Sessions
from service.sql.events import STATE_EVENTS
from service.sql.states import DeliveryState, SearchState
from service.sql.tables import Search, Webhook, WebhookDelivery
from service.sql.usage import lock_tenant

TOLD = (SearchState.SUCCEEDED, SearchState.FAILED, SearchState.CANCELLED)
EVENTS = tuple(STATE_EVENTS[state] for state in TOLD)

MOST = 20
"""Webhooks of a tenant."""

PAUSES = (5.0, 30.0, 300.0, 1800.0, 2 * 3600.0, 5 * 3600.0, 10 * 3600.0, 10 * 3600.0)
"""Seconds before each further attempt: the last one is some 28 hours after the first."""

UNDER_WAY_SECONDS = 120.0
"""After which an attempt of which nothing was heard is made again: its sender has ended."""

KEPT = timedelta(days=30)
"""Of deliveries that have ended, for who looks."""


def announce(
    session: Session, search_id: str, tenant_id: str, state: SearchState, reason: str | None
) -> None:
    """Write what is to be sent of the end of a search, in the transaction that ends it."""
    rows = session.execute(
        select(Webhook.id, Webhook.events).where(Webhook.tenant_id == tenant_id)
    ).all()
    type, now = STATE_EVENTS[state], datetime.now(UTC)
    wanted = [webhook_id for webhook_id, events in rows if type in events]
    if not wanted:
        return
    found = session.execute(select(Search.name, Search.best).where(Search.id == search_id)).one()
    data = {
        "id": search_id,
        "name": found.name,
        "state": state.value,
        "state_reason": reason,
        "best": found.best,
    }
    for webhook_id in wanted:
        session.add(
            WebhookDelivery(
                id=new_message_id(),
                webhook_id=webhook_id,
                tenant_id=tenant_id,
                search_id=search_id,
                type=type,
                payload={"type": type, "timestamp": now.isoformat(), "data": data},
                state=DeliveryState.PENDING,
                next_at=database_time(),
                created_at=now,
            )
        )


class WebhookRepository:
    def __init__(self, session: Session, tenant_id: str) -> None:
        self._session, self._tenant_id = session, tenant_id

    def get(self, webhook_id: str) -> Webhook:
        """
        Raises:
            NotFoundError: the tenant has no such webhook.
        """
        own = Webhook.id == webhook_id, Webhook.tenant_id == self._tenant_id
        row = self._session.scalar(select(Webhook).where(*own))
        if row is None:
            raise NotFoundError("webhook", webhook_id)
        return row

    def all(self) -> Sequence[Webhook]:
        """Newest first."""
        query = select(Webhook).where(Webhook.tenant_id == self._tenant_id)
        return self._session.scalars(query.order_by(Webhook.id.desc())).all()

    def add(self, url: str, events: Sequence[str]) -> Webhook:
        """With a new secret, of 256 random bits.

        Raises:
            ProblemError: 409, the tenant has as many as it may.
        """
        lock_tenant(self._session, self._tenant_id)
        if len(self.all()) >= MOST:
            raise ProblemError(409, f"a tenant has {MOST} webhooks at most; delete one first")
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        row = Webhook(
            id=new_webhook_id(),
            tenant_id=self._tenant_id,
            url=url,
            events=[event for event in EVENTS if event in set(events)],
            secret=f"whsec_{secret}",
            created_at=datetime.now(UTC),
        )
        self._session.add(row)
        self._session.flush()
        return row

    def delete(self, webhook_id: str) -> None:
        """With its deliveries: what has not been sent is not.

        Raises:
            NotFoundError: the tenant has no such webhook.
        """
        self._session.delete(self.get(webhook_id))

    def deliveries(
        self, webhook_id: str, size: int, *, before: str | None, state: DeliveryState | None
    ) -> Sequence[WebhookDelivery]:
        """At most `size` older than `before`, newest first.

        Raises:
            NotFoundError: the tenant has no such webhook.
        """
        query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == self.get(webhook_id).id)
        if state is not None:
            query = query.where(WebhookDelivery.state == state)
        if before is not None:
            query = query.where(WebhookDelivery.id < before)
        return self._session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(size)).all()


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose attempt is made now; `attempt` counts from 1."""

    id: str
    attempt: int
    url: str
    secret: str
    payload: dict[str, Any]


class Outbox:
    """What is to be sent, of all tenants; any number of senders share it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def take(self) -> Due | None:
        """The next delivery that is due, which nobody else gets for `UNDER_WAY_SECONDS`."""
        is_due = (
            WebhookDelivery.state == DeliveryState.PENDING,
            WebhookDelivery.next_at <= database_time(),
        )
        with self._sessions.read() as session:
            if session.scalar(select(WebhookDelivery.id).where(*is_due).limit(1)) is None:
                return None
        with self._sessions.begin() as session:
            row = session.execute(
                select(WebhookDelivery, Webhook.url, Webhook.secret)
                .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
                .where(*is_due)
                .order_by(WebhookDelivery.next_at)
                .limit(1)
                .with_for_update(of=WebhookDelivery, skip_locked=True)
            ).first()
            if row is None:
                return None
            delivery, url, secret = row
            due = Due(delivery.id, delivery.attempts + 1, url, secret, delivery.payload)
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.id == due.id)
                .values(attempts=due.attempt, next_at=database_time(UNDER_WAY_SECONDS))
                .execution_options(synchronize_session=False)
            )
        return due

    def arrived(self, due: Due, status: int) -> None:
        self._note(due, DeliveryState.DELIVERED, status, None)

    def failed(self, due: Due, error: str, status: int | None = None, *, last: bool) -> None:
        """It is tried again later; not where this was the `last` attempt that makes sense."""
        if last or due.attempt > len(PAUSES):
            self._note(due, DeliveryState.DEAD, status, error)
        else:
            pause = PAUSES[due.attempt - 1]
            self._note(due, DeliveryState.PENDING, status, error, pause)

    def forget_old(self) -> None:
        """Those that ended long ago, arrived or not."""
        with self._sessions.begin() as session:
            session.execute(
                delete(WebhookDelivery).where(
                    WebhookDelivery.ended_at < datetime.now(UTC) - KEPT,
                )
            )

    def _note(
        self,
        due: Due,
        state: DeliveryState,
        status: int | None,
        error: str | None,
        pause: float | None = None,
    ) -> None:
        """Unless somebody else has taken it up meanwhile."""
        values = {
            "state": state,
            "status": status,
            "error": error,
            "next_at": None if pause is None else database_time(pause),
            "ended_at": None if pause is not None else database_time(),
        }
        with self._sessions.begin() as session:
            session.execute(
                update(WebhookDelivery)
                .where(
                    WebhookDelivery.id == due.id,
                    WebhookDelivery.state == DeliveryState.PENDING,
                    WebhookDelivery.attempts == due.attempt,
                )
                .values(values)
                .execution_options(synchronize_session=False)
            )
