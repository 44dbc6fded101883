"""Recorded rulings as columns: one row per ruling, and one per action asked for. Each column is read only when it is needed.

Columns of a segment, by name:

    segment            format, size, the names of all columns
    rows               per row its kind and the verdict that was recorded
    at, as_of          microseconds since 1970; as_of as the distance from `at`
    decision, order_ref
    field:<name>       codes into a list of values (0 nobody has said anything, 1 the answer was unknown), or numbers
    marks:<name>       codes into a list of source, stale, conflict, untrusted, clock
    seen:<name>        how long before `as_of` it was observed
    sources, conflicts codes into lists of sets: the systems that speak in a row, the fields about which they disagree
    standing           switches that were off, and what the hour had spent
    actions            rows of actions, those of one name together
    whole              rulings that columns cannot hold exactly, as JSON

A column that is the same in all rows takes a few bytes, and one that no row has takes none.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.syntax import ValueType
from guardrails.replay.columns import State
from guardrails.replay.recorded import RecordedAction, RecordedRuling, from_json, valued
from guardrails.replay.segment_bytes import Packed, SegmentDamaged, Whole, numbers_of, text_of, unpack
from guardrails.replay.segment_shapes import (
    ABSENT,
    EMPTY,
    EPOCH,
    FIRST_VALUE,
    FORMAT,
    FROM_PROPOSAL,
    LARGEST_SEGMENT,
    NO_TIME,
    VERDICTS,
    ActionRows,
    Coded,
    Numbers,
    RowKind,
)
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Category

__all__ = ["FORMAT", "LARGEST_SEGMENT", "RowKind", "Segment", "SegmentDamaged"]


class Segment:
    """Columns by name; the mapping may fetch them when they are asked for. Raises SegmentDamaged where bytes are not as written."""

    def __init__(self, columns: Mapping[str, bytes]) -> None:
        self._columns = columns
        self._packed: dict[str, Packed] = {}
        head = self._read("segment").head
        if head.get("format") != FORMAT:
            raise SegmentDamaged("segment", f"it has format {head.get('format')!r} and this program reads {FORMAT}")
        self.size = int(head["size"])
        self.names = frozenset(head["columns"])
        self.first_at, self.last_at = _moment(head["first_at"]), _moment(head["last_at"])

    def _read(self, name: str) -> Packed:
        if name not in self._packed:
            data = self._columns.get(name)
            if data is None:
                raise SegmentDamaged(name, "it is missing")
            self._packed[name] = unpack(data, name)
        return self._packed[name]

    # --- rows ---

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """A RowKind per row."""
        return self._read("rows").arrays["kinds"]

    @cached_property
    def verdicts(self) -> NDArray[np.uint8]:
        """As recorded, by strictness."""
        return self._read("rows").arrays["verdicts"]

    @cached_property
    def at(self) -> NDArray[np.int64]:
        return numbers_of(self._read("at"))

    @cached_property
    def as_of(self) -> NDArray[np.int64]:
        return self.at + numbers_of(self._read("as_of"))

    def decision(self, row: int) -> str:
        return text_of(self._read("decision"), row)

    # --- facts ---

    def coded(self, name: str) -> Coded | None:
        """The field's codes, or None where it is kept as numbers. Of a field that no row has all codes are ABSENT."""
        if f"field:{name}" not in self.names:
            return Coded(np.broadcast_to(np.uint8(ABSENT), (self.size,)), ABSENT, ())
        packed = self._read(f"field:{name}")
        return _coded(packed, tuple(valued(item) for item in packed.head["values"])) if "values" in packed.head else None

    def numbers(self, name: str, rows: NDArray[np.intp] | None = None) -> Numbers:
        """A field that `coded` says is kept as numbers, in these rows."""
        packed = self._read(f"field:{name}")
        states, currencies = packed.arrays["states"], packed.arrays["currencies"]
        if rows is not None:
            states, currencies = states[rows], currencies[rows]
        return Numbers(states, numbers_of(packed, rows), currencies, tuple(packed.head["listed"]))

    def marks(self, name: str) -> Coded | None:
        """Lists of source, stale, conflict, untrusted, clock; None for a field that no row has."""
        if f"marks:{name}" not in self.names:
            return None
        packed = self._read(f"marks:{name}")
        return _coded(packed, tuple(tuple(item) for item in packed.head["values"]), 0)

    def distances(self, name: str, rows: NDArray[np.intp] | None = None) -> NDArray[np.int64]:
        """Microseconds from observation to `as_of`, NO_TIME where it has no usable time; meaningless where it is absent."""
        packed = self._read(f"seen:{name}")
        distances = numbers_of(packed, rows)
        if packed.same.get("timed") == 1:
            return distances
        timed = packed.arrays["timed"] if rows is None else packed.arrays["timed"][rows]
        return np.where(timed == 1, distances, NO_TIME)

    # --- what speaks and what is disputed; standing; actions ---

    def sets(self, name: str) -> Coded:
        """`sources` or `conflicts`: values are frozensets."""
        packed = self._read(name)
        return _coded(packed, tuple(frozenset(item) for item in packed.head["values"]), 0)

    @cached_property
    def off(self) -> Coded:
        """The switches that were off: frozensets."""
        packed = self._read("standing")
        return _coded(packed, tuple(frozenset(item) for item in packed.head["values"]), 0)

    @cached_property
    def spent_seen(self) -> NDArray[np.uint8]:
        """1 where it could be seen what the hour had spent."""
        return self._read("standing").arrays["seen"]

    def spent(self, key: str, unit: str) -> Whole | None:
        """What the hour had spent of a budget; the unit is a currency, or empty for the count. None: nothing in any row."""
        packed = self._read("standing")
        listed = [tuple(item) for item in packed.head["spent"]]
        return packed.arrays[f"spent{listed.index((key, unit))}"] if (key, unit) in listed else None

    @cached_property
    def actions(self) -> tuple[ActionRows, ...]:
        packed = self._read("actions")
        amounts, listed = numbers_of(packed), tuple(packed.head["listed"])
        groups, start = [], 0
        for name, nth, count in packed.head["groups"]:
            at = slice(start, start + count)
            rows, positions, verdicts = (packed.arrays[part][at] for part in ("rows", "positions", "verdicts"))
            stated, currencies = packed.arrays["stated"][at], packed.arrays["currencies"][at]
            groups.append(ActionRows(Action(name), nth, rows, positions, verdicts, stated, amounts[at], currencies, listed))
            start += count
        return tuple(groups)

    @cached_property
    def whole(self) -> Mapping[int, RecordedRuling]:
        """The rulings that were kept as JSON, by row."""
        return {int(row): from_json(text) for row, text in self._read("whole").head["rulings"].items()}

    # --- one ruling ---

    def ruling(self, row: int) -> RecordedRuling | None:
        """The ruling with its facts as they were then, those that did not fit their type as unknown; None where it could not be
        kept."""
        if self.kinds[row] == RowKind.WHOLE:
            return self.whole[row]
        if self.kinds[row] != RowKind.COLUMNS:
            return None
        fields = {name.removeprefix("field:"): None for name in sorted(self.names) if name.startswith("field:")}
        said = {name: self._value(name, row) for name in fields}
        by_name = {
            name: self._fact(name, said[name], row) for name in fields if said[name] is not None and name not in FROM_PROPOSAL
        }
        confidence = said["case.confidence"]
        return RecordedRuling(
            self.decision(row),
            _moment(int(self.at[row])),
            Facts(text_of(self._read("order_ref"), row), _moment(int(self.as_of[row])), by_name),
            Category(str(said["case.category"])),
            confidence if type(confidence) is int else None,
            int(said["case.grounded_evidence"]),
            said["case.untrusted_instructions"] is True,
            said["case.classifier_failed"] is True,
            self._actions_of(row),
            VERDICTS[int(self.verdicts[row])],
            Standing(self._spent_in(row), self.off.values[int(self.off.codes[row])]),
            self._speaking(row) - {COMPUTED, *(fact.source for fact in by_name.values())},
        )

    def _speaking(self, row: int) -> frozenset[str]:
        sources = self.sets("sources")
        found: frozenset[str] = sources.values[int(sources.codes[row])]
        return found

    def _value(self, name: str, row: int) -> Any:
        """The value, UNKNOWN, or None where nobody has said anything."""
        coded = self.coded(name)
        if coded is not None:
            code = int(coded.codes[row])
            return None if code == ABSENT else UNKNOWN if code == EMPTY else coded.values[code - FIRST_VALUE]
        kept = self.numbers(name, np.array([row]))
        state, number = kept.states[0], int(kept.numbers[0])
        if state != State.USABLE:
            return None if state == State.ABSENT else UNKNOWN
        match CATALOGUE[name].type:
            case ValueType.MONEY:
                return Money(number, kept.listed[int(kept.currencies[0])])
            case ValueType.TIME:
                return _moment(number)
        return number

    def _fact(self, name: str, value: Any, row: int) -> Fact:
        marks = self.marks(name)
        if marks is None:
            raise SegmentDamaged(f"marks:{name}", "it is missing")
        source, stale, conflict, untrusted, clock = marks.values[int(marks.codes[row])]
        distance = int(self.distances(name, np.array([row]))[0])
        seen = None if distance == NO_TIME else _moment(int(self.as_of[row]) - distance)
        return Fact(name, value, source, seen, stale, conflict, untrusted, clock)

    def _actions_of(self, row: int) -> tuple[RecordedAction, ...]:
        found: dict[int, RecordedAction] = {}
        for group in self.actions:
            at = int(np.searchsorted(group.rows, row))
            if at < len(group.rows) and group.rows[at] == row:
                money = Money(int(group.amounts[at]), group.listed[int(group.currencies[at])]) if group.stated[at] else None
                found[int(group.positions[at])] = RecordedAction(group.action, money, VERDICTS[int(group.verdicts[at])])
        return tuple(found[position] for position in sorted(found))

    def _spent_in(self, row: int) -> dict[str, Spent] | None:
        if not self.spent_seen[row]:
            return None
        packed = self._read("standing")
        spent: dict[str, dict[str, int]] = {}
        for at, (key, unit) in enumerate(packed.head["spent"]):
            spent.setdefault(key, {})[unit] = int(packed.arrays[f"spent{at}"][row])
        return {key: Spent(units.pop("", 0), units) for key, units in spent.items()}


def _coded(packed: Packed, values: tuple[Any, ...], first: int = FIRST_VALUE) -> Coded:
    return Coded(packed.arrays["codes"], packed.same.get("codes"), values, first)


def _moment(since: int) -> datetime:
    return EPOCH + timedelta(microseconds=since)
