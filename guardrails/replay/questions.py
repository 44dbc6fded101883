"""What two policies ask of recorded rulings, each question once: where both ask the same, it is answered for both.

A question knows the rules that it stands for in the old and in the new policy, and what they do when it fires: bits of one byte,
the low four for the old policy and the high four for the new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from guardrails.facts import COMPUTED, Fact, Facts
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.syntax import AgeOf, FieldValue, Known, Node, UntilOf, leaves_of
from guardrails.policy.tables import Line
from guardrails.replay.asking import ask, ask_line
from guardrails.replay.columns import Needs, State, needs_of
from guardrails.replay.segment_shapes import EPOCH
from guardrails.replay.view import Flags, View
from guardrails.ruling import Outcome
from guardrails.taxonomy import Truth

CASE, PAUSE, STOP, BLOCK = 1, 2, 4, 8
"""A review of the case alone, of all but protective actions, of every action above R0; and a block of the same."""

OLD, NEW = 0, 4
"""How far the bits of each policy are shifted."""

SIDES: Final = (OLD, NEW)


@dataclass(frozen=True, slots=True)
class Asked:
    """`rules` are pairs of side and rule id. With `fields`, `by_values` answers from their values alone (None where nobody has said
    anything); `by_rows` answers for a view."""

    rules: tuple[tuple[int, str], ...]
    bits: int
    fields: tuple[str, ...]
    by_values: Callable[[tuple[Any, ...]], bool]
    by_rows: Callable[[View], Flags]


@dataclass(slots=True)
class Questions:
    """Collects questions by what they ask, so that one asked by both policies, or by two rules, is there once."""

    known: dict[Any, Asked] = field(default_factory=dict)

    def add(self, key: Any, side: int, rule: str, bits: int, asked: Asked) -> None:
        before = self.known.get(key, asked)
        self.known[key] = Asked(
            (*before.rules, (side, rule)), before.bits | bits << side, before.fields, before.by_values, before.by_rows
        )

    def line(self, side: int, rule: str, bits: int, line: Line) -> None:
        key = ("line", line.when_unknown, _identity(line.condition.tree, line))
        self.add(key, side, rule, bits, _asked_line(line))

    def truth(self, side: int, rule: str, line: Line) -> None:
        """A permit: fires where it is certainly true."""
        key = ("permit", _identity(line.condition.tree, line))
        self.add(key, side, rule, 0, _asked_permit(line))

    def values(self, side: int, rule: str, bits: int, fields: tuple[str, ...], key: Any, fires: Callable[..., bool]) -> None:
        """A question about the values of a few fields."""

        def by_values(values: tuple[Any, ...]) -> bool:
            return fires(*values)

        self.add((rule, fields, key), side, rule, bits, Asked((), 0, fields, by_values, unanswerable))

    def least(self, side: int, rule: str, bits: int, name: str, needed: int) -> None:
        """Fires unless the number is certainly there and enough."""

        def by_values(values: tuple[Any, ...]) -> bool:
            return type(values[0]) is not int or values[0] < needed

        def by_rows(view: View) -> Flags:
            kept = view.numbers(name)
            fires: Flags = (kept.states != State.USABLE) | (kept.numbers < needed)
            return fires

        self.add((rule, name, needed), side, rule, bits, Asked((), 0, (name,), by_values, by_rows))

    def rows(self, side: int, rule: str, bits: int, key: Any, by_rows: Callable[[View], Flags]) -> None:
        """A question that only rows answer."""
        self.add((rule, key), side, rule, bits, Asked((), 0, (), _never, by_rows))

    def always(self, side: int, rule: str, bits: int) -> None:
        self.values(side, rule, bits, (), "always", lambda: True)


def _never(_values: tuple[Any, ...]) -> bool:
    return False


def unanswerable(_view: View) -> Flags:
    raise ValueError("these fields are always kept by their values")


def _identity(tree: Node | None, line: Line) -> Any:
    """The same for conditions that mean the same because they say the same, limits included."""
    try:
        return repr(tree) if tree is not None else id(line)
    except RecursionError:
        return id(line)


# --- lines ---


def _asked_line(line: Line) -> Asked:
    fields = _fields_by_value(line)

    def by_values(values: tuple[Any, ...]) -> bool:
        return outcome_of(line, _facts(fields, values)) is not Outcome.NOT_FIRED

    def by_rows(view: View) -> Flags:
        fired, _ = ask_line(line, view.columns(_needs(line)))
        return fired

    return Asked((), 0, fields, by_values, by_rows)


def _asked_permit(line: Line) -> Asked:
    fields = _fields_by_value(line)

    def by_values(values: tuple[Any, ...]) -> bool:
        return line.condition.evaluate(_facts(fields, values)) is Truth.TRUE

    def by_rows(view: View) -> Flags:
        certain: Flags = ask(line.condition, view.columns(_needs(line))) == Truth.TRUE
        return certain

    return Asked((), 0, fields, by_values, by_rows)


def _needs(line: Line) -> Needs:
    return needs_of([line.condition.tree]) if line.condition.tree is not None else Needs({}, frozenset())


def _fields_by_value(line: Line) -> tuple[str, ...]:
    """The fields of a condition that their values alone decide; none where an age or the clock does."""
    leaves = list(leaves_of(line.condition.tree)) if line.condition.tree is not None else []
    if any(isinstance(leaf, AgeOf | UntilOf) for leaf in leaves):
        return ()
    return tuple(sorted({leaf.name for leaf in leaves if isinstance(leaf, FieldValue | Known)}))


_AS_OF: Final[datetime] = EPOCH


def _facts(fields: Sequence[str], values: Sequence[Any]) -> Facts:
    stated = zip(fields, values, strict=True)
    return Facts("", _AS_OF, {name: Fact(name, value, COMPUTED, _AS_OF) for name, value in stated if value is not None})
