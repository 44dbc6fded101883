"""A case about which nothing is wrong and everything is known, to be disturbed one thing at a time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts, FactValue, Unknown, to_plain
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.load import Policy, load_policy
from guardrails.policy.tables import LEAST_CLASS
from guardrails.proposal import AGENT, Actor, Evidence, Proposal, ProposedAction
from guardrails.ruling import ActionRuling, Finding, Outcome, Ruling
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, Category, PrincipalKind, RiskClass, Team, Verdict

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
POLICY_FILE = Path(__file__).parents[2] / "config" / "policy.yaml"

REVIEWER = Actor(PrincipalKind.PERSON, "rosa", frozenset(["reviewer"]))
SENIOR = Actor(PrincipalKind.PERSON, "sam", frozenset(["senior_reviewer"]))
LEAD = Actor(PrincipalKind.PERSON, "lena", frozenset(["lead"]))
SERVICE = Actor(PrincipalKind.SERVICE, "sweeper")


@cache
def policy_text() -> str:
    return POLICY_FILE.read_text()


def edited(was: str, becomes: str) -> Policy:
    """The shipped policy with the first such text replaced, and without its examples, which would refuse most changes."""
    rules = policy_text().partition("\nexamples:")[0]
    assert was in rules
    return load_policy(rules.replace(was, becomes, 1), "policy.yaml")


@cache
def policy() -> Policy:
    return load_policy(policy_text(), "policy.yaml")


CLEAN_VALUES: Mapping[str, FactValue] = {
    "order.total": Money(8_950, "USD"),
    "order.financial_status": "paid",
    "order.fulfillment_status": "unfulfilled",
    "payment.status": "succeeded",
    "payment.amount": Money(8_950, "USD"),
    "risk.recommendation": "accept",
    "risk.level": "low",
    "fulfilment.state": "rejected",
    "fulfilment.reason": "system_busy",
    "fulfilment.attempts": 1,
    "inventory.available": 12,
    "tracking.status": "in_transit",
    "address.deliverable": True,
    "label.purchased_at": NOW - timedelta(hours=5),
    "hold.ours": True,
    "dispute.status": "won",
    "dispute.amount": Money(8_950, "USD"),
}
CLEAN_CHECKS: Mapping[str, FactValue] = {
    "check.source_conflict": False,
    "check.payment_conflict": False,
    "check.refund_conflict": False,
    "check.carrier_conflict": False,
    "check.oversold": False,
    "check.label_address_differs": False,
    "check.address_changed_after_payment": False,
    "case.detected": frozenset(["warehouse_exception"]),
}


def fact(name: str, value: FactValue | Unknown, minutes_old: int = 4, **marks: bool) -> Fact:
    return Fact(name, value, "shopify", NOW - timedelta(minutes=minutes_old), **marks)


def clean_facts(**changed: FactValue | Unknown | Fact | None) -> Facts:
    """The clean facts with some changed: names with `__` for the dot, None for a field that nobody has stated."""
    by_name = {name: fact(name, value) for name, value in CLEAN_VALUES.items()}
    by_name |= {name: Fact(name, value, COMPUTED, NOW) for name, value in CLEAN_CHECKS.items()}
    for key, value in changed.items():
        name = key.replace("__", ".")
        if value is None:
            by_name.pop(name, None)
        elif isinstance(value, Fact):
            by_name[name] = value
        else:
            source = COMPUTED if name.startswith(("check.", "case.")) else "shopify"
            by_name[name] = Fact(name, value, source, NOW - timedelta(minutes=4))
    return Facts("#1001", NOW, by_name)


def snapshot_of(facts: Facts) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: {"value": to_plain(item.value) if item.value is not UNKNOWN else None, "source": item.source, "others": []}
        for name, item in facts.by_name.items()
    }
    return {"version": 1, "order_ref": facts.order_ref, "fields": fields, "signals": [], "related": []}


EVIDENCE = (Evidence("/fields/fulfilment.reason/value", "system_busy"), Evidence("/fields/fulfilment.state/value", "rejected"))


def asking(action: Action, **arguments: object) -> ProposedAction:
    """The action with a modest amount, where it moves money."""
    if LEAST_CLASS[action] is RiskClass.R3 and "amount" not in arguments:
        arguments["amount"] = {"amount": 8_950, "currency": "USD"}
    return ProposedAction(action, arguments)


def clean_proposal(*actions: Action | ProposedAction, **changed: Any) -> Proposal:
    asked = tuple(asking(item) if isinstance(item, Action) else item for item in actions)
    proposal = Proposal(Category.WAREHOUSE_EXCEPTION, Team.FULFILMENT, 9_700, EVIDENCE, asked, "rules")
    return replace(proposal, **changed)


def rule(
    facts: Facts | None = None,
    proposal: Proposal | None = None,
    actor: Actor = AGENT,
    approvals: tuple[Actor, ...] = (),
    by: Policy | None = None,
) -> Ruling:
    """The ruling about a clean resubmission, unless told otherwise."""
    facts = clean_facts() if facts is None else facts
    proposal = clean_proposal(Action.RESUBMIT_FULFILMENT) if proposal is None else proposal
    return guard(facts, proposal, by or policy(), actor, snapshot_of(facts), NOTHING_SPENT, approvals)


def finding(of: Ruling | ActionRuling, name: str) -> Finding:
    """What the rule said; one that was not looked at at all is an error."""
    if name in of.passed:
        return Finding(name, Outcome.NOT_FIRED, Verdict.AUTOMATE, "")
    return next(item for item in of.findings if item.rule == name)


def looked_at(of: Ruling | ActionRuling) -> set[str]:
    return {*of.passed, *(item.rule for item in of.findings)}


def fired(of: Ruling | ActionRuling) -> set[str]:
    return {item.rule for item in of.findings if item.fired}
