"""Searches count the trials of their baseline; trials name the earlier search they come from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column(
        "searches", sa.Column("baseline_done", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("trials", sa.Column("source_search", sa.String(41), nullable=True))


def downgrade() -> None:
    op.drop_column("trials", "source_search")
    op.drop_column("searches", "baseline_done")
