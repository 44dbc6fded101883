"""Each scheme's verifier and signer, and the check of one recorded signature vector."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.signals import aftership, easypost, events, shipbob, shopify, stripe, woocommerce
from app.signals.shapes import SignalRefused, SignatureInvalid, Source
from app.signals.signing import any_matches, hmac_base64, same, standard_headers, usable, verify_standard

Verifier = Callable[[Mapping[str, str], bytes, Sequence[str], datetime, timedelta | None], None]
Signer = Callable[[str, bytes, Mapping[str, str], datetime], dict[str, str]]

VERIFIERS: dict[Source, Verifier] = {
    Source.SHOPIFY: shopify.verify,
    Source.STRIPE: stripe.verify,
    Source.EASYPOST: easypost.verify,
    Source.AFTERSHIP: aftership.verify,
    Source.SHIPBOB: shipbob.verify,
    Source.WOOCOMMERCE: woocommerce.verify,
    Source.EVENTS: events.verify,
}


def _hmac_header(name: str) -> Signer:
    return lambda secret, body, headers, now: {name: hmac_base64(secret, body)}


SIGNERS: dict[Source, Signer] = {
    Source.SHOPIFY: _hmac_header("x-shopify-hmac-sha256"),
    Source.STRIPE: stripe.sign,
    Source.EASYPOST: easypost.sign,
    Source.AFTERSHIP: _hmac_header("aftership-hmac-sha256"),
    Source.SHIPBOB: standard_headers,
    Source.WOOCOMMERCE: _hmac_header("x-wc-webhook-signature"),
    Source.EVENTS: standard_headers,
}


def _standard(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    verify_standard(headers, body, secrets, now, tolerance, "events")


_SCHEMES: dict[str, Verifier] = {
    "stripe": stripe.verify,
    "shopify-webhook": shopify.verify,
    "easypost": easypost.verify,
    "standard-webhooks": _standard,
    "aftership": aftership.verify,
    "shipbob": shipbob.verify,
    "woocommerce": woocommerce.verify,
}
_TIMED = frozenset(["stripe", "standard-webhooks", "shipbob"])


def check_vector(vector: Mapping[str, Any], now: datetime | None = None) -> tuple[bool, str]:
    """Whether `{"scheme", "secret", "headers", "body", "now"?, "tolerance_s"?}` is a valid signature, and why (not).

    `now` stands in for a vector without one. Without `tolerance_s` Stripe's age is not checked, as in its own library, and
    Standard Webhooks allows its five minutes. Never raises: whatever cannot be read is not valid."""
    try:
        return _check(vector, now)
    except SignalRefused as refusal:
        return False, str(refusal)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, OSError, RecursionError) as error:
        return False, f"the vector cannot be read: {type(error).__name__}: {error}"


def _check(vector: Mapping[str, Any], now: datetime | None) -> tuple[bool, str]:
    scheme = vector.get("scheme")
    secrets = vector.get("secret")
    given = [secrets] if isinstance(secrets, str) else list(secrets or [])
    if scheme == "shopify-oauth-query":
        _check_query(vector["headers"]["query"], given)
        return True, "the query is signed with the secret"
    verifier = _SCHEMES.get(scheme) if isinstance(scheme, str) else None
    if verifier is None:
        known = ", ".join(sorted([*_SCHEMES, "shopify-oauth-query"]))
        return False, f"{scheme!r} is not a scheme; use one of {known}"
    body = vector.get("body", "")
    raw = body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {str(name).lower(): value for name, value in (vector.get("headers") or {}).items() if isinstance(value, str)}
    seconds = vector.get("tolerance_s")
    tolerance = None if seconds is None else timedelta(seconds=seconds)
    moment = datetime.fromtimestamp(vector["now"], UTC) if vector.get("now") is not None else now
    if moment is None and scheme in _TIMED and (tolerance is not None or scheme != "stripe"):
        return False, "the vector has no `now`, so the age of its signature cannot be judged; add it"
    verifier(headers, raw, given, moment or datetime.fromtimestamp(0, UTC), tolerance)
    return True, "the signature matches the body"


def _check_query(query: Mapping[str, Any], secrets: Sequence[str]) -> None:
    """Shopify's signed query of an installation: hex HMAC-SHA256 over the sorted pairs without `hmac`."""
    given = query.get("hmac")
    if not isinstance(given, str):
        raise SignatureInvalid("the query has no hmac; send the query as Shopify signed it")
    pairs = [
        f"{_escaped(str(key), '=')}={_escaped(_joined(value))}" for key, value in query.items() if key not in ("hmac", "signature")
    ]
    message = "&".join(sorted(pairs))
    any_matches(
        usable(secrets, "shopify"),
        lambda secret: same(hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest(), given),
        "shopify",
    )


def _joined(value: Any) -> str:
    return "[" + ", ".join(f'"{item}"' for item in value) + "]" if isinstance(value, list) else str(value)


def _escaped(text: str, *also: str) -> str:
    text = text.replace("%", "%25").replace("&", "%26")
    for sign in also:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
