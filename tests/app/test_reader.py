"""Signals find their orders: early, late, twice, out of order, and through ids that several orders share."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app import pipeline, reader, store
from app.cases import settle_cases
from app.database import write
from app.judge import look
from app.signals.shapes import Source
from app.tables import Order, Signal, SignalOrder, SignalState
from app.trail import Event
from app.world import World
from tests import builders
from tests.builders import (
    CLOUD,
    all_cases,
    cloud_event,
    event_arrives,
    order_arrives,
    orders,
    payment,
    read_and_look,
    shopify_headers,
    shopify_order,
    signals,
    stripe_event,
    stripe_says,
    trail_of,
)
from tests.conftest import Clock
from tests.steps import deliver, work

SCAN = {"carrier": "DHL", "tracking_code": "JD014600001", "status": "in_transit", "message": "on its way"}


async def joined(world: World) -> set[tuple[int, str]]:
    """(place of the signal, ref of the order it belongs to)."""
    seqs = {row.id: number for number, row in enumerate(await signals(world))}
    refs = {order.id: order.ref for order in await orders(world)}
    async with world.database.sessions() as session:
        return {(seqs[row.signal_id], refs[row.order_id]) for row in (await session.execute(select(SignalOrder))).scalars()}


async def picture(world: World, ref: str = "#1001") -> dict[str, Any]:
    """Field by field what is believed of the order."""
    async with world.database.sessions() as session:
        order = await store.get_order_by_ref(session, ref)
    context = await store.gather(world, order.id, world.clock())
    return {key: item.winner.value for key, item in context.fields.items()}


async def test_a_signal_that_nobody_can_place_waits_and_joins_when_its_identifier_appears(world: World) -> None:
    await event_arrives(world, "carrier.tracking", SCAN | {"occurred_at": "2026-11-02T09:00:00Z"}, subject=None)
    await work(world)
    assert [row.state for row in await signals(world)] == [SignalState.UNLINKED]
    await order_arrives(world)
    shipped = {"lines": [{"sku": "MUG-1", "quantity": 2}], "carrier": "DHL", "tracking_code": SCAN["tracking_code"]}
    await event_arrives(world, "wms.order.shipped", shipped)
    await reader.read_signals(world)  # once: what a batch wakes is read at once, not at the next occasion
    assert {row.state for row in await signals(world)} == {SignalState.LINKED}
    assert await joined(world) == {(0, "#1001"), (1, "#1001"), (2, "#1001")}


async def test_the_signals_of_a_new_order_open_one_record_however_many_read_at_once(world: World) -> None:
    for status in ("requires_payment_method", "processing", "succeeded"):
        await stripe_says(world, f"payment_intent.{status}", payment(status))
    await order_arrives(world)
    await asyncio.gather(*(reader.read_signals(world) for _ in range(5)))
    assert [order.ref for order in await orders(world)] == ["#1001"]
    assert len(await joined(world)) == 4
    assert len([body for _, body in await trail_of(world, Event.SIGNAL_ACCEPTED) if body["state"] == "linked"]) == 4


async def two_records_of_one_order(world: World) -> None:
    """One known by its name, one by its number; each has a case, and both have one of the same cause."""
    await event_arrives(world, "wms.order.rejected", {"reason": "system_busy"})
    await event_arrives(world, "integration.failed", {"system": "wms", "operation": "submit", "message": "x"})
    await work(world)
    await stripe_says(world, "payment_intent.processing", payment("processing", order=str(builders.ORDER_ID)))
    await event_arrives(
        world, "integration.failed", {"system": "erp", "operation": "export", "message": "y"}, subject=builders.ORDER_GID
    )
    await work(world)
    assert len(await orders(world)) == 2
    assert [c.detected_category for c in await all_cases(world) if c.state not in ("cleared", "resolved")].count(
        "integration_failure"
    ) == 2


async def test_two_records_that_turn_out_to_be_one_order_become_one_with_all_they_hold(world: World) -> None:
    await two_records_of_one_order(world)
    await order_arrives(world)
    await work(world)
    (order,) = await orders(world)
    assert order.ref == "#1001"
    assert {ref for _, ref in await joined(world)} == {"#1001"}
    assert len(await joined(world)) == 5
    found = await all_cases(world)
    assert {case.order_id for case in found} == {order.id}
    assert {case.order_ref for case in found} == {"#1001"}
    opened = [case.fingerprint for case in found if case.state not in ("cleared", "resolved")]
    assert len(opened) == len(set(opened))
    assert all(fingerprint.startswith(order.id) for fingerprint in opened)
    assert [body["kept"] for _, body in await trail_of(world, Event.ORDERS_MERGED)] == [order.id]
    merged = [body for _, body in await trail_of(world, Event.CASE_CLEARED) if "turned out" in body["why"]]
    assert len(merged) == 1
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", order=None))
    await work(world)
    assert (await picture(world))["payment.status[pi_1]"] == "succeeded"


async def test_three_records_with_the_same_open_case_unite_into_one_case(world: World) -> None:
    for subject in ("#1001", builders.ORDER_GID):
        await event_arrives(world, "wms.order.rejected", {"reason": "system_busy"}, subject=subject)
    await work(world)
    await order_arrives(world)
    await work(world)
    assert (await signals(world))[-1].state == SignalState.LINKED
    assert len([case for case in await all_cases(world) if case.state != "cleared"]) == 1


async def test_a_look_that_began_before_its_record_was_merged_away_changes_nothing(world: World) -> None:
    await two_records_of_one_order(world)
    ids = [order.id for order in await orders(world)]
    await order_arrives(world)
    await reader.read_signals(world)
    for order_id in ids:
        await pipeline.look_at(world, order_id)
    assert len(await orders(world)) == 1


async def test_a_parcel_code_used_again_does_not_make_two_orders_one(world: World) -> None:
    shipped = {"lines": [], "carrier": "DHL", "tracking_code": SCAN["tracking_code"]}
    await order_arrives(world, "#0900", 4_000_000_000_001)
    await event_arrives(world, "wms.order.shipped", shipped, subject="#0900")
    await event_arrives(world, "wms.order.shipped", shipped, subject="#1001")
    await order_arrives(world)
    await event_arrives(world, "carrier.tracking", SCAN | {"occurred_at": "2026-11-02T09:00:00Z"}, subject=None)
    await work(world)
    assert sorted(order.ref for order in await orders(world)) == ["#0900", "#1001"]
    assert await joined(world) == {(0, "#0900"), (1, "#0900"), (2, "#1001"), (3, "#1001"), (4, "#0900"), (4, "#1001")}
    assert await trail_of(world, Event.ORDERS_MERGED) == []


async def test_two_shops_with_the_same_order_name_stay_two_orders(world: World) -> None:
    await order_arrives(world, "#1001", 4_000_000_000_001)
    await order_arrives(world, "#1001", 4_000_000_000_002)
    await work(world)
    assert len(await orders(world)) == 2


async def test_one_payment_for_two_orders_is_told_to_both_and_joins_neither(world: World) -> None:
    await stripe_says(world, "payment_intent.processing", payment("processing", order="1001"))
    await stripe_says(world, "payment_intent.processing", payment("processing", order="1002"))
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", order=None))
    await work(world)
    assert await joined(world) == {(0, "1001"), (1, "1002"), (2, "1001"), (2, "1002")}


async def test_what_is_said_of_a_sku_reaches_the_open_orders_that_hold_it_and_no_other(world: World, clock: Clock) -> None:
    for number in (1, 2, 3):
        await order_arrives(world, f"#{number}", 4_000_000_000_000 + number)
    await work(world)
    async with write(world.database.sessions) as session:
        done = (await session.execute(select(Order).where(Order.ref == "#2"))).scalar_one()
        done.next_look_at = None  # delivered: nothing is open to change
    await event_arrives(world, "wms.inventory.counted", {"sku": "MUG-1", "on_hand": 0, "allocated": 3}, subject=None)
    await reader.read_signals(world)
    assert {ref for place, ref in await joined(world) if place == 3} == {"#1", "#3"}
    assert len(await orders(world)) == 3


async def test_a_late_event_does_not_make_the_picture_older(world: World) -> None:
    await order_arrives(world)
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", amount_received=5800), created=1_793_610_600)
    await stripe_says(world, "payment_intent.processing", payment("processing"), created=1_793_610_000)
    await work(world)
    assert (await picture(world))["payment.status[pi_1]"] == "succeeded"
    order = (await orders(world))[0]
    context = await store.gather(world, order.id, world.clock())
    assert [summary.late for summary in context.signals] == [False, False, True]


async def test_payment_events_in_any_order_end_in_the_same_state(world: World) -> None:
    opened = {"object": "review", "id": "prv_1", "open": True, "payment_intent": "pi_1", "reason": "rule"}
    story = [
        (Source.STRIPE, stripe_event("payment_intent.processing", payment("processing"), 1_793_610_000), {}),
        (Source.STRIPE, stripe_event("payment_intent.succeeded", payment("succeeded", amount_received=5800), 1_793_610_100), {}),
        (Source.STRIPE, stripe_event("review.opened", opened, 1_793_610_050), {}),
        (Source.SHOPIFY, shopify_order(), shopify_headers()),
    ]
    pictures, verdicts = [], []
    chance = random.Random(7)
    for round_ in range(4):
        chance.shuffle(story)
        for source, body, headers in story:
            renamed = _of_round(body, round_)
            await deliver(world, source, renamed, {k: f"{v}-{round_}" if "id" in k else v for k, v in headers.items()})
            await work(world)
        found = await picture(world, f"#{round_}-1001")
        pictures.append({k: v for k, v in _of_round(found, -1, round_).items() if k not in ("order.id", "order.ref")})
        verdicts.append([(c.category, c.state, c.verdict) for c in await all_cases(world) if c.order_ref == f"#{round_}-1001"])
    assert all(found == pictures[0] for found in pictures)
    assert all(found == verdicts[0] for found in verdicts)
    assert verdicts[0]


def _of_round(value: Any, round_: int, was: int | None = None) -> Any:
    """The same story about another order."""
    if isinstance(value, dict):
        return {_of_round(k, round_, was): _of_round(v, round_, was) for k, v in value.items()}
    if isinstance(value, list):
        return [_of_round(item, round_, was) for item in value]
    if was is not None:
        return value.replace(f"pi_{was}x", "pi_").replace(f"{was}-1001", "1001") if isinstance(value, str) else value
    if value == builders.ORDER_ID:
        return builders.ORDER_ID + round_ + 1
    if value == builders.ORDER_GID:
        return f"gid://shopify/Order/{builders.ORDER_ID + round_ + 1}"
    if isinstance(value, str):
        named = value.replace("pi_1", f"pi_{round_}x1").replace("prv_1", f"prv_{round_}").replace("evt_", f"evt_{round_}_")
        return {"1001": f"{round_}-1001", "#1001": f"#{round_}-1001"}.get(named, named)
    return value


@pytest.mark.parametrize(
    "odd", ["yesterday", "2026-11-02T10:00:00", {"a": 1}, 17, None, "x" * 4_000, "2026-13-45T00:00:00Z", "\x00"]
)
async def test_odd_values_where_an_order_is_described_do_not_kill_the_signal(world: World, odd: Any) -> None:
    """The parsers refuse most of them at the door today; what an earlier version has stored is read all the same."""
    await event_arrives(world, "wms.order.received", {})
    names = ("order.placed_at", "order.customer", "order.channel_order_id", "order.ref", "order.imported_at")
    said = [
        {"field": name, "value": odd, "system": "erp", "at": "2026-11-02T09:00:00Z", "entity": "", "pointer": ""} for name in names
    ]
    async with write(world.database.sessions) as session:
        await session.execute(update(Signal).values(observations=said))
    await work(world)
    (signal,) = await signals(world)
    assert (signal.state, signal.error) == (SignalState.LINKED, None)


async def test_a_poison_signal_does_not_drag_a_neighbour_of_the_same_order_along(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reader._describe

    async def describe(session: Any, order_id: str, signal: Any) -> None:
        if signal.topic == "wms.order.held":
            raise ZeroDivisionError("late in the work on this signal")
        await real(session, order_id, signal)

    monkeypatch.setattr(reader, "_describe", describe)
    await event_arrives(world, "wms.order.held", {"reason": "x"})
    await event_arrives(world, "wms.order.received", {})
    for _ in range(6):
        await reader.read_signals(world)
        clock.forward(minutes=2)
    assert [(row.state, row.attempts) for row in await signals(world)] == [(SignalState.DEAD, 5), (SignalState.LINKED, 0)]


async def test_what_joins_while_a_look_is_under_way_makes_another_look_due(world: World) -> None:
    await order_arrives(world)
    await reader.read_signals(world)
    (order,) = await orders(world)
    news = await store.newest_change(world, order.id)
    assert news is not None
    context = await store.gather(world, order.id, world.clock())
    await event_arrives(world, "wms.order.rejected", {"reason": "system_busy"})
    await reader.read_signals(world)  # committed after the look gathered, at the very same time of the clock
    await settle_cases(world, order.id, look(context, world.detectors), news)
    async with world.database.sessions() as session:
        assert list((await session.execute(store.orders_due(world.clock(), 10))).scalars()) == [order.id]
    await work(world)
    assert [case.category for case in await all_cases(world)] == ["warehouse_exception"]


async def test_a_look_that_saw_less_than_another_does_not_undo_it(world: World) -> None:
    await order_arrives(world)
    await reader.read_signals(world)
    (order,) = await orders(world)
    news = await store.newest_change(world, order.id)
    assert news is not None
    old = await store.gather(world, order.id, world.clock())
    await event_arrives(world, "wms.order.rejected", {"reason": "system_busy"})
    await work(world)
    before = await all_cases(world)
    assert await settle_cases(world, order.id, look(old, world.detectors), news) == []
    assert [(c.state, c.version) for c in await all_cases(world)] == [(c.state, c.version) for c in before]


async def test_what_another_process_received_by_a_faster_clock_is_seen(world: World, clock: Clock) -> None:
    await deliver(
        world, Source.EVENTS, cloud_event("wms.order.rejected", {"reason": "system_busy"}), CLOUD, clock.now + timedelta(seconds=3)
    )
    await read_and_look(world)
    assert [case.category for case in await all_cases(world)] == ["warehouse_exception"]


async def test_a_thousand_waiting_signals_are_all_read(world: World) -> None:
    events = [cloud_event("wms.order.received", {}, subject=f"#{n % 7}") for n in range(250)]
    await deliver(world, Source.EVENTS, events, {"content-type": "application/cloudevents-batch+json"})  # type: ignore[arg-type]  # a batch is a list
    await reader.read_signals(world)
    assert {row.state for row in await signals(world)} == {SignalState.LINKED}
    assert len(await orders(world)) == 7
