"""The database's clock in SQL: leases of many machines are compared with one clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from service.sql.tables import UtcDateTime


class database_time(FunctionElement[datetime]):
    """The time now, or `seconds` from now, by the clock of the database."""

    type = UtcDateTime()
    inherit_cache = True
    name = "database_time"

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(literal(float(seconds)))


@compiles(database_time, "sqlite")
def _sqlite(element: database_time, compiler: SQLCompiler, **kwargs: Any) -> str:
    """Text in the form in which SQLAlchemy stores times; SQLite's clock gives milliseconds."""
    seconds = compiler.process(element.clauses, **kwargs)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+f seconds', {seconds}))"


@compiles(database_time, "postgresql")
def _postgresql(element: database_time, compiler: SQLCompiler, **kwargs: Any) -> str:
    seconds = compiler.process(element.clauses, **kwargs)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"
