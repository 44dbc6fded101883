"""One-line typed conditions with three-valued logic.

    order.total >= limit(high_value) and not (payment.status in ['succeeded', 'requires_capture'])

Grammar: `and or not`, `== != < <= > >=`, `in`, `not in`, `+`, `limit(name)`, `age(field)`, `until(field)`,
`freshness(kind)`, `known(field)`; literals `'text'`, `12`, `500.00 USD`, `24h`, `true`, `false`. There are no loops, user
functions, regular expressions, floats or clock. A field without a value makes a comparison UNKNOWN, never FALSE; so does
comparing two currencies. `<=` between sets is inclusion; `'x' in field` asks a set field for a member.

`known(field)` is TRUE when a value was stated, FALSE when nobody has said anything, and UNKNOWN when a system answered and
the answer was empty or unreadable.

Closures are the reference evaluator: each node becomes one function of the facts.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from guardrails.facts import UNKNOWN, Facts, Unknown
from guardrails.money import Money, MoneyError
from guardrails.taxonomy import Truth

_LONGEST = 2_000
"""Characters in one condition. Nesting costs stack, at load and at every ruling."""


class ValueType(StrEnum):
    BOOL = "bool"
    INT = "int"
    TEXT = "text"
    MONEY = "money"
    TIME = "time"
    DURATION = "duration"
    SET = "set"


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a condition may know of a field: its type, and its closed list of values where it has one."""

    type: ValueType
    values: frozenset[str] = frozenset()


class ConditionError(ValueError):
    """The condition cannot be read. `column` counts from 1; `hint` is empty or a suggestion."""

    def __init__(self, text: str, column: int, message: str, hint: str = "") -> None:
        super().__init__(f"col {column}: {message}{f' ({hint})' if hint else ''}")
        self.text, self.column, self.message, self.hint = text, column, message, hint


LimitTable = Mapping[str, Money]
"""One limit: an amount per currency. A currency that is not listed is unknown."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a condition may use."""

    fields: Mapping[str, FieldType]
    limits: Mapping[str, LimitTable]
    freshness: Mapping[str, timedelta]


Value = bool | int | str | Money | datetime | timedelta | frozenset[str] | Unknown
_Evaluate = Callable[[Facts], Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `fields` are the names it reads, `limits` the limit tables it refers to."""

    text: str
    evaluate: Callable[[Facts], Truth]
    fields: frozenset[str]
    limits: frozenset[str]


def compile_condition(text: str, scope: Scope) -> Condition:
    """Parse, type-check and compile one line. Raises ConditionError with the column of the first mistake."""
    if len(text) > _LONGEST:
        raise ConditionError(text, _LONGEST, f"a condition is one line of at most {_LONGEST} characters")
    parser = _Parser(text, scope)
    try:
        node = parser.condition()
    except RecursionError as error:
        raise ConditionError(text, 1, "the condition is nested too deeply") from error
    return Condition(text, node, frozenset(parser.used_fields), frozenset(parser.used_limits))


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


class _Term(NamedTuple):
    """A typed operand. `values` is the closed list of a text field; `limit` names a limit table instead of a value."""

    type: ValueType
    read: _Evaluate
    column: int
    values: frozenset[str] = frozenset()
    limit: LimitTable | None = None
    literal: object = None


_TOKENS = re.compile(
    r"""(?P<space>\s+)
      | (?P<money>\d+(?:\.\d+)?\s+[A-Z]{3}\b)
      | (?P<duration>\d+(?:s|m|h|d)\b)
      | (?P<float>\d+\.\d+)
      | (?P<int>\d+)
      | (?P<string>'[^']*')
      | (?P<op>==|!=|<=|>=|<|>|\+|\(|\)|\[|\]|,)
      | (?P<name>[A-Za-z_][A-Za-z0-9_.]*)""",
    re.VERBOSE,
)
_FUNCTIONS = ("limit", "age", "until", "freshness", "known")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_ORDERED = frozenset({ValueType.INT, ValueType.MONEY, ValueType.TIME, ValueType.DURATION})
_ADDABLE = frozenset({ValueType.INT, ValueType.MONEY, ValueType.DURATION})


def parse_duration(text: str) -> timedelta:
    """`15m`, `24h`, `30d`, `45s`."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 15m, 24h or 30d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class _Parser:
    def __init__(self, text: str, scope: Scope) -> None:
        self.text, self.scope = text, scope
        self.tokens = self._tokenise()
        self.at = 0
        self.used_fields: set[str] = set()
        self.used_limits: set[str] = set()

    def _tokenise(self) -> list[_Token]:
        tokens, position = [], 0
        while position < len(self.text):
            match = _TOKENS.match(self.text, position)
            if match is None:
                raise ConditionError(self.text, position + 1, f"{self.text[position]!r} is not part of the language")
            kind = match.lastgroup or ""
            if kind == "float":
                raise ConditionError(self.text, position + 1, "floats are not exact; give a currency or a whole number")
            if kind != "space":
                tokens.append(_Token(kind, match[0], position + 1))
            position = match.end()
        tokens.append(_Token("end", "", len(self.text) + 1))
        return tokens

    # --- the grammar, loosest binding first ---

    def condition(self) -> Callable[[Facts], Truth]:
        node = self._either()
        if self._peek().kind != "end":
            raise self._error(f"unexpected {self._peek().text!r}", self._peek())
        return node

    def _either(self) -> Callable[[Facts], Truth]:
        node = self._both()
        while self._take("name", "or"):
            node = _or(node, self._both())
        return node

    def _both(self) -> Callable[[Facts], Truth]:
        node = self._negation()
        while self._take("name", "and"):
            node = _and(node, self._negation())
        return node

    def _negation(self) -> Callable[[Facts], Truth]:
        if self._take("name", "not"):
            return _not(self._negation())
        return self._comparison()

    def _comparison(self) -> Callable[[Facts], Truth]:
        if self._peek().text == "(" and (grouped := self._group()) is not None:
            return grouped
        if self._peek().text == "known" and self.tokens[self.at + 1].text == "(":
            return self._known()
        left = self._sum()
        token = self._peek()
        if token.text in _COMPARE:
            self.at += 1
            return self._compare(left, token, self._sum())
        if token.text == "in":
            self.at += 1
            return self._membership(left)
        if token.text == "not" and self.tokens[self.at + 1].text == "in":
            self.at += 2
            return _not(self._membership(left))
        if left.type is ValueType.BOOL:
            return _truth_of(left.read)
        raise self._error(f"a {left.type} alone is not a condition; compare it with something", token)

    def _known(self) -> Callable[[Facts], Truth]:
        self.at += 2
        name = self._peek()
        self.at += 1
        if name.kind != "name" or not self._take("op", ")"):
            raise self._error("known() takes one field", name)
        self._field(name)
        return _known(name.text)

    def _group(self) -> Callable[[Facts], Truth] | None:
        """`( condition )`; None where the parenthesis belongs to a sum instead."""
        start = self.at
        self.at += 1
        node = self._either()
        if not self._take("op", ")"):
            raise self._error("')' is missing", self._peek())
        following = self._peek().text
        if following in _COMPARE or following in ("+", "in"):
            self.at = start
            raise self._error("parentheses group conditions, not values", self.tokens[start])
        return node

    def _sum(self) -> _Term:
        term = self._term()
        while self._take("op", "+"):
            other = self._term()
            if term.type != other.type or term.type not in _ADDABLE or term.limit or other.limit:
                raise ConditionError(self.text, other.column, f"cannot add a {other.type} to a {term.type}")
            term = _Term(term.type, _add(term.read, other.read), term.column)
        return term

    def _term(self) -> _Term:
        token = self._peek()
        self.at += 1
        match token.kind:
            case "money":
                amount, currency = token.text.split()
                try:
                    return _literal(ValueType.MONEY, Money.from_decimal(amount, currency), token.column)
                except MoneyError as error:
                    raise self._error(str(error), token) from error
            case "duration":
                return _literal(ValueType.DURATION, parse_duration(token.text), token.column)
            case "int":
                return _literal(ValueType.INT, int(token.text), token.column)
            case "string":
                return _literal(ValueType.TEXT, token.text[1:-1], token.column)
            case "name" if token.text in ("true", "false"):
                return _literal(ValueType.BOOL, token.text == "true", token.column)
            case "name" if self._peek().text == "(":
                return self._call(token)
            case "name" if token.text not in ("and", "or", "not", "in"):
                return self._field(token)
        raise self._error("a field or a value is missing here", token)

    def _call(self, name: _Token) -> _Term:
        if name.text not in _FUNCTIONS:
            raise self._error(f"there is no function {name.text}()", name, _suggest(name.text, _FUNCTIONS))
        self.at += 1
        argument = self._peek()
        self.at += 1
        if argument.kind != "name" or not self._take("op", ")"):
            raise self._error(f"{name.text}() takes one name", argument)
        match name.text:
            case "limit":
                table = _lookup(self, self.scope.limits, argument, "limit")
                self.used_limits.add(argument.text)
                return _Term(ValueType.MONEY, lambda _facts: UNKNOWN, name.column, limit=table)
            case "freshness":
                period = _lookup(self, self.scope.freshness, argument, "freshness kind")
                return _literal(ValueType.DURATION, period, name.column)
            case "age":
                self._field(argument)
                return _Term(ValueType.DURATION, _age(argument.text), name.column)
            case "until":
                if self._field(argument).type is not ValueType.TIME:
                    raise self._error(f"until() takes a time, and {argument.text} is none", argument)
                return _Term(ValueType.DURATION, _until(argument.text), name.column)
        raise self._error(f"{name.text}() is a condition of its own and no value", name)

    def _field(self, token: _Token) -> _Term:
        declared = _lookup(self, self.scope.fields, token, "field")
        self.used_fields.add(token.text)
        name = token.text
        return _Term(declared.type, lambda facts: facts.get(name), token.column, declared.values)

    # --- typing ---

    def _compare(self, left: _Term, op: _Token, right: _Term) -> Callable[[Facts], Truth]:
        if left.type != right.type:
            raise self._error(f"cannot compare a {left.type} with a {right.type}", op)
        inclusion = left.type is ValueType.SET and op.text in ("<=", "==", "!=")
        if op.text not in ("==", "!=") and left.type not in _ORDERED and not inclusion:
            raise self._error(f"a {left.type} has no order; use == or !=", op)
        self._check_values(left, right)
        self._check_values(right, left)
        if left.limit is not None and right.limit is not None:
            raise self._error("compare a limit with a field, not with a limit", op)
        return _comparison(left, _COMPARE[op.text], right)

    def _check_values(self, field: _Term, literal: _Term) -> None:
        if field.values and isinstance(literal.literal, str) and literal.literal not in field.values:
            hint = _suggest(literal.literal, field.values)
            raise ConditionError(self.text, literal.column, f"{literal.literal!r} is never a value of this field", hint)

    def _membership(self, left: _Term) -> Callable[[Facts], Truth]:
        opening = self._peek()
        if opening.kind == "name":
            return self._member_of_field(left)
        if not self._take("op", "["):
            raise self._error("`in` takes a list such as ['a', 'b'], or a set field", opening)
        items = []
        while not self._take("op", "]"):
            item = self._term()
            if item.literal is None or item.type != left.type:
                raise ConditionError(self.text, item.column, f"the list may hold only {left.type} values")
            self._check_values(left, item)
            items.append(item.literal)
            if not self._take("op", ",") and self._peek().text != "]":
                raise self._error("',' or ']' is missing", self._peek())
        return _membership(left.read, tuple(items))

    def _member_of_field(self, left: _Term) -> Callable[[Facts], Truth]:
        token = self._peek()
        right = self._term()
        if right.type is not ValueType.SET or left.type is not ValueType.TEXT:
            raise self._error("`in` takes a list such as ['a', 'b'], or a set field after a text", token)
        return _member(left.read, right.read)

    # --- small tools of the parser ---

    def _peek(self) -> _Token:
        return self.tokens[self.at]

    def _take(self, kind: str, text: str) -> bool:
        if self._peek().kind == kind and self._peek().text == text:
            self.at += 1
            return True
        return False

    def _error(self, message: str, token: _Token, hint: str = "") -> ConditionError:
        return ConditionError(self.text, token.column, message, hint)


def _lookup(parser: _Parser, table: Mapping[str, _T], token: _Token, what: str) -> _T:
    if token.text not in table:
        raise ConditionError(parser.text, token.column, f"there is no {what} {token.text!r}", _suggest(token.text, table))
    return table[token.text]


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


# --- evaluation ---


def _literal(kind: ValueType, value: Any, column: int) -> _Term:
    return _Term(kind, lambda _facts: value, column, literal=value)


def _comparable(value: Any) -> Any:
    """A text enum compares as its text; a time without zone is no time at all."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return UNKNOWN
    return value


def _and(left: Callable[[Facts], Truth], right: Callable[[Facts], Truth]) -> Callable[[Facts], Truth]:
    return lambda facts: min(left(facts), right(facts))


def _or(left: Callable[[Facts], Truth], right: Callable[[Facts], Truth]) -> Callable[[Facts], Truth]:
    return lambda facts: max(left(facts), right(facts))


def _not(inner: Callable[[Facts], Truth]) -> Callable[[Facts], Truth]:
    return lambda facts: Truth(2 - inner(facts))


def _truth_of(read: _Evaluate) -> Callable[[Facts], Truth]:
    def evaluate(facts: Facts) -> Truth:
        value = read(facts)
        return Truth.UNKNOWN if type(value) is not bool else (Truth.TRUE if value else Truth.FALSE)

    return evaluate


_PYTHON_TYPE: Mapping[ValueType, type] = {
    ValueType.BOOL: bool,
    ValueType.INT: int,
    ValueType.TEXT: str,
    ValueType.MONEY: int,
    ValueType.TIME: datetime,
    ValueType.DURATION: timedelta,
    ValueType.SET: frozenset,
}
"""What a value of each type is by the time it is compared; money of one currency has become its minor units."""


def _comparison(left: _Term, compare: Callable[[Any, Any], bool], right: _Term) -> Callable[[Facts], Truth]:
    kind, is_money = _PYTHON_TYPE[left.type], left.type is ValueType.MONEY

    def evaluate(facts: Facts) -> Truth:
        a, b = _comparable(left.read(facts)), _comparable(right.read(facts))
        if left.limit is not None and isinstance(b, Money):
            a = left.limit.get(b.currency, UNKNOWN)
        if right.limit is not None and isinstance(a, Money):
            b = right.limit.get(a.currency, UNKNOWN)
        if is_money:
            if not isinstance(a, Money) or not isinstance(b, Money) or a.currency != b.currency:
                return Truth.UNKNOWN
            a, b = a.amount, b.amount
        if isinstance(a, Unknown) or isinstance(b, Unknown) or type(a) is not type(b) or type(a) is not kind:
            return Truth.UNKNOWN
        return Truth.TRUE if compare(a, b) else Truth.FALSE

    return evaluate


def _membership(read: _Evaluate, items: tuple[Any, ...]) -> Callable[[Facts], Truth]:
    def evaluate(facts: Facts) -> Truth:
        value = _comparable(read(facts))
        if not items:
            return Truth.FALSE
        if isinstance(value, Unknown) or type(value) is not type(items[0]):
            return Truth.UNKNOWN
        if isinstance(value, Money) and any(item.currency != value.currency for item in items):
            return Truth.TRUE if value in items else Truth.UNKNOWN
        return Truth.TRUE if value in items else Truth.FALSE

    return evaluate


def _member(read: _Evaluate, read_set: _Evaluate) -> Callable[[Facts], Truth]:
    def evaluate(facts: Facts) -> Truth:
        value, members = _comparable(read(facts)), read_set(facts)
        if not isinstance(value, str) or not isinstance(members, frozenset):
            return Truth.UNKNOWN
        return Truth.TRUE if value in members else Truth.FALSE

    return evaluate


def _known(name: str) -> Callable[[Facts], Truth]:
    def evaluate(facts: Facts) -> Truth:
        if name not in facts.by_name:
            return Truth.FALSE
        return Truth.UNKNOWN if isinstance(facts.get(name), Unknown) else Truth.TRUE

    return evaluate


def _add(left: _Evaluate, right: _Evaluate) -> _Evaluate:
    def evaluate(facts: Facts) -> Any:
        a, b = left(facts), right(facts)
        if isinstance(a, Unknown) or isinstance(b, Unknown):
            return UNKNOWN
        if isinstance(a, Money) and isinstance(b, Money):
            return Money(a.amount + b.amount, a.currency) if a.currency == b.currency else UNKNOWN
        if type(a) is not type(b) or type(a) not in (int, timedelta):
            return UNKNOWN
        return a + b

    return evaluate


def _age(name: str) -> _Evaluate:
    return lambda facts: facts.age(name)


def _until(name: str) -> _Evaluate:
    def evaluate(facts: Facts) -> timedelta | Unknown:
        moment = facts.get(name)
        return moment - facts.as_of if isinstance(moment, datetime) and moment.tzinfo is not None else UNKNOWN

    return evaluate
