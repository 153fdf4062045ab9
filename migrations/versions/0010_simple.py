"""What simple models score on a search's data, once its finals have ended; null before, where none
was asked for, and in searches of before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.add_column("searches", sa.Column("simple", _DOCUMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("searches", "simple")
