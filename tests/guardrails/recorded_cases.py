"""Rulings as they might have been recorded: near what runs by itself, a few things disturbed, and some of them hostile."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts
from guardrails.gate import guard
from guardrails.grounding import speaking_in
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, FIELD_TYPES
from guardrails.policy.language import Scope, compile_condition
from guardrails.policy.load import Policy, load_policy
from guardrails.policy.tables import Line, Mode, Rule, WhenUnknown
from guardrails.proposal import AGENT, Proposal, ProposedAction
from guardrails.replay.recorded import RecordedRuling, recorded
from guardrails.ruling import Ruling
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Category, RiskClass, Team, Verdict
from tests.guardrails.clean_case import EVIDENCE, NOW, clean_facts, clean_proposal, fact, policy, policy_text, snapshot_of
from tests.guardrails.generated_cases import decisive_values, random_facts

SNAPSHOT = snapshot_of(clean_facts())

_DISTURBED: tuple[Mapping[str, Any], ...] = (
    {"order__total": Money(50_000, "USD")},
    {"order__total": Money(49_999, "USD")},
    {"order__total": Money(100, "CHF")},
    {"order__total": Money(-5, "USD")},
    {"order__total": None},
    {"order__total": UNKNOWN},
    {"order__total": 12},
    {"order__total": fact("order.total", Money(100, "USD"), minutes_old=60 * 24 * 31)},
    {"risk__level": "high"},
    {"risk__level": "unheard-of"},
    {"risk__level": UNKNOWN},
    {"payment__status": None},
    {"payment__status": "failed"},
    {"payment__status": fact("payment.status", "succeeded", minutes_old=60 * 40)},
    {"payment__status": fact("payment.status", "succeeded", stale=True)},
    {"hold__ours": fact("hold.ours", True, conflict=True)},
    {"hold__ours": Fact("hold.ours", True, "shopify", None)},
    {"hold__ours": Fact("hold.ours", True, "shopify", NOW + timedelta(hours=1))},
    {"fulfilment__attempts": 4},
    {"fulfilment__attempts": "4"},
    {"fulfilment__reason": fact("fulfilment.reason", "system_busy", conflict=True)},
    {"check__source_conflict": True},
    {"check__carrier_conflict": UNKNOWN},
    {"check__work_reason": "uncoded"},
    {"case__detected": frozenset(["payment_dispute", "fraud_risk"])},
    {"case__detected": UNKNOWN},
    {"case__untrusted_instructions": True},
    {"inventory__available": -3},
    {"inventory__available": 2**70},
    {"tracking__status": fact("tracking.status", "in_transit", minutes_old=60 * 60)},
    {"order__fulfillment_status": UNKNOWN, "fulfilment__state": None},
    {"basis__outdated": True},
    {"no__such": fact("no.such", "x", conflict=True)},
)
_BLOCKED: tuple[Mapping[str, Any], ...] = ({"order__total": None}, {"order__total": UNKNOWN}, {"basis__outdated": True})
_AMOUNTS = (None, None, Money(8_950, "USD"), Money(100_001, "USD"), Money(90_000, "EUR"), Money(5, "CHF"))
_R0 = (Action.ADD_NOTE, Action.ASSIGN_OWNER, Action.NOTIFY_OWNER)
_R1 = (Action.RESUBMIT_FULFILMENT, Action.RELEASE_OWN_HOLD, Action.SNOOZE_CASE, Action.HOLD_FULFILMENT)
_ACTIONS = (*Action, *_R0 * 6, *_R1 * 8)


def draw_case(draw: Random) -> tuple[Facts, Proposal, Standing]:
    changed: dict[str, Any] = {}
    for item in draw.sample(_DISTURBED, draw.choice((0, 0, 0, 0, 1, 1))):
        changed |= item
    if draw.random() < 0.22:
        changed |= draw.choice(_BLOCKED)
    facts = clean_facts(**changed)
    as_of = NOW + timedelta(microseconds=draw.choice((0, 0, 1, 90_000_001, -5, 7 * 3_600_000_000)))
    facts = Facts(facts.order_ref, as_of, facts.by_name)
    if draw.random() < 0.1:
        facts = Facts("#2", as_of, {**facts.by_name, **_hostile(draw)})
    names = draw.choices(_ACTIONS, k=draw.choice((0, *[1] * 12, 2, 2, 3)))
    actions = tuple(_asking(draw, name) for name in names)
    proposal = clean_proposal(
        *actions,
        confidence=draw.choice((*[9_700] * 12, 7_500, 5_000, draw.randint(0, 10_000), None)),
        evidence=draw.choice((*[EVIDENCE] * 12, EVIDENCE[:1], ())),
        category=draw.choice((*[Category.WAREHOUSE_EXCEPTION] * 80, *Category)),
        untrusted_instructions=draw.random() < 0.02,
        failure="no answer" if draw.random() < 0.02 else None,
    )
    return facts, proposal, draw_standing(draw)


_TYPES = {name: item.type for name, item in CATALOGUE.items()}


@cache
def _decisive() -> Mapping[str, Sequence[Any]]:
    """Near what the conditions ask for."""
    rules = [rule.line.condition for rule in policy().rules]
    return decisive_values([line.condition for entry in policy().mandatory.values() for line in entry.lines] + rules)


def _hostile(draw: Random) -> Mapping[str, Fact]:
    """Facts of any field, odd values among them; of all fields now and then, and of what the proposal should say too."""
    names = _TYPES if draw.random() < 0.05 else draw.sample(sorted(_TYPES), 12)
    return random_facts(draw, {name: _TYPES[name] for name in names}, _decisive(), unknown=0.2).by_name


def _asking(draw: Random, action: Action) -> ProposedAction:
    amount = draw.choice(_AMOUNTS)
    return ProposedAction(action, {} if amount is None else {"amount": {"amount": amount.amount, "currency": amount.currency}})


def draw_standing(draw: Random) -> Standing:
    if draw.random() < 0.02:
        return Standing(None)
    keys = ("fulfilment", "fulfilment/resubmit_fulfilment", "finance", "operations", "ecommerce")
    spent = {
        key: Spent(draw.choice((0, 1, 60, 199, 200, 600)), {"USD": draw.choice((0, 500_000))})
        for key in keys
        if draw.random() < 0.1
    }
    off = [
        name
        for name in ("everything", "action:resubmit_fulfilment", "source:shopify", "source:ordermend", "source:stripe")
        if draw.random() < 0.01
    ]
    return Standing(spent, frozenset(off))


def ruled(case: tuple[Facts, Proposal, Standing], by: Policy) -> Ruling:
    facts, proposal, standing = case
    return guard(facts, proposal, by, AGENT, shown(facts), standing)


def shown(facts: Facts) -> Mapping[str, Any]:
    """The snapshot; of every third order the payment provider said something that no fact's own source shows."""
    earlier = {"payment.status[pi_1]": {"value": "succeeded", "source": "stripe", "others": []}}
    return {**SNAPSHOT, "fields": {**SNAPSHOT["fields"], **(earlier if len(facts.by_name) % 3 == 0 else {})}}


def record(number: int, case: tuple[Facts, Proposal, Standing], by: Policy) -> RecordedRuling:
    facts, proposal, standing = case
    at, speaking = NOW + timedelta(seconds=number), speaking_in(shown(facts))
    return recorded(f"dec_{number:06}", at, facts, proposal, ruled(case, by), standing, speaking)


def computed(name: str, value: Any) -> Fact:
    return Fact(name, value, COMPUTED, NOW)


# --- policies that differ ---


@cache
def stricter() -> Policy:
    """Other limits, freshness, confidence and budgets than the shipped policy's."""
    text = policy_text()
    text = text[: text.index("\nexamples:")]  # they say what the shipped policy does
    for before, after in (
        ("high_value: {USD: 500.00", "high_value: {USD: 300.00, CHF: 3.00"),
        (
            "hold: {covers: [hold.], one_of: [hold.ours], max_age: 24h}",
            "hold: {covers: [hold., fulfilment.], one_of: [hold.ours, hold.reason], max_age: 3m}",
        ),
        ("case: {min_confidence: 0.60, evidence: {count: 1}}", "case: {min_confidence: 0.80, evidence: {count: 1}}"),
        ("operations: {count: 600}", "operations: {count: 12}"),
        ("resubmit_fulfilment: {count: 200}", "resubmit_fulfilment: {count: 12, spend: {USD: 2000.00}}"),
        ("- when: risk.level == 'high'", "- when: risk.level in ['high', 'medium']"),
        ("two_people: {USD: 1000.00, EUR: 900.00", "two_people: {USD: 50.00, CHF: 0.05"),
    ):
        assert before in text, before
        text = text.replace(before, after)
    return load_policy(text, "stricter.yaml")


@cache
def looser() -> Policy:
    """With permits, a rule about amounts, one in shadow, fewer lines, other classes and an action less."""
    shipped = policy()
    actions = dict(shipped.actions)
    actions[Action.SNOOZE_CASE] = replace(actions[Action.SNOOZE_CASE], protective=True)
    actions[Action.ADD_TAG] = replace(actions[Action.ADD_TAG], risk_class=RiskClass.R2, default=Verdict.REVIEW, team=Team.RISK)
    actions[Action.MESSAGE_CUSTOMER] = replace(actions[Action.MESSAGE_CUSTOMER], money="argument")
    actions[Action.RESUBMIT_FULFILMENT] = replace(actions[Action.RESUBMIT_FULFILMENT], money="order.total", min_confidence=5_000)
    del actions[Action.LINK_CASES]
    allowed = {kind: names | {Action.MESSAGE_CUSTOMER, Action.VOID_LABEL} for kind, names in shipped.permissions.actions.items()}
    mandatory = {reason: replace(entry, lines=entry.lines[1:] or entry.lines) for reason, entry in shipped.mandatory.items()}
    rules = (
        *(rule for rule in shipped.rules if rule.id != "review.resubmitted-before"),
        _rule("permit.small-message", Verdict.AUTOMATE, "action.name == 'message_customer' and order.total <= 100.00 USD"),
        _rule("permit.label", Verdict.AUTOMATE, "action.class == 'R2' and age(label.purchased_at) <= 5h and risk.level != 'high'"),
        _rule(
            "block.much",
            Verdict.BLOCK,
            "action.name in ['refund_payment', 'reship'] and action.amount > 500.00 USD and actor.kind == 'agent'",
        ),
        _rule("review.held-label", Verdict.REVIEW, "0h > until(label.purchased_at) + 5h and hold.ours == false", WhenUnknown.QUIET),
        _rule("review.detected", Verdict.REVIEW, "'fraud_risk' in case.detected and payment.amount + order.total > 100.00 USD"),
        replace(_rule("review.tried", Verdict.REVIEW, "known(order.total)"), mode=Mode.SHADOW),
    )
    permissions = replace(shipped.permissions, actions=allowed)
    return replace(shipped, actions=actions, permissions=permissions, mandatory=mandatory, rules=rules, sha256="looser")


def _rule(name: str, effect: Verdict, text: str, unknown: WhenUnknown = WhenUnknown.FIRE) -> Rule:
    shipped = policy()
    scope = Scope(FIELD_TYPES, shipped.limits, {kind: item.max_age for kind, item in shipped.freshness.items()})
    line = Line(compile_condition(text, scope), f"because {name}", unknown, "test:1")
    return Rule(
        name, effect, line, Team.OPERATIONS, "until", None, Mode.ENFORCE, frozenset({RiskClass.R1, RiskClass.R2, RiskClass.R3})
    )
