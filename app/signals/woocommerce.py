"""WooCommerce orders: `X-WC-Webhook-Signature` is base64 HMAC-SHA256 of the raw body; `…_gmt` times are UTC without a zone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.signals.body import Observer, Part, distinct, read_body
from app.signals.fingerprints import address_fingerprint, email_fingerprint, lines_fingerprint
from app.signals.references import named_order, payment_id
from app.signals.shapes import Delivery, ParsedSignal
from app.signals.signing import any_matches, hmac_base64, required, same, usable
from guardrails.money import Money

_TOPICS = frozenset(["order.created", "order.updated", "order.deleted", "order.restored"])
_FINANCIAL = {
    "pending": "pending",
    "on-hold": "pending",
    "failed": "pending",
    "checkout-draft": "pending",
    "processing": "paid",
    "completed": "paid",
    "refunded": "refunded",
}


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    """There is no timestamp: the delivery id stops replays."""
    keys = usable(secrets, "woocommerce")
    given = required(headers, "x-wc-webhook-signature")
    any_matches(keys, lambda secret: same(hmac_base64(secret, body), given), "woocommerce")


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    """WooCommerce has a delivery id only; the same body in another delivery is the same event."""
    named = headers.get("x-wc-webhook-delivery-id", "").strip()
    hook = headers.get("x-wc-webhook-id", "").strip()
    delivery_id = f"{hook}/{named}" if named else fallback
    return Delivery(dict(headers), payload, delivery_id, delivery_id, topic_of(headers))


def topic_of(headers: Mapping[str, str]) -> str:
    named = headers.get("x-wc-webhook-topic", "").strip()
    if named:
        return named
    resource, event = headers.get("x-wc-webhook-resource", "").strip(), headers.get("x-wc-webhook-event", "").strip()
    return f"{resource}.{event}" if resource and event else "unknown"


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    topic = topic_of(headers)
    body = read_body(payload)
    occurred_at = body.first("date_modified_gmt", "date_created_gmt").utc_moment() or received_at
    observer = Observer("woocommerce", occurred_at)
    is_order = topic.startswith("order.")
    ref = body.first("number", "id").ident() if is_order else None
    if topic == "order.deleted":
        observer.see("order.deleted_at", occurred_at, body["id"])
    elif topic in _TOPICS:
        _order(observer, body, body["currency"].text())
        _payment(observer, body, body["currency"].text())
    body.checked()
    order_id = body["id"].ident() if is_order else None
    transaction = payment_id(body["transaction_id"].ident()) if is_order else None
    skus = [f"sku:{sku}" for item in body["line_items"].items() if is_order and (sku := item["sku"].text())]
    identifiers = distinct([named_order(ref), order_id and f"woocommerce_order:{order_id}", transaction, *skus])
    return ParsedSignal(topic, topic in _TOPICS, occurred_at, identifiers, ref, tuple(observer.seen))


def _order(observer: Observer, body: Part, currency: str | None) -> None:
    observer.see("order.ref", body.first("number", "id").ident(), body.first("number", "id"))
    observer.see("order.id", body["id"].ident(), body["id"])
    observer.see("order.channel", body["created_via"].text(), body["created_via"])
    observer.see("order.currency", currency and currency.upper(), body["currency"])
    observer.see("order.total", body["total"].decimal(currency), body["total"])
    observer.see("order.placed_at", body["date_created_gmt"].utc_moment(), body["date_created_gmt"])
    status = body["status"].text()
    paid_at = body["date_paid_gmt"].utc_moment()
    financial = "paid" if paid_at and status not in _FINANCIAL else _FINANCIAL.get(status or "")
    observer.see("order.financial_status", "voided" if status == "cancelled" and not paid_at else financial, body["status"])
    if status is not None:
        observer.see("order.fulfillment_status", "fulfilled" if status == "completed" else "unfulfilled", body["status"])
    if status == "cancelled":
        observer.see("order.cancelled_at", observer.occurred_at, body["status"])
    observer.see("order.note", body["customer_note"].text(), body["customer_note"])
    _people(observer, body)
    _lines(observer, body["line_items"], currency)


def _people(observer: Observer, body: Part) -> None:
    billing, shipping = body["billing"], body["shipping"]
    email = billing["email"].text()
    observer.see("order.customer", email and email_fingerprint(email), billing["email"])
    observer.see("order.billing_country", billing["country"].text(), billing["country"])
    # a shop that ships to the billing address leaves the shipping address empty
    ship_to = shipping if address_fingerprint(shipping.plain()) else billing
    observer.see("order.ship_to_country", ship_to["country"].text(), ship_to["country"])
    observer.see("order.ship_to", ship_to.plain(), ship_to)
    observer.see("order.ship_to_fingerprint", address_fingerprint(ship_to.plain()), ship_to)


def _lines(observer: Observer, items: Part, currency: str | None) -> None:
    lines = [
        {
            "sku": item["sku"].text(),
            "quantity": item["quantity"].integer(),
            "price": _plain_money(item["price"].decimal(currency) if isinstance(item["price"].value, (str, int)) else None),
            "fulfillable": None,
            "title": item["name"].text(),
        }
        for item in items.items()
    ]
    if lines:
        observer.see("order.lines", lines, items)
        observer.see("order.line_count", len(lines), items)
        observer.see("order.lines_fingerprint", lines_fingerprint(lines), items)


def _plain_money(money: Money | None) -> dict[str, Any] | None:
    return None if money is None else {"amount": money.amount, "currency": money.currency}


def _payment(observer: Observer, body: Part, currency: str | None) -> None:
    payment = payment_id(body["transaction_id"].ident()) or ""
    if body["status"].text() == "failed":
        observer.see("payment.status", "failed", body["status"], payment)
    for refund in body["refunds"].items():
        total = refund["total"].decimal(currency)
        back = None if total is None else Money(abs(total.amount), total.currency)
        observer.see("refund.storefront_amount", back, refund["total"], f"woocommerce_refund:{refund['id'].ident() or ''}")
