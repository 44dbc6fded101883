"""Shopify webhooks: the signature, the two ids of a delivery, and the topics that are not orders or fulfilment orders."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.signals.body import Observer, Part, distinct, read_body
from app.signals.references import bare_code, named_order, payment_id, shopify_gids, shopify_order
from app.signals.shapes import Delivery, ParsedSignal
from app.signals.shopify_fulfilment import FULFILMENT_TOPICS
from app.signals.shopify_orders import ORDER_TOPICS, read_edit
from app.signals.signing import any_matches, hmac_base64, required, same, usable
from guardrails.money import Money

_Reader = Callable[[Observer, str, Part], None]


def header(headers: Mapping[str, str], name: str) -> str:
    """`X-Shopify-…`, or the form without `X-` of Shopify's newer Events."""
    return headers.get(f"x-shopify-{name}", "").strip() or headers.get(f"shopify-{name}", "").strip()


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    """Base64 HMAC-SHA256 with the app's client secret. There is no timestamp: the webhook id stops replays."""
    keys = usable(secrets, "shopify")
    given = required(headers, "x-shopify-hmac-sha256", "shopify-hmac-sha256")
    any_matches(keys, lambda secret: same(hmac_base64(secret, body), given), "shopify")


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    """The webhook id is the transport's, the same on every retry. One event may come through several subscriptions, each with
    its own webhook id; the event id and the topic together name what happened."""
    topic = topic_of(headers)
    delivery_id = header(headers, "webhook-id") or fallback
    event = header(headers, "event-id")
    return Delivery(dict(headers), payload, delivery_id, f"{event}/{topic}" if event else delivery_id, topic)


def topic_of(headers: Mapping[str, str]) -> str:
    return header(headers, "topic") or "unknown"


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    topic = topic_of(headers)
    body = read_body(payload)
    occurred_at = _occurred_at(headers, body) or received_at
    observer = Observer("shopify", occurred_at)
    read = _TOPICS.get(topic)
    if read is not None:
        read(observer, topic, body)
    name = body["name"].text() if topic.startswith("orders/") else None
    identifiers = _identifiers(topic, body, name)
    body.checked()
    return ParsedSignal(topic, read is not None, occurred_at, identifiers, name, tuple(observer.seen))


def _occurred_at(headers: Mapping[str, str], body: Part) -> datetime | None:
    """The body's own version first; then when the event was triggered; then when the thing was made."""
    triggered = read_body({"at": header(headers, "triggered-at")})["at"]
    edited = body["order_edit"]["committed_at"].moment()
    return body["updated_at"].moment() or edited or triggered.moment() or body.first("processed_at", "created_at").moment()


def _identifiers(topic: str, body: Part, name: str | None) -> tuple[str, ...]:
    found: list[str | None] = [named_order(name)]
    if topic.startswith("orders/"):
        # large numeric ids are rounded by some senders; the gid is exact
        found.append(body["admin_graphql_api_id"].text() or shopify_order(body["id"].ident()))
    found += [body["admin_graphql_api_order_id"].text() or shopify_order(body["order_id"].ident())]
    found += [shopify_order(body["order_edit"]["order_id"].ident())] if body.has("order_edit") else []
    found += shopify_gids(body.plain())
    codes = [bare_code(code.ident()) for code in (body["tracking_number"], *body["tracking_numbers"].items())]
    found += [payment_id(body["authorization"].ident())] if topic == "order_transactions/create" else []
    if topic.startswith("fulfillments/"):
        found += codes
    if topic.startswith("orders/"):
        found += [bare_code(code.ident()) for item in body["fulfillments"].items() for code in item["tracking_numbers"].items()]
        found += [f"sku:{sku}" for item in body["line_items"].items() if (sku := item["sku"].text())]
    if topic.startswith("inventory_levels/") and (item_id := body["inventory_item_id"].ident()):
        found.append(f"inventory_item:{item_id}")
    if topic.startswith("variants/") and (sku := body["sku"].text()):
        found.append(f"sku:{sku}")
    return distinct(found)


def _risk(observer: Observer, topic: str, body: Part) -> None:
    """One assessment of one provider; several providers may differ."""
    entity = f"risk:{(body['provider_title'].text() or 'shopify').lower()}"
    observer.see("risk.level", body["risk_level"].code(), body["risk_level"], entity)
    observer.see("risk.provider", body["provider_title"].text(), body["provider_title"], entity)


def _dispute(observer: Observer, topic: str, body: Part) -> None:
    entity = f"shopify_dispute:{body['id'].ident() or ''}"
    observer.see("dispute.status", body["status"].text(), body["status"], entity)
    observer.see("dispute.type", body["type"].text(), body["type"], entity)
    observer.see("dispute.reason", body["reason"].text(), body["reason"], entity)
    observer.see("dispute.amount", body["amount"].decimal(body["currency"].text()), body["amount"], entity)
    observer.see("dispute.due_by", body["evidence_due_by"].moment(), body["evidence_due_by"], entity)


def _refund(observer: Observer, topic: str, body: Part) -> None:
    """What the storefront says went back: the sum of its successful refund transactions."""
    entity = body["admin_graphql_api_id"].text() or f"gid://shopify/Refund/{body['id'].ident() or ''}"
    paid_back = [
        amount
        for item in body["transactions"].items()
        if item["kind"].text() == "refund" and item["status"].text() == "success"
        if (amount := item["amount"].decimal(item["currency"].text())) is not None
    ]
    if paid_back:
        total = Money(sum(amount.amount for amount in paid_back), paid_back[0].currency)
        observer.see("refund.storefront_amount", total, body["transactions"], entity)
    observer.see("refund.storefront_at", body.first("processed_at", "created_at").moment(), body["created_at"], entity)
    observer.see("refund.note", body["note"].text(), body["note"], entity)


_TAKEN = frozenset(["sale", "capture"])


def _transaction(observer: Observer, topic: str, body: Part) -> None:
    """A transaction as such, and what a successful one means for the payment it belongs to."""
    payment = payment_id(body["authorization"].ident()) or ""
    entity = body["admin_graphql_api_id"].text() or f"gid://shopify/OrderTransaction/{body['id'].ident() or ''}"
    kind, status = body["kind"].text(), body["status"].text()
    amount = body["amount"].decimal(body["currency"].text())
    observer.see("transaction.kind", kind, body["kind"], entity)
    observer.see("transaction.status", status, body["status"], entity)
    observer.see("transaction.amount", amount, body["amount"], entity)
    observer.see("transaction.error_code", body["error_code"].text(), body["error_code"], entity)
    observer.see("transaction.message", body["message"].text(), body["message"], entity)
    if status != "success":
        return
    if kind in _TAKEN:
        observer.see("payment.status", "succeeded", body["kind"], payment)
        observer.see("payment.amount_captured", amount, body["amount"], payment)
        observer.see("payment.amount_received", amount, body["amount"], payment)
    elif kind == "authorization":
        observer.see("payment.status", "requires_capture", body["kind"], payment)
        observer.see("payment.amount_capturable", amount, body["amount"], payment)
        expires = body["authorization_expires_at"]
        observer.see("payment.capture_before", expires.moment(), expires, payment)
    elif kind == "void":
        observer.see("payment.status", "canceled", body["kind"], payment)


_RETURN = {"canceled": "cancelled", "cancelled": "cancelled", "open": "open", "closed": "closed", "requested": "requested"}
_RETURN_TOPIC = {"returns/approve": "approved", "returns/decline": "declined", "returns/request": "requested"}


def _return(observer: Observer, topic: str, body: Part) -> None:
    entity = body["admin_graphql_api_id"].text() or f"gid://shopify/Return/{body['id'].ident() or ''}"
    said = body["status"].text()
    observer.see("return.status", _RETURN_TOPIC.get(topic) or _RETURN.get(said or ""), body["status"], entity)
    if topic == "returns/process":
        observer.see("return.processed_at", observer.occurred_at, body["status"] if body.has("status") else body, entity)
    observer.see("return.items", body["total_return_line_items"].integer(), body["total_return_line_items"], entity)
    observer.see("return.decline_reason", body["decline"]["reason"].text(), body["decline"]["reason"], entity)
    observer.see("return.note", body["decline"]["note"].text(), body["decline"]["note"], entity)


def _level(observer: Observer, topic: str, body: Part) -> None:
    entity = f"inventory_item:{body['inventory_item_id'].ident() or ''}"
    observer.see("inventory.available", body["available"].integer(), body["available"], entity)
    observer.see("inventory.location", body["location_id"].ident(), body["location_id"], entity)


def _variant(observer: Observer, topic: str, body: Part) -> None:
    sku = body["sku"].text()
    entity = f"sku:{sku}" if sku else body["admin_graphql_api_id"].text() or f"variant:{body['id'].ident() or ''}"
    observer.see("inventory.available", body["inventory_quantity"].integer(), body["inventory_quantity"], entity)
    observer.see("inventory.policy", body["inventory_policy"].text(), body["inventory_policy"], entity)
    observer.see("product.sku", sku, body["sku"], entity)


_TOPICS: dict[str, _Reader] = {
    **ORDER_TOPICS,
    **FULFILMENT_TOPICS,
    "orders/edited": read_edit,
    "orders/risk_assessment_changed": _risk,
    "disputes/create": _dispute,
    "disputes/update": _dispute,
    "refunds/create": _refund,
    "order_transactions/create": _transaction,
    **{f"returns/{verb}": _return for verb in ("request", "approve", "decline", "cancel", "close", "reopen", "process", "update")},
    "inventory_levels/connect": _level,
    "inventory_levels/update": _level,
    "variants/in_stock": _variant,
    "variants/out_of_stock": _variant,
}
