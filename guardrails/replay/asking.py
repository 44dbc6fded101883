"""A condition asked of columns: the same tree and the same three truths as its closures, a chunk of rows at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import COMPARE, Condition
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
    MemberOf,
    Node,
    Not,
    OneOf,
    Operand,
    Sum,
    UntilOf,
    ValueType,
)
from guardrails.policy.tables import Line, WhenUnknown
from guardrails.replay.columns import Columns, State, microseconds
from guardrails.taxonomy import Truth

CHUNK = 65_536
"""Rows asked at a time, so that what a condition computes stays in the cache."""

Truths = NDArray[np.uint8]
"""A `Truth` per row."""
_Flags = NDArray[np.bool_]


def ask(condition: Condition, columns: Columns) -> Truths:
    """What the condition is in every row."""
    if condition.tree is None:
        raise ValueError(f"{condition.text!r} was not written in the language, so columns cannot be asked")
    truths = np.empty(columns.size, np.uint8)
    for start in range(0, columns.size, CHUNK):
        rows = slice(start, min(start + CHUNK, columns.size))
        truths[rows] = _Rows(columns, rows).truth(condition.tree)
    for row, facts in columns.whole.items():
        truths[row] = condition.evaluate(facts)
    return truths


def ask_line(line: Line, columns: Columns) -> tuple[_Flags, _Flags]:
    """In which rows the line fires, and in which of them because something is unknown, as `outcome_of` says it."""
    truths = ask(line.condition, columns)
    unknown = truths == Truth.UNKNOWN
    if line.when_unknown is WhenUnknown.QUIET:
        unknown &= ~_silence(line.condition, columns)
    return unknown | (truths == Truth.TRUE), unknown


def _silence(condition: Condition, columns: Columns) -> _Flags:
    """Something is unknown, and only because nobody mentioned it or a check had nothing to compute from."""
    unknown, answered = np.zeros(columns.size, bool), np.zeros(columns.size, bool)
    for name in condition.fields:
        states = columns.fields[name].states
        unknown |= states <= State.EMPTY
        if CATALOGUE[name].writer not in (Writer.DERIVED, Writer.CLOCK):
            answered |= states == State.EMPTY
    return unknown & ~answered


@dataclass(frozen=True, slots=True)
class _Number:
    """`varying + constant` where `valid`. The constant is exact; `currency` is a code or codes, 0 for what is no money."""

    varying: NDArray[np.int64] | int
    constant: int
    valid: _Flags | bool
    currency: NDArray[np.int32] | int = 0


@dataclass(frozen=True, slots=True)
class _Rows:
    columns: Columns
    at: slice
    unseen: dict[str, int] = field(default_factory=dict)

    # --- conditions ---

    def truth(self, node: Node) -> Truths:
        match node:
            case Both(parts):
                return _folded(np.minimum, [self.truth(part) for part in parts])
            case Either(parts):
                return _folded(np.maximum, [self.truth(part) for part in parts])
            case Not(inner):
                return 2 - self.truth(inner)
            case Comparison(left, op, right):
                return self._comparison(left, op, right)
            case OneOf(operand, items):
                return self._one_of(operand, items)
            case MemberOf(operand, members):
                return self._member(operand, members)
            case Known(name):
                return np.minimum(self._states(name), Truth.TRUE)
            case Flag(operand):
                return self._comparison(operand, "==", Literal(ValueType.BOOL, True, 0))

    def _comparison(self, left: Operand, op: str, right: Operand) -> Truths:
        if isinstance(left, LimitOf):
            return self._against_limit(right, _MIRRORED[op], left)
        if isinstance(right, LimitOf):
            return self._against_limit(left, op, right)
        if left.type is ValueType.SET:
            return self._sets(left, op, right)
        a, b = self._number(left), self._number(right)
        return self._leaf(a.valid & b.valid & (a.currency == b.currency), _compared(a, op, b))

    def _against_limit(self, operand: Operand, op: str, limit: LimitOf) -> Truths:
        """One pass per currency of the limit, since a limit is exact in each."""
        money = self._number(operand)
        valid, holds = np.zeros(self._size, bool), np.zeros(self._size, bool)
        for currency, amount in limit.table.items():
            if currency == amount.currency:
                here = money.valid & (money.currency == self._code(currency))
                valid |= here
                holds |= here & _compared(money, op, _Number(0, amount.amount, True))
        return self._leaf(valid, holds)

    def _sets(self, left: Operand, op: str, right: Operand) -> Truths:
        (a, valid), (b, also) = self._set(left), self._set(right)
        if op == "<=":
            return self._leaf(valid & also, ((a & ~b) == 0).all(axis=1))
        same = (a == b).all(axis=1)
        return self._leaf(valid & also, same if op == "==" else ~same)

    def _one_of(self, operand: Operand, items: Sequence[Any]) -> Truths:
        if not items:
            return np.full(self._size, Truth.FALSE, np.uint8)
        if isinstance(operand, LimitOf):
            return np.full(self._size, Truth.UNKNOWN, np.uint8)
        value = self._number(operand)
        listed = [self._number(Literal(operand.type, item, 0)) for item in items]
        comparable, found = np.ones(self._size, bool), np.zeros(self._size, bool)
        for item in listed:
            same = value.currency == item.currency
            comparable &= same
            found |= same & _compared(value, "==", item)
        return self._leaf(value.valid & (comparable | found), found)

    def _member(self, operand: Operand, members: Operand) -> Truths:
        (masks, valid), text = self._set(members), self._number(operand)
        bits = {self._code(word): bit for word, bit in self.columns.members.items() if isinstance(word, str)}
        found = np.zeros(self._size, bool)
        for code, bit in bits.items():
            has = (masks[:, bit // 64] >> np.uint64(bit % 64)) & np.uint64(1) != 0
            found |= has & _compared(text, "==", _Number(0, code, True))
        return self._leaf(valid & text.valid, found)

    def _leaf(self, valid: _Flags | bool, holds: _Flags | bool) -> Truths:
        truths = np.where(valid, np.where(holds, np.uint8(Truth.TRUE), np.uint8(Truth.FALSE)), np.uint8(Truth.UNKNOWN))
        return np.broadcast_to(truths, (self._size,))

    # --- operands ---

    def _number(self, operand: Operand) -> _Number:
        match operand:
            case Literal(_, value):
                return self._constant(value)
            case FieldValue(name, kind):
                column = self.columns.fields[name]
                currency = column.currencies[self.at] if kind is ValueType.MONEY else 0
                return _Number(column.values[self.at].astype(np.int64, copy=False), 0, self._usable(name), currency)
            case AgeOf(name):
                ages = self.columns.ages[name][self.at]
                return _Number(ages, 0, ages >= 0)
            case UntilOf(name):
                return _Number(self.columns.fields[name].values[self.at] - self.columns.as_of[self.at], 0, self._usable(name))
            case Sum(terms):
                return _added([self._number(term) for term in terms])
            case LimitOf():
                raise ValueError("a limit has no value before it is compared")

    def _constant(self, value: bool | int | str | Money | timedelta) -> _Number:
        match value:
            case Money(amount, currency):
                return _Number(0, amount, True, self._code(currency))
            case timedelta():
                return _Number(0, microseconds(value), True)
            case str():
                return _Number(0, self._code(value), True)
        return _Number(0, int(value), True)

    def _set(self, operand: Operand) -> tuple[NDArray[np.uint64], _Flags]:
        if not isinstance(operand, FieldValue):
            raise ValueError("only a field is a set")
        return self.columns.fields[operand.name].values[self.at], self._usable(operand.name)

    def _code(self, text: str) -> int:
        """The text's code; of one that no row holds, a code of its own below zero."""
        if text in self.columns.words:
            return self.columns.words[text]
        return self.unseen.setdefault(text, -1 - len(self.unseen))

    def _states(self, name: str) -> NDArray[np.uint8]:
        return self.columns.fields[name].states[self.at]

    def _usable(self, name: str) -> _Flags:
        usable: _Flags = self._states(name) == State.USABLE
        return usable

    @property
    def _size(self) -> int:
        size: int = self.at.stop - self.at.start
        return size


_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _compared(a: _Number, op: str, b: _Number) -> Any:
    """What varies on the left, what is constant on the right: a constant of any size is compared exactly."""
    return COMPARE[op](a.varying - b.varying, b.constant - a.constant)


def _added(terms: list[_Number]) -> _Number:
    first, *others = terms
    varying, constant, valid = first.varying, first.constant, first.valid
    for term in others:
        varying = varying + term.varying
        constant += term.constant
        valid = valid & term.valid & (term.currency == first.currency)
    return _Number(varying, constant, valid, first.currency)


def _folded(function: Callable[[Truths, Truths], Truths], parts: list[Truths]) -> Truths:
    result = parts[0]
    for part in parts[1:]:
        result = function(result, part)
    return result
