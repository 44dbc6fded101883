import json
from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import BodyNotJson, FieldsInvalid, SignalRefused, Source
from tests.app.signals.recorded import NOW, cloud_event_vectors, envelope

STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/wms/east", "type": "wms.order.packed", "subject": "#1001", "data": {}}


def opened(source: Source, body: Any, headers: dict[str, str]) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reading.open_body(envelope(source, raw, headers))


@pytest.mark.parametrize("vector", cloud_event_vectors(), ids=lambda v: v["id"])
def test_a_cloudevents_conformance_vector_is_accepted_or_refused_as_recorded(vector: dict[str, Any]) -> None:
    body = vector["body"].encode() if "body" in vector else json.dumps(vector["event"]).encode()
    delivery = envelope(Source.EVENTS, body, vector.get("headers", STRUCTURED))
    if not vector["valid"]:
        with pytest.raises(FieldsInvalid) as refusal:
            reading.open_body(delivery)
        assert all(pointer.startswith("/") and detail for pointer, detail in refusal.value.errors)
        return
    (event,) = reading.open_body(delivery)
    expected = vector.get("expect") or vector["event"]
    assert (event.event_id, event.topic) == (f"{expected['source']} {expected['id']}", expected["type"])
    if vector.get("expect"):
        assert event.payload == expected["data"] or event.payload["data"] == expected["data"]


@pytest.mark.parametrize("source", [s for s in Source if s is not Source.EVENTS])
@pytest.mark.parametrize(
    "body", [b"", b"nope", b"[]", b'"text"', b"7", b"null", b"\xff", b'{"a": NaN}', b"[" * 100_000, b"9" * 5000]
)
def test_a_body_that_is_not_a_json_object_is_refused(source: Source, body: bytes) -> None:
    with pytest.raises(BodyNotJson, match="send"):
        opened(source, body, {})


def test_large_ids_and_decimal_amounts_stay_exact() -> None:
    (delivery,) = opened(Source.SHOPIFY, b'{"id": 820982911946154508123, "price": 89.990}', {"X-Shopify-Topic": "orders/create"})
    assert delivery.payload == {"id": 820982911946154508123, "price": "89.990"}


def test_each_event_of_a_batch_is_a_delivery_of_its_own() -> None:
    events = [EVENT, {**EVENT, "id": "2", "source": "/wms/west"}]
    deliveries = opened(Source.EVENTS, events, {**BATCH, "webhook-id": "msg_1"})
    assert [d.event_id for d in deliveries] == ["/wms/east 1", "/wms/west 2"]
    assert len({d.delivery_id for d in deliveries}) == 2
    assert [d.payload for d in deliveries] == events
    signals = [reading.parse(Source.EVENTS, d.headers, d.payload, NOW) for d in deliveries]
    assert [signal.identifiers for signal in signals] == [("order:1001",), ("order:1001",)]


def test_a_bad_event_in_a_batch_is_pointed_at() -> None:
    with pytest.raises(FieldsInvalid) as refusal:
        opened(Source.EVENTS, [EVENT, {**EVENT, "id": ""}], BATCH)
    assert [pointer for pointer, _ in refusal.value.errors] == ["/1/id"]


@pytest.mark.parametrize(("body", "headers"), [({}, BATCH), ([1], BATCH), ([], STRUCTURED)])
def test_a_batch_must_be_an_array_of_objects_and_a_single_event_an_object(body: Any, headers: dict[str, str]) -> None:
    with pytest.raises(BodyNotJson):
        opened(Source.EVENTS, body, headers)


def test_a_binary_event_may_be_without_data_and_its_headers_are_percent_decoded() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "a b",
        "ce-source": "/wms/east",
        "ce-type": "wms.order.held",
        "ce-subject": "%23NB 1",
    }
    (delivery,) = opened(Source.EVENTS, b"", headers)
    signal = reading.parse(Source.EVENTS, delivery.headers, delivery.payload, NOW)
    assert (signal.order_ref, signal.identifiers) == ("#NB 1", ("order:NB 1",))


@pytest.mark.parametrize(
    ("source", "headers", "body", "delivery_id", "event_id", "topic"),
    [
        (
            Source.SHOPIFY,
            {"X-Shopify-Webhook-Id": "w1", "X-Shopify-Event-Id": "e1", "X-Shopify-Topic": "orders/paid"},
            {},
            "w1",
            "e1/orders/paid",
            "orders/paid",
        ),
        (Source.SHOPIFY, {"Shopify-Webhook-Id": "w2", "Shopify-Topic": "orders/paid"}, {}, "w2", "w2", "orders/paid"),
        (Source.STRIPE, {}, {"id": "evt_1", "type": "charge.failed"}, "evt_1", "evt_1", "charge.failed"),
        (Source.EASYPOST, {}, {"id": "evt_2", "description": "tracker.updated"}, "evt_2", "evt_2", "tracker.updated"),
        (Source.AFTERSHIP, {}, {"event_id": "u-1", "event": "tracking_update"}, "u-1", "u-1", "tracking_update"),
        (Source.SHIPBOB, {"webhook-id": "m1", "shipbob-topic": "order_shipped"}, {}, "m1", "m1", "order.shipped"),
        (
            Source.WOOCOMMERCE,
            {"X-WC-Webhook-ID": "3", "X-WC-Webhook-Delivery-ID": "d1", "X-WC-Webhook-Topic": "order.updated"},
            {},
            "3/d1",
            "3/d1",
            "order.updated",
        ),
        (Source.EVENTS, {**STRUCTURED, "webhook-id": "m2"}, EVENT, "m2 /wms/east 1", "/wms/east 1", "wms.order.packed"),
    ],
)
def test_the_ids_for_deduplication_are_the_vendors(
    source: Source, headers: dict[str, str], body: dict[str, Any], delivery_id: str, event_id: str, topic: str
) -> None:
    (delivery,) = opened(source, body, headers)
    assert (delivery.delivery_id, delivery.event_id, delivery.topic) == (delivery_id, event_id, topic)


@pytest.mark.parametrize("source", [Source.SHOPIFY, Source.STRIPE, Source.EASYPOST, Source.AFTERSHIP, Source.WOOCOMMERCE])
def test_without_ids_the_same_body_is_the_same_event_and_another_is_not(source: Source) -> None:
    first, again, other = (opened(source, body, {})[0] for body in (b'{"a":1}', b'{"a":1}', b'{"a":2}'))
    assert first.event_id == again.event_id
    assert first.event_id.startswith("sha256:")
    assert first.event_id != other.event_id
    assert first.topic == "unknown"


def test_an_id_of_the_wrong_type_is_pointed_at() -> None:
    with pytest.raises(FieldsInvalid) as refusal:
        opened(Source.STRIPE, {"id": {}, "type": 5}, {})
    assert refusal.value.errors == [("/id", "must be text or a whole number"), ("/type", "must be text")]
    assert isinstance(refusal.value, SignalRefused)
