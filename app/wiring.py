"""The composition root: settings become a World. Nothing else builds one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

from app import queue as jobs
from app.classify import Classifier
from app.clients.port import Connector
from app.database import connect, embedded_url, upgrade
from app.settings import Settings
from app.world import Clock, World
from guardrails.taxonomy import Action


def utc_now() -> datetime:
    """The one place where the clock is read."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_world(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    classifier: Classifier | None = None,
    connectors: Mapping[Action, Connector] | None = None,
    worker: bool = False,
) -> AsyncIterator[World]:
    """Upgrade the schema, load the configuration, open the queue, and, with `worker`, work in this process too."""
    policy, owners, sources, detectors = load_configuration(settings)
    url = settings.database_url or await asyncio.to_thread(embedded_url, settings.data_dir)
    await asyncio.to_thread(upgrade, url)
    database = connect(url, pool_size=settings.database_pool_size)
    queue = jobs.open_queue(database.url, settings.worker_concurrency + 2)
    async with queue.open_async(), httpx.AsyncClient(timeout=20) as http:
        await jobs.ensure_schema(queue)
        world = World(
            settings=settings,
            database=database,
            clock=clock,
            policy=policy,
            sources=sources,
            detectors=detectors,
            owners=owners,
            classifier=classifier or choose_classifier(settings, policy, owners, detectors),
            connectors=connectors if connectors is not None else _connectors(settings, database.sessions, http, clock),
            nudge=jobs.nudger(queue),
        )
        try:
            if not worker:
                yield world
                return
            jobs.register(queue, world)
            async with jobs.working(queue, world):
                yield world
        finally:
            await database.engine.dispose()
