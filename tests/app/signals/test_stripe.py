from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import FieldsInvalid, ParsedSignal, Source
from tests.app.signals.recorded import NOW, observations, seen

CREATED = 1790000000  # 2026-09-21T14:13:20Z
USD_58 = {"amount": 5800, "currency": "USD"}


def event(topic: str, **thing: Any) -> ParsedSignal:
    body = {"id": "evt_1", "object": "event", "type": topic, "created": CREATED, "data": {"object": thing}}
    return reading.parse(Source.STRIPE, {}, body, NOW)


def intent(topic: str, **changes: Any) -> ParsedSignal:
    base = {"object": "payment_intent", "id": "pi_1", "amount": 5800, "currency": "usd", "metadata": {"order_id": "#1001"}}
    return event(topic, **{**base, **changes})


def charge(topic: str, **changes: Any) -> ParsedSignal:
    base = {"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "amount": 5800, "currency": "usd", "created": CREATED - 60}
    return event(topic, **{**base, **changes})


@pytest.mark.parametrize(
    ("topic", "changes", "status"),
    [
        ("charge.succeeded", {"status": "succeeded", "captured": True}, "succeeded"),
        ("charge.succeeded", {"status": "succeeded", "captured": False}, "requires_capture"),
        ("charge.captured", {"status": "succeeded", "captured": True}, "succeeded"),
        ("charge.failed", {"status": "failed", "captured": False}, "failed"),
        ("charge.expired", {"status": "failed", "captured": False}, "expired"),
        ("charge.pending", {"status": "pending", "captured": False}, "processing"),
        ("charge.updated", {"status": "succeeded", "captured": False}, "requires_capture"),
    ],
)
def test_a_charge_tells_the_state_of_its_payment_intent(topic: str, changes: dict[str, Any], status: str) -> None:
    signal = charge(topic, **changes)
    assert seen(signal, "payment.status", "pi_1") == status
    assert {"pi_1", "ch_1"} <= set(signal.identifiers)


def test_a_charge_without_an_intent_is_its_own_payment() -> None:
    assert seen(charge("charge.succeeded", payment_intent=None, status="succeeded", captured=True), "payment.status", "ch_1")


def test_an_uncaptured_charge_tells_what_can_be_captured_and_until_when() -> None:
    details = {"card": {"capture_before": CREATED + 86400}}
    signal = charge("charge.succeeded", status="succeeded", captured=False, payment_method_details=details)
    assert seen(signal, "payment.amount_capturable") == USD_58
    assert seen(signal, "payment.authorized_at") == "2026-09-21T14:12:20Z"
    assert seen(signal, "payment.capture_before") == "2026-09-22T14:13:20Z"


def test_a_failed_intent_tells_the_decline_the_advice_and_the_words() -> None:
    error = {
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "advice_code": "try_again_later",
        "message": "No funds.",
    }
    signal = intent("payment_intent.payment_failed", status="requires_payment_method", last_payment_error=error)
    assert seen(signal, "payment.status") == "requires_payment_method"
    assert seen(signal, "payment.decline_code") == "insufficient_funds"
    assert seen(signal, "payment.advice_code") == "try_again_later"
    assert seen(signal, "payment.failure_message") == "No funds."


def test_a_success_after_a_decline_clears_the_decline() -> None:
    signal = intent("payment_intent.succeeded", status="succeeded", amount_received=5800, last_payment_error=None)
    assert seen(signal, "payment.amount_received") == USD_58
    assert seen(signal, "payment.decline_code") is None


@pytest.mark.parametrize(("currency", "amount"), [("jpy", 58), ("kwd", 58000), ("usd", 5800)])
def test_amounts_are_minor_units_as_they_come_whatever_the_currency(currency: str, amount: int) -> None:
    signal = intent("payment_intent.succeeded", status="succeeded", amount=amount, currency=currency)
    assert seen(signal, "payment.amount") == {"amount": amount, "currency": currency.upper()}


def test_an_amount_with_a_point_is_refused_with_a_pointer() -> None:
    with pytest.raises(FieldsInvalid) as refusal:
        intent("payment_intent.succeeded", amount="58.00", amount_received=True)
    assert [pointer for pointer, _ in refusal.value.errors] == ["/data/object/amount", "/data/object/amount_received"]


@pytest.mark.parametrize(
    ("metadata", "identifier", "ref"),
    [
        ({"order_id": "#1001"}, "order:1001", "#1001"),
        ({"order": "1001"}, "order:1001", "1001"),
        ({"Order_Name": "HW-2058"}, "order:HW-2058", "HW-2058"),
        ({"order_id": "5484242798325"}, "gid://shopify/Order/5484242798325", None),
        ({"shopify_order_id": "gid://shopify/Order/5484242798325"}, "gid://shopify/Order/5484242798325", None),
    ],
)
def test_metadata_names_the_order(metadata: dict[str, str], identifier: str, ref: str | None) -> None:
    signal = intent("payment_intent.created", metadata=metadata)
    assert signal.identifiers[0] == identifier
    assert signal.order_ref == ref


@pytest.mark.parametrize("metadata", [{}, {"order_id": " "}, {"order_id": "#"}, {"colour": "red"}, None])
def test_without_a_named_order_the_payment_ids_remain(metadata: Any) -> None:
    signal = intent("payment_intent.created", metadata=metadata, latest_charge="ch_9")
    assert signal.identifiers == ("pi_1", "ch_9")
    assert signal.order_ref is None


def test_a_dispute_tells_reason_amount_and_due_date() -> None:
    due = {"due_by": CREATED + 7 * 86400}
    thing = {"object": "dispute", "id": "dp_1", "charge": "ch_1", "payment_intent": "pi_1", "amount": 5800, "currency": "usd"}
    signal = event("charge.dispute.created", **thing, reason="fraudulent", status="needs_response", evidence_details=due)
    assert seen(signal, "dispute.status", "dp_1") == "needs_response"
    assert seen(signal, "dispute.amount", "dp_1") == USD_58
    assert seen(signal, "dispute.due_by", "dp_1") == "2026-09-28T14:13:20Z"
    assert observations(signal, "payment.status") == []


@pytest.mark.parametrize("topic", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
def test_each_refund_is_an_entity(topic: str) -> None:
    thing = {"object": "refund", "id": "re_1", "payment_intent": "pi_1", "amount": 5800, "currency": "usd"}
    signal = event(topic, **thing, status="failed", failure_reason="lost_or_stolen_card")
    assert seen(signal, "refund.status", "re_1") == "failed"
    assert seen(signal, "refund.amount", "re_1") == USD_58
    assert seen(signal, "refund.failure_reason", "re_1") == "lost_or_stolen_card"


@pytest.mark.parametrize(
    ("open_", "closed_reason", "state"),
    [
        (True, None, "open"),
        (False, "approved", "approved"),
        (False, "refunded_as_fraud", "refunded"),
        (False, "redacted", "closed"),
    ],
)
def test_a_review_belongs_to_its_payment(open_: bool, closed_reason: str | None, state: str) -> None:
    signal = event("review.opened", object="review", id="prv_1", payment_intent="pi_1", open=open_, closed_reason=closed_reason)
    assert seen(signal, "payment.review", "pi_1") == state


def test_an_early_fraud_warning_tells_its_type() -> None:
    thing = {"object": "radar.early_fraud_warning", "id": "issfr_1", "charge": "ch_1"}
    signal = event("radar.early_fraud_warning.created", **thing, fraud_type="made_with_stolen_card", actionable=True)
    assert seen(signal, "fraud_warning.type") == "made_with_stolen_card"
    assert "ch_1" in signal.identifiers


def test_risk_of_a_charge_is_told_and_its_failure_reason_is_the_networks() -> None:
    outcome = {"type": "issuer_declined", "risk_level": "elevated", "risk_score": 71, "reason": "do_not_honor"}
    signal = charge("charge.failed", status="failed", captured=False, outcome=outcome, failure_code="card_declined")
    assert seen(signal, "payment.risk_score") == 71
    assert seen(signal, "payment.risk_level") == "elevated"
    assert seen(signal, "payment.outcome") == "issuer_declined"
    assert seen(signal, "payment.decline_code") == "do_not_honor"


@pytest.mark.parametrize(
    ("topic", "thing", "status"),
    [
        ("checkout.session.async_payment_failed", {"payment_status": "unpaid"}, "failed"),
        ("checkout.session.async_payment_succeeded", {"payment_status": "paid"}, "succeeded"),
        ("checkout.session.completed", {"payment_status": "paid"}, "succeeded"),
        ("checkout.session.completed", {"payment_status": "unpaid"}, "processing"),
        ("invoice.payment_failed", {"status": "open"}, "failed"),
        ("invoice.payment_action_required", {"status": "open"}, "requires_action"),
        ("invoice.paid", {"status": "paid"}, "succeeded"),
    ],
)
def test_sessions_and_invoices_tell_the_state_of_their_payment(topic: str, thing: dict[str, Any], status: str) -> None:
    signal = event(topic, id="cs_1", payment_intent="pi_1", client_reference_id="#1001", currency="usd", **thing)
    assert seen(signal, "payment.status", "pi_1") == status
    assert signal.identifiers[:2] == ("order:1001", "cs_1")


@pytest.mark.parametrize("topic", ["customer.created", "payout.paid", "made.up"])
def test_an_unknown_topic_is_kept_with_what_identifies_it_and_says_nothing(topic: str) -> None:
    signal = event(topic, id="xx_1", metadata={"order_id": "#7"})
    assert (signal.known, signal.identifiers, signal.observations) == (False, ("order:7",), ())


def test_the_time_is_the_events_and_only_without_one_that_of_receipt() -> None:
    assert charge("charge.failed").occurred_at.timestamp() == CREATED
    assert reading.parse(Source.STRIPE, {}, {"type": "charge.failed"}, NOW).occurred_at == NOW
