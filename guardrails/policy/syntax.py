"""What a condition is made of once it is read: typed nodes with the column at which each stands.

The tree has no behaviour. `language.py` turns it into closures (the reference), `generated.py` into Python text,
`guardrails/replay/columns.py` into arrays; all of them mean the same by it, and a test holds them to that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from guardrails.money import Money


class ValueType(StrEnum):
    BOOL = "bool"
    INT = "int"
    TEXT = "text"
    MONEY = "money"
    TIME = "time"
    DURATION = "duration"
    SET = "set"


ORDERED = frozenset({ValueType.INT, ValueType.MONEY, ValueType.TIME, ValueType.DURATION})
ADDABLE = frozenset({ValueType.INT, ValueType.MONEY, ValueType.DURATION})


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a condition may know of a field: its type, and its closed list of values where it has one."""

    type: ValueType
    values: frozenset[str] = frozenset()


LimitTable = Mapping[str, Money]
"""One limit: an amount per currency. A currency that is not listed is unknown."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a condition may use."""

    fields: Mapping[str, FieldType]
    limits: Mapping[str, LimitTable]
    freshness: Mapping[str, timedelta]


class ConditionError(ValueError):
    """The condition cannot be read. `column` counts from 1; `hint` is empty or a suggestion."""

    def __init__(self, text: str, column: int, message: str, hint: str = "") -> None:
        super().__init__(f"col {column}: {message}{f' ({hint})' if hint else ''}")
        self.text, self.column, self.message, self.hint = text, column, message, hint


# --- operands: what has a value ---

LiteralValue = bool | int | str | Money | timedelta


@dataclass(frozen=True, slots=True)
class FieldValue:
    """What the facts say of a field; `values` is its closed list, empty where it has none."""

    name: str
    type: ValueType
    column: int
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text; `freshness(kind)` is one too."""

    type: ValueType
    value: LiteralValue
    column: int


@dataclass(frozen=True, slots=True)
class LimitOf:
    """The amount of a limit table in the currency of what it is compared with."""

    name: str
    table: LimitTable
    column: int

    @property
    def type(self) -> ValueType:
        return ValueType.MONEY


@dataclass(frozen=True, slots=True)
class AgeOf:
    """How long before the ruling the field was observed."""

    name: str
    column: int

    @property
    def type(self) -> ValueType:
        return ValueType.DURATION


@dataclass(frozen=True, slots=True)
class UntilOf:
    """How long after the ruling the field's time is; below zero when it has passed."""

    name: str
    column: int

    @property
    def type(self) -> ValueType:
        return ValueType.DURATION


@dataclass(frozen=True, slots=True)
class Sum:
    """Two or more terms of one type, none of them a limit."""

    terms: "tuple[Operand, ...]"
    type: ValueType
    column: int


Operand = FieldValue | Literal | LimitOf | AgeOf | UntilOf | Sum


# --- conditions: what has a truth ---


@dataclass(frozen=True, slots=True)
class Flag:
    """A bool by itself."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Comparison:
    """`op` is one of == != < <= > >=. Both sides are of one type; at most one of them is a limit."""

    left: Operand
    op: str
    right: Operand
    column: int


@dataclass(frozen=True, slots=True)
class OneOf:
    """The operand is among values of its own type."""

    operand: Operand
    items: tuple[LiteralValue, ...]


@dataclass(frozen=True, slots=True)
class MemberOf:
    """A text is a member of a set field."""

    operand: Operand
    members: Operand


@dataclass(frozen=True, slots=True)
class Known:
    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Not:
    inner: "Node"


@dataclass(frozen=True, slots=True)
class Both:
    """True when all of two or more parts are."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    """True when any of two or more parts is."""

    parts: "tuple[Node, ...]"


Node = Flag | Comparison | OneOf | MemberOf | Known | Not | Both | Either


def leaves_of(node: Node | Operand) -> Iterator[Known | Operand]:
    """What the conditions in a tree read, sums taken apart."""
    match node:
        case Both(parts) | Either(parts):
            inner: tuple[Node | Operand, ...] = parts
        case Sum(terms):
            inner = terms
        case Not(negated):
            inner = (negated,)
        case Comparison(left, _, right) | MemberOf(left, right):
            inner = (left, right)
        case OneOf(operand) | Flag(operand):
            inner = (operand,)
        case Known() | FieldValue() | Literal() | LimitOf() | AgeOf() | UntilOf():
            yield node
            return
    for item in inner:
        yield from leaves_of(item)
