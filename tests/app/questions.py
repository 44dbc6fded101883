"""Questions for classifier tests: observations in, a Question as the pipeline would ask it out."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.classify import Question
from app.context import SignalSummary, SourceRule, SourceRules, build_context
from app.detect import Detection, Detections
from app.signals.shapes import Observation
from guardrails.facts import FactValue, Unknown
from guardrails.money import Money
from guardrails.taxonomy import Category

AT = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
RULES = SourceRules(
    (SourceRule("payment.*", ("stripe",), timedelta(hours=6), ("shopify",)), SourceRule("*", (), timedelta(days=30)))
)
LIMITS = {"high_value": {"USD": Money(50000, "USD")}}
STALLED = Detection("stalled.no_scan", Category.FULFILMENT_STALLED, 40, "paid, no scan", ("fulfilment.state",), False, 7_000)


def said(field: str, value: Any, system: str = "stripe", entity: str = "", at: datetime = AT) -> Observation:
    return Observation(field, value, system, at, entity)


def question(
    observations: Iterable[Observation],
    *,
    derived: Mapping[str, FactValue | Unknown] | None = None,
    found: tuple[Detection, ...] = (),
    as_of: datetime = AT + timedelta(hours=3),
    limits: Mapping[str, Mapping[str, Money]] = LIMITS,
) -> Question:
    seen = tuple(observations)
    signal = SignalSummary("sig_1", "stripe", "payment_intent.payment_failed", AT, AT, seen)
    context = build_context("#1001", [signal], RULES, as_of)
    return Question(context, context.snapshot(), context.to_facts(derived), Detections(found, ()), limits)


DECLINED = (
    said("payment.status", "requires_payment_method", entity="pi_1"),
    said("payment.decline_code", "insufficient_funds", entity="pi_1"),
    said("order.total", {"amount": 61200, "currency": "USD"}, "shopify"),
)
