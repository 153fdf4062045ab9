"""What a tenant may use, as it is told."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Allowance(BaseModel):
    used: int | None = Field(description="now; null: not counted, because there is no limit")
    limit: int | None = Field(description="null: none")


class QuotaRead(BaseModel):
    tenant: str
    running_searches: Allowance
    queued_searches: Allowance = Field(description="that wait or are paused")
    trials: Allowance = Field(description="that searches may still run; finals are not counted")
    worker_seconds: Allowance = Field(
        description="today (UTC), of trials that have ended; at the limit no further search begins"
    )
    stored_bytes: Allowance = Field(description="of datasets and bundles")
    requests_per_minute: Allowance = Field(description="in the last minute, to this process")
