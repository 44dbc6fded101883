"""EasyPost events: trackers with every scan, shipments and their labels, refunds of labels."""

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from easypost.errors.general.signature_verification_error import SignatureVerificationError
from easypost.util import validate_webhook

from app.signals.body import Observer, Part, distinct, read_body
from app.signals.fingerprints import address_fingerprint
from app.signals.references import bare_code, named_order
from app.signals.shapes import Delivery, ParsedSignal
from app.signals.signing import any_matches, required, usable
from app.signals.tracking import Scan, see_scans, tracking_status


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    """`X-Hmac-Signature`; the secret is normalised (NFKD) by the library. There is no timestamp: the event id stops replays."""
    keys = usable(secrets, "easypost")
    header = required(headers, "x-hmac-signature")

    def matches(secret: str) -> bool:
        try:
            validate_webhook(body, {"X-Hmac-Signature": header}, secret)
        except (SignatureVerificationError, TypeError, UnicodeEncodeError):
            return False
        except (ValueError, RecursionError):
            return True  # the signature held and only then the body turned out not to be JSON; that is for `open_body` to say
        return True

    any_matches(keys, matches, "easypost")


def sign(secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> dict[str, str]:
    key = unicodedata.normalize("NFKD", secret).encode()
    return {"x-hmac-signature": f"hmac-sha256-hex={hmac.new(key, body, hashlib.sha256).hexdigest()}"}


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    body = read_body(payload)
    event_id = body["id"].ident() or fallback
    topic = body["description"].text() or "unknown"
    body.checked()
    return Delivery(dict(headers), payload, event_id, event_id, topic)


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    body = read_body(payload)
    topic = body["description"].text() or "unknown"
    result = body["result"]
    occurred_at = result["updated_at"].moment() or body["created_at"].moment() or received_at
    observer = Observer("easypost", occurred_at)
    kind = result["object"].text() or topic.partition(".")[0].capitalize()
    known = True
    match kind:
        case "Tracker":
            _tracker(observer, result)
        case "Shipment":
            _shipment(observer, result)
        case _:
            known = False
    body.checked()
    ref = result["reference"].text() if kind in ("Shipment", "Order") else None
    return ParsedSignal(topic, known, occurred_at, _identifiers(result, kind, ref), ref, tuple(observer.seen))


def _identifiers(result: Part, kind: str, ref: str | None) -> tuple[str, ...]:
    ids = [result["tracking_code"].ident(), result["id"].ident(), result["shipment_id"].ident()]
    if kind == "Shipment":
        ids += [result["tracker"]["id"].ident(), result["tracker"]["tracking_code"].ident()]
    return distinct([named_order(ref), *map(bare_code, ids)])


def _tracker(observer: Observer, tracker: Part) -> None:
    code = tracker["tracking_code"].ident() or tracker["id"].ident() or ""
    status = tracker["status"].text()
    observer.see("tracking.status", status and tracking_status(status), tracker["status"], code)
    observer.see("tracking.status_detail", tracker["status_detail"].code(), tracker["status_detail"], code)
    observer.see("tracking.carrier", tracker["carrier"].text(), tracker["carrier"], code)
    observer.see("tracking.eta", tracker["est_delivery_date"].moment(), tracker["est_delivery_date"], code)
    observer.see("tracking.signed_by", tracker["signed_by"].text(), tracker["signed_by"], code)
    destination = tracker["carrier_detail"]["destination_location"]
    observer.see("tracking.destination", destination.text(), destination, code)
    details = tracker["tracking_details"]
    see_scans(observer, [scan for item in details.items() if (scan := _scan(item)) is not None], details, code)


def _scan(item: Part) -> Scan | None:
    at = item["datetime"].moment()
    if at is None:
        return None
    place = item["tracking_location"]
    return Scan(
        at=at,
        status=tracking_status(item["status"].text() or "unknown"),
        detail=item["status_detail"].code(),
        message=item["message"].text(),
        zip=place["zip"].ident(),
        city=place["city"].text(),
        part=item["datetime"],
    )


def _shipment(observer: Observer, shipment: Part) -> None:
    """A shipment whose postage was bought has a label; a refunded one has none any more."""
    code = shipment["tracking_code"].ident() or shipment["id"].ident() or ""
    label = shipment["postage_label"]
    observer.see("label.purchased_at", label["created_at"].moment(), label["created_at"], code)
    observer.see("label.carrier", shipment["selected_rate"]["carrier"].text(), shipment["selected_rate"]["carrier"], code)
    observer.see("label.service", shipment["selected_rate"]["service"].text(), shipment["selected_rate"]["service"], code)
    if shipment["refund_status"].text() == "refunded":
        observer.see("label.voided_at", observer.occurred_at, shipment["refund_status"], code)
    address = shipment["to_address"]
    observer.see("label.ship_to", address.plain(), address, code)
    observer.see("label.ship_to_fingerprint", address_fingerprint(address.plain()), address, code)
    delivery_check = address["verifications"]["delivery"]
    observer.see("address.deliverable", delivery_check["success"].flag(), delivery_check["success"], code)
    for error in delivery_check["errors"].items():
        observer.see("address.code", error["code"].code(), error["code"], code)
        break
    if shipment["tracker"].value is not None:
        _tracker(observer, shipment["tracker"])
