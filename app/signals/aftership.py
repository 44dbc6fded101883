"""AfterShip tracking webhooks: `aftership-hmac-sha256` over the raw body; tags and subtags told in EasyPost's words."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from app.signals.body import Observer, Part, distinct, read_body, to_code
from app.signals.references import bare_code, named_order
from app.signals.shapes import Delivery, ParsedSignal
from app.signals.signing import any_matches, hmac_base64, required, same, usable
from app.signals.tracking import Scan, see_scans

_EVENTS = frozenset(["tracking_update", "edd_revise", "tracking_pending_time"])

_TAGS = {
    "InfoReceived": "pre_transit",
    "InTransit": "in_transit",
    "OutForDelivery": "out_for_delivery",
    "AttemptFail": "failure",
    "Delivered": "delivered",
    "AvailableForPickup": "available_for_pickup",
    "Exception": "failure",
    "Expired": "unknown",
    "Pending": "unknown",
}
# Where a subtag says more than its tag: (status, status detail). Others keep the tag's status and their own name as detail.
_SUBTAGS = {
    "InfoReceived_001": ("pre_transit", "label_created"),
    "InTransit_007": ("in_transit", "delayed"),
    "Delivered_001": ("delivered", "arrived_at_destination"),
    "Exception_001": ("failure", "delivery_exception"),
    "Exception_002": ("failure", "address_correction"),
    "Exception_003": ("failure", "refused"),
    "Exception_004": ("failure", "held"),
    "Exception_005": ("in_transit", "delayed"),
    "Exception_006": ("failure", "held"),
    "Exception_007": ("failure", "address_correction"),
    "Exception_010": ("return_to_sender", "return"),
    "Exception_011": ("return_to_sender", "return"),
    "Exception_012": ("failure", "damaged"),
    "Exception_013": ("failure", "lost"),
    "Exception_016": ("in_transit", "delayed"),
    "Exception_017": ("in_transit", "weather_delay"),
    "Exception_018": ("failure", "awaiting_information"),
    "Expired_001": ("unknown", "expired"),
}


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    """The three products name the header differently and compute the same. There is no timestamp: the event id stops replays."""
    keys = usable(secrets, "aftership")
    given = required(headers, "aftership-hmac-sha256", "as-signature-hmac-sha256", "am-webhook-signature")
    any_matches(keys, lambda secret: same(hmac_base64(secret, body), given), "aftership")


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    body = read_body(payload)
    event_id = body["event_id"].ident() or fallback
    topic = body["event"].text() or "unknown"
    body.checked()
    return Delivery(dict(headers), payload, event_id, event_id, topic)


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    body = read_body(payload)
    topic = body["event"].text() or "unknown"
    tracking = body["msg"]
    occurred_at = tracking["updated_at"].moment() or body["ts"].unix() or received_at
    observer = Observer("aftership", occurred_at)
    ref = tracking.first("order_number", "order_id").ident()
    code = tracking["tracking_number"].ident()
    if topic in _EVENTS:
        _tracking(observer, tracking, code or tracking["id"].ident() or "")
    body.checked()
    identifiers = distinct([named_order(ref), bare_code(code), bare_code(tracking["id"].ident())])
    return ParsedSignal(topic, topic in _EVENTS, occurred_at, identifiers, ref, tuple(observer.seen))


def _tracking(observer: Observer, tracking: Part, code: str) -> None:
    status, detail = _told(tracking)
    observer.see("tracking.status", status, tracking["tag"], code)
    observer.see("tracking.status_detail", detail, tracking.first("subtag", "tag"), code)
    observer.see("tracking.subtag", tracking["subtag"].text(), tracking["subtag"], code)
    observer.see("tracking.carrier", tracking["slug"].text(), tracking["slug"], code)
    observer.see("tracking.signed_by", tracking["signed_by"].text(), tracking["signed_by"], code)
    expected = tracking.first("latest_estimated_delivery", "aftership_estimated_delivery_date", "expected_delivery")
    if isinstance(expected.value, Mapping):
        expected = expected.first("datetime", "estimated_delivery_date")
    observer.see("tracking.eta", expected.moment(), expected, code)
    checkpoints = tracking["checkpoints"]
    see_scans(observer, [scan for item in checkpoints.items() if (scan := _scan(item)) is not None], checkpoints, code)


def _told(part: Part) -> tuple[str | None, str | None]:
    tag, subtag = part["tag"].text(), part["subtag"].text()
    if subtag in _SUBTAGS:
        return _SUBTAGS[subtag]
    return (_TAGS.get(tag, to_code(tag)) if tag else None), (subtag.lower() if subtag else None)


def _scan(item: Part) -> Scan | None:
    # checkpoint times are the local time of the place, and have no zone where the carrier gave none
    written = item["checkpoint_time"]
    at = written.zoned() or item["created_at"].moment()
    if at is None:
        return None
    status, detail = _told(item)
    return Scan(
        at=at,
        status=status or "unknown",
        detail=detail,
        message=item["message"].text(),
        zip=item["zip"].ident(),
        city=item["city"].text(),
        part=written,
    )
