"""What knows nothing of a search's data scores, as it was when the search was posted; null before
there was such a thing, and of tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)


def upgrade() -> None:
    op.add_column("searches", sa.Column("floor", _DOCUMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("searches", "floor")
