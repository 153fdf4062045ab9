"""Trials and epochs of supernets hold the architecture that was derived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.add_column("trials", sa.Column("derived", DOCUMENT, nullable=True))
    op.add_column("epochs", sa.Column("derived", DOCUMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("epochs", "derived")
    op.drop_column("trials", "derived")
