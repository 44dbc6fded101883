"""A case that a person reviewed becomes a labelled one: what its decision saw, and what the reviewer says is right.

Nobody who appears in it can be recognised: see `evals/personal.py`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import store
from app.classify import Classifier
from app.errors import OrdermendError
from app.linking import order_identifier
from app.review import ReviewDecision, awaiting_approval
from app.signals.shapes import Source
from app.tables import Approval, Case, Decision, OrderLink, Signal, SignalOrder, TrailEntry
from app.trail import Event
from app.world import World
from evals.building.labels import BRINGS
from evals.dataset import LabelledCase
from evals.personal import Masking
from evals.pseudonyms import Pseudonyms
from evals.run import Bench, judge_case
from guardrails.facts import rfc3339, to_plain
from guardrails.policy.tables import LEAST_CLASS
from guardrails.taxonomy import Action, Category, Reason, RiskClass, Team, Verdict

_SETTLES = (ReviewDecision.APPROVE, ReviewDecision.EDIT, ReviewDecision.REJECT)
_OF_THIS_RUN = frozenset(
    [
        *(Reason.LOW_CONFIDENCE, Reason.UNGROUNDED_EVIDENCE, Reason.BUDGET_EXHAUSTED, Reason.CLASSIFIER_UNAVAILABLE),
        *(Reason.IRREVERSIBLE_ACTION, Reason.STALE_FACTS),
    ]
)
"""They depend on the answer of that day, not on the order alone, so no later run has to repeat them."""
_OWN_LEDGER = "own-ledger"
_TELLS_ORDERS_APART = frozenset(
    [
        *("order.ref", "order.placed_at", "order.imported_at", "order.customer", "order.lines_fingerprint", "order.cancelled_at"),
        *("order.ship_to_fingerprint", "order.channel_order_id", "order.note", "order.checkout_token"),
    ]
)
_HEADERS = frozenset(
    [
        *("content-type", "x-shopify-topic", "shopify-topic", "x-shopify-triggered-at", "shopify-triggered-at"),
        *("x-webhook-topic", "shipbob-topic", "x-wc-webhook-topic", "x-wc-webhook-resource", "x-wc-webhook-event"),
        *("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject"),
    ]
)
"""What a parser needs to know which kind of body it reads. Everything else, signatures first of all, stays behind."""
_OWN_NUMBER = {
    Source.SHOPIFY: "x-shopify-webhook-id",
    Source.SHIPBOB: "webhook-id",
    Source.WOOCOMMERCE: "x-wc-webhook-delivery-id",
    Source.TRIAGE: "idempotency-key",
    Source.EVIDENCE: "idempotency-key",
}
"""Where a delivery is told apart by its headers alone: two with the same body are still two."""


class NotReviewed(OrdermendError):
    """There is no label in it: nobody has decided the case."""


class NotWhole(OrdermendError):
    """What the decision saw cannot be given back."""


@dataclass(frozen=True, slots=True)
class _Reviewed:
    """A case with the decision that its last review was about, and what that review's own ruling found mandatory."""

    case: Case
    decision: Decision
    approval: Approval
    ruled: frozenset[Reason]


@dataclass(frozen=True, slots=True)
class Promoted:
    """`differs` names facts, or `category`, that a run of the suite reads otherwise than the live decision did."""

    case: LabelledCase
    differs: tuple[str, ...]

    @property
    def line(self) -> str:
        return json.dumps(self.case.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)


async def promote(world: World, case_id: str, names: Pseudonyms, classifier: Classifier) -> Promoted:
    """Raises NotFound, NotReviewed where nobody has approved, edited or rejected it, and NotWhole."""
    async with world.database.sessions() as session:
        reviewed = await _reviewed(session, case_id)
        signals = await _signals(session, reviewed.decision)
    labelled = _labelled(world, reviewed, signals, names)
    return Promoted(labelled, await _differences(world, labelled, reviewed, classifier))


async def _reviewed(session: AsyncSession, case_id: str) -> _Reviewed:
    case = await store.get_case(session, case_id)
    settles = select(Approval).where(Approval.case_id == case_id, Approval.decision.in_([d.value for d in _SETTLES]))
    approval = (await session.execute(settles.order_by(Approval.at.desc(), Approval.id.desc()).limit(1))).scalar_one_or_none()
    if approval is None:
        raise NotReviewed(
            f"Nobody has reviewed case {case_id}, so nobody has said what is right. Approve, edit or reject it first, and correct "
            "its category where it is wrong."
        )
    decision = await store.get_decision(session, approval.decision_id)
    told = select(TrailEntry.body).where(
        TrailEntry.case_id == case_id, TrailEntry.event.in_([Event.REVIEW_APPROVED, Event.REVIEW_EDITED])
    )
    bodies = [json.loads(body) for body in (await session.execute(told)).scalars()]
    ruled = {name for body in bodies if body["approval_id"] == approval.id for name in body["ruling"]["mandatory"]}
    return _Reviewed(case, decision, approval, frozenset(map(Reason, ruled)))


async def _signals(session: AsyncSession, decision: Decision) -> list[Signal]:
    """All that the decision saw, and of orders that resemble this one what they resemble it in."""
    seen = [item["id"] for item in decision.snapshot["signals"] if item["id"] != _OWN_LEDGER]
    own = (await session.execute(select(Signal).where(Signal.id.in_(seen)))).scalars().all()
    missing = set(seen) - {row.id for row in own}
    if missing or not own:
        raise NotWhole(
            f"{len(missing)} of the {len(seen)} signals that case {decision.case_id} was judged by are not in the database any more; "
            "promote cases before their signals are removed."
        )
    found = {row.id: row for row in own}
    as_of = datetime.fromisoformat(decision.snapshot["as_of"])
    for related in decision.snapshot["related"]:
        named = select(OrderLink.order_id).where(OrderLink.identifier == order_identifier(related["order_ref"]))
        others = select(Signal).join(SignalOrder, SignalOrder.signal_id == Signal.id).where(SignalOrder.order_id.in_(named))
        rows = (await session.execute(others.where(Signal.received_at <= as_of))).scalars()
        found |= {row.id: row for row in rows if any(o["field"] in _TELLS_ORDERS_APART for o in row.observations or ())}
    return sorted(found.values(), key=lambda row: (row.received_at, row.seq))


def _labelled(world: World, reviewed: _Reviewed, signals: Sequence[Signal], names: Pseudonyms) -> LabelledCase:
    case, decision, approval = reviewed.case, reviewed.decision, reviewed.approval
    bodies = [json.loads(row.body.decode()) for row in signals]
    masking = Masking(names, bodies)
    plain: dict[str, Any] = {
        "id": f"{case.id}.{decision.id}",
        "signals": [
            {
                "source": row.source,
                "headers": _headers(row, place),
                "received_at": rfc3339(row.received_at),
                "payload": masking.masked(body),
            }
            for place, (row, body) in enumerate(zip(signals, bodies, strict=True), start=1)
        ],
        "facts": _own_facts(decision),
        "as_of": decision.snapshot["as_of"],
        "expected": _expected(world, reviewed),
        "tags": ["promoted", f"review-{approval.decision}"],
        "origin": {
            "source": "promoted",
            "case": case.id,
            "decision": decision.id,
            "cluster": names.opaque(case.order_id),
            "reviewed_by": names.opaque(approval.person),
            "licence": "private",
        },
    }
    left = masking.left_in(json.dumps(plain["signals"], ensure_ascii=False))
    if left:
        raise NotWhole(f"{left} personal strings of case {case.id} stand where they cannot be replaced; it was not written.")
    return LabelledCase.model_validate_json(json.dumps(plain))


def _headers(row: Signal, place: int) -> dict[str, str]:
    kept = {name: str(value) for name, value in row.headers.items() if name.lower() in _HEADERS}
    own = _OWN_NUMBER.get(Source(row.source))
    return kept if own is None else {**kept, own: f"promoted-{place}"}


def _own_facts(decision: Decision) -> dict[str, Any]:
    """What our own ledger said of a hold that we left standing; no signal carries it."""
    return {
        key.partition("[")[0]: {"value": item["value"], "source": item["source"], "observed_at": item["observed_at"]}
        for key, item in decision.snapshot["fields"].items()
        if item["signal"] == _OWN_LEDGER
    }


# --- the label ---


def _expected(world: World, reviewed: _Reviewed) -> dict[str, Any]:
    decision, approval = reviewed.decision, reviewed.approval
    shown = shown_category(reviewed.case, decision)
    category = Category(approval.category) if approval.category else shown
    owner = Team(approval.owner) if approval.owner else world.owners.owner_of(category)
    # whatever a person had to look at should have come to one
    verdict = Verdict.REVIEW if decision.verdict == Verdict.AUTOMATE else Verdict(decision.verdict)
    return {
        "order_ref": decision.snapshot["order_ref"],
        "category": category.value,
        "owner": owner.value,
        "verdict": verdict.value,
        "mandatory_review": sorted(_mandatory(reviewed, shown, category)),
        "never_automate": sorted(_never(decision, approval)),
    }


def shown_category(case: Case, decision: Decision) -> Category:
    """The category under which the reviewer saw the case: the classifier's, or what was detected where it gave none."""
    answered = decision.diagnosis["failure"] is None and decision.diagnosis["category"] != Category.UNKNOWN
    return Category(decision.diagnosis["category"] if answered else case.detected_category)


def _mandatory(reviewed: _Reviewed, shown: Category, category: Category) -> set[Reason]:
    """Of the ruling and of the reviewer's own. A category that was corrected takes its reason along and the new one brings its."""
    found = {Reason(name) for name in reviewed.decision.ruling["mandatory"]}
    if category is not shown:
        found.discard(BRINGS.get(shown, Reason.LOW_CONFIDENCE))
    brought = {BRINGS[category]} if category in BRINGS else set()
    return (found | reviewed.ruled | brought) - _OF_THIS_RUN


def _never(decision: Decision, approval: Approval) -> set[Action]:
    """What the reviewer turned down, and every R2 or R3 action that came up."""
    waiting = {item.action for item in awaiting_approval(decision)}
    approved = {Action(item["action"]) for item in approval.actions}
    came_up = waiting | approved | {Action(item["action"]["action"]) for item in decision.ruling["actions"]}
    return (waiting - approved) | {action for action in came_up if LEAST_CLASS[action] in (RiskClass.R2, RiskClass.R3)}


# --- does it hold? ---


async def _differences(world: World, labelled: LabelledCase, reviewed: _Reviewed, classifier: Classifier) -> tuple[str, ...]:
    """What the suite makes of it against what was seen live. Hashes of personal data are other ones by design."""
    bench = Bench(classifier, world.policy, world.sources, world.detectors)
    judged = await judge_case(labelled.question(), bench)
    if judged is None:
        return ("order_ref",)
    then: Mapping[str, Any] = reviewed.decision.facts
    now = {name: to_plain(fact) for name, fact in judged.sighting.facts.by_name.items()}
    differs = [name for name in sorted({*then, *now}) if not _is_hash(name) and _value(then, name) != _value(now, name)]
    same_kind = reviewed.decision.diagnosis["classifier"] == classifier.name
    shown = Category(reviewed.decision.diagnosis["category"])
    return tuple([*differs, *(["category"] if same_kind and judged.diagnosis.category is not shown else [])])


def _value(facts: Mapping[str, Any], name: str) -> Any:
    """Of outside text only whether there is any: its words are others now."""
    fact = facts.get(name) or {}
    return bool(fact.get("value")) if fact.get("untrusted") else fact.get("value")


def _is_hash(name: str) -> bool:
    return name == "order.customer" or name.endswith("_fingerprint")


# --- the file ---


def with_case(lines: Iterable[str], promoted: Promoted) -> list[str]:
    """The lines of a dataset with the case in it, once. A later review of the same decision replaces an earlier one."""
    kept = [line for line in lines if line.strip()]
    own = [i for i, line in enumerate(kept) if json.loads(line).get("id") == promoted.case.id]
    if not own:
        return [*kept, promoted.line]
    kept[own[0]] = promoted.line
    return kept
