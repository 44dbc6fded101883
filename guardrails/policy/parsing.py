"""Reads the text of a condition into its tree: tokens, grammar, types. Every mistake has its column.

Grammar, loosest binding first: `or`, `and`, `not`, one comparison. Parentheses group conditions, never values.
"""

import difflib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple, TypeVar

from guardrails.money import Money, MoneyError
from guardrails.policy.syntax import (
    ADDABLE,
    ORDERED,
    AgeOf,
    Both,
    Comparison,
    ConditionError,
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
    Scope,
    Sum,
    UntilOf,
    ValueType,
)
from guardrails.policy.tokens import Token, parse_duration, tokenise

_T = TypeVar("_T")
_FUNCTIONS = ("limit", "age", "until", "freshness", "known")
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})

_LONGEST = 2_000
"""Characters in one condition. Nesting costs stack, at load and at every ruling."""

_MOST_COMPARED = 500
"""Names that a misspelt one is compared with; the catalogue has fewer, and a file may name any number of limits."""


class Parsed(NamedTuple):
    """A condition's tree, the fields it reads and the limit tables it refers to."""

    tree: Node
    fields: frozenset[str]
    limits: frozenset[str]


def parse_condition(text: str, scope: Scope) -> Parsed:
    """Parse and type-check one line. Raises ConditionError with the column of the first mistake."""
    if len(text) > _LONGEST:
        raise ConditionError(text, _LONGEST, f"a condition is one line of at most {_LONGEST} characters")
    parser = _Parser(text, scope)
    try:
        tree = parser.condition()
    except RecursionError as error:
        raise ConditionError(text, 1, "the condition is nested too deeply") from error
    return Parsed(tree, frozenset(parser.used_fields), frozenset(parser.used_limits))


class _Parser:
    def __init__(self, text: str, scope: Scope) -> None:
        self.text, self.scope = text, scope
        self.tokens = tokenise(text)
        self.at = 0
        self.used_fields: set[str] = set()
        self.used_limits: set[str] = set()

    # --- the grammar, loosest binding first ---

    def condition(self) -> Node:
        node = self._either()
        if self._peek().kind != "end":
            raise self._error(f"unexpected {self._peek().text!r}", self._peek())
        return node

    def _either(self) -> Node:
        parts = [self._both()]
        while self._take("name", "or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Node:
        parts = [self._negation()]
        while self._take("name", "and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _negation(self) -> Node:
        if self._take("name", "not"):
            return Not(self._negation())
        return self._comparison()

    def _comparison(self) -> Node:
        if self._peek().text == "(" and (grouped := self._group()) is not None:
            return grouped
        if self._peek().text == "known" and self.tokens[self.at + 1].text == "(":
            return self._known()
        left = self._sum()
        token = self._peek()
        if token.text in _COMPARISONS:
            self.at += 1
            return self._compare(left, token, self._sum())
        if token.text == "in":
            self.at += 1
            return self._membership(left)
        if token.text == "not" and self.tokens[self.at + 1].text == "in":
            self.at += 2
            return Not(self._membership(left))
        if left.type is ValueType.BOOL:
            return Flag(left)
        raise self._error(f"a {left.type} alone is not a condition; compare it with something", token)

    def _known(self) -> Node:
        self.at += 2
        name = self._peek()
        self.at += 1
        if name.kind != "name" or not self._take("op", ")"):
            raise self._error("known() takes one field", name)
        self._field(name)
        return Known(name.text, name.column)

    def _group(self) -> Node | None:
        """`( condition )`; None where the parenthesis belongs to a sum instead."""
        start = self.at
        self.at += 1
        node = self._either()
        if not self._take("op", ")"):
            raise self._error("')' is missing", self._peek())
        following = self._peek().text
        if following in _COMPARISONS or following in ("+", "in"):
            self.at = start
            raise self._error("parentheses group conditions, not values", self.tokens[start])
        return node

    def _sum(self) -> Operand:
        first = self._term()
        terms = [first]
        while self._take("op", "+"):
            other = self._term()
            if first.type != other.type or first.type not in ADDABLE or isinstance(first, LimitOf) or isinstance(other, LimitOf):
                raise ConditionError(self.text, other.column, f"cannot add a {other.type} to a {first.type}")
            terms.append(other)
        return first if len(terms) == 1 else Sum(tuple(terms), first.type, first.column)

    def _term(self) -> Operand:
        token = self._peek()
        self.at += 1
        match token.kind:
            case "money":
                return Literal(ValueType.MONEY, self._money(token), token.column)
            case "duration":
                return Literal(ValueType.DURATION, self._duration(token), token.column)
            case "int":
                return Literal(ValueType.INT, int(token.text), token.column)
            case "string":
                return Literal(ValueType.TEXT, token.text[1:-1], token.column)
            case "name" if token.text in ("true", "false"):
                return Literal(ValueType.BOOL, token.text == "true", token.column)
            case "name" if self._peek().text == "(":
                return self._call(token)
            case "name" if token.text not in ("and", "or", "not", "in"):
                return self._field(token)
        raise self._error("a field or a value is missing here", token)

    def _money(self, token: Token) -> Money:
        amount, currency = token.text.split()
        try:
            return Money.from_decimal(amount, currency)
        except MoneyError as error:
            raise self._error(str(error), token) from error

    def _duration(self, token: Token) -> timedelta:
        try:
            return parse_duration(token.text)
        except ValueError as error:
            raise self._error(str(error), token) from error

    def _call(self, name: Token) -> Operand:
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
                return LimitOf(argument.text, table, name.column)
            case "freshness":
                period = _lookup(self, self.scope.freshness, argument, "freshness kind")
                return Literal(ValueType.DURATION, period, name.column)
            case "age":
                self._field(argument)
                return AgeOf(argument.text, name.column)
            case "until":
                if self._field(argument).type is not ValueType.TIME:
                    raise self._error(f"until() takes a time, and {argument.text} is none", argument)
                return UntilOf(argument.text, name.column)
        raise self._error(f"{name.text}() is a condition of its own and no value", name)

    def _field(self, token: Token) -> FieldValue:
        declared = _lookup(self, self.scope.fields, token, "field")
        self.used_fields.add(token.text)
        return FieldValue(token.text, declared.type, token.column, declared.values)

    # --- typing ---

    def _compare(self, left: Operand, op: Token, right: Operand) -> Node:
        if left.type != right.type:
            raise self._error(f"cannot compare a {left.type} with a {right.type}", op)
        inclusion = left.type is ValueType.SET and op.text in ("<=", "==", "!=")
        if op.text not in ("==", "!=") and left.type not in ORDERED and not inclusion:
            raise self._error(f"a {left.type} has no order; use == or !=", op)
        self._check_values(left, right)
        self._check_values(right, left)
        if isinstance(left, LimitOf) and isinstance(right, LimitOf):
            raise self._error("compare a limit with a field, not with a limit", op)
        return Comparison(left, op.text, right, op.column)

    def _check_values(self, field: Operand, literal: Operand) -> None:
        if not isinstance(field, FieldValue) or not isinstance(literal, Literal) or not isinstance(literal.value, str):
            return
        if field.values and literal.value not in field.values:
            hint = _suggest(literal.value, field.values)
            raise ConditionError(self.text, literal.column, f"{literal.value!r} is never a value of this field", hint)

    def _membership(self, left: Operand) -> Node:
        opening = self._peek()
        if opening.kind == "name":
            return self._member_of_field(left)
        if not self._take("op", "["):
            raise self._error("`in` takes a list such as ['a', 'b'], or a set field", opening)
        items: list[LiteralValue] = []
        while not self._take("op", "]"):
            item = self._term()
            if not isinstance(item, Literal) or item.type != left.type:
                raise ConditionError(self.text, item.column, f"the list may hold only {left.type} values")
            self._check_values(left, item)
            items.append(item.value)
            if not self._take("op", ",") and self._peek().text != "]":
                raise self._error("',' or ']' is missing", self._peek())
        return OneOf(left, tuple(items))

    def _member_of_field(self, left: Operand) -> Node:
        token = self._peek()
        right = self._term()
        if right.type is not ValueType.SET or left.type is not ValueType.TEXT:
            raise self._error("`in` takes a list such as ['a', 'b'], or a set field after a text", token)
        return MemberOf(left, right)

    # --- small tools of the parser ---

    def _peek(self) -> Token:
        return self.tokens[self.at]

    def _take(self, kind: str, text: str) -> bool:
        if self._peek().kind == kind and self._peek().text == text:
            self.at += 1
            return True
        return False

    def _error(self, message: str, token: Token, hint: str = "") -> ConditionError:
        return ConditionError(self.text, token.column, message, hint)


def _lookup(parser: _Parser, table: Mapping[str, _T], token: Token, what: str) -> _T:
    if token.text not in table:
        raise ConditionError(parser.text, token.column, f"there is no {what} {token.text!r}", _suggest(token.text, table))
    return table[token.text]


def _suggest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6) if len(names) <= _MOST_COMPARED else []
    return f"did you mean {close[0]!r}?" if close else ""
