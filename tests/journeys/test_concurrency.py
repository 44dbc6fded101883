"""Everything at once, over HTTP and with several workers: each thing happens once."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app import queue, trail
from app.clients.desk import KIND
from app.inbox import inbox_for
from app.settings import Settings
from app.signals.shapes import Source
from app.tables import ActionState, Decision, SignalState
from app.web.app import create_app
from app.wiring import open_world
from app.world import World
from guardrails.taxonomy import Action
from tests.app.web.sending import ORDER, SHOPIFY, send, signed
from tests.builders import CLOUD, actions, all_cases, cloud_event, orders, shopify_headers, shopify_order, signals
from tests.conftest import START, MakeKey
from tests.fakes import Peer
from tests.steps import until, work

pytestmark = pytest.mark.journey


def going() -> Callable[[], datetime]:
    begun = time.monotonic()
    return lambda: START + timedelta(seconds=time.monotonic() - begun)


@asynccontextmanager
async def workers(settings: Settings, peer: Peer, count: int) -> AsyncIterator[list[World]]:
    """Several installations on one database, each with a worker and a sweep of its own."""
    swift, clock = settings.model_copy(update={"sweep_every_s": 1}), going()
    connectors = {**dict.fromkeys(KIND, Peer()), Action.RESUBMIT_FULFILMENT: peer, Action.HOLD_FULFILMENT: peer}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_world(swift, clock=clock, connectors=connectors, worker=True))
            for _ in range(count)
        ]


async def settled(world: World) -> None:
    await until(lambda: queue.settled(world))


def talking_to(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://ordermend.test")


async def test_one_webhook_fifty_times_at_once_is_one_signal_one_case_and_one_action(settings: Settings) -> None:
    peer = Peer(repeatable=False)
    async with workers(settings, peer, 2) as (world, other), inbox_for(world) as one, inbox_for(other) as two:
        await send(talking_to(create_app(world, one)), world, Source.SHOPIFY, ORDER, SHOPIFY)
        body = json.dumps(cloud_event("wms.order.rejected", {"reason": "system_busy"}, time="2026-11-02T09:59:00Z")).encode()
        headers = signed(world, Source.EVENTS, body, CLOUD | {"webhook-id": "msg_1"})
        async with talking_to(create_app(world, one)) as left, talking_to(create_app(other, two)) as right:
            answers = await asyncio.gather(
                *(client.post("/api/v1/signals/events", content=body, headers=headers) for client in (left, right) * 25)
            )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["signal_id"] for answer in answers}) == 1
        assert Counter(answer.json()["duplicate"] for answer in answers) == {True: 49, False: 1}
        await settled(world)
        (_, stored) = await signals(world)
        assert (stored.duplicates, stored.state) == (49, SignalState.LINKED)
        assert len(await all_cases(world)) == 1
        assert len(peer.calls) == 1


async def test_three_workers_on_one_database_do_everything_once(settings: Settings) -> None:
    peer, count = Peer(repeatable=False), 30
    async with workers(settings, peer, 3) as worlds:
        world = worlds[0]
        async with AsyncExitStack() as stack:
            clients = [talking_to(create_app(w, await stack.enter_async_context(inbox_for(w)))) for w in worlds]
            for client in clients:
                await stack.enter_async_context(client)
            waiting = []
            for number in range(count):
                order = json.dumps(shopify_order(f"#{number}", 4_000_000_000_000 + number)).encode()
                event = cloud_event("wms.order.rejected", {"reason": "system_busy"}, f"#{number}", time="2026-11-02T09:59:00Z")
                for source, body, headers in (
                    (Source.EVENTS, json.dumps(event).encode(), CLOUD | {"webhook-id": f"msg_{number}"}),
                    (Source.SHOPIFY, order, shopify_headers()),
                ):
                    address, sealed = f"/api/v1/signals/{source}", signed(world, source, body, headers)
                    waiting += [client.post(address, content=body, headers=sealed) for client in clients]
            answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {202}
        await settled(world)
        assert len(await signals(world)) == 2 * count
        assert len(await orders(world)) == count
        assert {case.state for case in await all_cases(world)} == {"automated"}
        resubmitted = [task.order_ref for task in peer.calls]
        assert sorted(resubmitted) == sorted(f"#{number}" for number in range(count))
        async with world.database.sessions() as session:
            assert (await trail.verify(session)).valid
            twice = select(Decision.case_id, Decision.facts_sha256).group_by(Decision.case_id, Decision.facts_sha256)
            assert (await session.execute(twice.having(func.count() > 1))).all() == []


async def test_the_database_goes_away_under_load_and_nothing_that_was_answered_is_lost(settings: Settings) -> None:
    peer, accepted = Peer(), set[str]()
    async with workers(settings, peer, 1) as (world,), inbox_for(world) as inbox, talking_to(create_app(world, inbox)) as client:

        async def keep_sending(number: int) -> None:
            body = json.dumps(shopify_order(f"#{number}", 4_000_000_000_000 + number)).encode()
            headers = signed(world, Source.SHOPIFY, body, shopify_headers())
            for _ in range(200):
                answer = await client.post("/api/v1/signals/shopify", content=body, headers=headers)
                assert answer.status_code in (202, 503), answer.text
                if answer.status_code == 202:
                    accepted.add(answer.json()["signal_id"])
                    return
                await asyncio.sleep(0.05)

        async def cut() -> None:
            async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as admin:
                for _ in range(5):
                    await asyncio.sleep(0.05)
                    await admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )

        await asyncio.gather(cut(), *(keep_sending(number) for number in range(60)))
        assert len(accepted) == 60
        await settled(world)
        assert {signal.id for signal in await signals(world)} == accepted
        assert len(await orders(world)) == 60


async def test_ten_reviewers_who_approve_at_once_over_http_have_one_set_of_actions(
    client: httpx.AsyncClient, world: World, make_key: MakeKey, admin: dict[str, str]
) -> None:
    await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    short = cloud_event("wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await send(client, world, Source.EVENTS, short, CLOUD | {"webhook-id": "msg_1"})
    await work(world)
    ((case,),) = [(await client.get("/api/v1/cases", headers=admin)).json()["data"]]
    body: dict[str, Any] = {"decision": "approve", "reason": "Asked by phone."}
    keys = [await make_key(name=f"p{n}", roles=["senior_reviewer"]) for n in range(10)]
    address, match = f"/api/v1/cases/{case['id']}/review", {"If-Match": f'"{case["version"]}"'}
    answers = await asyncio.gather(*(client.post(address, headers=key | match, json=body) for key in keys))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    approved = [row for row in await actions(world) if row.approved_by]
    assert [(row.action, row.state) for row in approved] == [(Action.MESSAGE_CUSTOMER, ActionState.HANDED_OVER)]
