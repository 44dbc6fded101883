"""Vendor bodies about one order, small and true to shape. Times are RFC 3339 with zone."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import pipeline, reader
from app.signals.shapes import Source
from app.tables import ActionRow, Case, Order, Signal, TrailEntry
from app.world import World
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind
from tests.steps import deliver

ORDER_ID = 5324830114102
ORDER_GID = f"gid://shopify/Order/{ORDER_ID}"
_numbers = itertools.count(1)


def shopify_order(name: str = "#1001", number: int = ORDER_ID, **changed: Any) -> dict[str, Any]:
    """A paid order of one line, as `orders/create` tells it."""
    order: dict[str, Any] = {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "name": name,
        "created_at": "2026-11-01T09:00:00Z",
        "updated_at": "2026-11-01T09:00:00Z",
        "currency": "USD",
        "total_price": "58.00",
        "financial_status": "paid",
        "fulfillment_status": None,
        "email": f"buyer-{number}@example.com",
        "line_items": [{"id": 1, "sku": "MUG-1", "quantity": 2, "price": "29.00"}],
    }
    return order | changed


def shopify_headers(topic: str = "orders/create") -> dict[str, str]:
    number = next(_numbers)
    return {"x-shopify-topic": topic, "x-shopify-webhook-id": f"del-{number}", "x-shopify-event-id": f"evt-{number}"}


def cloud_event(topic: str, data: Mapping[str, Any], subject: str | None = "#1001", **attributes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": f"e{next(_numbers)}",
        "source": "/wms/east",
        "type": topic,
        "time": "2026-11-02T09:00:00Z",
        "data": dict(data),
    }
    return event | ({} if subject is None else {"subject": subject}) | attributes


CLOUD = {"content-type": "application/cloudevents+json"}


def stripe_event(topic: str, thing: Mapping[str, Any], created: int = 1_793_610_000, event_id: str | None = None) -> dict[str, Any]:
    """`created` is 2026-11-02T09:00:00Z unless said otherwise."""
    return {"id": event_id or f"evt_{next(_numbers)}", "type": topic, "created": created, "data": {"object": dict(thing)}}


def payment(status: str, order: str | None = "1001", amount: int = 5800, **more: Any) -> dict[str, Any]:
    metadata = {} if order is None else {"order_id": order}
    told = {"object": "payment_intent", "id": "pi_1", "status": status, "amount": amount, "currency": "usd"}
    return told | {"metadata": metadata} | more


# --- whole steps ---


async def order_arrives(world: World, name: str = "#1001", number: int = ORDER_ID, **changed: Any) -> None:
    await deliver(world, Source.SHOPIFY, shopify_order(name, number, **changed), shopify_headers())


async def event_arrives(world: World, topic: str, data: Mapping[str, Any], subject: str | None = "#1001", **more: Any) -> None:
    await deliver(world, Source.EVENTS, cloud_event(topic, data, subject, **more), CLOUD)


async def stripe_says(world: World, topic: str, thing: Mapping[str, Any], created: int = 1_793_610_000) -> None:
    await deliver(world, Source.STRIPE, stripe_event(topic, thing, created))


async def warehouse_busy(world: World, subject: str = "#1001", **more: Any) -> None:
    """The warehouse turns a request down for a passing reason: a case that the policy lets run by itself."""
    await event_arrives(world, "wms.order.rejected", {"reason": "system_busy"}, subject, **more)


async def read_and_look(world: World) -> None:
    """Read everything, and look once at every order that it touched."""
    for order_id in await reader.read_signals(world):
        await pipeline.look_at(world, order_id)


# --- what there is ---


async def cases(session: AsyncSession) -> list[Case]:
    return list((await session.execute(select(Case).order_by(Case.seq))).scalars())


async def the_case(world: World) -> Case:
    async with world.database.sessions() as session:
        return (await session.execute(select(Case))).scalar_one()


async def all_cases(world: World) -> list[Case]:
    async with world.database.sessions() as session:
        return await cases(session)


async def orders(world: World) -> list[Order]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Order).order_by(Order.id))).scalars())


async def signals(world: World) -> list[Signal]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Signal).order_by(Signal.seq))).scalars())


async def actions(world: World, name: str | None = None) -> list[ActionRow]:
    query = select(ActionRow).order_by(ActionRow.created_at, ActionRow.id)
    async with world.database.sessions() as session:
        return list((await session.execute(query if name is None else query.where(ActionRow.action == name))).scalars())


async def trail_of(world: World, event: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """(event, body) of every entry, in order."""
    async with world.database.sessions() as session:
        rows = (await session.execute(select(TrailEntry).order_by(TrailEntry.seq))).scalars()
        return [(row.event, json.loads(row.body)) for row in rows if event in (None, row.event)]


def person(name: str = "kim", *roles: str) -> Actor:
    """A senior reviewer unless told otherwise."""
    return Actor(PrincipalKind.PERSON, name, frozenset(roles or ("senior_reviewer",)))
