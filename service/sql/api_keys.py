"""API keys in SQL. A key is 256 random bits, so that a plain SHA-256 of it cannot be turned round;
it is looked up by that hash, and nothing compares keys byte by byte.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.identifiers import new_key_id
from service.refusals import NotFoundError
from service.sql.database import DEFAULT_TENANT
from service.sql.tables import ApiKey, Tenant

KEY_START = "nsk_"
"""How every key begins, so that people and scanners of source code know one."""

USE_SECONDS = 60
"""How often the last use of a key is written, at most."""

_KEY = re.compile(rf"{KEY_START}[A-Za-z0-9_-]{{43}}")
_HINT = len(KEY_START) + 6


class Scope(StrEnum):
    """What a key opens; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: for which tenant, by which key, None without one."""

    tenant_id: str
    scope: Scope
    key_id: str | None = None
    expires_at: datetime | None = None

    @property
    def is_of_operator(self) -> bool:
        """The tenant that is there from the start looks after all the others."""
        return self.tenant_id == DEFAULT_TENANT

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    def may(self, needed: Scope) -> bool:
        order = list(Scope)
        return order.index(self.scope) >= order.index(needed)


def new_key() -> str:
    return KEY_START + secrets.token_urlsafe(32)


def is_key(text: str) -> bool:
    """Whether it could be a key at all."""
    return _KEY.fullmatch(text) is not None


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def caller_of(session: Session, sha256: str) -> Caller | None:
    """Whom a key with this hash lets in, whether or not it has expired; None: it was revoked, or
    there is none.
    """
    row = session.execute(
        select(ApiKey.id, ApiKey.tenant_id, ApiKey.scopes, ApiKey.expires_at).where(
            ApiKey.sha256 == sha256, ApiKey.revoked_at.is_(None)
        )
    ).one_or_none()
    if row is None:
        return None
    return Caller(row.tenant_id, _highest(row.scopes), row.id, row.expires_at)


def note_use(session: Session, key_id: str) -> None:
    """Write that a key is in use, where that was not written within `USE_SECONDS`."""
    now = datetime.now(UTC)
    is_due = or_(
        ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - timedelta(seconds=USE_SECONDS)
    )
    session.execute(update(ApiKey).where(ApiKey.id == key_id, is_due).values(last_used_at=now))


class KeyRepository:
    """The keys of a tenant; of all tenants where `tenant_id` is None."""

    def __init__(self, session: Session, tenant_id: str | None) -> None:
        self._session = session
        self._own = [] if tenant_id is None else [ApiKey.tenant_id == tenant_id]

    def get(self, key_id: str) -> ApiKey:
        """
        Raises:
            NotFoundError: there is no such key among them.
        """
        row = self._session.scalar(select(ApiKey).where(ApiKey.id == key_id, *self._own))
        if row is None:
            raise NotFoundError("API key", key_id)
        return row

    def page(self, size: int, *, before: str | None) -> Sequence[ApiKey]:
        """At most `size` keys older than `before`, newest first; revoked ones too."""
        query = select(ApiKey).where(*self._own)
        if before is not None:
            query = query.where(ApiKey.id < before)
        return self._session.scalars(query.order_by(ApiKey.id.desc()).limit(size)).all()

    def revoke(self, key_id: str) -> ApiKey:
        """A key that was revoked before stays as it is.

        Raises:
            NotFoundError: there is no such key among them.
        """
        row = self.get(key_id)
        if row.revoked_at is None:
            row.revoked_at = datetime.now(UTC)
        return row


def add_key(
    session: Session,
    tenant_id: str,
    key: str,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None = None,
) -> ApiKey:
    """Store the hash of a new key. A tenant that is named for the first time comes to be."""
    if session.get(Tenant, tenant_id) is None:
        session.add(Tenant(id=tenant_id, name=tenant_id, created_at=datetime.now(UTC)))
        session.flush()
    given = set(scopes)
    row = ApiKey(
        id=new_key_id(),
        tenant_id=tenant_id,
        name=name,
        hint=key[:_HINT],
        sha256=hash_of(key),
        scopes=[scope.value for scope in Scope if scope in given],
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row


def has_operator(session: Session) -> bool:
    """Whether a key that is valid opens everything."""
    rows = session.scalars(
        select(ApiKey.scopes).where(
            ApiKey.tenant_id == DEFAULT_TENANT,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > datetime.now(UTC)),
        )
    )
    return any(Scope.ADMIN in scopes for scopes in rows)


def _highest(scopes: Sequence[str]) -> Scope:
    return max(map(Scope, scopes), key=list(Scope).index)
