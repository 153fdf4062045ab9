"""What the ETag of a search counts is its revision; `versions` are those of packages."""

from __future__ import annotations

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.execute("ALTER TABLE searches RENAME COLUMN version TO revision")


def downgrade() -> None:
    op.execute("ALTER TABLE searches RENAME COLUMN revision TO version")
