"""The first tables: tenants, searches, trials, epochs, events, artifacts, idempotency keys."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    tenants = op.create_table(
        "tenants",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_claimed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
    )
    op.bulk_insert(tenants, [{"id": "default", "name": "default", "created_at": datetime.now(UTC)}])
    op.create_table(
        "searches",
        sa.Column("id", sa.String(41), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_reason", sa.String(), nullable=True),
        sa.Column("requested", sa.String(16), nullable=True),
        sa.Column("spec", DOCUMENT, nullable=False),
        sa.Column("dataset_fingerprint", sa.String(64), nullable=False),
        sa.Column("versions", DOCUMENT, nullable=False),
        sa.Column("trials_done", sa.Integer(), nullable=False),
        sa.Column("trials_total", sa.Integer(), nullable=False),
        sa.Column("epochs_done", sa.BigInteger(), nullable=False),
        sa.Column("elapsed_seconds", sa.Double(), nullable=False),
        sa.Column("best", DOCUMENT, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(200), nullable=True),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_searches"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_searches_tenant_id_tenants"
        ),
    )
    op.create_index("ix_searches_tenant_id_id", "searches", ["tenant_id", "id"])
    op.create_index("ix_searches_tenant_id_state_id", "searches", ["tenant_id", "state", "id"])
    op.create_index("ix_searches_state_lease_expires_at", "searches", ["state", "lease_expires_at"])
    op.create_index("ix_searches_state_tenant_id_id", "searches", ["state", "tenant_id", "id"])
    op.create_table(
        "trials",
        sa.Column("search_id", sa.String(41), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("proposal", DOCUMENT, nullable=False),
        sa.Column("architecture_key", sa.String(64), nullable=False),
        sa.Column("recipe_key", sa.String(64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Integer(), nullable=True),
        sa.Column("metrics", DOCUMENT, nullable=False),
        sa.Column("fitness", DOCUMENT, nullable=True),
        sa.Column("failure", DOCUMENT, nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("worker", sa.String(200), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("asked_after", sa.Integer(), nullable=False),
        sa.Column("asked_running", DOCUMENT, nullable=False),
        sa.Column("started_sequence", sa.BigInteger(), nullable=False),
        sa.Column("ended_sequence", sa.BigInteger(), nullable=True),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("search_id", "number", name="pk_trials"),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["searches.id"],
            name="fk_trials_search_id_searches",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_trials_tenant_id_tenants"),
    )
    op.create_index("ix_trials_search_id_state", "trials", ["search_id", "state"])
    op.create_index(
        "ix_trials_search_id_architecture_key", "trials", ["search_id", "architecture_key"]
    )
    op.create_table(
        "epochs",
        sa.Column("search_id", sa.String(41), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("metrics", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("search_id", "number", "epoch", name="pk_epochs"),
        sa.ForeignKeyConstraint(
            ["search_id", "number"],
            ["trials.search_id", "trials.number"],
            name="fk_epochs_search_id_number_trials",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_epochs_tenant_id_tenants"),
    )
    op.create_table(
        "events",
        sa.Column("search_id", sa.String(41), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("data", DOCUMENT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("search_id", "sequence", name="pk_events"),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["searches.id"],
            name="fk_events_search_id_searches",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_events_tenant_id_tenants"),
    )
    op.create_table(
        "artifacts",
        sa.Column("search_id", sa.String(41), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("search_id", "number", "kind", name="pk_artifacts"),
        sa.ForeignKeyConstraint(
            ["search_id", "number"],
            ["trials.search_id", "trials.number"],
            name="fk_artifacts_search_id_number_trials",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_artifacts_tenant_id_tenants"
        ),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("search_id", sa.String(41), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_idempotency_keys_tenant_id_tenants"
        ),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["searches.id"],
            name="fk_idempotency_keys_search_id_searches",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_idempotency_keys_search_id", "idempotency_keys", ["search_id"])


def downgrade() -> None:
    for table in (
        "idempotency_keys",
        "artifacts",
        "events",
        "epochs",
        "trials",
        "searches",
        "tenants",
    ):
        op.drop_table(table)
