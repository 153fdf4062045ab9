"""How long workers have worked for each tenant, day by day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "worker_seconds",
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", name="pk_worker_seconds"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_worker_seconds_tenant_id_tenants"
        ),
    )


def downgrade() -> None:
    op.drop_table("worker_seconds")
