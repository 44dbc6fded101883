"""Some rows of a segment, as conditions ask of them: codes, numbers, ages, and what an action adds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guardrails.facts import CLOCK_SKEW, UNKNOWN
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.syntax import ValueType
from guardrails.replay.columns import Column, Columns, Needs, State, microseconds
from guardrails.replay.segment_shapes import EMPTY, EPOCH, FIRST_VALUE, Coded, Numbers
from guardrails.replay.segments import Segment

OFF, SOURCES, CONFLICTS = "@off", "@sources", "@conflicts"
"""Names, beside those of fields, of what is kept as a set per row."""

Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]

MOST_VALUES: Final = 512
"""A condition is answered value by value, and then looked up, when it reads at most so many."""

_SKEW: Final = -microseconds(CLOCK_SKEW)


@dataclass(frozen=True, slots=True)
class View:
    """Rows of a segment (None: all of them). `said` are the fields that are the same in all rows because an action says them,
    `amounts` what `action.amount` is."""

    segment: Segment
    rows: Rows | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    amounts: Numbers | None = None
    together: Numbers | None = None
    """What all actions of this name in the ruling are about, taken together."""

    @property
    def size(self) -> int:
        return self.segment.size if self.rows is None else len(self.rows)

    def only(self, rows: Rows) -> "View":
        """These of the view's rows."""
        chosen = rows if self.rows is None else self.rows[rows]
        return View(self.segment, chosen, self.said, _only(self.amounts, rows), _only(self.together, rows))

    def picked(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array over all rows of the segment, in these rows."""
        return array if self.rows is None else array.take(self.rows)

    # --- values ---

    def coded(self, name: str) -> Coded | None:
        """None where the field is kept as numbers."""
        if name in self.said:
            value = self.said[name]
            code = EMPTY if value is UNKNOWN else FIRST_VALUE
            return Coded(np.broadcast_to(np.uint8(code), (self.size,)), code, () if value is UNKNOWN else (value,))
        if name == "action.amount" and self.amounts is not None:
            return None
        kept = self._kept(name)
        if kept is None or self.rows is None:
            return kept
        codes = np.broadcast_to(kept.codes[:1], (self.size,)) if kept.same is not None else kept.codes.take(self.rows)
        return Coded(codes, kept.same, kept.values, kept.first)

    def _kept(self, name: str) -> Coded | None:
        match name:
            case "@off":
                return self.segment.off
            case "@sources":
                return self.segment.sets("sources")
            case "@conflicts":
                return self.segment.sets("conflicts")
        return self.segment.coded(name)

    def numbers(self, name: str) -> Numbers:
        """Whole numbers (codes of texts excepted), however the field is kept."""
        if name == "action.amount" and self.amounts is not None:
            return self.amounts
        coded = self.coded(name)
        if coded is None:
            return self.segment.numbers(name, self.rows)
        listed = tuple(dict.fromkeys(value.currency for value in coded.values if isinstance(value, Money)))
        numbers = [0, 0, *(_number(value) for value in coded.values)]
        currencies = [0, 0, *(listed.index(value.currency) if isinstance(value, Money) else 0 for value in coded.values)]
        codes = coded.codes
        return Numbers(states_of(coded), np.array(numbers, np.int64)[codes], np.array(currencies, np.int32)[codes], listed)

    def states(self, name: str) -> NDArray[np.uint8]:
        coded = self.coded(name)
        return states_of(coded) if coded is not None else self.numbers(name).states

    # --- when it was seen ---

    def distances(self, name: str) -> NDArray[np.int64]:
        """How long before `as_of` it was observed, where somebody stated it."""
        if name in self.said or name == "action.amount" or f"seen:{name}" not in self.segment.names:
            return np.zeros(self.size, np.int64)
        return self.segment.distances(name, self.rows)

    def stale(self, name: str) -> Flags | None:
        """Where it is marked as stale; None where it nowhere is."""
        marks = None if name in self.said or name == "action.amount" else self.segment.marks(name)
        if marks is None or not any(mark[1] for mark in marks.values):
            return None
        stale: Flags = np.array([mark[1] for mark in marks.values], bool)[self.picked(marks.codes)]
        return stale

    def ages(self, name: str) -> NDArray[np.int64]:
        """Below zero where unknown."""
        distances = self.distances(name)
        usable = (self.states(name) == State.USABLE) & (distances >= _SKEW)
        return np.where(usable, np.maximum(distances, 0), -1)

    # --- for conditions that no table of values answers ---

    def columns(self, needs: Needs) -> Columns:
        """The rows as `asking.ask` takes them."""
        words, members = _vocabulary([self.coded(name) for name in needs.types])
        fields = {name: self._column(name, words, members) for name in needs.types}
        as_of = self.picked(self.segment.as_of)
        return Columns(self.size, as_of, fields, {name: self.ages(name) for name in needs.ages}, words, members, {})

    def _column(self, name: str, words: dict[str, int], members: dict[Any, int]) -> Column:
        kind = CATALOGUE[name].type
        coded = self.coded(name)
        none = np.broadcast_to(np.int32(0), (self.size,))
        if coded is not None and kind in (ValueType.TEXT, ValueType.SET, ValueType.BOOL):
            return Column(states_of(coded), _tabled(coded, kind, words, members)[coded.codes], none)
        kept = self.numbers(name)
        if kind is not ValueType.MONEY:
            return Column(kept.states, kept.numbers, none)
        codes = np.array([words.setdefault(code, len(words)) for code in kept.listed] or [0], np.int32)
        return Column(kept.states, kept.numbers, codes[kept.currencies])


def _only(kept: Numbers | None, rows: Rows) -> Numbers | None:
    return None if kept is None else Numbers(kept.states[rows], kept.numbers[rows], kept.currencies[rows], kept.listed)


def _number(value: Any) -> int:
    match value:
        case Money(amount, _):
            return amount
        case datetime():
            return microseconds(value - EPOCH)
        case timedelta():
            return microseconds(value)
    return value if isinstance(value, int) else 0


_STATES: Final = np.array([State.ABSENT, State.EMPTY, State.USABLE], np.uint8)


def states_of(coded: Coded) -> NDArray[np.uint8]:
    if coded.same is not None:
        return np.broadcast_to(_STATES[min(coded.same, FIRST_VALUE)], coded.codes.shape)
    return _STATES[np.minimum(coded.codes, FIRST_VALUE)]


def _vocabulary(columns: Collection[Coded | None]) -> tuple[dict[str, int], dict[Any, int]]:
    words: dict[str, int] = {}
    members: dict[Any, int] = {}
    for value in [value for column in columns if column is not None for value in column.values]:
        if isinstance(value, str):
            words.setdefault(value, len(words))
        elif isinstance(value, frozenset):
            for member in sorted(value):
                members.setdefault(member, len(members))
                words.setdefault(member, len(words))
    return words, members


def _tabled(coded: Coded, kind: ValueType, words: Mapping[str, int], members: Mapping[Any, int]) -> NDArray[Any]:
    """The number of each code."""
    if kind is ValueType.TEXT:
        return np.array([0, 0, *(words[value] for value in coded.values)], np.int64)
    if kind is ValueType.BOOL:
        return np.array([False, False, *coded.values], bool)
    width, low = max(1, -(-len(members) // 64)), (1 << 64) - 1
    masks = [0, 0, *(sum(1 << members[member] for member in value) for value in coded.values)]
    return np.array([[(mask >> (64 * at)) & low for at in range(width)] for mask in masks], np.uint64)
