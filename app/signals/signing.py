"""The arithmetic of webhook signatures, on raw bytes and in constant time, shared by the vendors that use it."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from app.signals.shapes import SignatureInvalid

DEFAULT_TOLERANCE = timedelta(seconds=300)


def usable(secrets: Sequence[str], vendor: str) -> tuple[str, ...]:
    """The secrets that are not blank. Without any, every delivery is refused: an empty key would let anybody sign.

    One that is no UTF-8 text (an environment variable may hold any bytes) signs nothing either."""
    found = tuple(secret for secret in secrets if secret and secret.strip() and _is_utf8(secret))
    if not found:
        raise SignatureInvalid(f"no {vendor} webhook secret is configured; set ORDERMEND_WEBHOOKS__{vendor.upper()}_SECRET")
    return found


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def required(headers: Mapping[str, str], *names: str) -> str:
    """The first of these headers that holds something."""
    for name in names:
        if (value := headers.get(name, "").strip()) != "":
            return value
    raise SignatureInvalid(f"the {names[0]} header is missing; send the delivery as the vendor signed it")


def any_matches(secrets: Sequence[str], matches: Callable[[str], bool], vendor: str) -> None:
    """Raises unless one of the secrets (old and new during a rotation) made the signature."""
    if not any([matches(secret) for secret in secrets]):
        raise SignatureInvalid(
            f"the {vendor} signature does not match the body; check that the configured secret is the sender's and that "
            "nothing re-serialised the body on its way"
        )


def hmac_base64(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def check_age(signed_at: int, now: datetime, past: timedelta, future: timedelta) -> None:
    """Raises when the signature is older than `past` or from further than `future` ahead."""
    age = int(now.timestamp()) - signed_at
    if age > past.total_seconds():
        raise SignatureInvalid(f"the signature is {age} s old, more than {past.total_seconds():.0f} s; send the event again")
    if -age > future.total_seconds():
        raise SignatureInvalid(f"the signature is {-age} s in the future; set the sender's clock")


# --- Standard Webhooks (used by ShipBob and by our generic events) ---


def verify_standard(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None, vendor: str
) -> None:
    """Standard Webhooks v1. The library computes; its own `verify` reads the wall clock, and time is a parameter here."""
    keys = usable(secrets, vendor)
    message_id = required(headers, "webhook-id")
    stamp = required(headers, "webhook-timestamp")
    given = [part[3:] for part in required(headers, "webhook-signature").split() if part.startswith("v1,")]
    if not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12:
        raise SignatureInvalid("the webhook-timestamp header is not a whole number of seconds")
    if not given:
        raise SignatureInvalid("the webhook-signature header holds no v1 signature; sign with HMAC-SHA256")

    unusable: list[SignatureInvalid] = []

    def matches(secret: str) -> bool:
        try:
            expected = sign_standard(secret, message_id, int(stamp), body).removeprefix("v1,")
        except SignatureInvalid as refusal:
            unusable.append(refusal)
            return False
        return any([same(expected, one) for one in given])

    try:
        any_matches(keys, matches, vendor)
    except SignatureInvalid as refusal:
        raise (unusable[0] if len(unusable) == len(keys) else refusal) from None
    window = DEFAULT_TOLERANCE if tolerance is None else tolerance
    check_age(int(stamp), now, window, window)


def sign_standard(secret: str, message_id: str, stamp: int, body: bytes) -> str:
    """`v1,<base64>`. Raises SignatureInvalid when the secret is not base64 or the body is not UTF-8."""
    try:
        return Webhook(secret).sign(message_id, datetime.fromtimestamp(stamp, UTC), body.decode())
    except (EmptyWebhookSecretError, ValueError, OverflowError, OSError) as error:
        raise SignatureInvalid(
            "the secret must be base64, as whsec_… secrets are, and the body UTF-8; create the secret again"
        ) from error


def standard_headers(secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> dict[str, str]:
    attributes = "".join(f"{name}={value}\n" for name, value in sorted(headers.items()) if name.startswith("ce-"))
    message_id = headers.get("webhook-id") or f"msg_{hashlib.sha256(attributes.encode() + body).hexdigest()[:27]}"
    stamp = int(now.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign_standard(secret, message_id, stamp, body),
    }
