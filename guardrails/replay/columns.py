"""The facts of many rulings as columns, so that a condition can be asked of all of them at once.

Texts and currencies are codes into one vocabulary, sets are bit masks, times and durations whole microseconds, money whole
minor units beside its currency. A state per value says absent, empty, of the wrong kind, or usable. A row with a value that
columns cannot hold exactly (a number beyond 2**50, a time decades away) keeps its facts, and the closures answer for it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.syntax import (
    AgeOf,
    FieldValue,
    Known,
    Node,
    UntilOf,
    ValueType,
    leaves_of,
)

LARGEST = 2**50
"""The largest number that a column holds. A condition has fewer than a thousand terms, so that no sum leaves 64 bits."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORD = 64


class State(IntEnum):
    ABSENT = 0
    """Nobody has said anything."""
    EMPTY = 1
    """A system answered, and the answer is unknown."""
    ODD = 2
    """A value of another kind than the field's."""
    USABLE = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One field over all rows. `values` is int64 (a code for texts), bool, or uint64 words of shape (rows, words) for sets;
    `currencies` are codes, for money only. Where the state is not USABLE both mean nothing."""

    states: NDArray[np.uint8]
    values: NDArray[Any]
    currencies: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Columns:
    """`as_of` in microseconds since 1970; `ages` in microseconds, below zero where unknown."""

    size: int
    as_of: NDArray[np.int64]
    fields: Mapping[str, Column]
    ages: Mapping[str, NDArray[np.int64]]
    words: Mapping[str, int]
    members: Mapping[Any, int]
    whole: Mapping[int, Facts]
    """The rows that columns cannot hold exactly."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The fields to encode with their types (None where only whether it is known counts), and those whose age is asked."""

    types: Mapping[str, ValueType | None]
    ages: frozenset[str]


def needs_of(trees: Collection[Node]) -> Needs:
    """What these conditions read."""
    types: dict[str, ValueType | None] = {}
    ages: set[str] = set()
    for tree in trees:
        for item in leaves_of(tree):
            match item:
                case FieldValue(name, kind):
                    types[name] = kind
                case UntilOf(name):
                    types[name] = ValueType.TIME
                case AgeOf(name):
                    ages.add(name)
                    types.setdefault(name, None)
                case Known(name):
                    types.setdefault(name, None)
    return Needs(types, frozenset(ages))


# --- encoding ---


def encode(rulings: Sequence[Facts], needs: Needs) -> Columns:
    """The columns of these facts. Raises ValueError where `as_of` is no time with a zone."""
    coder = _Coder([_since_epoch(facts.as_of) for facts in rulings])
    fields = {name: coder.column([facts.by_name.get(name) for facts in rulings], kind) for name, kind in needs.types.items()}
    ages = {name: coder.ages(rulings, name) for name in needs.ages}
    whole = {row: rulings[row] for row in sorted(coder.whole)}
    # A set column is as wide as the vocabulary was when it was made; all of them become as wide as it is now.
    width = max(1, -(-len(coder.members) // _WORD))
    fields = {name: _widened(item, width) if needs.types[name] is ValueType.SET else item for name, item in fields.items()}
    return Columns(len(rulings), np.array(coder.as_of, np.int64), fields, ages, coder.words, coder.members, whole)


def _since_epoch(moment: Any) -> int:
    if type(moment) is not datetime or moment.utcoffset() is None:
        raise ValueError("facts without a moment in a time zone cannot be compared; give `as_of` one")
    return microseconds(moment - _EPOCH)


def microseconds(period: timedelta) -> int:
    return (period.days * 86_400 + period.seconds) * 1_000_000 + period.microseconds


def _widened(column: Column, width: int) -> Column:
    missing = width - column.values.shape[1]
    return Column(column.states, np.pad(column.values, ((0, 0), (0, missing))), column.currencies)


@dataclass(slots=True)
class _Coder:
    """Turns values into numbers, and notes the rows for which it cannot."""

    as_of: list[int]
    words: dict[str, int] = field(default_factory=dict)
    members: dict[Any, int] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)

    def column(self, facts: Sequence[Fact | None], kind: ValueType | None) -> Column:
        states, values, currencies = [], [], []
        for row, fact in enumerate(facts):
            state, value, currency = self._cell(row, fact, kind)
            states.append(state)
            values.append(value)
            currencies.append(currency)
        array = _masks(values) if kind is ValueType.SET else np.array(values, bool if kind is ValueType.BOOL else np.int64)
        return Column(np.array(states, np.uint8), array, np.array(currencies, np.int32))

    def ages(self, rulings: Sequence[Facts], name: str) -> NDArray[np.int64]:
        ages = []
        for row, facts in enumerate(rulings):
            fact = facts.by_name.get(name)
            observed_at: object = None if fact is None else fact.observed_at
            if not isinstance(observed_at, datetime | None):
                self.whole.add(row)
                ages.append(-1)
                continue
            age = facts.age(name)
            ages.append(self._held(row, microseconds(age)) if isinstance(age, timedelta) else -1)
        return np.array(ages, np.int64)

    def _cell(self, row: int, fact: Fact | None, kind: ValueType | None) -> tuple[State, int, int]:
        if fact is None:
            return State.ABSENT, 0, 0
        if fact.value is UNKNOWN:
            return State.EMPTY, 0, 0
        number = None if kind is None else self._number(row, fact.value, kind)
        if number is None:
            return State.ODD, 0, 0
        return State.USABLE, number, self.code(fact.value.currency) if isinstance(fact.value, Money) else 0

    def _number(self, row: int, value: Any, kind: ValueType) -> int | None:
        match kind:
            case ValueType.BOOL if type(value) is bool:
                return int(value)
            case ValueType.INT if type(value) is int:
                return self._held(row, value)
            case ValueType.TEXT if isinstance(value, str) and type(str(value)) is str:
                return self.code(str(value))
            case ValueType.MONEY if type(value) is Money:
                return self._held(row, value.amount)
            case ValueType.TIME if isinstance(value, datetime) and value.tzinfo is not None:
                return self._time(row, value)
            case ValueType.DURATION if type(value) is timedelta:
                return self._held(row, microseconds(value))
            case ValueType.SET if type(value) is frozenset:
                return sum(1 << self.members.setdefault(item, len(self.members)) for item in value)
        return None

    def _time(self, row: int, value: datetime) -> int:
        if type(value) is not datetime or value.utcoffset() is None:
            self.whole.add(row)
            return 0
        moment = microseconds(value - _EPOCH)
        return self._held(row, moment - self.as_of[row]) + self.as_of[row]

    def _held(self, row: int, number: int) -> int:
        if -LARGEST <= number <= LARGEST:
            return number
        self.whole.add(row)
        return 0

    def code(self, text: str) -> int:
        return self.words.setdefault(text, len(self.words))


def _masks(values: Sequence[int]) -> NDArray[np.uint64]:
    width = max(1, -(-max((value.bit_length() for value in values), default=1) // _WORD))
    low = (1 << _WORD) - 1
    return np.array([[(value >> (_WORD * at)) & low for at in range(width)] for value in values], np.uint64).reshape(-1, width)
