"""Rulings as they come in a working shop: most orders are well, some facts are missing, a few are odd."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.tables import Policy
from guardrails.proposal import ProposedAction
from guardrails.replay.recorded import RecordedAction, RecordedRuling, own_amount, rule_again
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Category, Verdict

BEGIN: Final = datetime(2026, 7, 1, tzinfo=UTC)

_ASKED = (
    (Category.WAREHOUSE_EXCEPTION, Action.RESUBMIT_FULFILMENT, 30),
    (Category.DELIVERY_LATE, Action.SNOOZE_CASE, 15),
    (Category.DELIVERY_EXCEPTION, Action.NOTIFY_OWNER, 12),
    (Category.FULFILMENT_STALLED, Action.RELEASE_OWN_HOLD, 10),
    (Category.PAYMENT_FAILED, Action.SEND_PAYMENT_LINK, 8),
    (Category.ADDRESS_RISK, Action.NORMALISE_ADDRESS, 6),
    (Category.FRAUD_RISK, Action.HOLD_FULFILMENT, 6),
    (Category.REFUND_EXCEPTION, Action.REFUND_PAYMENT, 6),
    (Category.DUPLICATE_ORDER, Action.CANCEL_ORDER, 3),
    (Category.DELIVERY_LATE, Action.MESSAGE_CUSTOMER, 4),
)


def draw_rulings(count: int, policy: Policy) -> list[RecordedRuling]:
    draw = Random(20261123)
    return [_drawn(draw, at, policy) for at in range(count)]


def _drawn(draw: Random, number: int, policy: Policy) -> RecordedRuling:
    category, action, _ = draw.choices(_ASKED, weights=[weight for *_, weight in _ASKED])[0]
    at = BEGIN + timedelta(seconds=number)
    facts = Facts(f"#{number:07}", at, _facts(draw, at, category))
    total = facts.get("order.total")
    amount = {"amount": {"amount": total.amount, "currency": total.currency}} if isinstance(total, Money) else {}
    asked = [ProposedAction(action, amount if action is Action.REFUND_PAYMENT else {})]
    if draw.random() < 0.25:
        asked.append(ProposedAction(draw.choice((Action.ADD_NOTE, Action.ASSIGN_OWNER))))
    spent = {
        key: Spent(draw.randint(0, 30))
        for key in ("fulfilment", "fulfilment/resubmit_fulfilment", "operations")
        if draw.random() < 0.7
    }
    ruling = RecordedRuling(
        _decision(draw, at),
        at,
        facts,
        category,
        draw.choice((9_700, 9_500, 9_000, 8_800, draw.randint(5_000, 10_000))),
        draw.choice((2, 2, 2, 3, 1, 0)),
        draw.random() < 0.002,
        draw.random() < 0.005,
        tuple(RecordedAction(item.action, own_amount(item), Verdict.REVIEW) for item in asked),
        Verdict.REVIEW,
        Standing(spent),
    )
    said = rule_again(ruling, policy)
    actions = tuple(replace(item, verdict=one.verdict) for item, one in zip(ruling.actions, said.actions, strict=True))
    return replace(ruling, verdict=said.verdict, actions=actions)


def _decision(draw: Random, at: datetime) -> str:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    number = (int(at.timestamp() * 1000) << 80) | draw.getrandbits(80)
    return "dec_" + "".join(alphabet[(number >> shift) & 31] for shift in range(125, -1, -5))


_CODES: Mapping[str, tuple[str, ...]] = {
    "order.financial_status": ("paid", "paid", "paid", "authorized", "pending"),
    "order.fulfillment_status": ("unfulfilled", "unfulfilled", "partial", "fulfilled"),
    "order.channel": ("web", "pos", "marketplace"),
    "order.currency": ("USD", "EUR"),
    "order.ship_to_country": ("US", "DE", "GB", "FR", "CA", "AT"),
    "payment.status": (*["succeeded"] * 9, "requires_capture", "failed"),
    "payment.risk_level": (*["normal"] * 9, "elevated"),
    "payment.capture_method": ("automatic", "manual"),
    "risk.recommendation": (*["accept"] * 15, "investigate"),
    "risk.level": (*["low"] * 15, "medium", "high"),
    "fulfilment.state": ("rejected", "accepted", "in_progress", "held"),
    "fulfilment.request": ("submitted", "accepted", "rejected"),
    "fulfilment.reason": ("system_busy", "insufficient_stock", "bad_address", "closed_for_stocktaking"),
    "tracking.status": ("in_transit", "pre_transit", "delivered", "failure"),
    "tracking.carrier": ("ups", "dhl", "usps"),
}
_CHECKS = [
    "paid",
    "payment_conflict",
    "refund_conflict",
    "scanned",
    "shipped",
    "carrier_conflict",
    "address_changed_after_payment",
    "duplicate",
    "oversold",
    "source_conflict",
    "capture_failed",
    "underpaid",
    "held",
    "cancelled",
]


def _facts(draw: Random, at: datetime, category: Category) -> dict[str, Fact]:
    seen = at - timedelta(seconds=draw.choice((30, 240, 900, 3_600, 9_000, 50_000)) + draw.randrange(60))
    said: dict[str, Any] = {name: draw.choice(codes) for name, codes in _CODES.items() if draw.random() < 0.75}
    currency = draw.choice(("USD", "USD", "USD", "EUR", "GBP", "CHF"))
    if draw.random() < 0.98:
        said["order.total"] = Money(int(draw.lognormvariate(9.2, 0.8)), currency)
    said |= {"order.placed_at": seen - timedelta(seconds=draw.randrange(10**6)), "order.line_count": draw.randint(1, 5)}
    said |= {"order.customer": f"{draw.getrandbits(64):016x}", "order.ship_to_fingerprint": f"{draw.getrandbits(64):016x}"}
    said["fulfilment.attempts"] = draw.choice((1, 1, 1, 2))
    if draw.random() < 0.3:
        said["inventory.available"] = draw.randint(-1, 40)
    if draw.random() < 0.4:
        said |= {"hold.ours": True, "hold.reason": "other"}
    if draw.random() < 0.1:
        said["address.deliverable"] = draw.random() < 0.8
    for name in draw.sample(sorted(said), 1) if draw.random() < 0.05 else ():
        said[name] = UNKNOWN
    facts = {name: Fact(name, value, _source(name), seen, stale=draw.random() < 0.002) for name, value in said.items()}
    computed: dict[str, Any] = {f"check.{name}": draw.random() < 0.015 for name in _CHECKS if draw.random() < 0.8}
    computed |= {"case.detected": frozenset([category.value]), "basis.outdated": draw.random() < 0.01}
    return facts | {name: Fact(name, value, "ordermend", at, clock=name == "basis.outdated") for name, value in computed.items()}


def _source(name: str) -> str:
    return {"payment": "stripe", "fulfilment": "wms", "inventory": "wms", "tracking": "easypost"}.get(name.split(".")[0], "shopify")
