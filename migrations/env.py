"""Runs the migrations in the transaction of the caller (`service.sql.database.migrate`)."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, Connection

from service.settings import ServiceSettings
from service.sql.database import create_engine
from service.sql.tables import Base, UtcDateTime


def render_item(type_: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Migrations do not import the tables: a type of ours is written as what it is made of."""
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, JSON):
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:  # the `alembic` command line, as used to write a new revision
    with create_engine(ServiceSettings().database_url, foreign_keys=False).begin() as own:
        run(own)
