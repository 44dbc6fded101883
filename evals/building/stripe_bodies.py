"""Objects as Stripe sends them in events. Shapes: stripe-ruby-mock/stripe-ruby-mock, stripe/openapi (MIT)."""

from datetime import datetime
from typing import Any

from evals.building.world import Draw, Order

Body = dict[str, Any]


def event(draw: Draw, place: int, kind: str, moment: datetime, thing: Body) -> Body:
    return {
        "id": f"evt_1R{draw.hexes(f'event{place}', 22)}",
        "object": "event",
        "api_version": "2026-06-30.basil",
        "created": int(moment.timestamp()),
        "type": kind,
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": f"req_{draw.hexes(f'request{place}', 14)}", "idempotency_key": None},
        "data": {"object": thing},
    }


def intent(order: Order, draw: Draw, moment: datetime, which: str, changes: Body) -> Body:
    """`which` tells one payment of the order from another."""
    return {
        "id": f"pi_3R{draw.hexes('pi' + which, 22)}",
        "object": "payment_intent",
        "amount": order.total,
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": int(moment.timestamp()) - 60,
        "currency": order.shop.currency.lower(),
        "status": "requires_payment_method",
        "last_payment_error": None,
        "latest_charge": f"ch_3R{draw.hexes('ch' + which, 22)}",
        "payment_method_types": ["card"],
        "cancellation_reason": None,
        "next_action": None,
        "livemode": True,
        "metadata": {"order_id": order.ref},
        "receipt_email": order.email,
        "review": None,
        **changes,
    }


def decline(order: Order, draw: Draw, which: str, code: str, reason: str, advice: str) -> Body:
    """A `last_payment_error`."""
    return {
        "type": "card_error",
        "code": code,
        "decline_code": reason,
        "advice_code": advice,
        "message": "Your card was declined.",
        "charge": f"ch_3R{draw.hexes('ch' + which, 22)}",
        "payment_method": {
            "id": f"pm_1R{draw.hexes('pm' + which, 20)}",
            "type": "card",
            "card": {"brand": "visa", "country": order.buyer.place.country_code, "last4": f"{draw.number('last4', 1000, 9999)}"},
        },
    }


def charge(order: Order, draw: Draw, moment: datetime, which: str, changes: Body) -> Body:
    outcome = {
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 11,
        "type": "authorized",
    }
    return {
        "id": f"ch_3R{draw.hexes('ch' + which, 22)}",
        "object": "charge",
        "amount": order.total,
        "amount_captured": order.total,
        "amount_refunded": 0,
        "captured": True,
        "created": int(moment.timestamp()) - 60,
        "currency": order.shop.currency.lower(),
        "description": f"{order.shop.name} {order.ref}",
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": True,
        "metadata": {"order_id": order.ref},
        "paid": True,
        "payment_intent": f"pi_3R{draw.hexes('pi' + which, 22)}",
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": "visa",
                "checks": {"address_line1_check": "pass", "address_postal_code_check": "pass", "cvc_check": "pass"},
                "country": order.buyer.place.country_code,
                "fingerprint": draw.hexes("card", 16),
                "funding": "credit",
            },
        },
        "receipt_email": order.email,
        "refunded": False,
        "review": None,
        "status": "succeeded",
        "billing_details": {
            "name": order.buyer.name,
            "email": order.email,
            "address": {"country": order.buyer.place.country_code, "postal_code": order.buyer.place.zip},
        },
        **changes,
        "outcome": {**outcome, **changes.get("outcome", {})},
    }


def dispute(order: Order, draw: Draw, moment: datetime, changes: Body) -> Body:
    created = int(moment.timestamp())
    return {
        "id": f"dp_1R{draw.hexes('dispute', 22)}",
        "object": "dispute",
        "amount": order.total,
        "charge": f"ch_3R{draw.hexes('ch', 22)}",
        "payment_intent": f"pi_3R{draw.hexes('pi', 22)}",
        "created": created,
        "currency": order.shop.currency.lower(),
        "evidence_details": {"due_by": created + 9 * 86_400, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": True,
        "livemode": True,
        "metadata": {},
        "reason": "fraudulent",
        "status": "needs_response",
        **changes,
    }


def refund(order: Order, draw: Draw, moment: datetime, amount: int, changes: Body) -> Body:
    return {
        "id": f"re_3R{draw.hexes('refund', 22)}",
        "object": "refund",
        "amount": amount,
        "charge": f"ch_3R{draw.hexes('ch', 22)}",
        "payment_intent": f"pi_3R{draw.hexes('pi', 22)}",
        "created": int(moment.timestamp()),
        "currency": order.shop.currency.lower(),
        "destination_details": {"card": {"type": "reversal"}, "type": "card"},
        "metadata": {"order_id": order.ref},
        "reason": "requested_by_customer",
        "status": "succeeded",
        "failure_reason": None,
        **changes,
    }


def review(order: Order, draw: Draw, moment: datetime, is_open: bool, reason: str) -> Body:
    return {
        "id": f"prv_1R{draw.hexes('review', 20)}",
        "object": "review",
        "billing_zip": order.buyer.place.zip,
        "charge": f"ch_3R{draw.hexes('ch', 22)}",
        "closed_reason": None if is_open else reason,
        "created": int(moment.timestamp()),
        "ip_address": None,
        "livemode": True,
        "open": is_open,
        "opened_reason": "rule",
        "payment_intent": f"pi_3R{draw.hexes('pi', 22)}",
        "reason": reason,
        "session": None,
    }


def fraud_warning(draw: Draw, moment: datetime, fraud_type: str, actionable: bool) -> Body:
    return {
        "id": f"issfr_1R{draw.hexes('warning', 20)}",
        "object": "radar.early_fraud_warning",
        "actionable": actionable,
        "charge": f"ch_3R{draw.hexes('ch', 22)}",
        "created": int(moment.timestamp()),
        "fraud_type": fraud_type,
        "livemode": True,
        "payment_intent": f"pi_3R{draw.hexes('pi', 22)}",
    }


def invoice(order: Order, draw: Draw, attempts: int) -> Body:
    return {
        "id": f"in_1R{draw.hexes('invoice', 22)}",
        "object": "invoice",
        "amount_due": order.total,
        "amount_paid": 0,
        "amount_remaining": order.total,
        "attempt_count": attempts,
        "attempted": True,
        "billing_reason": "subscription_cycle",
        "currency": order.shop.currency.lower(),
        "customer_email": order.email,
        "livemode": True,
        "metadata": {"order_id": order.ref},
        "paid": False,
        "payment_intent": f"pi_3R{draw.hexes('pi', 22)}",
        "status": "open",
    }


def session(order: Order, draw: Draw, method: str) -> Body:
    return {
        "id": f"cs_live_{draw.hexes('session', 40)}",
        "object": "checkout.session",
        "amount_subtotal": order.total,
        "amount_total": order.total,
        "client_reference_id": order.ref,
        "currency": order.shop.currency.lower(),
        "customer_details": {"email": order.email, "phone": None},
        "livemode": True,
        "metadata": {"order_id": order.ref},
        "mode": "payment",
        "payment_intent": f"pi_3R{draw.hexes('pi', 22)}",
        "payment_method_types": [method],
        "payment_status": "unpaid",
        "status": "complete",
    }
