"""The judgement itself: context in; facts, detections, diagnosis and ruling out. No database, no queue, no clock.

The live pipeline and the eval suite both go through here, so what is measured is what runs.
"""

from dataclasses import dataclass, replace
from typing import Any

from app.checking.values import stated
from app.checks import derive, inputs_of
from app.classify import Classifier, Diagnosis, Question
from app.context import OrderContext
from app.detect import Detections, DetectorRules, detect
from guardrails.facts import Fact, Facts
from guardrails.gate import guard
from guardrails.policy.load import Policy
from guardrails.proposal import AGENT
from guardrails.ruling import Ruling
from guardrails.standing import Standing
from guardrails.taxonomy import Category

_CHANGED_SINCE = ("check.verified_address_differs",)
"""Checks that are true because something changed after it was read."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An order's facts and what the detectors see in them."""

    context: OrderContext
    snapshot: dict[str, Any]
    facts: Facts
    detections: Detections


@dataclass(frozen=True, slots=True)
class Judgement:
    sighting: Sighting
    diagnosis: Diagnosis
    ruling: Ruling


def look(context: OrderContext, rules: DetectorRules) -> Sighting:
    """Derive the checks, ask the detectors, and put what they saw among the facts."""
    facts = context.to_facts(derive(context))
    detections = detect(facts, rules)
    detected = Fact("case.detected", frozenset(c.value for c in detections.categories), "ordermend", context.as_of)
    outdated = Fact("basis.outdated", rests_on_outdated(context, detections, facts), "ordermend", context.as_of, clock=True)
    facts = Facts(facts.order_ref, facts.as_of, {**facts.by_name, "case.detected": detected, "basis.outdated": outdated})
    return Sighting(context, context.snapshot(), facts, detections)


def rests_on_outdated(context: OrderContext, detections: Detections, facts: Facts) -> bool:
    """What is known of the cause was read too long ago, or things have changed since it was read."""
    if not detections.found:
        return False
    read = [name for field in detections.found[0].fields for name in (inputs_of(field) or (field,))]
    too_old = any(item.outdated for name in read for item in context.entities_of(name))
    changed = [field for field in _CHANGED_SINCE if field in detections.found[0].fields]
    return too_old or any(facts.get(field) is True for field in changed) or _read_before_failure(context, detections)


def _read_before_failure(context: OrderContext, detections: Detections) -> bool:
    """Our connection to a system failed after we last read from it: what it did since is not known."""
    if detections.found[0].category is not Category.INTEGRATION_FAILURE:
        return False
    failed = {item.winner.value: item.winner.observed_at for item in stated(context, "integration.system")}
    winners = [item.winner for item in context.fields.values()]
    return any(w.reading and w.system in failed and w.observed_at < failed[w.system] for w in winners)


async def judge(sighting: Sighting, classifier: Classifier, policy: Policy, standing: Standing) -> Judgement:
    """Interpret, then rule. The classifier's answer is a wish; the ruling is what may happen."""
    question = Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, policy.limits)
    diagnosis = await classifier.classify(question)
    ruling = guard(sighting.facts, diagnosis.to_proposal(), policy, AGENT, sighting.snapshot, standing)
    return Judgement(sighting, diagnosis, ruling)


def about(sighting: Sighting, category: str, rules: DetectorRules) -> Sighting:
    """The same facts seen for one case: only its cause, and the symptoms that this cause explains, are asked about.

    A case that no detector set off (somebody reported it) is asked about everything. One whose cause cannot be seen any more is
    asked about nothing else: what else is wrong has a case of its own."""
    if category == Category.UNKNOWN:
        return sighting
    mine = {category, *(rules.explains.get(Category(category), frozenset()))}
    found = tuple(d for d in sighting.detections.found if d.category in mine)
    return replace(sighting, detections=Detections(found, sighting.detections.unknown))
