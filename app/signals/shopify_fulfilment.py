"""Shopify fulfilment: parcels (fulfillments), fulfilment orders with their requests and holds, and delivery events.

A fulfilment order is one entity, named by its gid; a parcel is one entity, named by its tracking code.
"""

import re
from typing import Any

from app.signals.body import Observer, Part
from app.signals.fingerprints import address_fingerprint
from app.signals.tracking import Scan, see_scans, tracking_status

_REJECTION_CODE = re.compile(r"[A-Z][A-Z_]{3,}")

# Where the request stands after a topic, and what that says of the work. The example bodies of some topics carry the state
# before the change, so the topic counts.
_REQUESTS: dict[str, tuple[str, str | None]] = {
    "fulfillment_request_submitted": ("submitted", None),
    "fulfillment_request_accepted": ("accepted", "accepted"),
    "fulfillment_request_rejected": ("rejected", "rejected"),
    "cancellation_request_submitted": ("cancellation_requested", None),
    "cancellation_request_accepted": ("cancellation_accepted", "cancelled"),
    "cancellation_request_rejected": ("cancellation_rejected", None),
    "fulfillment_service_failed_to_complete": ("closed", "incomplete"),
}
_NO_REASON_LEFT = frozenset(["fulfillment_request_submitted", "fulfillment_request_accepted"])


def read_parcel(observer: Observer, topic: str, body: Part) -> None:
    """One fulfilment: a parcel per tracking code, or one without a code."""
    codes = [code for item in body["tracking_numbers"].items() if (code := item.ident())]
    codes = codes or [body["tracking_number"].ident() or f"fulfillment:{body['id'].ident() or ''}"]
    status = body["status"].text()
    for code in dict.fromkeys(codes):
        observer.see("parcel.status", status, body["status"], code)
        observer.see("parcel.carrier", body["tracking_company"].text(), body["tracking_company"], code)
        if status in (None, "success", "open"):
            observer.see("parcel.shipped_at", body["created_at"].moment(), body["created_at"], code)
        mirrored = body["shipment_status"].text()
        observer.see("parcel.delivery_status", mirrored and tracking_status(mirrored), body["shipment_status"], code)
        destination = body["destination"]
        observer.see("parcel.ship_to", destination.plain(), destination, code)
        observer.see("parcel.ship_to_fingerprint", address_fingerprint(destination.plain()), destination, code)
    observer.see("parcel.lines", _lines(body["line_items"]), body["line_items"], codes[0])


def _lines(items: Part) -> list[dict[str, Any]] | None:
    lines = [
        {"sku": item["sku"].text(), "quantity": item["quantity"].integer(), "title": item["title"].text()} for item in items.items()
    ]
    return lines or None


def _event(observer: Observer, topic: str, body: Part) -> None:
    """A delivery event as the storefront holds it: the seller's side of the story, not a carrier's scan."""
    entity = f"fulfillment:{body['fulfillment_id'].ident() or ''}"
    status = body["status"].text()
    if status is None:
        return
    at = body.first("happened_at", "created_at").moment() or observer.occurred_at
    observer.see("tracking.status", tracking_status(status), body["status"], entity)
    scan = Scan(
        at,
        tracking_status(status),
        None,
        body["message"].text(),
        body["zip"].ident(),
        body["city"].text(),
        body.first("happened_at", "created_at"),
    )
    see_scans(observer, [scan], body, entity)
    observer.see("tracking.eta", body["estimated_delivery_at"].moment(), body["estimated_delivery_at"], entity)


def _order_of(body: Part) -> Part:
    """The fulfilment order that the topic is about: after a move or a submission, the new one."""
    return body.first("submitted_fulfillment_order", "moved_fulfillment_order", "fulfillment_order", "original_fulfillment_order")


def _entity(part: Part) -> str:
    return part["id"].ident() or ""


def _request(observer: Observer, topic: str, body: Part) -> None:
    verb = topic.partition("/")[2]
    order = _order_of(body)
    entity = _entity(order)
    request, state = _REQUESTS[verb]
    observer.see("fulfilment.request", request, order["request_status"], entity)
    observer.see("fulfilment.state", state, order["status"], entity)
    observer.see("fulfilment_order.status", order["status"].text(), order["status"], entity)
    asked = body["fulfillment_order_merchant_request"]["message"]
    observer.see("fulfilment.request_message", asked.text(), asked, entity)
    if verb in _NO_REASON_LEFT:
        observer.see_nothing("fulfilment.reason", order["request_status"], entity)
        return
    message = body["message"]
    text = message.text()
    code = _REJECTION_CODE.match(text or "")
    named = body.first("rejection_reason", "reason")
    reason = named.code() or (code[0].lower() if code else None)
    if verb == "fulfillment_request_rejected":
        observer.see_or_clear("fulfilment.reason", reason, message if named.value is None else named, entity)
    observer.see("fulfilment.message", text, message, entity)


def _status(observer: Observer, topic: str, body: Part) -> None:
    """Routing, moves, splits, merges and cancellations: each fulfilment order's own state."""
    names = ("fulfillment_order", "original_fulfillment_order", "moved_fulfillment_order", "remaining_fulfillment_order")
    for name in (*names, "replacement_fulfillment_order"):
        order = body[name]
        observer.see("fulfilment_order.status", order["status"].text(), order["status"], _entity(order))
        location = order["assigned_location_id"]
        observer.see("fulfilment_order.location", location.ident(), location, _entity(order))
    verb = topic.partition("/")[2]
    subject = _order_of(body)
    if verb in ("split", "moved", "merged", "rescheduled"):
        observer.see(f"fulfilment_order.{verb}_at", observer.occurred_at, subject, _entity(subject))
    if verb == "cancelled":
        observer.see("fulfilment.state", "cancelled", subject["status"], _entity(subject))
    observer.see("fulfilment_order.fulfil_at", subject["fulfill_at"].moment(), subject["fulfill_at"], _entity(subject))


def _progress(observer: Observer, topic: str, body: Part) -> None:
    order = _order_of(body)
    if topic.endswith("progress_reported"):
        observer.see("fulfilment.state", "in_progress", order["status"], _entity(order))
    observer.see("fulfilment_order.status", order["status"].text(), order["status"], _entity(order))
    note = body["progress_report"]["reason_notes"]
    observer.see("fulfilment.message", note.text(), note, _entity(order))


def _held(observer: Observer, topic: str, body: Part) -> None:
    """The hold that was just placed, and all that stand."""
    order = _order_of(body)
    entity = _entity(order)
    standing = list(order["fulfillment_holds"].items())
    placed = body.first("created_fulfillment_hold", "fulfillment_hold")
    hold = placed if placed.value is not None or not standing else standing[-1]
    observer.see("hold.reason", hold["reason"].code() or "other", hold["reason"], entity)
    observer.see_or_clear("hold.message", hold["reason_notes"].text(), hold["reason_notes"], entity)
    observer.see_or_clear("hold.handle", hold["handle"].text(), hold["handle"], entity)
    observer.see("hold.ours", hold["held_by_requesting_app"].flag(), hold["held_by_requesting_app"], entity)
    observer.see("hold.placed_at", observer.occurred_at, hold["reason"], entity)
    reasons = [code for item in standing if (code := item["reason"].code())]
    observer.see("hold.reasons", reasons or None, order["fulfillment_holds"], entity)
    observer.see("fulfilment_order.status", order["status"].text(), order["status"], entity)


def _released(observer: Observer, topic: str, body: Part) -> None:
    """One hold went. Others may stand: only when the fulfilment order is no longer on hold is there none left."""
    order = _order_of(body)
    entity = _entity(order)
    status = order["status"].text()
    observer.see("fulfilment_order.status", status, order["status"], entity)
    if status == "on_hold" or (status is None and topic == "fulfillment_holds/released"):
        observer.see("hold.released_handle", body["fulfillment_hold"]["handle"].text(), body["fulfillment_hold"], entity)
        return
    observer.see("hold.reason", "none", order["status"], entity)
    observer.see_nothing("hold.message", order["status"], entity)
    observer.see_nothing("hold.handle", order["status"], entity)
    observer.see("hold.released_at", observer.occurred_at, order["status"], entity)


FULFILMENT_TOPICS = {
    "fulfillments/create": read_parcel,
    "fulfillments/update": read_parcel,
    "fulfillment_events/create": _event,
    **{f"fulfillment_orders/{verb}": _request for verb in _REQUESTS},
    **{
        f"fulfillment_orders/{verb}": _status
        for verb in (
            "order_routing_complete",
            "moved",
            "split",
            "merged",
            "rescheduled",
            "cancelled",
            "scheduled_fulfillment_order_ready",
        )
    },
    "fulfillment_orders/progress_reported": _progress,
    "fulfillment_orders/manually_reported_progress_stopped": _progress,
    "fulfillment_orders/placed_on_hold": _held,
    "fulfillment_orders/hold_released": _released,
    "fulfillment_holds/added": _held,
    "fulfillment_holds/released": _released,
}
