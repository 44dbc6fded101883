"""What could not be read is listed, fixed and replayed; what was received stays on record."""

import asyncio
from typing import Any

import pytest

from app import dead_letter
from app.errors import IllegalTransition, InputInvalid, NotFound
from app.inbox import inbox_for
from app.signals.shapes import Source
from app.tables import SignalState
from app.trail import Event
from app.world import World
from tests.builders import all_cases, cloud_event, orders, person, shopify_order, signals, trail_of
from tests.steps import deliver, work

HEADERS = {"x-shopify-topic": "orders/create", "x-shopify-webhook-id": "del-9", "x-shopify-event-id": "evt-9"}


async def buried(world: World, source: Source = Source.SHOPIFY, raw: bytes = b'{"id": ', headers: Any = None) -> str:
    async with inbox_for(world) as inbox:
        return await inbox.bury(source, HEADERS if headers is None else headers, raw, world.clock(), "the body is not JSON")


async def test_a_fixed_payload_is_read_and_joins_its_order(world: World) -> None:
    signal_id = await buried(world)
    await dead_letter.replay(world, person(), signal_id, shopify_order())
    await work(world)
    (signal,) = await signals(world)
    assert (signal.state, signal.error, signal.delivery_id) == (SignalState.LINKED, None, "del-9")
    assert [order.ref for order in await orders(world)] == ["#1001"]
    ((_, body),) = [entry for entry in await trail_of(world) if entry[0] == Event.SIGNAL_REPLAYED]
    assert (body["corrected"], body["received"], body["was"]) == (True, '{"id": ', "the body is not JSON")
    assert await dead_letter.entries(world) == []


async def test_a_repaired_delivery_and_its_vendors_retry_are_told_apart_from_each_other_and_counted_once(world: World) -> None:
    signal_id = await buried(world)
    await dead_letter.replay(world, person(), signal_id, shopify_order())
    (retry,) = await deliver(world, Source.SHOPIFY, shopify_order(), HEADERS)
    assert (retry.duplicate, retry.signal_id) == (True, signal_id)


async def test_when_the_retry_came_first_the_repaired_one_stays_apart(world: World) -> None:
    signal_id = await buried(world)
    await deliver(world, Source.SHOPIFY, shopify_order(), HEADERS)
    await dead_letter.replay(world, person(), signal_id, shopify_order())
    await work(world)
    assert [signal.state for signal in await signals(world)] == [SignalState.LINKED] * 2
    assert len(await orders(world)) == 1


@pytest.mark.parametrize("payload", [None, {"line_items": "none", "name": 7, "id": []}])
async def test_what_still_cannot_be_read_stays_dead(world: World, payload: dict[str, Any] | None) -> None:
    signal_id = await buried(world)
    with pytest.raises(InputInvalid):
        await dead_letter.replay(world, person(), signal_id, payload)
    assert [signal.state for signal in await signals(world)] == [SignalState.DEAD]
    assert await trail_of(world, Event.SIGNAL_REPLAYED) == []


async def test_a_replayed_unknown_topic_is_counted_as_unmapped(world: World) -> None:
    signal_id = await buried(world, Source.EVENTS, headers={"content-type": "application/cloudevents+json"})
    await dead_letter.replay(world, person(), signal_id, cloud_event("wms.robot.danced", {}))
    await work(world)
    assert [signal.state for signal in await signals(world)] == [SignalState.UNMAPPED]


async def test_a_payload_with_lone_surrogates_is_replayed(world: World) -> None:
    signal_id = await buried(world)
    await dead_letter.replay(world, person(), signal_id, shopify_order(note="\ud800"))
    await work(world)
    assert [signal.state for signal in await signals(world)] == [SignalState.LINKED]


async def test_only_a_dead_signal_is_replayed_and_only_once(world: World) -> None:
    with pytest.raises(NotFound):
        await dead_letter.replay(world, person(), "sig_none", None)
    signal_id = await buried(world)
    answers = await asyncio.gather(
        *(dead_letter.replay(world, person(), signal_id, shopify_order()) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["IllegalTransition"] * 4 + ["NoneType"]
    with pytest.raises(IllegalTransition):
        await dead_letter.replay(world, person(), signal_id, None)
    assert len(await trail_of(world, Event.SIGNAL_REPLAYED)) == 1


async def test_the_list_goes_on_after_a_place(world: World) -> None:
    for n in range(5):
        await buried(world, raw=f"odd {n}".encode())
    first = await dead_letter.entries(world, limit=2)
    rest = await dead_letter.entries(world, limit=10, after=first[-1].seq)
    assert [signal.body for signal in (*first, *rest)] == [f"odd {n}".encode() for n in range(5)]
    assert await all_cases(world) == []
