"""The durable inbox: what was answered is stored, once, and one bad delivery costs nobody else anything."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app import dead_letter, pipeline, reader
from app.database import connect, write
from app.errors import DatabaseUnavailable
from app.inbox import LONGEST_ID, MOST_IDENTIFIERS, Inbox
from app.signals import reading, shopify
from app.signals.shapes import Delivery, ParsedSignal, Source
from app.tables import SignalState
from app.world import World
from tests import builders
from tests.builders import CLOUD, cloud_event, shopify_headers, shopify_order, signals, trail_of
from tests.conftest import Clock
from tests.fakes import Nudges
from tests.steps import deliver, work

RAW = b"{}"


def delivery(number: int, **changed: Any) -> Delivery:
    made = Delivery(shopify_headers(), shopify_order(f"#{number}", 10**12 + number), f"d{number}", f"e{number}", "orders/create")
    return replace(made, **changed)


async def test_a_signal_is_committed_before_the_answer(world: World, inbox: Inbox) -> None:
    (accepted,) = await inbox.accept(Source.SHOPIFY, [delivery(1)], RAW, world.clock())
    (stored,) = await signals(world)
    assert (stored.id, stored.body, stored.state, accepted.duplicate) == (accepted.signal_id, RAW, SignalState.RECEIVED, False)


async def test_fifty_deliveries_of_one_webhook_at_once_are_one_signal_one_case_and_counted(world: World, inbox: Inbox) -> None:
    answers = await asyncio.gather(*(inbox.accept(Source.SHOPIFY, [delivery(1)], RAW, world.clock()) for _ in range(50)))
    assert len({a.signal_id for (a,) in answers}) == 1
    assert sorted(a.duplicate for (a,) in answers) == [False] + [True] * 49
    (stored,) = await signals(world)
    assert stored.duplicates == 49


async def test_two_processes_with_the_same_deliveries_in_other_orders_do_not_stand_in_each_others_way(
    world: World, inbox: Inbox
) -> None:
    there, back = [delivery(n) for n in range(40)], [delivery(n) for n in reversed(range(40))]
    other = Inbox(world)
    writer = asyncio.create_task(other.run())
    answers = await asyncio.gather(
        *(box.accept(Source.SHOPIFY, batch, RAW, world.clock()) for _ in range(5) for box, batch in ((inbox, there), (other, back)))
    )
    writer.cancel()
    assert sum(not item.duplicate for answer in answers for item in answer) == 40
    assert sum(row.duplicates for row in await signals(world)) == 40 * 9


async def test_an_event_that_comes_through_another_delivery_is_a_duplicate(world: World, inbox: Inbox) -> None:
    (first,) = await inbox.accept(Source.SHOPIFY, [delivery(1)], RAW, world.clock())
    (second,) = await inbox.accept(Source.SHOPIFY, [delivery(1, delivery_id="another")], RAW, world.clock())
    assert (second.signal_id, second.duplicate) == (first.signal_id, True)


async def test_the_same_ids_from_another_source_are_another_signal(world: World) -> None:
    await deliver(world, Source.STRIPE, builders.stripe_event("charge.succeeded", {"object": "charge"}, event_id="same"))
    await deliver(world, Source.EVENTS, cloud_event("wms.order.held", {}, id="same"), CLOUD)
    assert [row.duplicates for row in await signals(world)] == [0, 0]


async def test_a_row_that_the_database_refuses_fails_alone(world: World, inbox: Inbox) -> None:
    async with write(world.database.sessions) as session:
        await session.execute(text("ALTER TABLE signals ADD CONSTRAINT no_thirteen CHECK (delivery_id <> 'd13')"))
    answers = await asyncio.gather(
        *(inbox.accept(Source.SHOPIFY, [delivery(n)], RAW, world.clock()) for n in range(20)), return_exceptions=True
    )
    assert [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)] == [13]
    assert not isinstance(answers[13], DatabaseUnavailable)  # the database is well: sending it again would not help
    assert len(await signals(world)) == 19


async def test_a_row_that_cannot_even_be_written_down_fails_alone(world: World, inbox: Inbox) -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"deeper": deep}
    poisoned = delivery(13, headers={"x-shopify-topic": "orders/create", "x-odd": deep})  # a bind that raises in Python
    batch = [delivery(n) for n in range(5)]
    good = [inbox.accept(Source.SHOPIFY, [item], RAW, world.clock()) for item in batch]
    answers = await asyncio.gather(*good, inbox.accept(Source.SHOPIFY, [poisoned], RAW, world.clock()), return_exceptions=True)
    assert [isinstance(answer, BaseException) for answer in answers] == [False] * 5 + [True]


async def test_ids_too_long_for_an_index_are_stored_and_still_found_to_be_duplicates(world: World, inbox: Inbox) -> None:
    long = "".join(f"{n:x}" for n in range(3_000))
    for duplicate in (False, True):
        (answer,) = await inbox.accept(Source.SHOPIFY, [delivery(1, delivery_id=long, event_id=long)], RAW, world.clock())
        assert answer.duplicate is duplicate
    (other,) = await inbox.accept(Source.SHOPIFY, [delivery(2, delivery_id=long + "0", event_id=long + "0")], RAW, world.clock())
    assert not other.duplicate


async def test_endless_identifiers_neither_fail_nor_stop_the_reader(world: World) -> None:
    lines = [{"id": n, "sku": f"SKU-{n}", "quantity": 1, "price": "1.00"} for n in range(5_000)]
    await deliver(world, Source.SHOPIFY, shopify_order(line_items=lines), shopify_headers())
    await deliver(world, Source.EVENTS, cloud_event("wms.pick.short", {"sku": "x" * 5_000}, subject="y" * 5_000), CLOUD)
    await work(world)
    first, second = await signals(world)
    assert (first.state, second.state) == (SignalState.LINKED, SignalState.UNLINKED)
    assert len(first.identifiers) <= MOST_IDENTIFIERS
    assert "order:1001" in first.identifiers
    assert all(len(i) <= LONGEST_ID for i in second.identifiers)


HOSTILE: dict[str, Any] = {
    "nul": "a\x00b",
    "lone surrogate": "\ud800 x",
    "huge number": 10**4_000,
    "right to left": "\u202emoc.elpmaxe",
    "deep": json.loads("[" * 400 + "]" * 400),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_values_are_stored_read_and_judged(world: World, name: str) -> None:
    value = HOSTILE[name]
    text_or_nothing = value if isinstance(value, str) else None
    headers = shopify_headers() | {"x-note": "a\x00b\ud800"}
    await deliver(world, Source.SHOPIFY, shopify_order(note=text_or_nothing, extra={"more": value}), headers)
    label = {"carrier": "DHL", "service": "x", "tracking_code": "T12345678", "ship_to": {"address1": value, "zip": "1"}}
    await deliver(world, Source.EVENTS, cloud_event("label.purchased", label), CLOUD)
    await work(world)
    assert [row.state for row in await signals(world)] == [SignalState.LINKED] * 2


async def test_a_batch_with_lone_surrogates_is_stored_event_by_event(world: World) -> None:
    batch: Any = [cloud_event("wms.order.held", {"message": "\ud800"}), cloud_event("wms.order.held", {"message": "fine"})]
    answers = await deliver(world, Source.EVENTS, batch, {"content-type": "application/cloudevents-batch+json"})
    assert [answer.duplicate for answer in answers] == [False, False]
    await work(world)
    assert {row.state for row in await signals(world)} == {SignalState.LINKED}


async def test_without_a_database_nothing_is_claimed_to_be_stored(world: World) -> None:
    nowhere = connect("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1)
    away = replace(world, database=nowhere)
    with pytest.raises(DatabaseUnavailable, match="send the signal again"):
        await deliver(away, Source.SHOPIFY, shopify_order(), shopify_headers())
    inbox = Inbox(away)
    with pytest.raises(DatabaseUnavailable):
        await inbox.bury(Source.SHOPIFY, {}, b"x", world.clock(), "not JSON")
    assert await signals(world) == []


async def test_a_burial_is_idempotent_and_on_record(world: World, inbox: Inbox) -> None:
    ids = [await inbox.bury(Source.STRIPE, {"a": "b"}, b"not json \xff\x00", world.clock(), "not JSON") for _ in range(3)]
    assert len(set(ids)) == 1
    (dead,) = await dead_letter.entries(world)
    assert (dead.id, dead.state, dead.body, dead.duplicates) == (ids[0], SignalState.DEAD, b"not json \xff\x00", 2)
    assert [body["signal_id"] for _, body in await trail_of(world, "signal.dead_lettered")] == ids[:1]


async def test_secrets_in_headers_are_not_kept(world: World) -> None:
    await deliver(world, Source.SHOPIFY, shopify_order(), shopify_headers() | {"X-Shopify-Hmac-Sha256": "s", "Cookie": "c"})
    (stored,) = await signals(world)
    assert not {"x-shopify-hmac-sha256", "cookie"} & set(stored.headers)


async def test_what_a_parser_fails_on_is_accepted_tried_five_times_and_then_dead_while_neighbours_go_on(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shopify.parse

    def parse(headers: Any, payload: dict[str, Any], received_at: Any) -> ParsedSignal:
        if payload.get("name") == "#666":
            raise ZeroDivisionError("a defect of ours")
        return real(headers, payload, received_at)

    monkeypatch.setitem(reading._READERS, Source.SHOPIFY, reading._Reader(shopify.delivery, parse))
    await deliver(world, Source.SHOPIFY, shopify_order("#666", 666_000_000_000), shopify_headers())
    await deliver(world, Source.SHOPIFY, shopify_order(), shopify_headers())
    for _ in range(6):
        for order_id in await reader.read_signals(world):
            await pipeline.look_at(world, order_id)
        clock.forward(minutes=2)
    poison, neighbour = await signals(world)
    assert (poison.state, poison.attempts, neighbour.state) == (SignalState.DEAD, 5, SignalState.LINKED)
    assert "a defect of ours" in (poison.error or "")
    assert len(await trail_of(world, "signal.dead_lettered")) == 1


async def test_the_reader_is_told_once_of_new_signals_and_not_of_duplicates(world: World) -> None:
    told = Nudges()
    listening = replace(world, nudge=told)
    for _ in range(3):
        await deliver(listening, Source.SHOPIFY, shopify_order(), {"x-shopify-topic": "orders/create", "x-shopify-event-id": "1"})
        await asyncio.sleep(0.01)
    assert told.asked in ([("read_signals", "")], [])
