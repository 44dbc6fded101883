"""All situations that some conditions can tell apart: the constants in them cut each field's values into finitely many parts.

Of a number those are each constant, its neighbours, and so everything between; of a text each constant and one other value; and of
every field that it is unknown, or was never mentioned. Where conditions compare fields with each other there is no such list.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations, product
from math import prod

from guardrails.facts import UNKNOWN, Fact, Facts, FactValue, Unknown
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.language import Condition
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    Either,
    FieldValue,
    Flag,
    Known,
    LimitOf,
    Literal,
    LiteralValue,
    MemberOf,
    Node,
    Not,
    OneOf,
    Operand,
    UntilOf,
    ValueType,
)
from guardrails.policy.tables import ActionPolicy

_AS_OF = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
_MOST = 20_000
"""Situations looked at for one question; beyond it the question is left open."""

_LARGEST_SET = 5
_SECOND = timedelta(seconds=1)
_OTHER_TEXT, _OTHER_CURRENCY = "another value", "XXX"
_NEVER_SILENT = ("case.", "action.", "actor.")
_ACTION = ("action.name", "action.class")


class Undecided(Exception):
    """There are too many situations to look at, or no list of them."""


@dataclass(slots=True)
class _Constants:
    """What one field is compared with."""

    values: set[LiteralValue] = field(default_factory=set)
    ages: set[timedelta] = field(default_factory=set)
    untils: set[timedelta] = field(default_factory=set)


def situations(conditions: Iterable[Condition], actions: Iterable[ActionPolicy]) -> Iterator[Facts]:
    """Facts for every situation that the conditions can tell apart, with one of the actions asked for. Raises Undecided."""
    constants: dict[str, _Constants] = {}
    for condition in conditions:
        if condition.tree is None:
            raise Undecided
        for name in condition.fields:
            constants.setdefault(name, _Constants())
        _gather(condition.tree, constants)
    asked = _asked({name for name in _ACTION if name in constants}, constants, list(actions))
    states = {name: _states(name, found) for name, found in constants.items() if name not in _ACTION}
    if prod(map(len, states.values())) * len(asked) > _MOST:
        raise Undecided
    return _combined(states, asked)


def _combined(states: Mapping[str, list[Fact | None]], asked: list[dict[str, Fact]]) -> Iterator[Facts]:
    for chosen in product(*states.values()):
        stated = {fact.name: fact for fact in chosen if fact is not None}
        for about_action in asked:
            yield Facts("any order", _AS_OF, stated | about_action)


def _asked(read: set[str], constants: Mapping[str, _Constants], actions: list[ActionPolicy]) -> list[dict[str, Fact]]:
    """One action for each way in which the conditions can tell actions apart; name and class go together."""
    if not read:
        return [{}]
    named = constants["action.name"].values if "action.name" in read else set()
    told_apart = {
        (entry.action.value if entry.action.value in named else "", entry.risk_class if "action.class" in read else None): entry
        for entry in actions
    }
    return [
        {name: _fact(name, entry.action.value if name == "action.name" else entry.risk_class.value) for name in read}
        for entry in told_apart.values()
    ]


# --- what fields are compared with ---


def _gather(node: Node, found: Mapping[str, _Constants]) -> None:
    match node:
        case Both(parts) | Either(parts):
            for part in parts:
                _gather(part, found)
        case Not(inner):
            _gather(inner, found)
        case Comparison(left, _, right):
            _compared(left, right, found)
        case OneOf(operand, items):
            for item in items:
                _compared(operand, Literal(operand.type, item, 0), found)
        case MemberOf(Literal(_, value), FieldValue(name)):
            found[name].values.add(value)
        case Flag(FieldValue()) | Flag(Literal()) | Known():
            pass
        case _:
            raise Undecided


def _compared(left: Operand, right: Operand, found: Mapping[str, _Constants]) -> None:
    swapped = isinstance(left, Literal | LimitOf)
    operand: Operand = right if swapped else left
    constant: Operand = left if swapped else right
    match operand, constant:
        case FieldValue(name), Literal(_, value):
            found[name].values.add(value)
        case FieldValue(name), LimitOf(_, table):
            found[name].values.update(table.values())
        case AgeOf(name), Literal(_, timedelta() as age):
            found[name].ages.add(age)
        case UntilOf(name), Literal(_, timedelta() as period):
            found[name].untils.add(period)
        case Literal(), Literal():
            pass
        case _:
            raise Undecided


# --- the states of one field ---


def _states(name: str, constants: _Constants) -> list[Fact | None]:
    """Every state that matters; None where nobody mentioned the field."""
    values = list(_values(name, constants))
    if name != "case.detected" and name.startswith(_NEVER_SILENT):
        unsure = name in ("case.confidence", "action.amount")
        return [_fact(name, value) for value in (*values, *([UNKNOWN] if unsure else []))]
    ages = sorted({max(near, timedelta(0)) for age in constants.ages for near in _around(age)}) or [timedelta(0)]
    known: list[Fact | None] = [_fact(name, value, age) for value in values for age in ages]
    undated: list[Fact | None] = [Fact(name, values[0], "any", None)] if constants.ages else []
    return [*known, *undated, _fact(name, UNKNOWN), None]


def _values(name: str, constants: _Constants) -> Iterator[FactValue]:
    found = constants.values
    match CATALOGUE[name].type:
        case ValueType.BOOL:
            yield from (True, False)
        case ValueType.INT:
            yield from sorted({near for value in found if type(value) is int for near in (value - 1, value, value + 1)}) or [0]
        case ValueType.MONEY:
            yield from _amounts({value for value in found if isinstance(value, Money)})
        case ValueType.TEXT:
            yield from _texts(name, {value for value in found if isinstance(value, str)})
        case ValueType.SET:
            yield from _sets({value for value in found if isinstance(value, str)})
        case ValueType.TIME:
            yield from sorted({_AS_OF + near for period in constants.untils for near in _around(period)}) or [_AS_OF]
        case _:
            raise Undecided


def _around(period: timedelta) -> tuple[timedelta, ...]:
    return period - _SECOND, period, period + _SECOND


def _amounts(found: set[Money]) -> Iterator[Money]:
    for money in sorted(found, key=lambda item: (item.currency, item.amount)):
        yield from (Money(money.amount + step, money.currency) for step in (-1, 0, 1))
    yield Money(1, _OTHER_CURRENCY)


def _texts(name: str, found: set[str]) -> Iterator[str]:
    yield from sorted(found)
    closed = CATALOGUE[name].values
    others = sorted(closed - found) if closed else [_OTHER_TEXT]
    yield from others[:1]


def _sets(found: set[str]) -> Iterator[frozenset[str]]:
    if len(found) > _LARGEST_SET:
        raise Undecided
    members = sorted(found)
    yield from map(frozenset, chain.from_iterable(combinations(members, size) for size in range(len(members) + 1)))


def _fact(name: str, value: FactValue | Unknown, age: timedelta = timedelta(0)) -> Fact:
    return Fact(name, value, "any", _AS_OF - age)
