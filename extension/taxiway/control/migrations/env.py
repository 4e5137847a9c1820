"""Alembic's environment: it is always handed an open connection by ``taxiway.control.ledger``."""

from alembic import context

from taxiway.control.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
