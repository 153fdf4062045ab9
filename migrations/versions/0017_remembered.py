"""What searches remember of earlier ones on other data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | None = None
depends_on: str | None = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.create_table(
        "remembered",
        sa.Column("search_id", sa.String(41), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("source_search", sa.String(41), nullable=False),
        sa.Column("dataset", sa.String(100), nullable=False),
        sa.Column("dataset_fingerprint", sa.String(64), nullable=False),
        sa.Column("results", sa.Integer(), nullable=False),
        sa.Column("recollections", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("search_id", "place", name="pk_remembered"),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["searches.id"],
            name="fk_remembered_search_id_searches",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_remembered_tenant_id_tenants"
        ),
    )


def downgrade() -> None:
    op.drop_table("remembered")
