"""Every test that needs a database gets one of its own, cloned from a template that the migrations built."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import httpx
import hypothesis
import psycopg
import pytest
import pytest_socket
from fastapi import FastAPI

from app import keys, queue
from app.database import discard_embedded, embedded_url, upgrade, write
from app.inbox import Inbox, inbox_for
from app.keys import Scope
from app.settings import Settings
from app.web.app import create_app
from app.wiring import open_world
from app.world import World
from guardrails.taxonomy import PrincipalKind

# A busy machine draws slowly; that says nothing about the code.
hypothesis.settings.register_profile("ordermend", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ordermend")

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


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup() -> None:
    """No network: a test reaches unix sockets and this machine, nothing else."""
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="session", autouse=True)
def _bare_environment() -> Iterator[None]:
    """What the developer's shell sets for Ordermend or a model must not reach the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(("ORDERMEND_", "OPENAI_")):
                patch.delenv(name)
        # Whatever is installed here, no test and no command that a test runs fetches weights or starts an engine by itself.
        patch.setenv("ORDERMEND_LOCAL_MODEL", "off")
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of an embedded server whose template database has the whole schema. Its folder is not pytest's: other runs
    on this machine clear old ones away, and a socket's path must be short."""
    with TemporaryDirectory(prefix="ordermend-", ignore_cleanup_errors=True) as folder:
        url = embedded_url(Path(folder), database=TEMPLATE)
        upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(queue.schema_sql())
        yield url
        discard_embedded(Path(folder))


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


# --- over HTTP, in this process ---


@pytest.fixture
async def inbox(world: World) -> AsyncIterator[Inbox]:
    async with inbox_for(world) as opened:
        yield opened


@pytest.fixture
def http_app(world: World, inbox: Inbox) -> FastAPI:
    return create_app(world, inbox)


@pytest.fixture
async def client(http_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the app. Failures inside it come back as answers, as over a network."""
    transport = httpx.ASGITransport(http_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ordermend.test") as opened:
        yield opened


class MakeKey(Protocol):
    """Gives the request headers of a new key."""

    async def __call__(self, *scopes: str, kind: PrincipalKind = ..., name: str | None = ..., **how: Any) -> dict[str, str]: ...


@pytest.fixture
def make_key(world: World) -> MakeKey:
    """Without scopes the key may do everything; a person without roles is an admin."""

    async def make(*scopes: str, kind: PrincipalKind = PrincipalKind.PERSON, name: str | None = None, **how: Any) -> dict[str, str]:
        roles = how.pop("roles", ["admin"] if kind is PrincipalKind.PERSON else [])
        wanted, called = scopes or (Scope.ADMIN.value,), name or f"{kind} of the tests"
        async with write(world.database.sessions) as session:
            issued = await keys.create(
                session, world.clock(), name=called, kind=kind, scopes=wanted, roles=roles, by="tests", **how
            )
        return {"Authorization": f"Bearer {issued.secret}"}

    return make


@pytest.fixture
async def admin(make_key: MakeKey) -> dict[str, str]:
    """Headers of a person's key that may do everything."""
    return await make_key()
