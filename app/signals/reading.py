"""The one door for signals: verify the raw bytes, open the body, parse what it says, and sign as the vendor would."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from app.signals import aftership, cloud_events, easypost, events, reported, shipbob, shopify, stripe, woocommerce
from app.signals.shapes import BodyNotJson, Delivery, Envelope, ParsedSignal, SignatureInvalid, Source
from app.signals.signing import DEFAULT_TOLERANCE
from app.signals.unread import unread_instructions
from app.signals.vectors import SIGNERS, VERIFIERS, check_vector

__all__ = ["check_vector", "open_body", "parse", "sign", "verify"]


@dataclass(frozen=True, slots=True)
class _Reader:
    delivery: Callable[[Mapping[str, str], dict[str, Any], str], Delivery]
    parse: Callable[[Mapping[str, str], dict[str, Any], datetime], ParsedSignal]


_READERS: dict[Source, _Reader] = {
    Source.SHOPIFY: _Reader(shopify.delivery, shopify.parse),
    Source.STRIPE: _Reader(stripe.delivery, stripe.parse),
    Source.EASYPOST: _Reader(easypost.delivery, easypost.parse),
    Source.AFTERSHIP: _Reader(aftership.delivery, aftership.parse),
    Source.SHIPBOB: _Reader(shipbob.delivery, shipbob.parse),
    Source.WOOCOMMERCE: _Reader(woocommerce.delivery, woocommerce.parse),
    Source.EVENTS: _Reader(events.delivery, events.parse),
    Source.TRIAGE: _Reader(reported.delivery, reported.parse),
    Source.EVIDENCE: _Reader(reported.delivery, reported.parse),
}


def verify(envelope: Envelope, secrets: Sequence[str], now: datetime, tolerance: timedelta | None = DEFAULT_TOLERANCE) -> None:
    """Raises SignatureInvalid unless one of the secrets signed these very bytes, and lately where the scheme has a time."""
    check = VERIFIERS.get(envelope.source)
    if check is None:
        raise SignatureInvalid(f"{envelope.source} signals are not signed; they come in through the API with an API key")
    check(_lowered(envelope.headers), envelope.body, secrets, now, tolerance)


def open_body(envelope: Envelope) -> tuple[Delivery, ...]:
    """The events of a verified delivery, each with its ids. Numbers with a point stay as written, as text.

    Raises BodyNotJson, and FieldsInvalid for a CloudEvent that breaks its specification or an id of the wrong type."""
    headers = _lowered(envelope.headers)
    fallback = "sha256:" + hashlib.sha256(envelope.source.encode() + b"\n" + envelope.body).hexdigest()
    decoded = _decode(envelope.body, headers)
    reader = _READERS[envelope.source]
    if envelope.source is Source.EVENTS:
        opened = events.open_events(headers, decoded)
    else:
        if not isinstance(decoded, dict):
            raise BodyNotJson("the body is not a JSON object; send the vendor's body as it came")
        opened = [(headers, decoded)]
    return tuple(reader.delivery(own_headers, payload, fallback) for own_headers, payload in opened)


def parse(source: Source, headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    """What the signal says. Raises FieldsInvalid with a pointer for every part of the wrong type."""
    parsed = _READERS[Source(source)].parse(_lowered(headers), payload, received_at)
    unread = unread_instructions(payload, parsed.observations, str(source), parsed.occurred_at)
    return replace(parsed, observations=(*parsed.observations, *unread)) if unread else parsed


def sign(source: Source, secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The headers with the vendor's real signature added, names lower-cased. Raises SignatureInvalid for an unusable secret."""
    lowered = _lowered(headers)
    signer = SIGNERS.get(source)
    if signer is None:
        raise SignatureInvalid(f"{source} signals are not signed; send them with an API key")
    return {**lowered, **signer(secret, body, lowered, now)}


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _decode(body: bytes, headers: Mapping[str, str]) -> Any:
    if not body.strip() and cloud_events.is_binary(headers):
        return {}  # a CloudEvent may be without data
    try:
        return json.loads(body.decode(), parse_float=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BodyNotJson(f"the body is not JSON ({error}); send the vendor's body as it came") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
