import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import BodyNotJson, Envelope, SignatureInvalid, Source
from tests.app.signals.recorded import NOW, SECRETS, envelope, vectors

BODY = b'{"id":820982911946154508,"name":"#1001"}'
T0 = datetime.fromtimestamp(1700000000, UTC)
SIGNED = tuple(SECRETS)

# Computed for this project and checked against the vendors' libraries: (scheme, secret, headers)
COMPUTED = [
    ("shopify-webhook", "hush", {"X-Shopify-Hmac-Sha256": "Mkf2s8BiWQBb/dlay3RDP15QWaH8IejS3UDTmBxVmfo="}),
    (
        "stripe",
        "whsec_test_secret",
        {"Stripe-Signature": "t=1700000000,v1=c4cad93b477339090d9330699b0dc63f43b4c859fb8bd90f2c8c5944cd38839d"},
    ),
    (
        "easypost",
        "sécret",
        {"X-Hmac-Signature": "hmac-sha256-hex=c687fce661e82424d6afe3329f141dc4887811cf481e4f0c9a386fabf5e25fe9"},
    ),
    (
        "standard-webhooks",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1700000000",
            "webhook-signature": "v1,oxqeNdX1so0I200yz8L++bq6eM8bKfxu/9Ax90J8Wmg=",
        },
    ),
]


def signed(source: Source, body: bytes = BODY, now: datetime = NOW) -> Envelope:
    return envelope(source, body, reading.sign(source, SECRETS[source], body, {}, now))


@pytest.mark.parametrize("vector", vectors(), ids=lambda v: v["id"])
def test_a_recorded_vector_gets_its_recorded_answer(vector: dict[str, Any]) -> None:
    assert reading.check_vector(vector)[0] is vector["valid"]


@pytest.mark.parametrize(("scheme", "secret", "headers"), COMPUTED, ids=[c[0] for c in COMPUTED])
def test_a_computed_vector_is_valid_and_a_changed_byte_is_not(scheme: str, secret: str, headers: dict[str, str]) -> None:
    vector = {"scheme": scheme, "secret": secret, "headers": headers, "body": BODY.decode(), "now": 1700000000, "tolerance_s": 300}
    assert reading.check_vector(vector) == (True, "the signature matches the body")
    assert not reading.check_vector({**vector, "body": BODY.decode() + " "})[0]


@pytest.mark.parametrize("source", SIGNED)
def test_what_we_sign_is_accepted_with_the_old_or_the_new_secret_of_a_rotation(source: Source) -> None:
    delivery = signed(source)
    other = "whsec_b3RoZXJvdGhlcm90aGVy"
    for secrets in ([SECRETS[source]], [other, SECRETS[source]], ["", "whsec_ä", SECRETS[source], other]):
        reading.verify(delivery, secrets, NOW)


@pytest.mark.parametrize("source", SIGNED)
def test_a_wrong_secret_is_refused(source: Source) -> None:
    with pytest.raises(SignatureInvalid, match="does not match"):
        reading.verify(signed(source), ["whsec_b3RoZXJvdGhlcm90aGVy"], NOW)


@pytest.mark.parametrize("source", SIGNED)
@pytest.mark.parametrize("secrets", [[], [""], ["  \t"]], ids=["none", "empty", "blank"])
def test_without_a_usable_secret_everything_is_refused(source: Source, secrets: list[str]) -> None:
    with pytest.raises(SignatureInvalid, match=f"ORDERMEND_WEBHOOKS__{source.upper()}_SECRET"):
        reading.verify(signed(source), secrets, NOW)


@pytest.mark.parametrize("source", SIGNED)
def test_a_delivery_without_its_signature_header_is_refused(source: Source) -> None:
    with pytest.raises(SignatureInvalid, match="header is missing"):
        reading.verify(envelope(source, BODY, {}), [SECRETS[source]], NOW)


@pytest.mark.parametrize("source", SIGNED)
def test_a_body_that_was_serialised_again_is_refused(source: Source) -> None:
    delivery = signed(source)
    spaced = json.dumps(json.loads(BODY)).encode()
    assert json.loads(spaced) == json.loads(BODY)
    with pytest.raises(SignatureInvalid):
        reading.verify(envelope(source, spaced, delivery.headers), [SECRETS[source]], NOW)


@pytest.mark.parametrize("source", [Source.STRIPE, Source.SHIPBOB, Source.EVENTS])
@pytest.mark.parametrize(("seconds", "accepted"), [(-301, False), (-299, True), (0, True), (59, True), (301, False)])
def test_age_is_judged_where_the_scheme_has_a_time(source: Source, seconds: int, accepted: bool) -> None:
    delivery = signed(source, now=NOW + timedelta(seconds=seconds))
    if accepted:
        reading.verify(delivery, [SECRETS[source]], NOW)
        return
    with pytest.raises(SignatureInvalid, match=r"old|future"):
        reading.verify(delivery, [SECRETS[source]], NOW)


def test_a_stripe_signature_from_two_minutes_ahead_is_refused_although_its_library_would_accept_it() -> None:
    with pytest.raises(SignatureInvalid, match="future"):
        reading.verify(signed(Source.STRIPE, now=NOW + timedelta(seconds=120)), [SECRETS[Source.STRIPE]], NOW)


def test_a_stripe_header_with_v0_only_is_refused_and_a_second_v1_is_looked_at() -> None:
    good = signed(Source.STRIPE).headers["stripe-signature"]
    stamp, signature = good.split(",")
    secrets = [SECRETS[Source.STRIPE]]
    reading.verify(envelope(Source.STRIPE, BODY, {"stripe-signature": f"{stamp},v1={'0' * 64},{signature}"}), secrets, NOW)
    with pytest.raises(SignatureInvalid):
        reading.verify(envelope(Source.STRIPE, BODY, {"stripe-signature": good.replace("v1=", "v0=")}), secrets, NOW)


def test_a_second_timestamp_cannot_make_an_old_stripe_signature_young() -> None:
    old = signed(Source.STRIPE, now=NOW - timedelta(hours=1)).headers["stripe-signature"]
    young = f"{old},t={int(NOW.timestamp())}"
    with pytest.raises(SignatureInvalid):
        reading.verify(envelope(Source.STRIPE, BODY, {"stripe-signature": young}), [SECRETS[Source.STRIPE]], NOW)


def test_the_easypost_secret_may_be_composed_or_decomposed_unicode() -> None:
    reading.verify(signed(Source.EASYPOST), ["se\u0301cret"], NOW)


def test_a_body_that_is_not_json_can_still_be_well_signed() -> None:
    reading.verify(signed(Source.EASYPOST, b"not json"), [SECRETS[Source.EASYPOST]], NOW)


@pytest.mark.parametrize("source", SIGNED)
@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"\x00"], ids=["not-utf8", "empty", "nul"])
def test_odd_bytes_are_refused_or_verified_but_never_crash(source: Source, body: bytes) -> None:
    headers = signed(source).headers
    with pytest.raises(SignatureInvalid):
        reading.verify(envelope(source, body, headers), [SECRETS[source]], NOW)


@pytest.mark.parametrize("source", SIGNED)
@pytest.mark.parametrize("junk", ["ü", "t=x,v1=y", "v1,", ",,,,", "t=99999999999999999999,v1=00", "v1,%%%"])
def test_a_junk_signature_is_refused_with_a_sentence(source: Source, junk: str) -> None:
    headers = {name: junk if "sign" in name or "hmac" in name else value for name, value in signed(source).headers.items()}
    with pytest.raises(SignatureInvalid, match=r"[;,]"):
        reading.verify(envelope(source, BODY, headers), [SECRETS[source]], NOW)


def test_a_standard_webhooks_secret_that_is_not_base64_is_refused() -> None:
    with pytest.raises(SignatureInvalid, match="base64"):
        reading.verify(signed(Source.EVENTS), ["whsec_ä"], NOW)


def test_a_report_is_not_a_signed_signal() -> None:
    with pytest.raises(SignatureInvalid, match="API key"):
        reading.verify(envelope(Source.TRIAGE, BODY, {}), ["secret"], NOW)


@pytest.mark.parametrize(
    "vector",
    [
        {},
        {"scheme": "rot13", "secret": "x", "headers": {}, "body": ""},
        {"scheme": "stripe"},
        {"scheme": "stripe", "secret": 5, "headers": [], "body": {}},
        {"scheme": "standard-webhooks", "secret": "whsec_AAAA", "headers": {"webhook-id": "m"}, "now": "soon"},
        {"scheme": "shopify-oauth-query", "secret": "hush", "headers": {"query": {}}},
        {"scheme": ["stripe"], "secret": "s"},
        {"scheme": "shopify-webhook", "secret": "", "headers": {"X-Shopify-Hmac-Sha256": "x"}, "body": "{}"},
    ],
)
def test_a_vector_that_cannot_be_read_is_not_valid_and_says_why(vector: dict[str, Any]) -> None:
    valid, why = reading.check_vector(vector)
    assert not valid
    assert why


def test_a_timed_vector_without_a_now_is_judged_by_the_now_that_is_handed_in_or_not_at_all() -> None:
    scheme, secret, headers = COMPUTED[3]
    vector = {"scheme": scheme, "secret": secret, "headers": headers, "body": BODY.decode()}
    assert reading.check_vector(vector)[0] is False
    assert reading.check_vector(vector, T0)[0] is True
    assert reading.check_vector(vector, T0 + timedelta(seconds=301))[0] is False


@pytest.mark.parametrize("source", SIGNED)
def test_a_secret_that_is_no_text_signs_nothing(source: Source) -> None:
    """The environment may hold any bytes; Python reads those that are no UTF-8 as half surrogate pairs."""
    forged = envelope(source, BODY, reading.sign(source, SECRETS[source], BODY, {}, NOW) | {"x-hmac-signature": "anything"})
    with pytest.raises(SignatureInvalid, match=r"no .* webhook secret is configured"):
        reading.verify(forged, ["pasted-\udcff"], NOW)


@pytest.mark.parametrize("body", [b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":' + b"9" * 5_000 + b"}"])
@pytest.mark.parametrize("source", SIGNED)
def test_a_signed_body_that_no_reader_can_open_is_still_a_signed_body(source: Source, body: bytes) -> None:
    reading.verify(signed(source, body), [SECRETS[source]], NOW)
    with pytest.raises(BodyNotJson):
        reading.open_body(signed(source, body))
