"""Questions to the gate drawn near the clean one, so that each verdict is really reached, and policies that say more than the shipped one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from hypothesis import strategies as st

from guardrails.facts import COMPUTED, Fact, Facts, FactValue
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, FIELD_TYPES
from guardrails.policy.language import Scope, ValueType, compile_condition
from guardrails.policy.load import load_policy
from guardrails.policy.risks import RISKS, Direction
from guardrails.policy.tables import LEAST_CLASS, Line, Mode, Policy, Rule, WhenUnknown, digest_of
from guardrails.proposal import AGENT, Actor, Proposal
from guardrails.ruling import Ruling
from guardrails.standing import NOTHING_SPENT, Spent, Standing
from guardrails.taxonomy import Action, Category, RiskClass, Team, Verdict
from tests.guardrails.clean_case import (
    EVIDENCE,
    LEAD,
    NOW,
    REVIEWER,
    SENIOR,
    SERVICE,
    clean_facts,
    clean_proposal,
    fact,
    policy,
    policy_text,
    snapshot_of,
)

PERMITS = """
  - id: permit.expected-delay
    effect: automate
    when: action.name == 'message_customer' and order.total < 200.00 USD and fulfilment.state == 'rejected'
    because: a small order that the warehouse turned away
    owner: ecommerce
  - id: permit.verified-address
    effect: automate
    when: action.name == 'normalise_address' and address.deliverable == true
    because: a verifier knows the address
    owner: ecommerce
"""
SHOWN = snapshot_of(clean_facts())


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the gate."""

    facts: Facts
    proposal: Proposal
    actor: Actor = AGENT
    standing: Standing = NOTHING_SPENT
    approvals: tuple[Actor, ...] = ()


def ruled(asked: Asked, by: Policy) -> Ruling:
    return guard(asked.facts, asked.proposal, by, asked.actor, SHOWN, asked.standing, asked.approvals)


def assert_no_looser(before: Ruling, after: Ruling) -> None:
    """For the case, and for each action by itself."""
    assert before.error is None, before.error
    assert after.error is None, after.error
    assert after.verdict.strictness >= before.verdict.strictness, (before.sentence, after.sentence)
    for old, new in zip(before.actions, after.actions, strict=True):
        assert new.verdict.strictness >= old.verdict.strictness, (old.action.action, before.sentence, after.sentence)


# --- policies ---


def changed(by: Policy, **parts: Any) -> Policy:
    """The policy with some parts replaced, under its own digest."""
    other = replace(by, **parts)
    return replace(other, sha256=digest_of(other))


@cache
def permitting() -> Policy:
    """The shipped policy with permits."""
    return load_policy(policy_text().partition("\ncases:\n")[0].rstrip() + PERMITS, "permitting.yaml")


@cache
def loud() -> Policy:
    """The policy with permits in which silence is never quiet."""
    by = permitting()
    mandatory = {
        reason: replace(entry, lines=tuple(replace(line, when_unknown=WhenUnknown.FIRE) for line in entry.lines))
        for reason, entry in by.mandatory.items()
    }
    rules = tuple(replace(rule, line=replace(rule.line, when_unknown=WhenUnknown.FIRE)) for rule in by.rules)
    return changed(by, mandatory=mandatory, rules=rules)


def line_of(text: str) -> Line:
    by = policy()
    scope = Scope(FIELD_TYPES, by.limits, {kind: item.max_age for kind, item in by.freshness.items()})
    return Line(compile_condition(text, scope), "because", WhenUnknown.FIRE, "drawn.yaml:1")


def rule_of(name: str, effect: Verdict, text: str, mode: Mode = Mode.ENFORCE) -> Rule:
    classes = frozenset([RiskClass.R1, RiskClass.R2, RiskClass.R3])
    return Rule(name, effect, line_of(text), Team.OPERATIONS, "ask", None, mode, classes)


# --- facts about which nothing is wrong and nothing unsaid ---


@cache
def full_facts() -> Facts:
    """The clean facts and a safe value of every other field that the policy reads; what is bad news stays unsaid."""
    read = {name for entry in policy().mandatory.values() for line in entry.lines for name in line.condition.fields}
    read |= {name for rule in policy().rules for name in rule.line.condition.fields}
    clean = clean_facts().by_name
    ours = ("action.", "actor.", "case.")
    missing = [n for n in sorted(read) if n not in clean and not n.startswith(ours) and not (n in RISKS and RISKS[n].bad_news)]
    stated = {name: _safe(name) for name in missing}
    return Facts("#1001", NOW, {**clean, **stated})


def _safe(name: str) -> Fact:
    risk, kind = RISKS.get(name), CATALOGUE[name].type
    if risk is not None and risk.safe:
        return fact(name, sorted(risk.safe)[0])
    if kind is ValueType.BOOL:
        return Fact(name, risk is not None and risk.direction is Direction.DOWN, COMPUTED, NOW)
    values: Mapping[ValueType, FactValue] = {ValueType.INT: 1, ValueType.TEXT: "none", ValueType.MONEY: Money(100, "USD")}
    return fact(name, values[kind])


# --- drawing ---

BAD: tuple[Mapping[str, Any], ...] = (
    {"order.total": Money(50_000, "USD")},
    {"order.total": Money(100, "CHF")},
    {"risk.level": "high"},
    {"payment.status": "failed"},
    {"fulfilment.attempts": 4},
    {"check.source_conflict": True},
    {"case.detected": frozenset(["payment_dispute"])},
    {"dispute.status": "needs_response"},
    {"address.deliverable": False},
    {"inventory.available": -1},
)
_AT_ONCE = [action for action in Action if LEAST_CLASS[action] < RiskClass.R2]
_R1 = [action for action in Action if LEAST_CLASS[action] is RiskClass.R1]
_PERMITTED = [Action.MESSAGE_CUSTOMER, Action.NORMALISE_ADDRESS]
_OTHERS = [Action.RETRY_CAPTURE, Action.REFUND_PAYMENT, Action.SEND_PAYMENT_LINK]
PEOPLE = (REVIEWER, SENIOR, LEAD)


@cache
def by_verdict() -> Mapping[Verdict, tuple[Asked, ...]]:
    """Two hundred questions for each verdict."""
    drawn, found = Random(20261126), {verdict: list[Asked]() for verdict in Verdict}
    while min(map(len, found.values())) < 200:
        asked = question(drawn)
        found[ruled(asked, permitting()).verdict].append(asked)
    return {verdict: tuple(asked[:200]) for verdict, asked in found.items()}


def questions() -> st.SearchStrategy[tuple[Asked, ...]]:
    """One for each verdict: hypothesis likes to repeat itself, and would leave one of them out."""
    return st.tuples(*(st.sampled_from(asked) for asked in by_verdict().values()))


def question(draw: Random) -> Asked:
    """About a third each clean, held for something in the facts or the interpretation, and blocked."""
    trouble = draw.choice(("none", "none", "none", "none", "held", "held", "held", "blocked", "blocked", "blocked"))
    facts, actor, off = full_facts(), draw.choice([AGENT] * 5 + list(PEOPLE)), frozenset[str]()
    actions = draw.choices([*_AT_ONCE, *_PERMITTED * 3], k=draw.choice((1, 1, 2)))
    if trouble == "held":
        actor, actions = AGENT, [*actions, draw.choice([*_R1, *_OTHERS, *_OTHERS])]
        for wrong in draw.sample(BAD, draw.choice((0, 1, 1, 2))):
            facts = with_values(facts, wrong)
    if trouble == "blocked":
        actions = [*actions, draw.choice(_R1)]
        match draw.choice(("total", "everything", "one", "service")):
            case "total":
                facts = without(facts, "order.total")
            case "service":
                actor = SERVICE
            case switch:
                off = frozenset(["everything" if switch == "everything" else f"action:{actions[-1]}"])
    spent = {"ecommerce": Spent(draw.choice((0, 0, 100, 197, 198))), "fulfilment": Spent(draw.choice((0, 0, 598)))}
    proposal = clean_proposal(
        *actions,
        confidence=draw.choice([9_700] * 8 + [9_000, 8_500, 8_000]),
        evidence=draw.choice([EVIDENCE] * 7 + [EVIDENCE[:1]]),
        category=draw.choice([Category.WAREHOUSE_EXCEPTION] * 9 + [Category.UNKNOWN, Category.FRAUD_RISK]),
    )
    return Asked(facts, proposal, actor, Standing(spent, off), draw.choice([(), (), (LEAD,)]))


def with_values(facts: Facts, values: Mapping[str, Any]) -> Facts:
    stated = {name: replace(facts.by_name.get(name, fact(name, value)), value=value) for name, value in values.items()}
    return Facts(facts.order_ref, facts.as_of, {**facts.by_name, **stated})


def without(facts: Facts, name: str) -> Facts:
    return Facts(facts.order_ref, facts.as_of, {key: item for key, item in facts.by_name.items() if key != name})


CONDITIONS = (
    "order.total > 50.00 USD",
    "order.total >= limit(high_value)",
    "risk.level == 'high' or payment.risk_score > 60",
    "not known(tracking.status)",
    "age(payment.status) > 2m",
    "age(order.total) > 1h",
    "case.confidence < 9000",
    "action.name == 'message_customer'",
    "action.name == 'snooze_case' and fulfilment.attempts >= 1",
    "action.amount > 10.00 USD",
    "actor.kind == 'agent'",
    "'reviewer' in actor.roles",
    "case.category == 'warehouse_exception'",
    "refund.amount + order.total > 100.00 USD",
    "false",
    "true",
)
ABOUT_RECORDS = tuple(text for text in CONDITIONS if not any(word in text for word in ("action.", "actor.", "case.")))
