"""Deliveries: verified on the raw bytes, stored before the answer, and never lost for being unreadable."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import trail
from app.errors import DatabaseUnavailable
from app.inbox import Inbox
from app.settings import WebhookSecrets
from app.signals import reading
from app.signals.shapes import WEBHOOK_SOURCES, Source
from app.tables import Signal, SignalState
from app.web.app import create_app
from app.web.bodies import THROWN_AWAY
from app.world import World
from tests.app.signals.recorded import webhook_bodies
from tests.app.web.sending import ORDER, SHOPIFY, event, send, signed


async def stored(world: World) -> list[Signal]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Signal).order_by(Signal.seq))).scalars())


async def test_a_signed_delivery_is_stored_as_it_came_and_answered_with_its_id(client: httpx.AsyncClient, world: World) -> None:
    body = json.dumps(ORDER, indent=3).encode()
    answer = await send(client, world, Source.SHOPIFY, body, SHOPIFY)
    assert answer.status_code == 202, answer.text
    (row,) = await stored(world)
    assert answer.json() == {"signal_id": row.id, "duplicate": False}
    assert (row.body, row.topic, row.order_ref, row.state) == (body, "orders/create", "#1001", SignalState.RECEIVED)
    assert not [name for name in row.headers if "hmac" in name]


@pytest.mark.parametrize("again", [{}, {"x-shopify-webhook-id": "del-2"}, {"x-shopify-event-id": "evt-2"}])
async def test_the_same_delivery_or_event_again_is_a_duplicate_of_the_first(
    client: httpx.AsyncClient, world: World, again: dict[str, str]
) -> None:
    first = (await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)).json()
    second = await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY | again)
    assert (second.status_code, second.json()) == (202, {"signal_id": first["signal_id"], "duplicate": True})
    assert [row.duplicates for row in await stored(world)] == [1]


@pytest.mark.parametrize("source", WEBHOOK_SOURCES)
async def test_a_wrong_or_absent_signature_is_refused_and_nothing_is_stored(
    client: httpx.AsyncClient, world: World, source: Source
) -> None:
    body = json.dumps({"id": "x"}).encode()
    good = signed(world, source, body)
    for headers, sent in ((good, body + b" "), ({"content-type": "application/json"}, body)):
        answer = await client.post(f"/api/v1/signals/{source}", content=sent, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
        assert answer.headers["content-type"] == "application/problem+json"
    assert await stored(world) == []


@pytest.mark.parametrize("source", WEBHOOK_SOURCES)
async def test_a_blank_secret_refuses_everything_and_says_which_variable_to_set(
    client: httpx.AsyncClient, http_app: Any, world: World, source: Source
) -> None:
    body = b"{}"
    headers = signed(world, source, body)
    blank = WebhookSecrets.model_validate({f"{source}_secret": "  "})
    object.__setattr__(world, "settings", world.settings.model_copy(update={"webhooks": blank}))
    answer = await client.post(f"/api/v1/signals/{source}", content=body, headers=headers)
    assert answer.status_code == 401
    assert f"ORDERMEND_WEBHOOKS__{source.upper()}_SECRET" in answer.json()["detail"]


async def test_the_secret_before_a_rotation_still_opens(client: httpx.AsyncClient, world: World) -> None:
    body = json.dumps(ORDER).encode()
    headers = signed(world, Source.SHOPIFY, body, SHOPIFY)
    old = world.settings.webhooks.shopify_secret.get_secret_value()
    rotated = WebhookSecrets.model_validate({"shopify_secret": "new", "shopify_secret_previous": old})
    object.__setattr__(world, "settings", world.settings.model_copy(update={"webhooks": rotated}))
    assert (await client.post("/api/v1/signals/shopify", content=body, headers=headers)).status_code == 202


@pytest.mark.parametrize("source", ["paypal", "triage", "evidence", "Shopify", "%00", "shopify%2F.."])
async def test_an_unknown_source_is_not_found_and_the_known_ones_are_named(client: httpx.AsyncClient, source: str) -> None:
    answer = await client.post(f"/api/v1/signals/{source}", content=b"{}")
    assert answer.status_code == 404
    if "%2F" not in source:
        assert answer.json()["code"] == "unknown_source"
        assert "shopify" in answer.json()["detail"]


async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, world: World) -> None:
    body = json.dumps(ORDER).encode()
    body += b" " * (world.settings.body_limit_bytes + 1 - len(body))
    answer = await send(client, world, Source.SHOPIFY, body, SHOPIFY)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert await stored(world) == []


async def test_a_body_that_is_declared_far_too_long_is_not_read_at_all(client: httpx.AsyncClient) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b""

    answer = await client.post("/api/v1/signals/shopify", content=body(), headers={"content-length": "9" * 15})
    assert (answer.status_code, read) == (413, False)


async def test_a_chunked_body_over_the_limit_is_refused_before_it_is_read_to_the_end(
    client: httpx.AsyncClient, world: World
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    answer = await client.post("/api/v1/signals/shopify", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert sent <= world.settings.body_limit_bytes + THROWN_AWAY + 2 * 65_536
    assert await stored(world) == []


async def test_a_body_just_at_the_limit_is_taken(client: httpx.AsyncClient, world: World) -> None:
    body = json.dumps(ORDER).encode()
    body += b" " * (world.settings.body_limit_bytes - len(body))
    assert (await send(client, world, Source.SHOPIFY, body, SHOPIFY)).status_code == 202


@pytest.mark.parametrize("body", [b"not json", b"[1]", b'"text"', b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b""])
async def test_a_signed_body_that_is_no_object_is_refused_and_kept(client: httpx.AsyncClient, world: World, body: bytes) -> None:
    answer = await send(client, world, Source.SHOPIFY, body, SHOPIFY)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_not_json")
    (row,) = await stored(world)
    assert (row.id, row.state, row.body) == (answer.json()["signal_id"], SignalState.DEAD, body)
    again = await send(client, world, Source.SHOPIFY, body, SHOPIFY)
    assert again.json()["signal_id"] == row.id
    async with world.database.sessions() as session:
        assert (await trail.verify(session)).valid


async def test_wrong_types_are_refused_with_pointers_and_kept(client: httpx.AsyncClient, world: World) -> None:
    answer = await send(client, world, Source.SHOPIFY, ORDER | {"total_price": [], "line_items": {"a": 1}}, SHOPIFY)
    assert (answer.status_code, answer.json()["code"]) == (422, "fields_invalid")
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/total_price", "/line_items"}
    (row,) = await stored(world)
    assert (row.id, row.state) == (answer.json()["signal_id"], SignalState.DEAD)


async def test_a_batch_is_answered_with_a_list_even_when_it_holds_one(client: httpx.AsyncClient, world: World) -> None:
    batch = {"content-type": "application/cloudevents-batch+json", "webhook-id": "msg_1"}
    short = event("e1", "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    unheard = event("e2", "wms.robot.asleep", {})
    answer = await send(client, world, Source.EVENTS, [short, unheard], batch)
    rows = await stored(world)
    assert answer.status_code == 202
    assert answer.json() == {"signals": [{"signal_id": row.id, "duplicate": False} for row in rows]}
    assert [row.state for row in rows] == [SignalState.RECEIVED, SignalState.UNMAPPED]
    one = await send(client, world, Source.EVENTS, [event("e3", "wms.order.packed", {"lines": []})], batch)
    assert len(one.json()["signals"]) == 1


async def test_one_bad_event_of_a_batch_puts_the_whole_delivery_into_the_dead_letter(
    client: httpx.AsyncClient, world: World
) -> None:
    batch = {"content-type": "application/cloudevents-batch+json", "webhook-id": "msg_1"}
    bad = event("e2", "wms.pick.short", {"sku": ["no"], "requested": "two", "available": 1})
    good = event("e1", "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    answer = await send(client, world, Source.EVENTS, [good, bad], batch)
    assert answer.status_code == 422
    assert [row.state for row in await stored(world)] == [SignalState.DEAD]


async def test_while_the_database_is_away_the_sender_is_told_to_come_back(
    client: httpx.AsyncClient, world: World, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("The database does not answer; send the signal again.")

    monkeypatch.setattr(inbox, "accept", away)
    answer = await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_reader_that_fails_does_not_cost_the_delivery(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("kim@example.com")

    monkeypatch.setattr(reading, "parse", broken)
    answer = await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    assert answer.status_code == 202
    assert [row.state for row in await stored(world)] == [SignalState.RECEIVED]


async def test_a_body_that_our_own_opener_fails_on_is_accepted_and_waits_in_the_dead_letter(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("kim@example.com")

    monkeypatch.setattr(reading, "open_body", broken)
    answer = await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    (row,) = await stored(world)
    assert (answer.status_code, answer.json()["signal_id"]) == (202, row.id)
    assert row.state == SignalState.DEAD
    assert "ZeroDivisionError" in (row.error or "")
    assert "kim@" not in (row.error or "")


async def test_a_hostile_body_with_nul_and_half_characters_is_stored(client: httpx.AsyncClient, world: World) -> None:
    body = json.dumps(ORDER | {"note": "\x00 \ud800 <script>", "name": "#1001"}).encode()
    assert (await send(client, world, Source.SHOPIFY, body, SHOPIFY)).status_code == 202


async def test_deliveries_are_counted_by_source_and_result(client: httpx.AsyncClient, world: World) -> None:
    for _ in range(2):
        await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    await client.post("/api/v1/signals/stripe", content=b"{}")
    await send(client, world, Source.STRIPE, b"[]")
    figures = (await client.get("/metrics")).text
    for source, result in (
        ("shopify", "accepted"),
        ("shopify", "duplicate"),
        ("stripe", "signature_invalid"),
        ("stripe", "body_not_json"),
    ):
        assert f'ordermend_signals_total{{result="{result}",source="{source}"}} 1.0' in figures, result


async def test_two_apps_count_for_themselves(world: World, inbox: Inbox, client: httpx.AsyncClient) -> None:
    await send(client, world, Source.SHOPIFY, ORDER, SHOPIFY)
    other = httpx.AsyncClient(transport=httpx.ASGITransport(create_app(world, inbox)), base_url="http://other.test")
    async with other:
        assert "ordermend_signals_total{" not in (await other.get("/metrics")).text


async def test_every_recorded_webhook_body_is_answered_202_and_stored(client: httpx.AsyncClient, world: World) -> None:
    bodies = list(webhook_bodies())
    assert len(bodies) > 150
    for number, (name, source, headers, payload) in enumerate(bodies):
        own = {"x-shopify-webhook-id": f"d{number}", "x-shopify-event-id": f"e{number}"} if source is Source.SHOPIFY else {}
        answer = await send(client, world, source, payload, headers | own)
        assert answer.status_code == 202, (name, answer.text)
    rows = await stored(world)
    assert len([row for row in rows if row.source == Source.SHOPIFY]) == len([b for b in bodies if b[1] is Source.SHOPIFY])
    assert {row.state for row in rows} <= {SignalState.RECEIVED, SignalState.UNMAPPED}
