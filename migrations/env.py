"""Alembic's entry: the engine's tables on whatever database the caller names."""

from alembic import context
from sqlalchemy import create_engine

from personalization.store.tables import metadata

engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", hide_parameters=True)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
