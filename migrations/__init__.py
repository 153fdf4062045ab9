"""Alembic migrations: the only DDL."""
