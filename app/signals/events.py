"""Generic events: CloudEvents signed by Standard Webhooks, for systems without a webhook scheme of their own.

The first segment of `source` names the system (`/wms/east` is `wms`); `subject` is the order reference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from app.signals import cloud_events
from app.signals.body import Observer, Part, distinct
from app.signals.event_types import EVENT_TYPES
from app.signals.references import bare_code, named_order, payment_id
from app.signals.shapes import WEBHOOK_SOURCES, BodyNotJson, Delivery, ParsedSignal, Source
from app.signals.signing import verify_standard

_SYSTEMS = {"carriers": "carrier", "channels": "channel", "warehouse": "wms", "warehouses": "wms"}
# Systems with a signature of their own: nobody else may speak for them, whatever `source` they write.
_RESERVED = frozenset([*(str(s) for s in WEBHOOK_SOURCES if s is not Source.EVENTS), "ordermend"])


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    verify_standard(headers, body, secrets, now, tolerance, "events")


def open_events(headers: Mapping[str, str], body: Any) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """(headers, payload) of every event in a decoded body: one, or as many as a batch holds. A structured event is its own
    payload; the payload of a binary one is its data. Raises FieldsInvalid for events that break CloudEvents 1.0."""
    if cloud_events.media_type(headers) == cloud_events.BATCH:
        return _open_batch(headers, body)
    if not isinstance(body, dict):
        raise BodyNotJson("the body is not a JSON object; send one CloudEvent, or a batch as application/cloudevents-batch+json")
    payload: dict[str, Any] = body
    _read(headers, payload)
    return [(dict(headers), payload)]


def _open_batch(headers: Mapping[str, str], body: Any) -> list[tuple[dict[str, str], dict[str, Any]]]:
    if not isinstance(body, list):
        raise BodyNotJson("the body of application/cloudevents-batch+json is not a JSON array; send an array of events")
    single = {**headers, "content-type": cloud_events.STRUCTURED}
    for index, event in enumerate(body):
        if not isinstance(event, dict):
            raise BodyNotJson(f"entry {index} of the batch is not a JSON object; send an array of CloudEvents")
        cloud_events.check(cloud_events.structured_attributes(event), f"/{index}")
    return [(single, event) for event in body]


@dataclass(frozen=True, slots=True)
class _Event:
    """Attributes, the data, and where the data stands."""

    attributes: dict[str, Any]
    data: Any
    pointer: str


def _read(headers: Mapping[str, str], payload: Mapping[str, Any]) -> _Event:
    if cloud_events.is_binary(headers):
        event = _Event(cloud_events.binary_attributes(headers), payload, "")
    else:
        data = cloud_events.data_of(payload)
        event = _Event(
            cloud_events.structured_attributes(payload), data, "/data" if payload.get("data") is not None else "/data_base64"
        )
    cloud_events.check(event.attributes)
    return event


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    """`source` and `id` together are unique; `webhook-id` is the transport's and covers a whole batch.

    The attributes of a binary event stand in headers, which nobody signs. One signed delivery is therefore one event: sent
    again under other attributes it is the same delivery."""
    attributes = _read(headers, payload).attributes
    event_id = f"{attributes['source']} {attributes['id']}"
    message_id = headers.get("webhook-id", "").strip()
    delivery_id = message_id if message_id and cloud_events.is_binary(headers) else f"{message_id} {event_id}".strip()
    return Delivery(dict(headers), payload, delivery_id, event_id, attributes["type"])


def system_of(source: str) -> str:
    """`/wms/east` is `wms`, `/carriers/dhl` is `carrier`, `https://erp.example.com` is `erp.example.com`."""
    parts = urlsplit(source)
    named = next((segment for segment in parts.path.split("/") if segment), parts.netloc or "unknown").lower()
    named = _SYSTEMS.get(named, named)
    return f"{named}-event" if named in _RESERVED else named


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    event = _read(headers, payload)
    topic, ref = str(event.attributes["type"]), event.attributes.get("subject")
    moment = event.attributes.get("time")
    occurred_at = datetime.fromisoformat(moment.upper()).astimezone(UTC) if moment else received_at
    observer = Observer(system_of(str(event.attributes["source"])), occurred_at)
    read: Callable[[Observer, str, Part, str], None] | None = EVENT_TYPES.get(topic)
    body = Part(event.data if event.data is not None else {}, event.pointer, [])
    identifiers: list[str | None] = [named_order(ref) if isinstance(ref, str) else None]
    if read is not None:
        read(observer, topic, body, str(event.attributes["id"]))
        identifiers += [bare_code(body["tracking_code"].ident()), payment_id(body["refund_id"].ident())]
        identifiers += _skus(body)
        body.checked()
    name = str(ref) if (identifiers[0] or "").startswith("order:") else None
    return ParsedSignal(topic, read is not None, occurred_at, distinct(identifiers), name, tuple(observer.seen))


def _skus(body: Part) -> list[str | None]:
    """Shared ids: they carry an event without a subject to the orders that hold the SKU."""
    found = [body["sku"].text(), *(line["sku"].text() for line in body["order"]["lines"].items())]
    return [f"sku:{sku}" for sku in found if sku]
