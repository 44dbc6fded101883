"""One ruling of the agent as it is kept for replay: all that the gate weighed, and what it said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from guardrails.augment import amount_of, confidence_of
from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts, Unknown
from guardrails.gate import guard
from guardrails.grounding import justifying
from guardrails.money import Money
from guardrails.policy.tables import OWN_ARGUMENT, ActionPolicy, Policy
from guardrails.proposal import AGENT, Evidence, Proposal, ProposedAction
from guardrails.ruling import Ruling
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Category, RiskClass, Team, Verdict


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """`amount` is the action's own `amount` argument, None where it has none that is money."""

    action: Action
    amount: Money | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RecordedRuling:
    """`at` is when it was ruled; `facts` are those handed to the gate, `confidence` basis points or None, `grounded` how many
    cited facts held, `standing` the budgets' hour and the switches that were off."""

    decision: str
    at: datetime
    facts: Facts
    category: Category
    confidence: int | None
    grounded: int
    untrusted_instructions: bool
    failed: bool
    actions: tuple[RecordedAction, ...]
    verdict: Verdict
    standing: Standing
    speaking: frozenset[str] = frozenset()
    """Systems that said something about the order, besides the sources of its facts."""


def recorded(
    decision: str,
    at: datetime,
    facts: Facts,
    proposal: Proposal,
    ruling: Ruling,
    standing: Standing,
    speaking: frozenset[str] = frozenset(),
) -> RecordedRuling:
    """The record of what `guard` said to the agent."""
    confidence = confidence_of(proposal)
    return RecordedRuling(
        decision,
        at,
        facts,
        proposal.category,
        None if isinstance(confidence, Unknown) else confidence,
        justifying(ruling.evidence),
        proposal.untrusted_instructions is not False,
        proposal.failure is not None,
        tuple(RecordedAction(item.action.action, own_amount(item.action), item.verdict) for item in ruling.actions),
        ruling.verdict,
        standing,
        speaking - {COMPUTED, *(fact.source for fact in facts.by_name.values())},
    )


_NO_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_BY_ARGUMENT = ActionPolicy(Action.REFUND_PAYMENT, RiskClass.R3, False, "", (), "", Verdict.REVIEW, money=OWN_ARGUMENT)


def own_amount(asked: ProposedAction) -> Money | None:
    """What the action's own argument says it moves; None where that is no amount."""
    amount = amount_of(asked, _BY_ARGUMENT, Facts("", _NO_MOMENT))
    return None if isinstance(amount, Unknown) else amount


def proposal_of(ruling: RecordedRuling) -> Proposal:
    """What was proposed, as far as the gate reads it; `snapshot_for` holds what its evidence cites."""
    return Proposal(
        ruling.category,
        Team.OPERATIONS,
        ruling.confidence,
        tuple(Evidence(f"/fields/order.line_count/others/{at}/value", str(at)) for at in range(ruling.grounded)),
        tuple(ProposedAction(item.action, {"amount": item.amount} if item.amount else {}) for item in ruling.actions),
        "replay",
        "failed when it was recorded" if ruling.failed else None,
        ruling.untrusted_instructions,
    )


def snapshot_for(ruling: RecordedRuling) -> Mapping[str, Any]:
    """A snapshot in which as many cited facts hold as did then, and the same systems speak."""
    others = [{"value": at, "source": "replay"} for at in range(ruling.grounded)]
    others += [{"value": None, "source": source} for source in sorted(ruling.speaking)]
    return {"fields": {"order.line_count": {"value": None, "source": "replay", "others": others}}}


def rule_again(ruling: RecordedRuling, policy: Policy) -> Ruling:
    """What the gate itself says today, budgets and switches as they were then."""
    return guard(ruling.facts, proposal_of(ruling), policy, AGENT, snapshot_for(ruling), ruling.standing)


# --- whole rulings as text, for those that columns cannot hold ---


def to_json(ruling: RecordedRuling) -> str:
    """Raises TypeError or ValueError where a value has no plain form."""
    facts = [
        [item.name, plain(item.value), item.source, plain(item.observed_at), item.stale, item.conflict, item.untrusted, item.clock]
        for item in ruling.facts.by_name.values()
    ]
    spent = ruling.standing.spent
    document = {
        "decision": ruling.decision,
        "at": plain(ruling.at),
        "facts": [ruling.facts.order_ref, plain(ruling.facts.as_of), facts],
        "category": ruling.category.value,
        "confidence": ruling.confidence,
        "grounded": ruling.grounded,
        "untrusted_instructions": ruling.untrusted_instructions,
        "failed": ruling.failed,
        "actions": [[item.action.value, plain(item.amount), item.verdict.value] for item in ruling.actions],
        "verdict": ruling.verdict.value,
        "spent": None if spent is None else {key: [item.count, dict(item.money)] for key, item in spent.items()},
        "off": sorted(ruling.standing.off),
        "speaking": sorted(ruling.speaking),
    }
    return json.dumps(document, allow_nan=False)


def from_json(text: str) -> RecordedRuling:
    document = json.loads(text)
    order_ref, as_of, facts = document["facts"]
    by_name = {item[0]: Fact(item[0], valued(item[1]), item[2], valued(item[3]), *item[4:]) for item in facts}
    spent = document["spent"]
    return RecordedRuling(
        document["decision"],
        valued(document["at"]),
        Facts(order_ref, valued(as_of), by_name),
        Category(document["category"]),
        document["confidence"],
        document["grounded"],
        document["untrusted_instructions"],
        document["failed"],
        tuple(RecordedAction(Action(name), valued(amount), Verdict(said)) for name, amount, said in document["actions"]),
        Verdict(document["verdict"]),
        Standing(
            None if spent is None else {key: Spent(count, money) for key, (count, money) in spent.items()},
            frozenset(document["off"]),
        ),
        frozenset(document["speaking"]),
    )


def plain(value: Any) -> Any:
    """The value itself where JSON has it, else a list of its kind and parts."""
    if value is None or type(value) in (bool, int, str):
        return value
    if value is UNKNOWN:
        return ["unknown"]
    if type(value) is Money:
        return ["money", value.amount, value.currency]
    if type(value) is datetime:
        return ["time", value.isoformat()]
    if type(value) is timedelta:
        return ["duration", value.days, value.seconds, value.microseconds]
    if type(value) is frozenset and all(type(item) is str for item in value):
        return ["set", *sorted(value)]
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def valued(plain: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    kind, *parts = plain
    match kind:
        case "unknown":
            return UNKNOWN
        case "money":
            return Money(*parts)
        case "time":
            return datetime.fromisoformat(parts[0])
        case "duration":
            return timedelta(*parts)
        case "set":
            return frozenset(parts)
    raise ValueError(f"no value is of the kind {kind!r}")
