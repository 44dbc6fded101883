"""The facts that one ruling adds to those of the order: what the proposal says, which action is asked for, and who asks.

What does not fit its declared type is unknown here too, whoever handed it in.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts, FactValue, Unknown
from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE, Field, Writer
from guardrails.policy.language import ValueType
from guardrails.policy.tables import OWN_ARGUMENT, ActionPolicy
from guardrails.proposal import Actor, Proposal, ProposedAction

DETECTED = "case.detected"
_INJECTION = "case.untrusted_instructions"
_OURS = ("case.", "action.", "actor.")


def with_case(facts: Facts, proposal: Proposal, grounded: int) -> Facts:
    """The facts with `case.*`. An attack that the caller's own scan saw stays seen, whatever the proposal says."""
    given = dict(facts.by_name)
    for name, fact in facts.by_name.items():
        kind = _KINDS.get(name)
        if kind is not None and type(fact.value) is kind.plain and (not kind.values or fact.value in kind.values):
            continue
        if _may_be_given(name):
            given[name] = _checked(name, fact)
        else:
            del given[name]
    said: dict[str, FactValue | Unknown] = {
        "case.category": str(proposal.category),
        "case.confidence": confidence_of(proposal),
        "case.grounded_evidence": grounded,
        _INJECTION: facts.get(_INJECTION) is True or proposal.untrusted_instructions is not False,
        "case.classifier_failed": proposal.failure is not None,
    }
    given.update({name: _computed(name, value) for name, value in said.items()})
    return Facts(facts.order_ref, facts.as_of, given)


def _may_be_given(name: str) -> bool:
    """Code may say of the case what it derived from records (`case.detected`). What the model and the actor say comes from the
    proposal and the actor, and from nowhere else."""
    declared = CATALOGUE.get(name)
    return not name.startswith(_OURS) or (declared is not None and declared.writer in (Writer.DERIVED, Writer.CLOCK))


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is certain to fit a field at one look: a value of just this type, and among these where the list is closed."""

    plain: type
    values: frozenset[str]


_PLAIN = {ValueType.BOOL: bool, ValueType.INT: int, ValueType.TEXT: str, ValueType.MONEY: Money}
_KINDS: Mapping[str, _Kind] = {
    name: _Kind(_PLAIN[field.type], field.values)
    for name, field in CATALOGUE.items()
    if field.type in _PLAIN and _may_be_given(name)
}


def with_action(facts: Facts, asked: ProposedAction, entry: ActionPolicy, actor: Actor, wanted: Collection[str]) -> Facts:
    """The facts with those of `action.*` and `actor.*` that are wanted."""
    said = {name: _computed(name, _ABOUT_ACTION[name](facts, asked, entry, actor)) for name in wanted}
    return Facts(facts.order_ref, facts.as_of, {**facts.by_name, **said})


def confidence_of(proposal: Proposal) -> int | Unknown:
    """Basis points, or unknown where it is none of 0 to 10000."""
    points = proposal.confidence
    return points if type(points) is int and 0 <= points <= 10_000 else UNKNOWN


def amount_of(asked: ProposedAction, entry: ActionPolicy, facts: Facts) -> Money | Unknown:
    """The money at stake, by the policy's `money` key. A negative amount is no amount."""
    if entry.money is None:
        return UNKNOWN
    value = _money(asked.arguments.get("amount")) if entry.money == OWN_ARGUMENT else facts.get(entry.money)
    return value if isinstance(value, Money) and value.amount >= 0 else UNKNOWN


_ABOUT_ACTION: Mapping[str, Callable[[Facts, ProposedAction, ActionPolicy, Actor], FactValue | Unknown]] = {
    "action.name": lambda _facts, asked, _entry, _actor: str(asked.action),
    "action.class": lambda _facts, _asked, entry, _actor: entry.risk_class.value,
    "action.amount": lambda facts, asked, entry, _actor: amount_of(asked, entry, facts),
    "actor.kind": lambda _facts, _asked, _entry, actor: str(actor.kind),
    "actor.roles": lambda _facts, _asked, _entry, actor: frozenset(actor.roles),
}
ABOUT_ACTION = frozenset(_ABOUT_ACTION)
"""The fields that only a question about an action has."""


def _money(value: Any) -> Money | Unknown:
    if isinstance(value, Money):
        return value
    if not isinstance(value, Mapping) or not isinstance(value.get("currency"), str):
        return UNKNOWN
    try:
        return Money(value.get("amount", ""), value["currency"])
    except MoneyError:
        return UNKNOWN


@lru_cache(maxsize=4_096, typed=True)
def _computed(name: str, value: FactValue | Unknown) -> Fact:
    """What the question itself says has no age."""
    return Fact(name, value, COMPUTED, None)


def _checked(name: str, fact: Fact) -> Fact:
    """Held against the field that conditions read it as, whatever the fact calls itself."""
    declared = CATALOGUE.get(name)
    if declared is None or _fits(fact.value, declared):
        return fact
    return replace(fact, value=UNKNOWN)


def _fits(value: Any, declared: Field) -> bool:
    match declared.type:
        case ValueType.BOOL:
            return type(value) is bool
        case ValueType.INT:
            return type(value) is int
        case ValueType.TEXT:
            return isinstance(value, str) and (not declared.values or value in declared.values)
        case ValueType.MONEY:
            return isinstance(value, Money)
        case ValueType.TIME:
            return isinstance(value, datetime) and value.tzinfo is not None
        case ValueType.SET:
            return isinstance(value, frozenset) and all(isinstance(item, str) for item in value)
    return False
