"""Runs the migrations on the connection that daemon.store.migration hands over; each in its own transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # Alembic believes that SQLite cannot roll back DDL; it can, once the driver is told to keep its hands off transactions.
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
