"""What each type of generic event says. `data` is in interfaces.md, "Generic events"; unknown types are only counted."""

import re
from collections.abc import Callable
from typing import Any

from app.signals.body import Observer, Part
from app.signals.fingerprints import address_fingerprint, email_fingerprint, lines_fingerprint
from app.signals.tracking import Scan, see_scans, tracking_status

_Reader = Callable[[Observer, str, Part, str], None]

_CAME_BACK = frozenset(["rts", "return", "returned", "return_to_sender", "returned_to_sender"])
_CODED = re.compile(r"[A-Z][A-Z0-9_.]+(?=:)")


def _lines(items: Part) -> list[dict[str, Any]] | None:
    return [{"sku": item["sku"].text(), "quantity": item["quantity"].integer()} for item in items.items()] or None


def _work(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    """The warehouse's own account of the work on an order."""
    state = topic.rpartition(".")[2]
    reason = data["reason"].code()
    if state == "received" and reason in _CAME_BACK:
        observer.see("return.received_at", observer.occurred_at, data["reason"])
        observer.see("return.reason", reason, data["reason"])
        observer.see("return.message", data["message"].text(), data["message"])
        return
    observer.see("fulfilment.state", state, data)
    observer.see_or_clear("fulfilment.reason", reason, data["reason"])
    observer.see_or_clear("fulfilment.message", data["message"].text(), data["message"])
    if state == "packed":
        observer.see("fulfilment.packed_lines", _lines(data["lines"]), data["lines"])
    if state == "shipped":
        _shipped(observer, data)


def _shipped(observer: Observer, data: Part) -> None:
    code = data["tracking_code"].ident() or ""
    observer.see("parcel.shipped_at", observer.occurred_at, data, code)
    observer.see("parcel.carrier", data["carrier"].text(), data["carrier"], code)
    observer.see("parcel.lines", _lines(data["lines"]), data["lines"], code)


def _sku(data: Part) -> str:
    sku = data["sku"].text()
    return f"sku:{sku}" if sku else ""


def _short(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    entity = _sku(data)
    for name in ("requested", "available"):
        observer.see(f"pick.{name}", data[name].integer(), data[name], entity)
    observer.see("pick.sku", data["sku"].text(), data["sku"], entity)
    observer.see("pick.location", data["location"].text(), data["location"], entity)


def _item(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    entity, what = _sku(data), topic.rpartition(".")[2]
    observer.see(f"item.{what}", data["quantity"].integer(), data["quantity"], entity)
    observer.see("item.sku", data["sku"].text(), data["sku"], entity)
    observer.see("item.message", data["message"].text(), data["message"], entity)


def _counted(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    entity = _sku(data)
    for name in ("on_hand", "allocated"):
        observer.see(f"inventory.{name}", data[name].integer(), data[name], entity)
    observer.see("inventory.sku", data["sku"].text(), data["sku"], entity)
    observer.see("inventory.location", data["location"].text(), data["location"], entity)


def _label(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    code = data["tracking_code"].ident() or ""
    field = "label.purchased_at" if topic == "label.purchased" else "label.voided_at"
    observer.see(field, observer.occurred_at, data["tracking_code"], code)
    for name in ("carrier", "service"):
        observer.see(f"label.{name}", data[name].text(), data[name], code)
    address = data["ship_to"]
    observer.see("label.ship_to", address.plain(), address, code)
    observer.see("label.ship_to_fingerprint", address_fingerprint(address.plain()), address, code)


def _address(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    observer.see("address.deliverable", data["deliverable"].flag(), data["deliverable"])
    for name in ("original", "candidate"):
        observer.see(f"address.{name}", data[name].plain(), data[name])
        observer.see(f"address.{name}_fingerprint", address_fingerprint(data[name].plain()), data[name])
    messages = [(item, text) for item in data["messages"].items() if (text := item.text())]
    observer.see("address.messages", [text for _, text in messages] or None, data["messages"])
    coded = [(item, found[0]) for item, text in messages if (found := _CODED.match(text))]
    if coded:
        observer.see("address.code", coded[0][1].lower(), coded[0][0])


def _imported(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    order = data["order"]
    observer.see("order.ref", order["ref"].ident(), order["ref"])
    observer.see("order.channel", data["channel"].text(), data["channel"])
    observer.see("order.channel_order_id", data["channel_order_id"].ident(), data["channel_order_id"])
    observer.see("order.imported_at", observer.occurred_at, data["channel_order_id"])
    total = order["total"]
    currency = total["currency"].text()
    observer.see("order.total", total["amount"].minor(currency), total)
    observer.see("order.currency", currency and currency.upper(), total["currency"])
    placed = order.first("placed_at", "created_at")
    observer.see("order.placed_at", placed.moment(), placed)
    email = order["email"].text()
    observer.see("order.customer", email and email_fingerprint(email), order["email"])
    observer.see("order.ship_to", order["ship_to"].plain(), order["ship_to"])
    observer.see("order.ship_to_fingerprint", address_fingerprint(order["ship_to"].plain()), order["ship_to"])
    lines = _lines(order["lines"])
    if lines:
        observer.see("order.lines", lines, order["lines"])
        observer.see("order.line_count", len(lines), order["lines"])
        observer.see("order.lines_fingerprint", lines_fingerprint(lines), order["lines"])


def _message(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    """Each message is an entity of its own, so that a later one does not hide an earlier one."""
    observer.see("customer.message", data["text"].text(), data["text"], event_id)
    observer.see("customer.channel", data["channel"].text(), data["channel"], event_id)


def _integration(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    for name in ("system", "operation", "message"):
        observer.see(f"integration.{name}", data[name].text(), data[name], event_id)
    observer.see("integration.failed_at", observer.occurred_at, data, event_id)


def _tracking(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    """One scan at a time, so no first scan: the list of all scans is in the order's signals."""
    code = data["tracking_code"].ident() or ""
    told = data["status"].text()
    status = tracking_status(told) if told else None
    at = data["occurred_at"].moment() or observer.occurred_at
    observer.see("tracking.status", status, data["status"], code)
    observer.see_or_clear("tracking.status_detail", data["status_detail"].code(), data["status_detail"], code)
    observer.see("tracking.carrier", data["carrier"].text(), data["carrier"], code)
    observer.see("tracking.signed_by", data["signed_by"].text(), data["signed_by"], code)
    observer.see("tracking.eta", data["eta"].moment(), data["eta"], code)
    scan = Scan(
        at,
        status or "unknown",
        data["status_detail"].code(),
        data["message"].text(),
        data["zip"].ident(),
        data["city"].text(),
        data["occurred_at"],
    )
    before = len(observer.seen)
    see_scans(observer, [scan], data, code)
    observer.seen[before:] = [seen for seen in observer.seen[before:] if seen.field != "tracking.first_scan_at"]


_REFUND = {
    "submitted": "pending",
    "processing": "pending",
    "completed": "succeeded",
    "success": "succeeded",
    "cancelled": "canceled",
}


def _refund(observer: Observer, topic: str, data: Part, event_id: str) -> None:
    refund = data["refund_id"].ident() or ""
    status = data["status"].code()
    observer.see("refund.status", _REFUND.get(status or "", status), data["status"], refund)
    observer.see("refund.status_detail", status, data["status"], refund)
    observer.see("refund.amount", data["amount"].minor(data["currency"].text()), data["amount"], refund)
    observer.see("refund.message", data["message"].text(), data["message"], refund)


EVENT_TYPES: dict[str, _Reader] = {
    **{f"wms.order.{state}": _work for state in ("received", "rejected", "held", "cancelled", "packed", "shipped")},
    "wms.pick.short": _short,
    "wms.item.damaged": _item,
    "wms.item.mispicked": _item,
    "wms.inventory.counted": _counted,
    "label.purchased": _label,
    "label.voided": _label,
    "address.verified": _address,
    "order.imported": _imported,
    "customer.message": _message,
    "integration.failed": _integration,
    "carrier.tracking": _tracking,
    "refund.status": _refund,
}
