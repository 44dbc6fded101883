"""Cases on both sides of every number of a policy, made from its document: one below, at, and one above.

What each case must make fire is worked out here from the numbers alone, with no evaluator. A changed policy gets its own cases.
"""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from guardrails.facts import COMPUTED, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.language import ValueType
from guardrails.policy.tables import OWN_ARGUMENT, Policy
from guardrails.proposal import AGENT, Actor, Evidence, Proposal
from guardrails.standing import NOTHING_SPENT, Spent, Standing
from guardrails.taxonomy import Action, RiskClass
from tests.guardrails.clean_case import NOW, SENIOR, asking, clean_facts, clean_proposal

STEPS = (-1, 0, 1)
CITABLE = ("fulfilment.reason", "fulfilment.state", "order.financial_status", "payment.status", "order.fulfillment_status")
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
_SAMPLES: Mapping[ValueType, Any] = {
    ValueType.BOOL: False,
    ValueType.INT: 3,
    ValueType.TEXT: "other",
    ValueType.MONEY: Money(100, "USD"),
    ValueType.TIME: NOW - timedelta(hours=1),
    ValueType.SET: frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Boundary:
    """`fires`: whether the rule must fire, about the case itself or about the action asked for."""

    about: str
    facts: Facts
    proposal: Proposal
    rule: str
    fires: bool
    of_action: bool = True
    actor: Actor = AGENT
    standing: Standing = NOTHING_SPENT


def boundaries(policy: Policy) -> list[Boundary]:
    """Those of the tables; `condition_boundaries.py` has those of the conditions."""
    document = policy.document()
    return [
        *_confidence(document),
        *_evidence(document),
        *_freshness(document),
        *_four_eyes(document),
        *_counted(document),
        *_spent(document),
    ]


def _above_r0(document: Mapping[str, Any]) -> Iterator[tuple[Action, Mapping[str, Any]]]:
    for name, entry in document["actions"].items():
        if entry["class"] != RiskClass.R0:
            yield Action(name), entry


def with_facts(changed: Mapping[str, Any], minutes_old: float = 4) -> Facts:
    """The clean facts with some values changed, by their dotted names."""
    facts = clean_facts()
    stated = {
        name: Fact(
            name, value, COMPUTED if name.startswith(("check.", "case.")) else "shopify", NOW - timedelta(minutes=minutes_old)
        )
        for name, value in changed.items()
    }
    return Facts(facts.order_ref, facts.as_of, {**facts.by_name, **stated})


def sample(name: str) -> Any:
    """Some value that the field may have."""
    return sorted(CATALOGUE[name].values)[0] if CATALOGUE[name].values else _SAMPLES[CATALOGUE[name].type]


# --- tables ---


def _confidence(document: Mapping[str, Any]) -> Iterator[Boundary]:
    asked: list[tuple[Action, int, str]] = [(Action.HOLD_FULFILMENT, document["case"]["min_confidence"], "case.confidence")]
    asked += [(action, entry["min_confidence"], "action.confidence") for action, entry in _above_r0(document)]
    for action, needed, rule in asked:
        for points in (needed + step for step in STEPS if needed + step <= 10_000):
            proposal = clean_proposal(action, confidence=points)
            yield Boundary(f"{action} at {points}", clean_facts(), proposal, rule, points < needed, rule.startswith("action"))


def _evidence(document: Mapping[str, Any]) -> Iterator[Boundary]:
    asked: list[tuple[Action, int, str]] = [(Action.HOLD_FULFILMENT, document["case"]["evidence"]["count"], "case.evidence")]
    asked += [(action, entry["evidence"]["count"], "action.evidence") for action, entry in _above_r0(document)]
    facts = clean_facts()
    for action, needed, rule in asked:
        for count in (needed + step for step in STEPS if 0 <= needed + step <= len(CITABLE)):
            cited = tuple(Evidence(f"/fields/{name}/value", str(facts.get(name))) for name in CITABLE[:count])
            proposal = clean_proposal(action, evidence=cited)
            yield Boundary(f"{action} by {count} facts", facts, proposal, rule, count < needed, rule.startswith("action"))


def _freshness(document: Mapping[str, Any]) -> Iterator[Boundary]:
    for action, entry in _above_r0(document):
        for kind in entry["facts"]:
            needed = document["freshness"][kind]
            stated = {name: clean_facts().get(name) for name in needed["one_of"] if name in clean_facts().by_name}
            for step in STEPS:
                age = needed["max_age_s"] + step
                facts = with_facts(stated or {needed["one_of"][0]: sample(needed["one_of"][0])}, age / 60)
                yield Boundary(
                    f"{action}: {kind} facts of {age} s", facts, clean_proposal(action), f"action.facts.{kind}", step > 0
                )


def _moving(action: Action, money: str, amounts: list[Money]) -> tuple[Facts, Proposal]:
    """The action once per amount; where a field says the amount, all of them are the first."""
    if money == OWN_ARGUMENT:
        given = [{"amount": amount.amount, "currency": amount.currency} for amount in amounts]
        return clean_facts(), clean_proposal(*(asking(action, amount=amount) for amount in given))
    return with_facts({money: amounts[0]}), clean_proposal(*[action] * len(amounts))


def _parts(total: int, money: str) -> Iterator[list[int]]:
    """The total at once, and in two parts where the action can move them."""
    yield [total]
    if money == OWN_ARGUMENT:
        yield [total // 3, total - total // 3]
    elif total % 2 == 0:
        yield [total // 2] * 2


def _four_eyes(document: Mapping[str, Any]) -> Iterator[Boundary]:
    for action, entry in _above_r0(document):
        for code, limit in document["limits"].get(entry["four_eyes_above"], {}).items():
            for step in STEPS:
                for parts in _parts(limit["amount"] + step, entry["money"]):
                    facts, proposal = _moving(action, entry["money"], [Money(part, code) for part in parts])
                    about = f"{action} of {parts} {code} by one person"
                    yield Boundary(about, facts, proposal, "action.four-eyes", step > 0, actor=SENIOR)


def _takers(document: Mapping[str, Any], key: str) -> list[tuple[Action, Mapping[str, Any]]]:
    team, _, only = key.partition("/")
    return [(action, entry) for action, entry in _above_r0(document) if entry["team"] == team and only in ("", action)]


def _counted(document: Mapping[str, Any]) -> Iterator[Boundary]:
    for key, budget in document["budgets"].items():
        for action, _ in _takers(document, key):
            for asked in (1, 2):
                for step in STEPS:
                    before = budget["count"] - asked + step
                    about = f"{asked} x {action} after {before} of {key}"
                    proposal = clean_proposal(*[action] * asked)
                    yield Boundary(
                        about, clean_facts(), proposal, "action.budget", step > 0, standing=Standing({key: Spent(before)})
                    )


def _spent(document: Mapping[str, Any]) -> Iterator[Boundary]:
    for key, budget in document["budgets"].items():
        for action, entry in _takers(document, key):
            for code, limit in budget["spend"].items() if entry["money"] else ():
                for asked in (1, 2):
                    facts, proposal = _moving(action, entry["money"], [Money(700, code)] * asked)
                    for step in STEPS:
                        before = limit["amount"] - 700 * asked + step
                        about = f"{asked} x {action} of 700 {code} after {before} of {key}"
                        standing = Standing({key: Spent(1, {code: before})})
                        yield Boundary(about, facts, proposal, "action.budget", step > 0, standing=standing)
