"""Files that are being read, or could not be, before there is a dataset of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | None = None
depends_on: str | None = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(41), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column(
            "name",
            sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("task", sa.String(40), nullable=False),
        sa.Column("options", _DOCUMENT, nullable=False),
        sa.Column("source_sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reader", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_uploads_tenant_id_tenants"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_uploads_tenant_id_name"),
    )


def downgrade() -> None:
    op.drop_table("uploads")
