"""What the node of a dispatcher has, where no other one can join it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("dispatchers", sa.Column("cpus", sa.Double(), nullable=True))
    op.add_column("dispatchers", sa.Column("gpus", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("dispatchers", "gpus")
    op.drop_column("dispatchers", "cpus")
