"""What Alembic runs to migrate: on the connection that it was given."""

from alembic import context

from data_emulator.service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters few things in place
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
