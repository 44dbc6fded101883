"""Every test that needs a database gets one of its own, cloned from a template that the migrations built."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from app import queue
from app.database import embedded_url, upgrade
from app.settings import Settings
from app.wiring import open_world
from app.world import World

TEMPLATE = "ordermend_template"
START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Time that only moves when a test says so."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an embedded server whose template database has the whole schema."""
    url = embedded_url(tmp_path_factory.mktemp("embedded"), database=TEMPLATE)
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(queue.schema_sql())
    return url


@pytest.fixture
def database_url(server: str) -> Iterator[str]:
    """A fresh database with the schema and nothing else."""
    name = f"t_{uuid.uuid4().hex}"
    admin = server.replace(f"/{TEMPLATE}?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    yield server.replace(f"/{TEMPLATE}?", f"/{name}?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a machine without an environment: no endpoint, a secret for every source."""
    sources = ("shopify", "stripe", "easypost", "aftership", "shipbob", "woocommerce", "events")
    encoded = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
    secrets = {f"{s}_secret": encoded if s in ("shipbob", "events") else f"{s}-test-secret" for s in sources}
    return Settings.model_validate({"database_url": database_url, "data_dir": tmp_path, "classifier": "rules", "webhooks": secrets})


@pytest.fixture
async def world(settings: Settings, clock: Clock) -> AsyncIterator[World]:
    """The real world on the real database, without a worker: tests take each step themselves (`tests/steps.py`)."""
    async with open_world(settings, clock=clock) as opened:
        yield opened
