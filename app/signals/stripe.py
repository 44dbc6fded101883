"""Stripe events: `Stripe-Signature` over `{t}.{raw body}`, amounts in minor units, times in unix seconds.

Everything about one payment is one entity: its PaymentIntent, or the charge where there is none.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from stripe import SignatureVerificationError, WebhookSignature

from app.signals.body import Observer, Part, distinct, read_body
from app.signals.references import metadata_order, named_order, payment_id
from app.signals.shapes import Delivery, ParsedSignal, SignatureInvalid
from app.signals.signing import any_matches, check_age, required, usable

# The library refuses what is too old; a timestamp from the future is our own check. A minute covers skewed clocks.
_FUTURE = timedelta(seconds=60)
_CLOSED_REVIEW = {"approved": "approved", "refunded": "refunded", "refunded_as_fraud": "refunded", "disputed": "disputed"}


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, tolerance: timedelta | None) -> None:
    """Any v1 signature by any of the secrets; other schemes are ignored. No tolerance means no check of age."""
    keys = usable(secrets, "stripe")
    header = required(headers, "stripe-signature")

    def matches(secret: str) -> bool:
        try:
            return bool(WebhookSignature.verify_header(body.decode(), header, secret))
        except (SignatureVerificationError, UnicodeDecodeError, TypeError):
            return False

    any_matches(keys, matches, "stripe")
    if tolerance is not None:
        signed_at = next((item[2:] for item in header.split(",") if item.startswith("t=")), "")
        check_age(_seconds(signed_at), now, tolerance, min(tolerance, _FUTURE))


def _seconds(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SignatureInvalid("the Stripe-Signature header has no unix time `t=`; send the event as Stripe signed it") from error


def sign(secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> dict[str, str]:
    return {"stripe-signature": WebhookSignature.generate_signature_header(body.decode(), secret, int(now.timestamp()))}


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    """Stripe has one id for event and delivery: `evt_…`."""
    body = read_body(payload)
    event_id = body["id"].ident() or fallback
    topic = body["type"].text() or body["object"].text() or "unknown"
    body.checked()
    return Delivery(dict(headers), payload, event_id, event_id, topic)


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    body = read_body(payload)
    topic = body["type"].text() or "unknown"
    occurred_at = body["created"].unix() or received_at
    thing = body["data"]["object"]
    observer = Observer("stripe", occurred_at)
    order = metadata_order(thing["metadata"].plain())
    ref = order[1] if order else thing["client_reference_id"].text()
    read = _reader(topic)
    if read is not None:
        read(observer, topic, thing, _payment_of(thing))
    body.checked()
    if ref is not None and not named_order(ref):
        ref = None
    return ParsedSignal(topic, read is not None, occurred_at, _identifiers(thing, ref), _as_name(ref), tuple(observer.seen))


_Reader = Callable[[Observer, str, Part, str], None]


def _reader(topic: str) -> _Reader | None:
    if topic in ("charge.refund.updated", "refund.created", "refund.updated", "refund.failed"):
        return _refund
    if topic.startswith("charge.dispute."):
        return _dispute
    family = topic.rpartition(".")[0]
    return _FAMILIES.get(family)


def _reference(part: Part) -> str | None:
    """The id of a linked thing, whether it is expanded or not."""
    return part["id"].ident() if isinstance(part.value, Mapping) else part.ident()


def _payment_of(thing: Part) -> str:
    """The entity of everything about one payment."""
    if thing["object"].value == "payment_intent":
        return thing["id"].ident() or ""
    charge = thing["id"].ident() if thing["object"].value == "charge" else _reference(thing["charge"])
    return _reference(thing["payment_intent"]) or charge or thing["id"].ident() or ""


def _payment_part(thing: Part) -> Part:
    """Where a refund or dispute names its payment."""
    return thing["payment_intent"] if thing["payment_intent"].value is not None else thing["charge"]


def _identifiers(thing: Part, ref: str | None) -> tuple[str, ...]:
    own = payment_id(thing["id"].ident())
    linked = [payment_id(_reference(thing[name])) for name in ("payment_intent", "charge", "latest_charge", "review", "invoice")]
    error_charge = thing["last_payment_error"]["charge"].ident() if thing["object"].value == "payment_intent" else None
    return distinct([named_order(ref), own, *linked, payment_id(error_charge)])


def _as_name(ref: str | None) -> str | None:
    """The order's name; a Shopify id is no name."""
    return ref if ref is not None and (named_order(ref) or "").startswith("order:") else None


def _intent(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    currency = thing["currency"].text()
    observer.see("payment.status", thing["status"].text(), thing["status"], payment)
    observer.see("payment.amount", thing["amount"].minor(currency), thing["amount"], payment)
    for name in ("amount_received", "amount_capturable"):
        observer.see(f"payment.{name}", thing[name].minor(currency), thing[name], payment)
    observer.see("payment.capture_method", thing["capture_method"].text(), thing["capture_method"], payment)
    if topic == "payment_intent.amount_capturable_updated" and thing["status"].value == "requires_capture":
        observer.see("payment.authorized_at", observer.occurred_at, thing["status"], payment)
    error = thing["last_payment_error"]
    if error.value is None and thing.has("last_payment_error"):
        for name in ("decline_code", "advice_code", "failure_message"):
            observer.see_nothing(f"payment.{name}", error, payment)
        return
    decline = error.first("decline_code", "code")
    observer.see("payment.decline_code", decline.text(), decline, payment)
    observer.see("payment.advice_code", error["advice_code"].text(), error["advice_code"], payment)
    observer.see("payment.failure_message", error["message"].text(), error["message"], payment)


_CHARGE_STATUS = {
    "charge.failed": "failed",
    "charge.expired": "expired",
    "charge.captured": "succeeded",
    "charge.pending": "processing",
}


def _charge(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    currency = thing["currency"].text()
    status, captured = thing["status"].text(), thing["captured"].flag()
    told = _CHARGE_STATUS.get(topic) or _charge_status(status, captured)
    observer.see("payment.status", told, thing["status"], payment)
    observer.see("payment.amount", thing["amount"].minor(currency), thing["amount"], payment)
    for name in ("amount_captured", "amount_refunded"):
        observer.see(f"payment.{name}", thing[name].minor(currency), thing[name], payment)
    if told in ("succeeded", "requires_capture"):
        created = thing["created"]
        observer.see("payment.authorized_at", created.unix(), created, payment)
    if told == "succeeded":
        observer.see("payment.amount_received", thing["amount_captured"].minor(currency), thing["amount_captured"], payment)
    if told == "requires_capture":
        observer.see("payment.amount_capturable", thing["amount"].minor(currency), thing["amount"], payment)
    _outcome(observer, thing, payment, told)
    _card(observer, thing, payment)
    for refund in thing["refunds"]["data"].items():
        _refund(observer, topic, refund, payment)


def _charge_status(status: str | None, captured: bool | None) -> str | None:
    if status == "succeeded":
        return "requires_capture" if captured is False else "succeeded"
    return {"pending": "processing", "failed": "failed"}.get(status or "")


def _outcome(observer: Observer, thing: Part, payment: str, told: str | None) -> None:
    outcome = thing["outcome"]
    for name, field in (("type", "outcome"), ("risk_level", "risk_level"), ("network_status", "network_status")):
        observer.see(f"payment.{field}", outcome[name].text(), outcome[name], payment)
    observer.see("payment.risk_score", outcome["risk_score"].integer(), outcome["risk_score"], payment)
    observer.see("payment.advice_code", outcome["advice_code"].text(), outcome["advice_code"], payment)
    if told != "failed":
        return
    reason = outcome["reason"] if outcome["reason"].value is not None else thing["failure_code"]
    observer.see("payment.decline_code", reason.text(), reason, payment)
    observer.see("payment.failure_message", thing["failure_message"].text(), thing["failure_message"], payment)


def _card(observer: Observer, thing: Part, payment: str) -> None:
    card = thing["payment_method_details"]["card"]
    observer.see("payment.capture_before", card["capture_before"].unix(), card["capture_before"], payment)
    observer.see("payment.card_fingerprint", card["fingerprint"].text(), card["fingerprint"], payment)
    observer.see("payment.card_country", card["country"].text(), card["country"], payment)
    for name in ("cvc_check", "address_line1_check", "address_postal_code_check"):
        observer.see(f"payment.{name}", card["checks"][name].text(), card["checks"][name], payment)


def _refund(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    refund = thing["id"].ident() or payment
    observer.see("refund.status", thing["status"].text(), thing["status"], refund)
    observer.see("refund.amount", thing["amount"].minor(thing["currency"].text()), thing["amount"], refund)
    observer.see("refund.failure_reason", thing["failure_reason"].text(), thing["failure_reason"], refund)
    observer.see("refund.created_at", thing["created"].unix(), thing["created"], refund)
    observer.see("refund.payment", payment_id(_payment_of(thing)), _payment_part(thing), refund)


def _dispute(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    dispute = thing["id"].ident() or payment
    observer.see("dispute.status", thing["status"].text(), thing["status"], dispute)
    observer.see("dispute.reason", thing["reason"].text(), thing["reason"], dispute)
    observer.see("dispute.amount", thing["amount"].minor(thing["currency"].text()), thing["amount"], dispute)
    due = thing["evidence_details"]["due_by"]
    observer.see("dispute.due_by", due.unix(), due, dispute)
    observer.see("dispute.payment", payment_id(payment), _payment_part(thing), dispute)


def _warning(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    warning = thing["id"].ident() or payment
    observer.see("fraud_warning.type", thing["fraud_type"].text(), thing["fraud_type"], warning)
    observer.see("fraud_warning.actionable", thing["actionable"].flag(), thing["actionable"], warning)


def _review(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    closed = thing["closed_reason"].text()
    state = "open" if thing["open"].flag() else _CLOSED_REVIEW.get(closed or "", "closed")
    observer.see("payment.review", state, thing["open"], payment)
    observer.see("payment.review_reason", thing["reason"].text(), thing["reason"], payment)


def _session(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    currency = thing["currency"].text()
    if topic == "checkout.session.async_payment_failed":
        observer.see("payment.status", "failed", thing["payment_status"], payment)
    elif thing["payment_status"].text() == "paid":
        observer.see("payment.status", "succeeded", thing["payment_status"], payment)
        observer.see("payment.amount_received", thing["amount_total"].minor(currency), thing["amount_total"], payment)
    elif topic == "checkout.session.completed" and thing["payment_status"].text() == "unpaid":
        observer.see("payment.status", "processing", thing["payment_status"], payment)
    observer.see("payment.amount", thing["amount_total"].minor(currency), thing["amount_total"], payment)
    observer.see("checkout.status", thing["status"].text(), thing["status"], payment)


_INVOICE_STATUS = {
    "invoice.payment_failed": "failed",
    "invoice.payment_action_required": "requires_action",
    "invoice.payment_succeeded": "succeeded",
    "invoice.paid": "succeeded",
}


def _invoice(observer: Observer, topic: str, thing: Part, payment: str) -> None:
    currency = thing["currency"].text()
    told = _INVOICE_STATUS.get(topic)
    observer.see("payment.status", told, thing["status"], payment)
    observer.see("payment.amount", thing["amount_due"].minor(currency), thing["amount_due"], payment)
    if told == "succeeded":
        observer.see("payment.amount_received", thing["amount_paid"].minor(currency), thing["amount_paid"], payment)
    observer.see("payment.attempts", thing["attempt_count"].integer(), thing["attempt_count"], payment)


_FAMILIES: dict[str, _Reader] = {
    "payment_intent": _intent,
    "charge": _charge,
    "review": _review,
    "radar.early_fraud_warning": _warning,
    "checkout.session": _session,
    "invoice": _invoice,
}
