"""Signed deliveries as the vendors send them."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from app.signals import reading
from app.signals.shapes import Source
from app.world import World

ORDER: dict[str, Any] = {
    "id": 5324830114102,
    "admin_graphql_api_id": "gid://shopify/Order/5324830114102",
    "name": "#1001",
    "created_at": "2026-11-01T09:00:00Z",
    "updated_at": "2026-11-01T09:00:00Z",
    "currency": "USD",
    "total_price": "58.00",
    "financial_status": "paid",
    "fulfillment_status": None,
    "email": "kim@example.com",
    "line_items": [{"id": 1, "sku": "MUG-1", "quantity": 2, "price": "29.00"}],
}
SHOPIFY = {"x-shopify-topic": "orders/create", "x-shopify-webhook-id": "del-1", "x-shopify-event-id": "evt-1"}


def signed(world: World, source: Source, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers with the vendor's real signature."""
    secret = world.settings.webhooks.of(source)[0]
    return reading.sign(source, secret, body, {"content-type": "application/json", **(headers or {})}, world.clock())


async def send(
    client: httpx.AsyncClient, world: World, source: Source, payload: Any, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return await client.post(f"/api/v1/signals/{source}", content=body, headers=signed(world, source, body, headers))


def event(event_id: str, topic: str, data: dict[str, Any], subject: str = "#1001") -> dict[str, Any]:
    """A CloudEvent of a warehouse."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/wms/east",
        "type": topic,
        "subject": subject,
        "time": "2026-11-02T09:00:00Z",
        "data": data,
    }
