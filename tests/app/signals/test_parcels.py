from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import FieldsInvalid, ParsedSignal, Source
from tests.app.signals.recorded import NOW, observations, seen


def scan(at: str, status: str, detail: str = "unknown", zip_: str | None = None, message: str = "") -> dict[str, Any]:
    return {
        "datetime": at,
        "status": status,
        "status_detail": detail,
        "message": message,
        "tracking_location": {"zip": zip_, "city": None},
    }


def tracker(*scans: dict[str, Any], status: str = "in_transit", **more: Any) -> ParsedSignal:
    result = {
        "object": "Tracker",
        "id": "trk_1",
        "tracking_code": "9400",
        "status": status,
        "updated_at": "2026-10-03T12:00:00Z",
        "shipment_id": "shp_1",
        "tracking_details": list(scans),
        **more,
    }
    body = {
        "object": "Event",
        "id": "evt_1",
        "description": "tracker.updated",
        "created_at": "2026-10-03T13:00:00Z",
        "result": result,
    }
    return reading.parse(Source.EASYPOST, {}, body, NOW)


LABEL = scan("2026-10-01T08:00:00Z", "pre_transit", "label_created")
PICKED_UP = scan("2026-10-01T18:00:00Z", "in_transit", "received_at_origin_facility", "89502")
DELIVERED = scan("2026-10-03T11:00:00Z", "delivered", "arrived_at_destination", "97205", "Left at front door")


def test_a_label_is_not_a_physical_scan() -> None:
    announced = tracker(LABEL, status="pre_transit")
    assert observations(announced, "tracking.first_scan_at") == []
    assert len(seen(announced, "tracking.scans")) == 1


def test_scans_are_put_in_order_whatever_order_they_come_in() -> None:
    signal = tracker(DELIVERED, LABEL, PICKED_UP, status="delivered", signed_by="HARRIET", est_delivery_date="2026-10-04T00:00:00Z")
    expected = {
        "tracking.status": "delivered",
        "tracking.first_scan_at": "2026-10-01T18:00:00Z",
        "tracking.last_scan_at": "2026-10-03T11:00:00Z",
        "tracking.delivered_at": "2026-10-03T11:00:00Z",
        "tracking.zip": "97205",
        "tracking.message": "Left at front door",
        "tracking.signed_by": "HARRIET",
        "tracking.eta": "2026-10-04T00:00:00Z",
    }
    assert {name: seen(signal, name, "9400") for name in expected} == expected
    assert [item["physical"] for item in seen(signal, "tracking.scans")] == [False, True, True]
    assert signal.identifiers == ("9400", "trk_1", "shp_1")
    assert signal.occurred_at.isoformat() == "2026-10-03T12:00:00+00:00"


def test_a_scan_without_a_zone_is_pointed_at() -> None:
    with pytest.raises(FieldsInvalid) as refusal:
        tracker(LABEL, scan("2026-10-01T18:00:00", "in_transit"))
    assert [pointer for pointer, _ in refusal.value.errors] == ["/result/tracking_details/1/datetime"]


def test_a_bought_shipment_tells_its_label_and_a_refunded_one_that_it_is_void() -> None:
    address = {"street1": "9 Beacon Ct", "city": "Boston", "zip": "02108", "country": "US"}
    errors = [{"code": "E.ADDRESS.NOT_FOUND"}]
    shipment = {
        "object": "Shipment",
        "id": "shp_1",
        "reference": "#1001",
        "tracking_code": "9400",
        "to_address": {**address, "verifications": {"delivery": {"success": False, "errors": errors}}},
        "postage_label": {"created_at": "2026-10-01T08:00:00Z"},
        "selected_rate": {"carrier": "USPS", "service": "Ground"},
        "refund_status": "refunded",
    }
    body = {"id": "evt_1", "description": "shipment.updated", "created_at": "2026-10-03T13:00:00Z", "result": shipment}
    signal = reading.parse(Source.EASYPOST, {}, body, NOW)
    assert signal.order_ref == "#1001"
    assert signal.identifiers[:2] == ("order:1001", "9400")
    assert seen(signal, "label.purchased_at", "9400") == "2026-10-01T08:00:00Z"
    assert seen(signal, "label.voided_at", "9400") == "2026-10-03T13:00:00Z"
    assert seen(signal, "address.deliverable") is False
    assert seen(signal, "address.code") == "e.address.not_found"


def aftership(tag: str, subtag: str, **more: Any) -> ParsedSignal:
    point = {"checkpoint_time": "2026-10-03T20:58:14Z", "tag": tag, "subtag": subtag, "message": "Scan", "city": "Leeds"}
    msg = {"tracking_number": "RM1", "order_number": "#1001", "tag": tag, "subtag": subtag, "updated_at": "2026-10-04T00:00:00Z"}
    body = {"event": "tracking_update", "event_id": "u", "ts": 1790639628, "msg": {**msg, "checkpoints": [point], **more}}
    return reading.parse(Source.AFTERSHIP, {}, body, NOW)


@pytest.mark.parametrize(
    ("tag", "subtag", "status", "detail"),
    [
        ("InfoReceived", "InfoReceived_001", "pre_transit", "label_created"),
        ("InTransit", "InTransit_003", "in_transit", "intransit_003"),
        ("OutForDelivery", "OutForDelivery_001", "out_for_delivery", "outfordelivery_001"),
        ("AttemptFail", "AttemptFail_002", "failure", "attemptfail_002"),
        ("Delivered", "Delivered_003", "delivered", "delivered_003"),
        ("AvailableForPickup", "AvailableForPickup_001", "available_for_pickup", "availableforpickup_001"),
        ("Exception", "Exception_003", "failure", "refused"),
        ("Exception", "Exception_007", "failure", "address_correction"),
        ("Exception", "Exception_010", "return_to_sender", "return"),
        ("Exception", "Exception_012", "failure", "damaged"),
        ("Exception", "Exception_013", "failure", "lost"),
        ("Exception", "Exception_016", "in_transit", "delayed"),
        ("Expired", "Expired_001", "unknown", "expired"),
        ("Pending", "Pending_001", "unknown", "pending_001"),
    ],
)
def test_aftership_is_told_in_easyposts_words(tag: str, subtag: str, status: str, detail: str) -> None:
    signal = aftership(tag, subtag)
    assert seen(signal, "tracking.status", "RM1") == status
    assert seen(signal, "tracking.status_detail", "RM1") == detail
    assert seen(signal, "tracking.subtag", "RM1") == subtag
    assert signal.identifiers == ("order:1001", "RM1")


def test_an_aftership_promise_for_a_day_is_kept_until_the_day_is_over() -> None:
    assert seen(aftership("InTransit", "InTransit_001", expected_delivery="2026-10-05"), "tracking.eta") == "2026-10-05T23:59:59Z"
    revised = {"datetime": "2026-10-06T12:00:00+02:00"}
    assert (
        seen(aftership("InTransit", "InTransit_001", latest_estimated_delivery=revised), "tracking.eta") == "2026-10-06T10:00:00Z"
    )


def test_a_checkpoint_in_local_time_falls_back_to_when_aftership_noted_it() -> None:
    point = {
        "checkpoint_time": "2026-10-03T20:58:14",
        "created_at": "2026-10-03T21:05:00Z",
        "tag": "InTransit",
        "subtag": "InTransit_001",
    }
    assert seen(aftership("InTransit", "InTransit_001", checkpoints=[point]), "tracking.last_scan_at") == "2026-10-03T21:05:00Z"


def test_an_unknown_aftership_event_is_kept() -> None:
    signal = reading.parse(Source.AFTERSHIP, {}, {"event": "new_thing", "msg": {"tracking_number": "RM1"}}, NOW)
    assert (signal.known, signal.identifiers, signal.observations) == (False, ("RM1",), ())


@pytest.mark.parametrize("typed", ["order:2002", "gid://shopify/Order/2002", "sku:MUG-1", "pi_3Nx"])
def test_a_tracking_code_names_nothing_but_a_parcel(typed: str) -> None:
    """People type it. What reads like an identifier of another kind would join somebody else's order."""
    signals = [
        reading.parse(Source.SHOPIFY, {"x-shopify-topic": "fulfillments/create"}, {"order_id": 1, "tracking_number": typed}, NOW),
        reading.parse(
            Source.SHOPIFY, {"x-shopify-topic": "fulfillments/create"}, {"order_id": 1, "tracking_numbers": [typed]}, NOW
        ),
        reading.parse(
            Source.SHOPIFY, {"x-shopify-topic": "orders/updated"}, {"id": 1, "fulfillments": [{"tracking_numbers": [typed]}]}, NOW
        ),
        reading.parse(Source.EASYPOST, {}, {"result": {"object": "Tracker", "id": typed, "tracking_code": typed}}, NOW),
        reading.parse(Source.AFTERSHIP, {}, {"event": "tracking_update", "msg": {"tracking_number": typed, "id": typed}}, NOW),
        reading.parse(Source.SHIPBOB, {"x-webhook-topic": "order.shipped"}, {"tracking": {"tracking_number": typed}}, NOW),
        reading.parse(
            Source.EVENTS,
            {"content-type": "application/cloudevents+json"},
            {"specversion": "1.0", "id": "e1", "source": "/wms", "type": "carrier.tracking", "data": {"tracking_code": typed}},
            NOW,
        ),
    ]
    assert [signal.identifiers for signal in signals if typed in signal.identifiers] == []
