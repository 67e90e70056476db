"""Alembic migrations: forward only, additive, one transaction each."""
