from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import FieldsInvalid, ParsedSignal, Source
from tests.app.signals.recorded import NOW, observations, seen

FO = "gid://shopify/FulfillmentOrder/1"
ADDRESS = {"address1": "Torstraße 140", "address2": None, "city": "Berlin", "zip": "10119", "country_code": "DE"}
ORDER: dict[str, Any] = {
    "id": 5484242798325,
    "admin_graphql_api_id": "gid://shopify/Order/5484242798325",
    "name": "#1001",
    "created_at": "2026-10-05T23:36:05-04:00",
    "updated_at": "2026-10-06T00:00:00-04:00",
    "currency": "EUR",
    "total_price": "90.00",
    "current_total_price": "58.00",
    "total_outstanding": "0.00",
    "financial_status": "paid",
    "fulfillment_status": None,
    "email": "Anke.Petersen@Example.com ",
    "note": "Ring twice",
    "shipping_address": ADDRESS,
    "billing_address": {"country_code": "FR"},
    "line_items": [
        {"sku": "A-1", "quantity": 3, "current_quantity": 2, "fulfillable_quantity": 2, "price": "20.00", "title": "Cup"},
        {"sku": "B-2", "quantity": 1, "fulfillable_quantity": 0, "price": "18.00", "title": "Pot"},
    ],
}


def parse(topic: str, payload: dict[str, Any], **headers: str) -> ParsedSignal:
    return reading.parse(Source.SHOPIFY, {"X-Shopify-Topic": topic, **headers}, payload, NOW)


def order(topic: str = "orders/updated", **changes: Any) -> ParsedSignal:
    return parse(topic, {**ORDER, **changes})


def test_an_order_is_read_as_ordered_now() -> None:
    signal = order()
    assert signal.identifiers == ("order:1001", "gid://shopify/Order/5484242798325", "sku:A-1", "sku:B-2")
    assert signal.order_ref == "#1001"
    expected = {
        "order.ref": "#1001",
        "order.total": {"amount": 5800, "currency": "EUR"},
        "order.outstanding": {"amount": 0, "currency": "EUR"},
        "order.placed_at": "2026-10-06T03:36:05Z",
        "order.financial_status": "paid",
        "order.fulfillment_status": "unfulfilled",
        "order.note": "Ring twice",
        "order.ship_to_country": "DE",
        "order.billing_country": "FR",
        "order.line_count": 2,
        "order.unshipped_quantity": 2,
    }
    assert {name: seen(signal, name) for name in expected} == expected
    assert seen(signal, "order.ship_to") == ADDRESS
    assert seen(signal, "order.lines")[0]["quantity"] == 2
    assert {o.system for o in signal.observations} == {"shopify"}


@pytest.mark.parametrize(
    ("currency", "text", "amount"),
    [("JPY", "5800", 5800), ("JPY", "5800.00", 5800), ("KWD", "48.500", 48500), ("USD", "58.0", 5800)],
)
def test_decimal_amounts_become_exact_minor_units(currency: str, text: str, amount: int) -> None:
    signal = order(currency=currency, current_total_price=text, total_outstanding="0", line_items=[])
    assert seen(signal, "order.total") == {"amount": amount, "currency": currency}


@pytest.mark.parametrize("text", ["58.5", "many", "", True, ["58"]])
def test_an_amount_that_its_currency_cannot_hold_is_pointed_at(text: Any) -> None:
    with pytest.raises(FieldsInvalid) as refusal:
        order(currency="JPY", current_total_price=text, total_outstanding="0", line_items=[])
    assert [pointer for pointer, _ in refusal.value.errors] == ["/current_total_price"]


def test_all_wrong_parts_are_pointed_at_together() -> None:
    with pytest.raises(FieldsInvalid) as refusal:
        order(email=5, line_items=[{"quantity": "two"}, "no"], updated_at="yesterday")
    assert [pointer for pointer, _ in refusal.value.errors][:3] == ["/updated_at", "/email", "/line_items/0/quantity"]


def test_equal_orders_have_equal_fingerprints_and_spelling_does_not_count() -> None:
    respelt = {**ADDRESS, "address1": "TORSTRASSE  140.", "city": "Berlin ", "zip": "101 19", "country_code": "de"}
    again = order(shipping_address=respelt, email="anke.petersen@example.com", line_items=list(reversed(ORDER["line_items"])))
    for name in ("order.customer", "order.ship_to_fingerprint", "order.lines_fingerprint"):
        assert seen(again, name) == seen(order(), name)
        assert len(seen(again, name)) == 16
    moved = order(shipping_address={**ADDRESS, "address1": "Torstraße 141"})
    assert seen(moved, "order.ship_to_fingerprint") != seen(order(), "order.ship_to_fingerprint")


def test_the_time_is_the_bodys_version_then_the_triggers_then_the_receipt() -> None:
    triggered = "2026-09-23T00:54:28.369181773Z"
    both = parse("orders/updated", ORDER, **{"X-Shopify-Triggered-At": triggered})
    assert both.occurred_at.isoformat() == "2026-10-06T04:00:00+00:00"
    bare = parse("fulfillment_orders/split", {}, **{"X-Shopify-Triggered-At": triggered})
    assert bare.occurred_at.isoformat() == "2026-09-23T00:54:28.369181+00:00"
    assert parse("fulfillment_orders/split", {}).occurred_at == NOW


def test_an_edit_is_told_with_its_time_and_its_order() -> None:
    edit = {
        "order_id": 42,
        "committed_at": "2026-10-01T10:00:00+09:00",
        "staff_note": "Swap",
        "line_items": {"additions": [{"delta": 2}]},
    }
    signal = parse("orders/edited", {"order_edit": edit})
    assert seen(signal, "order.edited_at") == "2026-10-01T01:00:00Z"
    assert signal.identifiers == ("gid://shopify/Order/42",)


@pytest.mark.parametrize(
    ("verb", "request_", "state"),
    [
        ("fulfillment_request_submitted", "submitted", None),
        ("fulfillment_request_accepted", "accepted", "accepted"),
        ("fulfillment_request_rejected", "rejected", "rejected"),
        ("cancellation_request_submitted", "cancellation_requested", None),
        ("cancellation_request_accepted", "cancellation_accepted", "cancelled"),
        ("cancellation_request_rejected", "cancellation_rejected", None),
        ("fulfillment_service_failed_to_complete", "closed", "incomplete"),
    ],
)
def test_a_fulfilment_request_goes_its_way(verb: str, request_: str, state: str | None) -> None:
    signal = parse(f"fulfillment_orders/{verb}", {"fulfillment_order": {"id": FO, "status": "open"}})
    assert seen(signal, "fulfilment.request", FO) == request_
    assert [o.value for o in observations(signal, "fulfilment.state", FO)] == ([state] if state else [])
    assert signal.identifiers == (FO,)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("INVENTORY_OUT_OF_STOCK", "inventory_out_of_stock"),
        ("INCORRECT_ADDRESS: PLZ 34117 does not belong here", "incorrect_address"),
        ("Can't fulfill due to no inventory on product.", None),
        (None, None),
    ],
)
def test_a_rejection_keeps_its_words_and_its_code_where_it_has_one(message: str | None, reason: str | None) -> None:
    body = {"fulfillment_order": {"id": FO, "status": "open", "request_status": "rejected"}, "message": message}
    signal = parse("fulfillment_orders/fulfillment_request_rejected", body)
    assert seen(signal, "fulfilment.reason", FO) == reason
    assert [o.value for o in observations(signal, "fulfilment.message")] == ([message] if message else [])


def test_a_hold_is_told_with_its_code_and_whose_it_is_and_a_release_clears_it() -> None:
    hold = {"reason": "HIGH_RISK_OF_FRAUD", "reason_notes": "By risk app", "handle": "h1", "held_by_requesting_app": False}
    placed = parse(
        "fulfillment_orders/placed_on_hold", {"fulfillment_order": {"id": FO, "status": "on_hold", "fulfillment_holds": [hold]}}
    )
    assert seen(placed, "hold.reason", FO) == "high_risk_of_fraud"
    assert seen(placed, "hold.message", FO) == "By risk app"
    assert seen(placed, "hold.ours", FO) is False
    released = parse("fulfillment_orders/hold_released", {"fulfillment_order": {"id": FO, "status": "open"}})
    assert seen(released, "hold.reason", FO) == "none"
    assert seen(released, "hold.handle", FO) is None


def test_of_stacked_holds_the_one_just_placed_counts_and_releasing_one_leaves_the_other() -> None:
    holds = [{"reason": "other"}, {"reason": "inventory_out_of_stock", "handle": "h2"}]
    body = {
        "fulfillment_order": {"id": FO, "fulfillment_holds": holds},
        "created_fulfillment_hold": {"reason": "other", "handle": "h1"},
    }
    assert seen(parse("fulfillment_orders/placed_on_hold", body), "hold.handle", FO) == "h1"
    one_gone = parse(
        "fulfillment_holds/released", {"fulfillment_order": {"id": FO}, "fulfillment_hold": {"id": "h", "handle": "h2"}}
    )
    assert observations(one_gone, "hold.reason") == []


def test_a_move_tells_of_both_fulfilment_orders() -> None:
    body = {
        "original_fulfillment_order": {"id": FO, "status": "closed"},
        "moved_fulfillment_order": {"id": "gid://shopify/FulfillmentOrder/2", "status": "open"},
    }
    signal = parse("fulfillment_orders/moved", body)
    assert set(signal.identifiers) == {FO, "gid://shopify/FulfillmentOrder/2"}
    assert seen(signal, "fulfilment_order.status", FO) == "closed"


def test_a_parcel_is_one_entity_per_tracking_code() -> None:
    body = {
        "id": 9,
        "order_id": 42,
        "status": "success",
        "created_at": "2026-10-01T10:00:00Z",
        "tracking_company": "DHL",
        "tracking_numbers": ["C1", "C2"],
        "shipment_status": "delivered",
        "destination": ADDRESS,
        "line_items": [{"sku": "A-1", "quantity": 1}],
    }
    signal = parse("fulfillments/create", body)
    assert signal.identifiers == ("gid://shopify/Order/42", "C1", "C2")
    assert [o.entity for o in observations(signal, "parcel.shipped_at")] == ["C1", "C2"]
    assert seen(signal, "parcel.delivery_status", "C2") == "delivered"
    assert seen(signal, "parcel.lines") == [{"sku": "A-1", "quantity": 1, "title": None}]
    assert observations(parse("fulfillments/update", {**body, "status": "cancelled"}), "parcel.shipped_at") == []


def test_two_risk_providers_are_two_entities() -> None:
    base = {"admin_graphql_api_order_id": "gid://shopify/Order/42", "created_at": "2026-10-01T10:00:00Z"}
    shopify = parse("orders/risk_assessment_changed", {**base, "risk_level": "HIGH", "provider_title": "Shopify"})
    other = parse("orders/risk_assessment_changed", {**base, "risk_level": "LOW", "provider_title": "Signalgate"})
    assert seen(shopify, "risk.level", "risk:shopify") == "high"
    assert seen(other, "risk.level", "risk:signalgate") == "low"


@pytest.mark.parametrize(
    ("kind", "status", "payment"),
    [("capture", "success", "succeeded"), ("authorization", "success", "requires_capture"), ("sale", "failure", None)],
)
def test_a_transaction_speaks_for_the_payment_only_when_it_succeeded(kind: str, status: str, payment: str | None) -> None:
    body = {"id": 1, "order_id": 42, "kind": kind, "status": status, "amount": "58.00", "currency": "EUR", "authorization": "pi_1"}
    signal = parse("order_transactions/create", body)
    assert seen(signal, "transaction.status") == status
    assert [o.value for o in observations(signal, "payment.status", "pi_1")] == ([payment] if payment else [])
    assert "pi_1" in signal.identifiers


def test_a_refund_is_what_its_successful_transactions_add_up_to() -> None:
    parts = [
        ("refund", "success", "20.00"),
        ("refund", "success", "14.95"),
        ("refund", "failure", "9.00"),
        ("void", "success", "1.00"),
    ]
    rows = [{"kind": kind, "status": status, "amount": amount, "currency": "GBP"} for kind, status, amount in parts]
    signal = parse("refunds/create", {"id": 5, "order_id": 42, "note": "One missing", "transactions": rows})
    assert seen(signal, "refund.storefront_amount") == {"amount": 3495, "currency": "GBP"}
    assert seen(signal, "refund.note") == "One missing"


@pytest.mark.parametrize(
    ("verb", "status", "told"),
    [
        ("request", "requested", "requested"),
        ("approve", "open", "approved"),
        ("decline", "declined", "declined"),
        ("cancel", "canceled", "cancelled"),
        ("process", "open", "open"),
    ],
)
def test_a_return_goes_its_way(verb: str, status: str, told: str) -> None:
    body = {"id": 7, "status": status, "order": {"admin_graphql_api_id": "gid://shopify/Order/42"}}
    signal = parse(f"returns/{verb}", body)
    assert seen(signal, "return.status") == told
    assert len(observations(signal, "return.processed_at")) == (verb == "process")
    assert signal.identifiers == ("gid://shopify/Order/42",)


def test_stock_may_be_negative_and_is_shared_between_orders() -> None:
    signal = parse("inventory_levels/update", {"inventory_item_id": 45082781028, "available": -2, "location_id": 7})
    assert seen(signal, "inventory.available", "inventory_item:45082781028") == -2
    assert signal.identifiers == ("inventory_item:45082781028",)
    variant = parse("variants/out_of_stock", {"id": 4, "sku": "A-1", "inventory_quantity": 0})
    assert seen(variant, "inventory.available", "sku:A-1") == 0
    assert variant.identifiers == ("sku:A-1",)


def test_a_dispute_seen_by_the_storefront_has_its_due_date() -> None:
    body = {
        "id": 3,
        "order_id": 42,
        "type": "inquiry",
        "amount": "25.500",
        "currency": "KWD",
        "evidence_due_by": "2026-10-31T17:41:56+03:00",
    }
    signal = parse("disputes/create", {**body, "status": "needs_response", "reason": "fraudulent"})
    assert seen(signal, "dispute.amount") == {"amount": 25500, "currency": "KWD"}
    assert seen(signal, "dispute.due_by") == "2026-10-31T14:41:56Z"


def test_ids_in_free_text_are_not_believed() -> None:
    signal = order(note="gid://shopify/Order/666", note_attributes=[{"name": "id", "value": "gid://shopify/Order/667"}])
    assert not any("66" in identifier for identifier in signal.identifiers)


@pytest.mark.parametrize("topic", ["customers/redact", "products/update", "", "orders/made_up"])
def test_an_unknown_topic_is_kept_and_says_nothing(topic: str) -> None:
    signal = parse(topic, {"id": 1, "admin_graphql_api_id": "gid://shopify/Order/1"})
    assert (signal.known, signal.observations) == (False, ())
    assert signal.identifiers == ("gid://shopify/Order/1",)
