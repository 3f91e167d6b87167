"""Alembic's entry: the engine's tables on whatever database the caller names; all steps in one transaction."""

from alembic import context

from personalization.store.database import Database
from personalization.store.tables import metadata

# The engine's own connections: on SQLite, the driver's would commit each statement by itself, and a power cut midway
# would leave half a schema that no later run could complete.
database = Database(context.config.get_main_option("sqlalchemy.url") or "")
with database.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
database.close()
