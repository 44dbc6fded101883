"""Lines that ask about one field alone, answered by its value: one look per field instead of one question per line.

What each value comes to is asked of the closures once, when the policy is compiled, so that a lookup can only say what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.policy.language import Condition
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.syntax import Both, Comparison, Either, FieldValue, Known, Literal, Node, Not, OneOf, ValueType, leaves_of
from guardrails.policy.tables import Line
from guardrails.ruling import Outcome

Masks = tuple[int, int]
"""Bit `n` stands for the n-th condition or line. First what fired (or is certainly true), then what is unknown."""

_MOST_ASKED = 20_000
"""Lines times values that are gone through for one field when a policy is compiled. Lines of a field that needs more are asked one
by one at each ruling."""

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the lines that read one field alone say for each of its values: fired and unknown bits, as the closures answer."""

    field: str
    kind: ValueType | None
    """None where the lines ask only whether it is known."""
    lines: frozenset[int]
    by_value: Mapping[Any, Masks]
    otherwise: Masks
    """Of a value that is not listed."""
    unknown: Masks
    absent: Masks
    closed: bool
    """There are no other values than those listed."""


def lookups_of(lines: Sequence[Line]) -> tuple[Lookup, ...]:
    """One per field whose value, or whether it is known, is all that some lines read, in the order of the lines."""
    numbers: dict[str, list[int]] = {}
    kinds: dict[str, FieldValue] = {}
    for number, line in enumerate(lines):
        fields = _read_alone(line.condition)
        if fields is not None:
            numbers.setdefault(next(iter(line.condition.fields)), []).append(number)
            kinds.update({item.name: item for item in fields})
    return tuple(
        _lookup(name, kinds.get(name), lines, of)
        for name, of in numbers.items()
        if len(of) * (1 + len(_texts_in([lines[number].condition.tree for number in of]))) <= _MOST_ASKED
    )


def _read_alone(condition: Condition) -> tuple[FieldValue, ...] | None:
    """How the condition reads its one field: by a text or bool value, or only asking whether it is known. None for all others."""
    if condition.tree is None or len(condition.fields) != 1:
        return None
    leaves = list(leaves_of(condition.tree))
    values = tuple(leaf for leaf in leaves if isinstance(leaf, FieldValue))
    simple = all(isinstance(leaf, FieldValue | Literal | Known) for leaf in leaves)
    return values if simple and all(leaf.type in (ValueType.BOOL, ValueType.TEXT) for leaf in values) else None


def _lookup(name: str, read: FieldValue | None, lines: Sequence[Line], numbers: Sequence[int]) -> Lookup:
    def said(*value: Any) -> Masks:
        facts = Facts("", _ANY_TIME, {name: Fact(name, one, "", None) for one in value})  # noqa: B035 - one fact, or none
        outcomes = {number: outcome_of(lines[number], facts) for number in numbers}
        fired = sum(1 << number for number, outcome in outcomes.items() if outcome is not Outcome.NOT_FIRED)
        return fired, sum(1 << number for number, outcome in outcomes.items() if outcome is Outcome.FIRED_UNKNOWN)

    kind, declared = (None, frozenset[str]()) if read is None else (read.type, read.values)
    named = declared | _texts_in([lines[number].condition.tree for number in numbers])
    values: Sequence[Any] = (False, True) if kind is ValueType.BOOL else sorted(named) if kind is ValueType.TEXT else ()
    # Longer than every text that is named, so none of them.
    otherwise = said("".join(["x", *named]))
    by_value = {value: said(value) for value in values}
    return Lookup(name, kind, frozenset(numbers), by_value, otherwise, said(UNKNOWN), said(), bool(declared))


def _texts_in(trees: Sequence[Node | None]) -> frozenset[str]:
    found: set[str] = set()
    waiting: list[Node | None] = list(trees)
    while waiting:
        match waiting.pop():
            case Both(parts) | Either(parts):
                waiting += parts
            case Not(inner):
                waiting.append(inner)
            case OneOf(_, items):
                found |= {item for item in items if isinstance(item, str)}
            case Comparison(left, _, right):
                found |= {side.value for side in (left, right) if isinstance(side, Literal) and isinstance(side.value, str)}
    return frozenset(found)
