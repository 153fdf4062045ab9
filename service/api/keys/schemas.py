"""Keys as admins see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.sql.api_keys import Scope
from service.sql.tables import ApiKey

TENANT_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,39}$"


def _later(time: datetime) -> datetime:
    if time <= datetime.now(UTC):
        raise PydanticCustomError("past", "is over; allowed is a time to come")
    return time


class ApiKeyRequest(BaseModel):
    """A new key."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="what it is for")
    scopes: list[Scope] = Field(
        [Scope.READ, Scope.WRITE],
        min_length=1,
        max_length=len(Scope),
        description="what it opens: read, write (and read), admin (and both)",
    )
    expires_at: Annotated[AwareDatetime, AfterValidator(_later)] | None = Field(
        None, description="with a zone; null: it is good until it is revoked"
    )
    tenant: str | None = Field(
        None,
        pattern=TENANT_PATTERN,
        description="whose it is, your own if left out; another one is for those who run the "
        "server, and begins with its first key",
    )


class ApiKeyRead(BaseModel):
    id: str
    tenant: str
    name: str
    hint: str = Field(description="how the key begins")
    scopes: list[Scope]
    state: Literal["active", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="right to the minute")
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: ApiKey) -> ApiKeyRead:
        has_expired = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
        return cls(
            id=row.id,
            tenant=row.tenant_id,
            name=row.name,
            hint=row.hint,
            scopes=[Scope(scope) for scope in row.scopes],
            state="revoked" if row.revoked_at else "expired" if has_expired else "active",
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
        )


class ApiKeyCreated(ApiKeyRead):
    key: str = Field(description="shown now and never again")


class ApiKeyPage(BaseModel):
    items: list[ApiKeyRead]
    next_page_token: str | None = Field(description="null: this was the last page")
