"""A worker is killed, as by a power cut, at the worst moments; another one puts it right, and nothing happens twice."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import queue, trail
from app.act import ABANDONED_AFTER
from app.demo.shop import ADMIN_PATH, Shop
from app.serving import listening
from app.settings import Settings, ShopifyConnector
from app.signals.shapes import Source
from app.tables import ActionState, Decision, SignalState
from app.wiring import open_world
from app.world import World
from guardrails.facts import rfc3339
from guardrails.taxonomy import Action
from tests.app.typed import SCRIPT
from tests.builders import CLOUD, actions, all_cases, cloud_event, orders, shopify_headers, shopify_order, signals
from tests.steps import deliver, until

pytestmark = pytest.mark.journey
PATIENCE_S = 40
FIRST = 5_480_000_000_000
HOLD, RESUBMIT = "fulfillmentOrderHold", "fulfillmentOrderSubmitFulfillmentRequest"


class Trap:
    """Stands before the shop. The first call of `operation` never gets its answer: it stops before or after its effect."""

    def __init__(self, shop: ASGIApp, operation: str, *, before: bool) -> None:
        self._shop, self._operation, self._before = shop, operation, before
        self.sprung, self.over = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.sprung.is_set():
            return await self._shop(scope, receive, send)
        body = await Request(scope, receive).body()

        async def again() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        if self._operation.encode() not in body:
            return await self._shop(scope, again, send)
        if not self._before:
            await self._shop(scope, again, _nowhere)
        self.sprung.set()
        await self.over.wait()


async def _nowhere(message: object) -> None:
    """A reply that is lost."""


@pytest.fixture
def shop() -> Shop:
    return Shop("token", lambda: datetime.now(UTC))


def connected(settings: Settings, address: str) -> Settings:
    shopify = ShopifyConnector.model_validate({"admin_url": address + ADMIN_PATH, "access_token": "token"})
    return settings.model_copy(update={"shopify": shopify, "sweep_every_s": 1})


@asynccontextmanager
async def worker_process(settings: Settings, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`ordermend worker`, in a process of its own. Killed at the end, if it still lives."""
    ours = {
        "ORDERMEND_DATABASE_URL": settings.database_url,
        "ORDERMEND_DATA_DIR": str(folder),
        "ORDERMEND_CLASSIFIER": "rules",
        "ORDERMEND_SWEEP_EVERY_S": "1",
        "ORDERMEND_SHOPIFY__ADMIN_URL": settings.shopify.admin_url,
        "ORDERMEND_SHOPIFY__ACCESS_TOKEN": "token",
    }
    with (folder / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(SCRIPT, "worker", env=os.environ | ours, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def sell(world: World, shop: Shop, topic: str, data: dict[str, object], count: int = 1) -> None:
    """Orders of which the warehouse says something."""
    now = rfc3339(datetime.now(UTC) - timedelta(minutes=1))
    for number in range(count):
        order = shopify_order(f"#{number}", FIRST + number, created_at=now, updated_at=now)
        shop.sell([order])
        await deliver(world, Source.SHOPIFY, order, shopify_headers())
        await deliver(world, Source.EVENTS, cloud_event(topic, data, f"#{number}", time=now), CLOUD)


SHORT: tuple[str, dict[str, object]] = ("wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
BUSY: tuple[str, dict[str, object]] = ("wms.order.rejected", {"reason": "system_busy"})


@asynccontextmanager
async def two_minutes_later(settings: Settings) -> AsyncIterator[World]:
    """Another process, after the first has been dead for a while."""

    def now() -> datetime:
        return datetime.now(UTC) + ABANDONED_AFTER * 2

    async with open_world(settings, clock=now, worker=True) as world:
        yield world


async def _more_than(shop: Shop, before: int) -> bool:
    return len(shop.effects) > before


@pytest.mark.parametrize("before", [True, False], ids=["before its effect", "after its effect"])
async def test_a_worker_killed_in_the_middle_of_a_hold_leaves_one_hold(
    settings: Settings, shop: Shop, tmp_path: Path, before: bool
) -> None:
    trap = Trap(shop.app(), HOLD, before=before)
    async with listening(trap, "127.0.0.1", 0) as address:
        given = connected(settings, address)
        async with open_world(given) as world:
            await sell(world, shop, *SHORT)
        async with worker_process(given, tmp_path) as process:
            await asyncio.wait_for(trap.sprung.wait(), PATIENCE_S)
            await kill(process)
        trap.over.set()
        assert len(shop.effects) == (0 if before else 1)
        async with two_minutes_later(given) as world:
            (left,) = await actions(world, Action.HOLD_FULFILMENT)
            assert left.state in (ActionState.RUNNING, ActionState.DONE)
            await until(lambda: queue.settled(world))
            (row,) = await actions(world, Action.HOLD_FULFILMENT)
    assert (row.state, len(shop.effects)) == (ActionState.DONE, 1)
    assert [len(order.holds) for placed in shop.fulfilment.values() for order in placed] == [1]


@pytest.mark.parametrize("before", [True, False], ids=["before its effect", "after its effect"])
async def test_a_worker_killed_in_the_middle_of_what_cannot_be_repeated_leaves_it_to_a_person(
    settings: Settings, shop: Shop, tmp_path: Path, before: bool
) -> None:
    trap = Trap(shop.app(), RESUBMIT, before=before)
    async with listening(trap, "127.0.0.1", 0) as address:
        given = connected(settings, address)
        async with open_world(given) as world:
            await sell(world, shop, *BUSY)
        async with worker_process(given, tmp_path) as process:
            await asyncio.wait_for(trap.sprung.wait(), PATIENCE_S)
            await kill(process)
        trap.over.set()
        async with two_minutes_later(given) as world:
            await until(lambda: queue.settled(world))
            (row,) = await actions(world, Action.RESUBMIT_FULFILMENT)
            (case,) = await all_cases(world)
    assert (row.state, case.state) == (ActionState.UNKNOWN, "review")
    assert len(shop.effects) == (0 if before else 1)


async def test_workers_killed_again_and_again_lose_nothing_and_do_nothing_twice(
    settings: Settings, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, chance = 40, random.Random(20261123)
    async with listening(shop.app(), "127.0.0.1", 0) as address:
        given = connected(settings, address)
        async with open_world(given) as world:
            await sell(world, shop, *SHORT, count)
        for _ in range(3):
            before = len(shop.effects)
            if before > count - 2 * given.worker_concurrency:
                break  # what is left may all be in the hands of the dead: there is nothing to kill the next one over
            async with worker_process(given, tmp_path) as process:
                await until(partial(_more_than, shop, before))
                await asyncio.sleep(chance.random() * 0.15)
                await kill(process)
        monkeypatch.setattr(queue, "WORKER_DEAD_AFTER", timedelta(seconds=12))
        async with two_minutes_later(given) as world:
            await until(lambda: queue.settled(world))
            assert {signal.state for signal in await signals(world)} == {SignalState.LINKED}
            assert len(await orders(world)) == count
            found = await all_cases(world)
            assert (len(found), {case.state for case in found}) == (count, {"review"})
            holds = await actions(world, Action.HOLD_FULFILMENT)
            assert (len(holds), {row.state for row in holds}) == (count, {ActionState.DONE})
            async with world.database.sessions() as session:
                assert (await trail.verify(session)).valid
                judged = (await session.execute(select(Decision.case_id, func.count()).group_by(Decision.case_id))).all()
            assert {number for _, number in judged} == {1}
    assert set(Counter(effect.fulfilment_order for effect in shop.effects).values()) == {1}
    assert len(shop.effects) == count
