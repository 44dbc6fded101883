"""Shopify order bodies: the order as ordered now, its people, its lines and the parcels it carries."""

from typing import Any

from app.signals.body import Observer, Part
from app.signals.fingerprints import address_fingerprint, email_fingerprint, lines_fingerprint
from app.signals.references import shopify_order
from app.signals.shopify_fulfilment import read_parcel
from guardrails.facts import to_plain


def read_order(observer: Observer, topic: str, body: Part) -> None:
    currency = body["currency"].text()
    observer.see("order.ref", body["name"].text(), body["name"])
    own_id = body["admin_graphql_api_id"].text() or shopify_order(body["id"].ident())
    observer.see("order.id", own_id, body.first("admin_graphql_api_id", "id"))
    observer.see("order.channel", body["source_name"].text(), body["source_name"])
    _money(observer, body, currency)
    _times(observer, body)
    observer.see("order.financial_status", body["financial_status"].code(), body["financial_status"])
    if body.has("fulfillment_status"):
        observer.see("order.fulfillment_status", body["fulfillment_status"].code() or "unfulfilled", body["fulfillment_status"])
    observer.see_or_clear("order.note", body["note"].text(), body["note"])
    observer.see("order.tags", body["tags"].text(), body["tags"])
    for item in body["note_attributes"].items():
        observer.see("order.attribute", item["value"].plain(), item["value"], f"attribute:{item['name'].value}")
    observer.see("order.checkout_token", body["checkout_token"].text(), body["checkout_token"])
    _people(observer, body)
    _lines(observer, body["line_items"], currency)
    for fulfilment in body["fulfillments"].items():
        read_parcel(observer, topic, fulfilment)


def _money(observer: Observer, body: Part, currency: str | None) -> None:
    total = body.first("current_total_price", "total_price")
    observer.see("order.total", total.decimal(currency), total)
    observer.see("order.currency", currency and currency.upper(), body["currency"])
    gateways = [name for item in body["payment_gateway_names"].items() if (name := item.text())]
    observer.see("order.gateways", sorted(gateways) or None, body["payment_gateway_names"])
    observer.see("order.outstanding", body["total_outstanding"].decimal(currency), body["total_outstanding"])
    shown = body["current_total_price_set"]["presentment_money"]
    shown_currency = shown["currency_code"].text()
    if shown_currency != currency:
        observer.see("order.presentment_total", shown["amount"].decimal(shown_currency), shown["amount"])


def _times(observer: Observer, body: Part) -> None:
    placed = body.first("processed_at", "created_at")
    observer.see("order.placed_at", placed.moment(), placed)
    observer.see("order.cancelled_at", body["cancelled_at"].moment(), body["cancelled_at"])
    observer.see("order.cancel_reason", body["cancel_reason"].code(), body["cancel_reason"])


def _people(observer: Observer, body: Part) -> None:
    email = body.first("email", "contact_email")
    address = email if email.value is not None else body["customer"]["email"]
    text = address.text()
    observer.see("order.customer", text and email_fingerprint(text), address)
    ship_to, billing = body["shipping_address"], body["billing_address"]
    observer.see("order.ship_to", ship_to.plain(), ship_to)
    observer.see("order.ship_to_fingerprint", address_fingerprint(ship_to.plain()), ship_to)
    observer.see("order.ship_to_country", ship_to["country_code"].text(), ship_to["country_code"])
    observer.see("order.billing_country", billing["country_code"].text(), billing["country_code"])
    if ship_to.has("phone"):
        observer.see("order.phone_given", ship_to["phone"].text() is not None, ship_to["phone"])


def _lines(observer: Observer, items: Part, currency: str | None) -> None:
    lines = [_line(item, currency) for item in items.items()]
    if not lines:
        return
    for number, item in enumerate(items.items(), start=1):
        for wish in item["properties"].items():
            observer.see("order.attribute", wish["value"].plain(), wish["value"], f"line {number}:{wish['name'].value}")
    observer.see("order.lines", lines, items)
    observer.see("order.line_count", len(lines), items)
    observer.see("order.lines_fingerprint", lines_fingerprint(lines), items)
    open_items = [line["fulfillable"] for line in lines]
    if all(isinstance(count, int) for count in open_items):
        observer.see("order.unshipped_quantity", sum(open_items), items)


def _line(item: Part, currency: str | None) -> dict[str, Any]:
    quantity = item.first("current_quantity", "quantity").integer()
    price = item["price"].decimal(currency)
    return {
        "id": item["id"].ident(),
        "sku": item["sku"].text(),
        "quantity": quantity,
        "price": None if price is None else to_plain(price),
        "fulfillable": item["fulfillable_quantity"].integer(),
        "title": item.first("title", "name").text(),
    }


def read_edit(observer: Observer, topic: str, body: Part) -> None:
    """Lines were added or removed after the order was placed; the new lines come with the next orders/updated."""
    edit = body["order_edit"]
    committed = edit.first("committed_at", "created_at")
    observer.see("order.edited_at", committed.moment() or observer.occurred_at, committed)
    observer.see("order.edit_note", edit["staff_note"].text(), edit["staff_note"])
    for name in ("additions", "removals"):
        deltas = [item["delta"].integer() or 0 for item in edit["line_items"][name].items()]
        observer.see(f"order.edit_{name}", sum(deltas), edit["line_items"][name])


def _deleted(observer: Observer, topic: str, body: Part) -> None:
    observer.see("order.deleted_at", observer.occurred_at, body["id"])


ORDER_TOPICS = {
    **{f"orders/{event}": read_order for event in ("create", "updated", "paid", "cancelled", "fulfilled", "partially_fulfilled")},
    "orders/delete": _deleted,
}
