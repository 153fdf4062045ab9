"""Searches hold in columns what is asked of a spec where nobody parses it, and what was to be
changed in the request.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

DOCUMENT = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)
SEARCHES = sa.table(
    "searches",
    sa.column("id", sa.String),
    sa.column("spec", DOCUMENT),
    sa.column("trials_total", sa.Integer),
    sa.column("dataset", sa.String),
    sa.column("baseline_total", sa.Integer),
    sa.column("seconds_limit", sa.Double),
)


def upgrade() -> None:
    op.add_column(
        "searches", sa.Column("dataset", sa.String(100), server_default="", nullable=False)
    )
    op.add_column(
        "searches", sa.Column("baseline_total", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("searches", sa.Column("seconds_limit", sa.Double(), nullable=True))
    op.add_column("searches", sa.Column("warnings", DOCUMENT, nullable=True))
    connection = op.get_bind()
    rows = connection.execute(sa.select(SEARCHES.c.id, SEARCHES.c.spec, SEARCHES.c.trials_total))
    for search_id, spec, trials in rows.all():
        connection.execute(
            sa.update(SEARCHES).where(SEARCHES.c.id == search_id).values(_asked(spec, trials))
        )


def downgrade() -> None:
    for name in ("warnings", "seconds_limit", "baseline_total", "dataset"):
        op.drop_column("searches", name)


def _asked(spec: dict[str, Any], trials: int) -> dict[str, Any]:
    return {
        "dataset": spec.get("dataset", ""),
        "baseline_total": (trials if spec.get("baseline") else 0) + len(spec.get("baselines", ())),
        "seconds_limit": spec.get("budget", {}).get("seconds"),
    }
