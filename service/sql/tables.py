"""The tables. Alembic's migrations are the only DDL; `alembic check` holds them to these models.

Every row belongs to a tenant, but those of dispatchers. Times are UTC. JSON columns hold documents
that people query, never blobs; NaN and infinity never get here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from models.held_text import mended
from search.trial import TrialState
from service.sql.states import DeliveryState, SearchState

Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """A time with zone on every database: SQLite drops the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time needs a zone, got {value!r}")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class HeldText(TypeDecorator[str]):
    """A sentence for people, which may quote what broke."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(mended(value))


def word(of: type[StrEnum]) -> Enum:
    """A column of the values of an enumeration: text in the database, its members in Python."""
    return Enum(
        of,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=False,
        length=16,
    )


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy as a class attribute
        datetime: UtcDateTime,
        dict[str, Any]: Document,
        list[Any]: Document,
    }


class Tenant(Base):
    """`last_claimed_at`: when a search of theirs last left the queue; the queue takes turns."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime]
    last_claimed_at: Mapped[datetime | None]


class WorkerSeconds(Base):
    """How long workers have worked for a tenant on a day (UTC)."""

    __tablename__ = "worker_seconds"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    seconds: Mapped[float]


class Search(Base):
    """A search and its place in the queue.

    `requested` is what a client asked of a running search ("cancel", "pause") and the driver has
    not done yet. `lease_token` grows by one at each claim; a writer names the token that it was
    given, and a stale one changes no row. Leases use the database's clock. `revision` grows with
    every change that a client can see and is the ETag. `event_sequence` is the number of the last
    event. `best` is the data of the last `best.changed` event. `floor`: what knows nothing of the
    data scores on validation. `simple`: the results of simple models, once its finals have ended.
    """

    __tablename__ = "searches"
    __table_args__ = (
        Index("ix_searches_tenant_id_id", "tenant_id", "id"),
        Index("ix_searches_tenant_id_state_id", "tenant_id", "state", "id"),
        Index("ix_searches_state_lease_expires_at", "state", "lease_expires_at"),
        Index("ix_searches_state_tenant_id_id", "state", "tenant_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(41), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[SearchState] = mapped_column(word(SearchState))
    state_reason: Mapped[str | None] = mapped_column(HeldText)
    requested: Mapped[str | None] = mapped_column(String(16))
    spec: Mapped[dict[str, Any]]
    dataset: Mapped[str] = mapped_column(String(100), default="", server_default="")
    warnings: Mapped[list[Any] | None]
    floor: Mapped[dict[str, Any] | None]
    simple: Mapped[list[Any] | None]
    dataset_fingerprint: Mapped[str] = mapped_column(String(64))
    versions: Mapped[dict[str, Any]]
    trials_done: Mapped[int] = mapped_column(default=0)
    trials_total: Mapped[int]
    baseline_done: Mapped[int] = mapped_column(default=0, server_default="0")
    baseline_total: Mapped[int] = mapped_column(default=0, server_default="0")
    seconds_limit: Mapped[float | None]
    epochs_done: Mapped[int] = mapped_column(BigInteger, default=0)
    elapsed_seconds: Mapped[float] = mapped_column(default=0.0)
    best: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1)
    event_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_token: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_expires_at: Mapped[datetime | None]


class Trial(Base):
    """`started_sequence` and `ended_sequence` are the search's event numbers: their order is the
    order in which the strategy was asked and told. `asked_after` and `asked_running` are what the
    ask had been told. `source` is the trial that answered a cached one, or the candidate that a
    final one retrains; with `source_search`, its number in that earlier search, which may be gone.
    `origin` is who suggested the trial, null for the strategy. `violation` is how far it is outside
    the constraints. `derived` is the architecture that a supernet led to; an epoch has one, too.
    """

    __tablename__ = "trials"
    __table_args__ = (
        Index("ix_trials_search_id_state", "search_id", "state"),
        Index("ix_trials_search_id_architecture_key", "search_id", "architecture_key"),
    )

    search_id: Mapped[str] = mapped_column(
        ForeignKey("searches.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[TrialState] = mapped_column(word(TrialState))
    proposal: Mapped[dict[str, Any]]
    architecture_key: Mapped[str] = mapped_column(String(64))
    recipe_key: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[int | None]
    source_search: Mapped[str | None] = mapped_column(String(41))
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    fitness: Mapped[list[Any] | None]
    violation: Mapped[float] = mapped_column(default=0.0, server_default="0")
    origin: Mapped[str | None] = mapped_column(String(100))
    failure: Mapped[dict[str, Any] | None]
    derived: Mapped[dict[str, Any] | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    worker: Mapped[str | None] = mapped_column(String(200))
    attempts: Mapped[int] = mapped_column(default=1)
    asked_after: Mapped[int]
    asked_running: Mapped[list[Any]]
    started_sequence: Mapped[int] = mapped_column(BigInteger)
    ended_sequence: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Remembered(Base):
    """What a search remembers of an earlier one, `source_search`, which may be gone: the place of
    its candidates among its `results`, as `search.memory.Recollection` has them. Read once, when
    the search is submitted.
    """

    __tablename__ = "remembered"

    search_id: Mapped[str] = mapped_column(
        ForeignKey("searches.id", ondelete="CASCADE"), primary_key=True
    )
    place: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    source_search: Mapped[str] = mapped_column(String(41))
    dataset: Mapped[str] = mapped_column(String(100))
    dataset_fingerprint: Mapped[str] = mapped_column(String(64))
    results: Mapped[int]
    recollections: Mapped[list[Any]]


class Epoch(Base):
    """One point of a trial's learning curve."""

    __tablename__ = "epochs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["search_id", "number"], ["trials.search_id", "trials.number"], ondelete="CASCADE"
        ),
    )

    search_id: Mapped[str] = mapped_column(String(41), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    metrics: Mapped[dict[str, Any]]
    derived: Mapped[dict[str, Any] | None]


class Event(Base):
    """What happened to a search, numbered from 1 without holes: the stream that clients follow.

    The number is drawn from `searches.event_sequence` under that row's lock, so that numbers
    commit in order.
    """

    __tablename__ = "events"

    search_id: Mapped[str] = mapped_column(
        ForeignKey("searches.id", ondelete="CASCADE"), primary_key=True
    )
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    type: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Artifact(Base):
    """A published file of a trial: where it lies in the store, and how to know that it is whole.
    `removed_at`: since when it does not, because it had been kept long enough.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["search_id", "number"], ["trials.search_id", "trials.number"], ondelete="CASCADE"
        ),
    )

    search_id: Mapped[str] = mapped_column(String(41), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    path: Mapped[str] = mapped_column(String(500))
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Dataset(Base):
    """A dataset that somebody uploaded, read and split; the samples are a file in the store.

    `facts` is what `models.sandbox.describe` says of it. `source_sha256` is of the file
    as it came, `sha256` of the stored one, `fingerprint` of the content and its split.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[str] = mapped_column(String(41), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(
        String(100).with_variant(String(100, collation="C"), "postgresql")  # sorts as Python does
    )
    task: Mapped[str] = mapped_column(String(40))
    format: Mapped[str] = mapped_column(String(40))
    options: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(String(64))
    source_sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(500))
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class ApiKey(Base):
    """What opens the API for a tenant. The key itself is stored nowhere: `sha256` is of it, `hint`
    its beginning, by which people know it again. `last_used_at` is right to the minute.
    """

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_tenant_id_id", "tenant_id", "id"),)

    id: Mapped[str] = mapped_column(String(41), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(String(100))
    hint: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Webhook(Base):
    """Whom a tenant wants told. The secret signs what is sent, so that it is stored as it is."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_tenant_id_id", "tenant_id", "id"),)

    id: Mapped[str] = mapped_column(String(41), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    url: Mapped[str] = mapped_column(String(2000))
    events: Mapped[list[Any]]
    secret: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]


class WebhookDelivery(Base):
    """A message for a webhook; its search may be gone. `next_at`: when it is tried next, null where
    it has arrived or is given up. `status` and `error` are of the last attempt.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index("ix_webhook_deliveries_state_next_at", "state", "next_at"),
    )

    id: Mapped[str] = mapped_column(String(41), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    search_id: Mapped[str] = mapped_column(String(41))
    type: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]]
    state: Mapped[DeliveryState] = mapped_column(word(DeliveryState))
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(HeldText)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Upload(Base):
    """A file that is being read, or could not be: `reason`. Its row goes when the dataset's comes.

    `reader` is the process that reads it, by `process_name`; `source_sha256` and `size_bytes` are
    of the file as it came.
    """

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[str] = mapped_column(String(41), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str] = mapped_column(
        String(100).with_variant(String(100, collation="C"), "postgresql")
    )
    task: Mapped[str] = mapped_column(String(40))
    options: Mapped[dict[str, Any]]
    source_sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    reader: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(HeldText)
    created_at: Mapped[datetime]


class Dispatcher(Base):
    """A process that runs searches, alive until `expires_at` by the database's clock. `obstacle` is
    what the searches wait for, null where it can run them. `cpus` and `gpus`: of the one node that
    it has for trials; null where that is unknown, or other nodes may join.
    """

    __tablename__ = "dispatchers"

    owner: Mapped[str] = mapped_column(String(200), primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    obstacle: Mapped[str | None] = mapped_column(HeldText)
    cpus: Mapped[float | None]
    gpus: Mapped[float | None]


class IdempotencyKey(Base):
    """One accepted submission: the same key and body give the same search again."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    search_id: Mapped[str] = mapped_column(
        ForeignKey("searches.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
