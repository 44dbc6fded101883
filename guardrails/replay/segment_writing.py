"""Recorded rulings written as the columns of a segment (`segments.py` says which there are)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from guardrails.facts import UNKNOWN, Fact
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.syntax import ValueType
from guardrails.replay.columns import State, microseconds
from guardrails.replay.recorded import RecordedAction, RecordedRuling, plain
from guardrails.replay.segment_bytes import Whole, narrowest, pack, pack_numbers, pack_texts
from guardrails.replay.segment_rows import Row, row_of, since_epoch
from guardrails.replay.segment_shapes import ABSENT, EMPTY, EPOCH, FIRST_VALUE, FORMAT, LARGEST_SEGMENT
from guardrails.standing import Spent, Standing

_MOST_CODED = 250
"""Numbers of so many different values are kept as codes, more of them as numbers."""


def encode_segment(rulings: Sequence[RecordedRuling]) -> Mapping[str, bytes]:
    """The columns by name. Raises ValueError where there are none or too many, or a moment has no time zone."""
    if not 0 < len(rulings) <= LARGEST_SEGMENT:
        raise ValueError(f"a segment holds 1 to {LARGEST_SEGMENT} rulings, not {len(rulings)}; split them")
    moments = np.array([since_epoch(ruling.at) for ruling in rulings], np.int64)
    as_of = np.array([since_epoch(ruling.facts.as_of) for ruling in rulings], np.int64)
    rows = [row_of(ruling) for ruling in rulings]
    columns = {
        "rows": pack({}, {"kinds": _bytes(row.kind for row in rows), "verdicts": _bytes(r.verdict.strictness for r in rulings)}),
        "at": pack_numbers(moments),
        "as_of": pack_numbers(as_of - moments),
        "decision": pack_texts([ruling.decision for ruling in rulings]),
        "order_ref": pack_texts([str(ruling.facts.order_ref) for ruling in rulings]),
        **_facts(rows),
        "sources": _sets([{item.source for item in row.facts.values()} | row.speaking for row in rows]),
        "conflicts": _sets([{name for name, item in row.facts.items() if item.conflict} for row in rows]),
        "standing": _standing([row.standing for row in rows]),
        "actions": _actions([row.actions for row in rows]),
        "whole": pack({"rulings": {str(at): row.text for at, row in enumerate(rows) if row.text is not None}}, {}),
    }
    head = {
        "format": FORMAT,
        "size": len(rows),
        "columns": sorted(columns),
        "first_at": int(moments.min()),
        "last_at": int(moments.max()),
    }
    return {"segment": pack(head, {}), **columns}


# --- columns ---


def _bytes(numbers: Iterable[int]) -> Whole:
    return np.array(list(numbers), np.uint8)


@dataclass(slots=True)
class _Codes:
    """Numbers for values in the order in which they come, from `first` on."""

    first: int = 0
    known: dict[Any, int] = field(default_factory=dict)

    def of(self, value: Any) -> int:
        return self.known.setdefault(value, len(self.known) + self.first)


def _facts(rows: Sequence[Row]) -> dict[str, bytes]:
    columns = {}
    names = sorted({name for row in rows for name in row.facts if name in CATALOGUE})
    for name in names:
        facts = [row.facts.get(name) for row in rows]
        columns[f"field:{name}"] = _field(CATALOGUE[name].type, facts)
        marks = _Codes()
        codes = [0 if item is None else marks.of(_marks(item)) for item in facts]
        columns[f"marks:{name}"] = pack({"values": [list(item) for item in marks.known]}, {"codes": narrowest(np.array(codes))})
        columns[f"seen:{name}"] = _seen(facts, [row.as_of for row in rows])
    return columns


def _marks(item: Fact) -> tuple[str, bool, bool, bool, bool]:
    return (item.source, item.stale, item.conflict, item.untrusted, item.clock)


def _field(kind: ValueType, facts: Sequence[Fact | None]) -> bytes:
    codes = _Codes(FIRST_VALUE)
    numbers = [ABSENT if item is None else EMPTY if item.value is UNKNOWN else codes.of(_kept(kind, item.value)) for item in facts]
    if kind in (ValueType.TEXT, ValueType.BOOL, ValueType.SET) or len(codes.known) <= _MOST_CODED:
        return pack({"values": [plain(value) for value in codes.known]}, {"codes": narrowest(np.array(numbers))})
    return _numbers([None if item is None else item.value for item in facts])


def _kept(kind: ValueType, value: Any) -> Any:
    """Texts of an enum are kept as texts, times in UTC."""
    match kind:
        case ValueType.TEXT:
            return str(value)
        case ValueType.TIME:
            return EPOCH + (value - EPOCH)
    return value


def _numbers(values: Sequence[Any]) -> bytes:
    currencies = _Codes()
    states, numbers, codes = [], [], []
    for value in values:
        states.append(State.ABSENT if value is None else State.EMPTY if value is UNKNOWN else State.USABLE)
        numbers.append(_number(value))
        codes.append(currencies.of(value.currency) if isinstance(value, Money) else 0)
    base, unit, steps = _steps(numbers)
    arrays = {"states": _bytes(states), "steps": steps, "currencies": narrowest(np.array(codes))}
    return pack({"base": base, "unit": unit, "listed": list(currencies.known)}, arrays)


def _number(value: Any) -> int | None:
    match value:
        case Money(amount, _):
            return amount
        case datetime():
            return since_epoch(value)
    return value if type(value) is int else None


def _steps(numbers: Sequence[int | None]) -> tuple[int, int, Whole]:
    """The least number, the unit, and the others in units above the least; what is None stands as the least."""
    base = min((number for number in numbers if number is not None), default=0)
    above = np.array([0 if number is None else number - base for number in numbers], np.int64)
    unit = max(1, int(np.gcd.reduce(above)) if len(above) else 1)
    return base, unit, narrowest(above // unit)


def _seen(facts: Sequence[Fact | None], as_of: Sequence[datetime]) -> bytes:
    distances = [
        None if item is None or item.observed_at is None else microseconds(moment - item.observed_at)
        for item, moment in zip(facts, as_of, strict=True)
    ]
    timed = [item is None or item.observed_at is not None for item in facts]
    base, unit, steps = _steps(distances)
    return pack({"base": base, "unit": unit}, {"timed": _bytes(timed), "steps": steps})


def _sets(sets: Sequence[set[str]]) -> bytes:
    codes = _Codes()
    numbers = [codes.of(frozenset(item)) for item in sets]
    return pack({"values": [sorted(item) for item in codes.known]}, {"codes": narrowest(np.array(numbers))})


def _standing(standings: Sequence[Standing]) -> bytes:
    switches = _Codes()
    codes = [switches.of(frozenset(item.off)) for item in standings]
    units = sorted({(key, unit) for item in standings for key, spent in (item.spent or {}).items() for unit in ("", *spent.money)})
    arrays = {"codes": narrowest(np.array(codes)), "seen": _bytes(item.spent is not None for item in standings)}
    for at, (key, unit) in enumerate(units):
        arrays[f"spent{at}"] = narrowest(np.array([_spent(item, key, unit) for item in standings], np.int64))
    values = [sorted(item) for item in switches.known]
    return pack({"values": values, "spent": [list(item) for item in units]}, arrays)


def _spent(standing: Standing, key: str, unit: str) -> int:
    spent = (standing.spent or {}).get(key, Spent())
    return spent.money.get(unit, 0) if unit else spent.count


def _actions(asked: Sequence[tuple[RecordedAction, ...]]) -> bytes:
    """Sorted by name, how often the ruling had that name before, and row."""
    listed = []
    for row, actions in enumerate(asked):
        times: dict[str, int] = {}
        for position, item in enumerate(actions):
            nth = times.get(item.action, 0)
            times[item.action] = nth + 1
            listed.append((item.action.value, nth, row, position, item))
    listed.sort(key=lambda entry: entry[:4])
    counts: dict[tuple[str, int], int] = {}
    for name, nth, *_ in listed:
        counts[name, nth] = counts.get((name, nth), 0) + 1
    items = [entry[4] for entry in listed]
    currencies = _Codes()
    codes = [0 if item.amount is None else currencies.of(item.amount.currency) for item in items]
    base, unit, steps = _steps([None if item.amount is None else item.amount.amount for item in items])
    arrays = {
        "rows": narrowest(np.array([entry[2] for entry in listed], np.int64)),
        "positions": narrowest(np.array([entry[3] for entry in listed], np.int64)),
        "verdicts": _bytes(item.verdict.strictness for item in items),
        "stated": _bytes(item.amount is not None for item in items),
        "steps": steps,
        "currencies": narrowest(np.array(codes, np.int64)),
    }
    groups = [[name, nth, count] for (name, nth), count in counts.items()]
    return pack({"groups": groups, "base": base, "unit": unit, "listed": list(currencies.known)}, arrays)
