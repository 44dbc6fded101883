"""What the queue would do, step by step, so that a test sees each state."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from app import pipeline, queue, reader, store
from app.inbox import Accepted, inbox_for
from app.signals import reading
from app.signals.shapes import Envelope, Source
from app.world import World

ROUNDS = 20


async def deliver(
    world: World, source: Source, payload: Mapping[str, Any], headers: Mapping[str, str] | None = None, at: datetime | None = None
) -> list[Accepted]:
    """Put one delivery into the inbox, as if its signature had been verified."""
    raw = json.dumps(payload).encode()
    received_at = at or world.clock()
    envelope = Envelope(source, {k.lower(): v for k, v in (headers or {}).items()}, raw, received_at)
    async with inbox_for(world) as inbox:
        return await inbox.accept(source, reading.open_body(envelope), raw, received_at)


async def work(world: World) -> None:
    """Read, look, judge and act until nothing is left to do."""
    for _ in range(ROUNDS):
        await reader.read_signals(world)
        async with world.database.sessions() as session:
            due = list((await session.execute(store.orders_due(world.clock(), 100))).scalars())
        for order_id in due:
            await pipeline.look_at(world, order_id)
        if await queue.settled(world):
            return
    raise AssertionError("the work does not come to an end")


async def until(true: Callable[[], Awaitable[bool]], patience_s: float = 40) -> None:
    """Ask again and again until it is true. Raises TimeoutError when that takes far too long."""
    async with asyncio.timeout(patience_s):
        found = await true()
        while not found:
            await asyncio.sleep(0.05)
            found = await true()
