"""ShipBob shipments, over Standard Webhooks plus `x-webhook-topic`. Bodies follow the documented field names."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.signals.body import Observer, Part, distinct, read_body, to_code
from app.signals.fingerprints import address_fingerprint
from app.signals.references import bare_code, named_order
from app.signals.shapes import Delivery, ParsedSignal
from app.signals.signing import verify_standard

_LEGACY = {
    "order_shipped": "order.shipped",
    "shipment_delivered": "order.shipment.delivered",
    "shipment_exception": "order.shipment.exception",
    "shipment_onhold": "order.shipment.on_hold",
    "shipment_cancelled": "order.shipment.cancelled",
}
# What a topic says of the work; where it says nothing the body's status does.
_TOPICS: dict[str, str | None] = {
    "order.shipped": "shipped",
    "order.shipment.tracking.updated": None,
    "order.shipment.delivered": "delivered",
    "order.delivered": "delivered",
    "order.shipment.exception": "rejected",
    "order.shipment.on_hold": "held",
    "order.shipment.cancelled": "cancelled",
    "order.shipment.address.updated": None,
    "order.shipment.line_item.added": None,
    "order.shipment.line_item.removed": None,
    "order.shipment.line_item.updated": None,
    "order.shipment.shipping_service.updated": None,
}
_STATUS = {
    "processing": "in_progress",
    "completed": "shipped",
    "cancelled": "cancelled",
    "exception": "rejected",
    "on_hold": "held",
    "labeled_created": "packed",
    "label_created": "packed",
    "none": "received",
    "pending": "received",
}
_IN_TROUBLE = frozenset(["rejected", "held", "cancelled"])


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    verify_standard(headers, body, secrets, now, tolerance, "shipbob")


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    """`webhook-id` is the same on every retry, and there is no other id of the event."""
    message_id = headers.get("webhook-id", "").strip() or fallback
    return Delivery(dict(headers), payload, message_id, message_id, topic_of(headers))


def topic_of(headers: Mapping[str, str]) -> str:
    named = headers.get("x-webhook-topic", "").strip() or headers.get("shipbob-topic", "").strip() or "unknown"
    return _LEGACY.get(named, named)


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    topic = topic_of(headers)
    body = read_body(payload)
    changed = body.first("last_update_at", "created_date")
    occurred_at = changed.zoned() or changed.utc_moment() or received_at
    observer = Observer("shipbob", occurred_at)
    ref = body["reference_id"].ident()
    if topic in _TOPICS:
        _shipment(observer, topic, body)
        _parcel(observer, topic, body)
    body.checked()
    order_id = body["order_id"].ident()
    code = bare_code(body["tracking"]["tracking_number"].ident())
    identifiers = distinct([named_order(ref), order_id and f"shipbob_order:{order_id}", code])
    return ParsedSignal(topic, topic in _TOPICS, occurred_at, identifiers, ref, tuple(observer.seen))


def _entity(body: Part) -> str:
    shipment = body["id"].ident()
    return f"shipbob:{shipment}" if shipment else ""


def _shipment(observer: Observer, topic: str, body: Part) -> None:
    entity = _entity(body)
    status = body["status"].text()
    state = _TOPICS[topic] or _STATUS.get(to_code(status or ""))
    observer.see("fulfilment.state", state, body["status"], entity)
    detail = body["status_details"][0]
    if state in _IN_TROUBLE:
        observer.see_or_clear("fulfilment.reason", detail["name"].code(), detail["name"], entity)
        observer.see_or_clear("fulfilment.message", detail["description"].text(), detail["description"], entity)
    elif state is not None:
        observer.see_nothing("fulfilment.reason", detail["name"], entity)
        observer.see("fulfilment.detail", detail["name"].code(), detail["name"], entity)
        observer.see("fulfilment.note", detail["description"].text(), detail["description"], entity)
    address = body["recipient"]["address"]
    observer.see("fulfilment.ship_to", address.plain(), address, entity)
    observer.see("fulfilment.ship_to_fingerprint", address_fingerprint(address.plain()), address, entity)
    observer.see("fulfilment.lines", _lines(body["products"]), body["products"], entity)


def _lines(products: Part) -> list[dict[str, Any]] | None:
    lines = [
        {"sku": item.first("sku", "reference_id").ident(), "quantity": item["quantity"].integer(), "title": item["name"].text()}
        for item in products.items()
    ]
    return lines or None


def _parcel(observer: Observer, topic: str, body: Part) -> None:
    tracking = body["tracking"]
    code = tracking["tracking_number"].ident()
    if code is None:
        return
    observer.see("parcel.carrier", tracking["carrier"].text(), tracking["carrier"], code)
    if _TOPICS[topic] in ("shipped", "delivered"):
        observer.see("parcel.lines", _lines(body["products"]), body["products"], code)
    if _TOPICS[topic] == "shipped":
        observer.see("parcel.shipped_at", observer.occurred_at, body.first("last_update_at", "created_date"), code)
    if _TOPICS[topic] == "delivered":
        observer.see("tracking.status", "delivered", body["status"], code)
        observer.see("tracking.delivered_at", observer.occurred_at, body.first("last_update_at", "created_date"), code)
