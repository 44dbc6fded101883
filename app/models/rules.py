"""Classification without a model: the most specific detection names the category, and its values are the summary.

Where no detector fires it says which of two things that means: everything that would be wrong is certainly fine, or no rule
matched and a person has to read it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.checking.values import money, stated
from app.checks import CHECKS, inputs_of
from app.classify import Diagnosis, Question
from app.context import ContextField, OrderContext
from app.detect import Detection
from app.owners import Owners
from app.untrusted import find_instructions, texts_of
from guardrails.facts import Facts, canonical_json
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.proposal import Evidence, ProposedAction
from guardrails.taxonomy import Action, Category, Team

NAME = "rules"
_BENIGN = 8_000
_ABSTAINS = 2_000
_MOST_EVIDENCE = 8
_SNOOZE_HOURS = 24
_ALWAYS_TELLING = ("order.total", "order.financial_status")
_ABOUT: Mapping[Category, tuple[str, ...]] = {
    Category.PAYMENT_FAILED: ("payment", "transaction", "checkout"),
    Category.PAYMENT_MISMATCH: ("payment", "transaction", "refund"),
    Category.AUTHORIZATION_EXPIRING: ("payment", "transaction"),
    Category.PAYMENT_DISPUTE: ("dispute", "fraud_warning", "payment"),
    Category.FRAUD_RISK: ("risk", "payment", "hold"),
    Category.ADDRESS_RISK: ("address", "label", "tracking"),
    Category.INVENTORY_UNAVAILABLE: ("pick", "inventory", "fulfilment"),
    Category.WAREHOUSE_EXCEPTION: ("fulfilment", "item", "hold"),
    Category.FULFILMENT_STALLED: ("fulfilment", "fulfilment_order", "label"),
    Category.DELIVERY_EXCEPTION: ("tracking", "parcel"),
    Category.CARRIER_CONFLICT: ("tracking", "parcel"),
    Category.DELIVERY_LATE: ("tracking", "parcel", "promise"),
    Category.SPLIT_SHIPMENT: ("fulfilment", "parcel", "tracking"),
    Category.INVALID_ORDER_DATA: ("fulfilment", "product", "address"),
    Category.CHANGE_RACE: ("fulfilment", "label"),
    Category.REFUND_EXCEPTION: ("refund", "return", "payment"),
    Category.INTEGRATION_FAILURE: ("integration",),
}
"""The things whose recorded values speak for or against a category."""
_USELESS_ONCE_GONE = frozenset([Action.HOLD_FULFILMENT])


@dataclass(frozen=True, slots=True)
class RulesClassifier:
    """`owners` is `config/owners.yaml`; what to do next stands with each detector in `config/detectors.yaml`."""

    owners: Owners

    @property
    def name(self) -> str:
        return NAME

    @property
    def fingerprint(self) -> str:
        return NAME

    async def classify(self, question: Question) -> Diagnosis:
        return self.diagnose(question)

    def diagnose(self, question: Question) -> Diagnosis:
        """The answer at once: rules wait for nobody."""
        found = question.detections.found
        suspicious = bool(find_instructions(texts_of(question.snapshot)))
        return self._decided(question, found[0], suspicious) if found else self._undecided(question, suspicious)

    def _decided(self, question: Question, top: Detection, suspicious: bool) -> Diagnosis:
        owner = self.owners.owner_of(top.category)
        summary = _summary(question, top)
        return Diagnosis(
            summary=summary,
            category=top.category,
            owner=owner,
            confidence=top.confidence,
            evidence=_evidence(question.context, _cited(question.detections.found)),
            actions=tuple(asked(action, owner, summary) for action in top.then if _makes_sense(action, question.facts)),
            classifier=NAME,
            untrusted_instructions=suspicious,
        )

    def _undecided(self, question: Question, suspicious: bool) -> Diagnosis:
        """Nothing fired. A certainly healthy order is noted; of any other it is said that no rule matched."""
        benign = question.detections.benign
        owner = self.owners.owner_of(Category.UNKNOWN)
        summary = f"Nothing is wrong: {benign}." if benign else _no_rule(question)
        return Diagnosis(
            summary=summary,
            category=Category.UNKNOWN,
            owner=owner,
            confidence=_BENIGN if benign else _ABSTAINS,
            evidence=_evidence(question.context, _ALWAYS_TELLING),
            actions=(asked(Action.ADD_NOTE, owner, summary),),
            classifier=NAME,
            untrusted_instructions=suspicious,
        )


def _summary(question: Question, top: Detection) -> str:
    total = question.facts.get("order.total")
    worth = f" ({total})" if isinstance(total, Money) else ""
    symptoms = [d.sentence for d in question.detections.found[1:3] if d.sentence != top.sentence]
    also = f" Also: {'; '.join(symptoms)}." if symptoms else ""
    return f"Order {question.context.order_ref}{worth}: {top.sentence}.{also}"


def _no_rule(question: Question) -> str:
    unseen = len(question.detections.unknown)
    return f"No rule matched order {question.context.order_ref}: {unseen} detectors could not see their facts. Somebody should read it."


def _makes_sense(action: Action, facts: Facts) -> bool:
    """A hold stops nothing once the parcel has left."""
    gone = facts.get("check.scanned") is True or facts.get("order.fulfillment_status") == "fulfilled"
    return not (gone and action in _USELESS_ONCE_GONE)


def asked(action: Action, owner: Team, summary: str) -> ProposedAction:
    """The action with what code can say of it. Targets and amounts are worked out when it is carried out."""
    arguments: dict[str, Any] = {}
    match action:
        case Action.ADD_NOTE:
            arguments = {"text": summary}
        case Action.NOTIFY_OWNER | Action.OPEN_TICKET:
            arguments = {"owner": owner.value, "text": summary}
        case Action.SNOOZE_CASE:
            arguments = {"hours": _SNOOZE_HOURS}
        case Action.HOLD_FULFILMENT:
            arguments = {"reason": summary}
    return ProposedAction(action, arguments)


def _cited(found: tuple[Detection, ...]) -> tuple[str, ...]:
    """The recorded fields behind the detections: their own, and those that their checks are worked out of."""
    names = [name for detection in found[:2] for name in detection.fields]
    recorded = [name for name in names if name not in CHECKS]
    worked_out = [field for name in names if name in CHECKS for field in inputs_of(name)]
    return tuple(dict.fromkeys([*recorded, *worked_out, *_ALWAYS_TELLING]))


def evidence_of(question: Question, category: Category) -> tuple[Evidence, ...]:
    """Recorded values of the things that this category is about, for a category that no detector established."""
    about = _ABOUT.get(category, ())
    names = [key.partition("[")[0] for key in question.snapshot["fields"]]
    return _evidence(
        question.context, tuple(dict.fromkeys([*(n for n in names if n.partition(".")[0] in about), *_ALWAYS_TELLING]))
    )


def _evidence(context: OrderContext, names: tuple[str, ...]) -> tuple[Evidence, ...]:
    found = [item for name in names for item in _evidence_for(context, name)]
    return tuple(dict.fromkeys(found))[:_MOST_EVIDENCE]


def _evidence_for(context: OrderContext, name: str) -> Iterator[Evidence]:
    """Pointer and verbatim value, of every entity. A list cannot be quoted, and free text justifies nothing."""
    declared = CATALOGUE.get(name)
    if declared is None or declared.untrusted:
        return
    for item in stated(context, name):
        quote = _quote(item)
        if quote is not None:
            yield Evidence(item.pointer, quote)


def _quote(item: ContextField) -> str | None:
    """None for what cannot be quoted: a list, an empty text, and an object that is no amount of money."""
    match item.winner.value:
        case list() | "":
            return None
        case str() as text:
            return text if text.strip() else None
        case dict() as amount:
            return None if money(amount) is None else canonical_json(amount)
        case other:
            return canonical_json(other)
