"""One-line typed conditions with three-valued logic.

    order.total >= limit(high_value) and not (payment.status in ['succeeded', 'requires_capture'])

Grammar: `and or not`, `== != < <= > >=`, `in`, `not in`, `+`, `limit(name)`, `age(field)`, `until(field)`,
`freshness(kind)`, `known(field)`; literals `'text'`, `12`, `500.00 USD`, `24h`, `true`, `false`. There are no loops, user
functions, regular expressions, floats or clock. A field without a value makes a comparison UNKNOWN, never FALSE; so does
comparing two currencies. `<=` between sets is inclusion; `'x' in field` asks a set field for a member.

`known(field)` is TRUE when a value was stated, FALSE when nobody has said anything, and UNKNOWN when a system answered and
the answer was empty or unreadable.

Closures are the reference evaluator: each node of the tree becomes one function of the facts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from guardrails.facts import UNKNOWN, Facts, Unknown
from guardrails.money import Money
from guardrails.policy.parsing import parse_condition
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    ConditionError,
    Either,
    FieldType,
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
    Scope,
    Sum,
    UntilOf,
    ValueType,
)
from guardrails.policy.tokens import parse_duration
from guardrails.taxonomy import Truth

__all__ = ["Condition", "ConditionError", "FieldType", "Scope", "ValueType", "compile_condition", "parse_duration"]

Ask = Callable[[Facts], Truth]
_Read = Callable[[Facts], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `fields` are the names it reads, `limits` the limit tables it refers to, `tree` what the text
    says (None for a condition that was not written in the language)."""

    text: str
    evaluate: Ask
    fields: frozenset[str]
    limits: frozenset[str]
    tree: Node | None = None


def compile_condition(text: str, scope: Scope) -> Condition:
    """Parse, type-check and compile one line. Raises ConditionError with the column of the first mistake."""
    parsed = parse_condition(text, scope)
    try:
        evaluate = _asking(parsed.tree)
    except RecursionError as error:
        raise ConditionError(text, 1, "the condition is nested too deeply") from error
    return Condition(text, evaluate, parsed.fields, parsed.limits, parsed.tree)


def _asking(node: Node) -> Ask:
    match node:
        case Both(parts):
            return _all([_asking(part) for part in parts])
        case Either(parts):
            return _any([_asking(part) for part in parts])
        case Not(inner):
            return _not(_asking(inner))
        case Comparison(left, op, right):
            return _comparison(left, COMPARE[op], right)
        case OneOf(operand, items):
            return _one_of(operand.type, _reading(operand), items)
        case MemberOf(operand, members):
            return _member(_reading(operand), _reading(members))
        case Known(name):
            return _known(name)
        case Flag(operand):
            return _flag(_reading(operand))


def _reading(operand: Operand) -> _Read:
    """The operand's value, or UNKNOWN. A limit has none before it is compared with something."""
    match operand:
        case FieldValue(name):
            return lambda facts: facts.get(name)
        case Literal(_, value):
            return lambda _facts: value
        case LimitOf():
            return lambda _facts: UNKNOWN
        case AgeOf(name):
            return lambda facts: facts.age(name)
        case UntilOf(name):
            return lambda facts: time_until(facts, name)
        case Sum(terms, kind):
            return _sum(kind, [_reading(term) for term in terms])


# --- conditions ---


def _all(parts: list[Ask]) -> Ask:
    return lambda facts: min([part(facts) for part in parts])


def _any(parts: list[Ask]) -> Ask:
    return lambda facts: max([part(facts) for part in parts])


def _not(inner: Ask) -> Ask:
    return lambda facts: Truth(2 - inner(facts))


def _flag(read: _Read) -> Ask:
    def ask(facts: Facts) -> Truth:
        value = read(facts)
        return Truth.UNKNOWN if type(value) is not bool else (Truth.TRUE if value else Truth.FALSE)

    return ask


COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}

PYTHON_TYPE: Mapping[ValueType, type] = {
    ValueType.BOOL: bool,
    ValueType.INT: int,
    ValueType.TEXT: str,
    ValueType.MONEY: Money,
    ValueType.TIME: datetime,
    ValueType.DURATION: timedelta,
    ValueType.SET: frozenset,
}


def _comparable(value: Any) -> Any:
    """A text enum compares as its text; a time without zone is no time at all."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return UNKNOWN
    return value


def _comparison(left: Operand, compare: Callable[[Any, Any], Any], right: Operand) -> Ask:
    if left.type is ValueType.MONEY:
        return _money_comparison(left, compare, right)
    kind, read_left, read_right = PYTHON_TYPE[left.type], _reading(left), _reading(right)

    def ask(facts: Facts) -> Truth:
        a, b = _comparable(read_left(facts)), _comparable(read_right(facts))
        if type(a) is not kind or type(b) is not kind:
            return Truth.UNKNOWN
        return Truth.TRUE if compare(a, b) else Truth.FALSE

    return ask


def _money_comparison(left: Operand, compare: Callable[[Any, Any], Any], right: Operand) -> Ask:
    read_left, read_right = _reading(left), _reading(right)

    def ask(facts: Facts) -> Truth:
        a, b = read_left(facts), read_right(facts)
        if isinstance(left, LimitOf) and type(b) is Money:
            a = left.table.get(b.currency, UNKNOWN)
        if isinstance(right, LimitOf) and type(a) is Money:
            b = right.table.get(a.currency, UNKNOWN)
        if type(a) is not Money or type(b) is not Money or a.currency != b.currency:
            return Truth.UNKNOWN
        return Truth.TRUE if compare(a.amount, b.amount) else Truth.FALSE

    return ask


def _one_of(kind: ValueType, read: _Read, items: tuple[LiteralValue, ...]) -> Ask:
    """Of nothing at all, nothing is a member. An amount in another currency than a listed one cannot be told apart from it."""

    def ask(facts: Facts) -> Truth:
        value = _comparable(read(facts))
        if not items:
            return Truth.FALSE
        if type(value) is not PYTHON_TYPE[kind]:
            return Truth.UNKNOWN
        if value in items:
            return Truth.TRUE
        mixed = isinstance(value, Money) and any(isinstance(item, Money) and item.currency != value.currency for item in items)
        return Truth.UNKNOWN if mixed else Truth.FALSE

    return ask


def _member(read: _Read, read_set: _Read) -> Ask:
    def ask(facts: Facts) -> Truth:
        value, members = _comparable(read(facts)), read_set(facts)
        if type(value) is not str or type(members) is not frozenset:
            return Truth.UNKNOWN
        return Truth.TRUE if value in members else Truth.FALSE

    return ask


def _known(name: str) -> Ask:
    def ask(facts: Facts) -> Truth:
        if name not in facts.by_name:
            return Truth.FALSE
        return Truth.UNKNOWN if isinstance(facts.get(name), Unknown) else Truth.TRUE

    return ask


# --- values ---


def time_until(facts: Facts, name: str) -> timedelta | Unknown:
    """How long after `facts.as_of` the field's time is. A time without zone is unknown."""
    moment = facts.get(name)
    return moment - facts.as_of if isinstance(moment, datetime) and moment.tzinfo is not None else UNKNOWN


def _sum(kind: ValueType, reads: list[_Read]) -> _Read:
    return _money_sum(reads) if kind is ValueType.MONEY else _plain_sum(PYTHON_TYPE[kind], reads)


def _plain_sum(kind: type, reads: list[_Read]) -> _Read:
    def read(facts: Facts) -> Any:
        terms = [read(facts) for read in reads]
        return total(terms) if all(type(term) is kind for term in terms) else UNKNOWN

    return read


def total(terms: Sequence[Any]) -> Any:
    """The sum of whole numbers or of durations; of durations too long to be one, UNKNOWN."""
    try:
        return sum(terms[1:], terms[0])
    except OverflowError:
        return UNKNOWN


def _money_sum(reads: list[_Read]) -> _Read:
    def read(facts: Facts) -> Money | Unknown:
        terms = [read(facts) for read in reads]
        amounts = [term for term in terms if type(term) is Money]
        if len(amounts) < len(terms) or len({money.currency for money in amounts}) > 1:
            return UNKNOWN
        return Money(sum(money.amount for money in amounts), amounts[0].currency)

    return read
