from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import ParsedSignal, Source
from tests.app.signals.recorded import NOW, observations, seen


def shipbob(topic: str, **changes: Any) -> ParsedSignal:
    body = {
        "id": 91,
        "order_id": 84,
        "reference_id": "#1001",
        "created_date": "2026-09-17T22:36:27Z",
        "last_update_at": "2026-09-18T03:12:27Z",
        "status": "Processing",
        "status_details": [{"name": "OutOfStock", "description": "None left"}],
        "products": [{"sku": "A-1", "quantity": 2, "name": "Cup"}],
        **changes,
    }
    return reading.parse(Source.SHIPBOB, {"x-webhook-topic": topic}, body, NOW)


@pytest.mark.parametrize(
    ("topic", "status", "state"),
    [
        ("order.shipment.exception", "Exception", "rejected"),
        ("shipment_exception", "Exception", "rejected"),
        ("order.shipment.on_hold", "OnHold", "held"),
        ("order.shipment.cancelled", "Cancelled", "cancelled"),
        ("order.shipped", "Completed", "shipped"),
        ("order.shipment.delivered", "Completed", "delivered"),
        ("order.shipment.tracking.updated", "Processing", "in_progress"),
        ("order.shipment.line_item.updated", "OnHold", "held"),
    ],
)
def test_shipbob_tells_the_state_of_the_work(topic: str, status: str, state: str) -> None:
    signal = shipbob(topic, status=status)
    assert seen(signal, "fulfilment.state", "shipbob:91") == state
    assert signal.identifiers == ("order:1001", "shipbob_order:84")
    assert signal.occurred_at.isoformat() == "2026-09-18T03:12:27+00:00"


def test_shipbobs_reason_stands_only_while_there_is_trouble() -> None:
    assert seen(shipbob("order.shipment.exception", status="Exception"), "fulfilment.reason") == "out_of_stock"
    assert seen(shipbob("order.shipment.exception", status="Exception"), "fulfilment.message") == "None left"
    assert seen(shipbob("order.shipped", status="Completed"), "fulfilment.reason") is None


def test_a_shipped_shipbob_order_without_tracking_has_no_parcel() -> None:
    assert not [o for o in shipbob("order.shipped", tracking=None).observations if o.field.startswith("parcel.")]
    signal = shipbob("order.shipment.delivered", tracking={"carrier": "USPS", "tracking_number": "9400"})
    assert seen(signal, "tracking.status", "9400") == "delivered"
    assert "9400" in signal.identifiers


@pytest.mark.parametrize("topic", ["wro.created", "return.created", ""])
def test_an_unknown_shipbob_topic_is_kept(topic: str) -> None:
    signal = shipbob(topic)
    assert (signal.known, signal.observations) == (False, ())


def woo(topic: str = "order.updated", **changes: Any) -> ParsedSignal:
    body = {
        "id": 727,
        "number": "727",
        "status": "processing",
        "currency": "KWD",
        "total": "29.350",
        "date_created_gmt": "2026-10-01T10:00:00",
        "date_modified_gmt": "2026-10-01T11:00:00",
        "date_paid_gmt": "2026-10-01T10:05:00",
        "transaction_id": "pi_1",
        "customer_note": "Ring twice",
        "billing": {
            "email": "a@example.com",
            "address_1": "969 Market",
            "city": "San Francisco",
            "postcode": "94103",
            "country": "US",
        },
        "shipping": {"address_1": "", "city": "", "postcode": "", "country": ""},
        "line_items": [{"sku": "A-1", "quantity": 2, "price": "14.675", "name": "Cup"}],
        **changes,
    }
    return reading.parse(Source.WOOCOMMERCE, {"x-wc-webhook-topic": topic}, body, NOW)


def test_a_woocommerce_order_is_read() -> None:
    signal = woo()
    assert signal.identifiers == ("order:727", "woocommerce_order:727", "pi_1", "sku:A-1")
    assert seen(signal, "order.total") == {"amount": 29350, "currency": "KWD"}
    assert seen(signal, "order.placed_at") == "2026-10-01T10:00:00Z"
    assert signal.occurred_at.isoformat() == "2026-10-01T11:00:00+00:00"
    assert seen(signal, "order.ship_to_country") == "US"
    assert seen(signal, "order.line_count") == 1


@pytest.mark.parametrize(
    ("status", "paid", "financial", "fulfilment"),
    [
        ("pending", None, "pending", "unfulfilled"),
        ("processing", "2026-10-01T10:05:00", "paid", "unfulfilled"),
        ("completed", "2026-10-01T10:05:00", "paid", "fulfilled"),
        ("refunded", "2026-10-01T10:05:00", "refunded", "unfulfilled"),
        ("cancelled", None, "voided", "unfulfilled"),
        ("cancelled", "2026-10-01T10:05:00", "paid", "unfulfilled"),
        ("failed", None, "pending", "unfulfilled"),
    ],
)
def test_woocommerces_one_status_is_told_as_payment_and_fulfilment(
    status: str, paid: str | None, financial: str, fulfilment: str
) -> None:
    signal = woo(status=status, date_paid_gmt=paid)
    assert seen(signal, "order.financial_status") == financial
    assert seen(signal, "order.fulfillment_status") == fulfilment
    assert [o.value for o in observations(signal, "payment.status", "pi_1")] == (["failed"] if status == "failed" else [])
    assert len(observations(signal, "order.cancelled_at")) == (status == "cancelled")


def test_woocommerce_writes_refunds_as_negative_amounts() -> None:
    signal = woo(refunds=[{"id": 1, "total": "-10.000"}, {"id": 2, "total": "-0.350"}])
    assert [o.value["amount"] for o in observations(signal, "refund.storefront_amount")] == [10000, 350]


def test_the_topic_may_come_as_resource_and_event() -> None:
    headers = {"X-WC-Webhook-Resource": "product", "X-WC-Webhook-Event": "updated"}
    signal = reading.parse(Source.WOOCOMMERCE, headers, {"id": 1}, NOW)
    assert (signal.topic, signal.known, signal.identifiers) == ("product.updated", False, ())
