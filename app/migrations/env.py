"""Alembic's entry. The address comes from the caller, never from a file."""

from typing import Literal

from alembic import context
from sqlalchemy import create_engine, text

from app.tables import Base, StorableJson, StorableText

MIGRATION_LOCK = 7_041_996


def run() -> None:
    engine = create_engine(context.config.attributes["url"])
    with engine.connect() as connection:
        # Two processes that start together must not both migrate: the second waits here and then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        try:
            context.configure(connection=connection, target_metadata=Base.metadata, include_name=_is_ours, render_item=_plain_types)
            with context.begin_transaction():
                context.run_migrations()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
    engine.dispose()


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """The queue keeps its own tables, and its library migrates them."""
    return kind != "table" or not (name or "").startswith("procrastinate_")


def _plain_types(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Migrations name plain column types: they must not depend on classes of today's code."""
    if kind == "type" and isinstance(item, StorableText):
        return "sa.Text()"
    if kind == "type" and isinstance(item, StorableJson):
        return "postgresql.JSONB()"
    return False


run()
