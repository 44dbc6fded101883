"""Facts as the outside engines read them: flat names to whole numbers, texts, truths and lists. What is unknown is left out.

Times are microseconds since the epoch, durations and ages microseconds, money an amount and a currency under two names. Values of
another type than their field's and numbers beyond 64 bits are left out too: they are our own boundary's business, not the language's.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.syntax import FieldType, ValueType

NOW = "now"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = 2**60
_SKEW = 15 * 60 * 1_000_000


def name_of(part: str, field: str) -> str:
    """`part` is v (value), c (currency), a (age) or k (whether it is known)."""
    return f"{part}_{field.replace('.', '_')}"


def usable(facts: Facts, fields: Mapping[str, FieldType]) -> Facts:
    """The facts of these fields, without those that no outside engine can be asked about."""
    asked = {name: fact for name, fact in facts.by_name.items() if name in fields}
    kept = {name: fact for name, fact in asked.items() if fact.value is UNKNOWN or _fits(fact.value, fields[name].type)}
    return Facts(facts.order_ref, facts.as_of, kept)


def _fits(value: Any, kind: ValueType) -> bool:
    match kind:
        case ValueType.INT:
            return type(value) is int and abs(value) < _LARGEST
        case ValueType.MONEY:
            return type(value) is Money and abs(value.amount) < _LARGEST
        case ValueType.TIME:
            return type(value) is datetime and value.tzinfo is not None and value.year < 9000
        case ValueType.DURATION:
            return type(value) is timedelta and abs(value) < timedelta(days=36_500)
        case ValueType.SET:
            return type(value) is frozenset and all(isinstance(item, str) for item in value)
    return isinstance(value, str) if kind is ValueType.TEXT else type(value) is bool


def stated(facts: Facts, fields: Mapping[str, FieldType]) -> dict[str, Any]:
    """What an engine is given. `k_*` of a field whose answer was empty is left out: nobody can say whether it is known."""
    given: dict[str, Any] = {NOW: micros(facts.as_of)}
    for field in fields:
        fact = facts.by_name.get(field)
        if fact is None:
            given[name_of("k", field)] = False
        elif fact.value is not UNKNOWN:
            given |= {name_of("k", field): True, **_value(field, fact.value), **_age(fact, facts.as_of)}
    return given


def _value(field: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Money):
        return {name_of("v", field): value.amount, name_of("c", field): value.currency}
    return {name_of("v", field): plain(value)}


def plain(value: Any) -> Any:
    if isinstance(value, datetime | timedelta):
        return micros(value)
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    return str(value) if isinstance(value, str) else value


def micros(value: datetime | timedelta) -> int:
    return (value - _EPOCH if isinstance(value, datetime) else value) // _MICROSECOND


def _age(fact: Fact, as_of: datetime) -> dict[str, int]:
    if fact.observed_at is None or fact.observed_at.tzinfo is None:
        return {}
    age = micros(as_of) - micros(fact.observed_at)
    return {} if age < -_SKEW else {name_of("a", fact.name): max(age, 0)}
