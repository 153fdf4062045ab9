"""Trials say who suggested them, and how far they are outside the constraints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("trials", sa.Column("origin", sa.String(100), nullable=True))
    op.add_column("trials", sa.Column("violation", sa.Double(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("trials", "violation")
    op.drop_column("trials", "origin")
