"""What systems say of one field, and whom to believe: the system of record first (`config/sources.yaml`)."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceRule:
    """Who is believed for fields that match `pattern`, in order, and after how long a value is stale."""

    pattern: str
    record: tuple[str, ...]
    stale_after: timedelta
    peers: tuple[str, ...] = ()
    """Systems whose differing value is a conflict and not just a slow mirror."""
    moves: bool = False
    """The value changes as things go on: an older statement of another system is then only behind, no contradiction."""
    read_again_after: timedelta | None = None
    """How old a reading may be and still carry a decision. What a system pushes stands until it pushes again. None: any age."""
    newest: bool = False
    """The systems of record are equals: whichever of them spoke last is believed."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    rules: tuple[SourceRule, ...]

    def for_field(self, name: str) -> SourceRule:
        """The first rule whose pattern matches; the last rule must be `*`."""
        return next(rule for rule in self.rules if fnmatch.fnmatchcase(name, rule.pattern))


@dataclass(frozen=True, slots=True)
class Statement:
    """What one system says of one field, and the signal that said it."""

    value: Any
    system: str
    observed_at: datetime
    signal_id: str
    pointer: str
    since: datetime
    """Since when the system has said the same, without saying anything else in between."""
    reading: bool = False
    """Somebody asked and this was the answer; the system did not say it of its own accord."""


@dataclass(frozen=True, slots=True)
class ContextField:
    """One field of one entity: the statement that wins, the others, and what follows from comparing them."""

    name: str
    entity: str
    winner: Statement
    others: tuple[Statement, ...]
    why: str
    stale: bool
    conflict: bool
    outdated: bool = False
    """The believed statement is a reading too old to decide on: it must be read again."""

    @property
    def key(self) -> str:
        return f"{self.name}[{self.entity}]" if self.entity else self.name

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Everything that is said of this field, the believed statement first."""
        return (self.winner, *self.others)

    @property
    def pointer(self) -> str:
        """Where this field's value stands in the snapshot (RFC 6901)."""
        return "/fields/" + self.key.replace("~", "~0").replace("/", "~1") + "/value"


def weigh(name: str, entity: str, said: list[Statement], rule: SourceRule, as_of: datetime) -> ContextField:
    """Choose the statement to believe: the system of record first, then whoever spoke last."""

    def rank(statement: Statement) -> tuple[int, float, str]:
        position = rule.record.index(statement.system) if statement.system in rule.record else len(rule.record)
        if rule.newest:
            position = 0 if statement.system in rule.record else 1
        return position, -statement.observed_at.timestamp(), statement.system

    winner, *others = sorted(said, key=rank)
    age = as_of - winner.observed_at
    outdated = winner.reading and rule.read_again_after is not None and age > rule.read_again_after
    conflict = _conflicts(winner, others, rule)
    return ContextField(name, entity, winner, tuple(others), _why(winner, rule), age > rule.stale_after, conflict, outdated)


def _why(winner: Statement, rule: SourceRule) -> str:
    if winner.system not in rule.record:
        return f"no system of record has spoken; {winner.system} spoke last"
    if rule.newest:
        return f"{winner.system} spoke last of the systems of record"
    return f"{winner.system} is the system of record" if winner.system == rule.record[0] else f"{winner.system} is next in line"


def _conflicts(winner: Statement, others: Sequence[Statement], rule: SourceRule) -> bool:
    """Another believed system holds a different value. Of what moves, only a later statement contradicts."""
    if winner.value is None:
        return False
    believed = set(rule.record) | set(rule.peers)
    return any(
        other.system in believed
        and other.value is not None
        and not same_value(other.value, winner.value)
        and (not rule.moves or other.observed_at > winner.observed_at)
        for other in others
    )


def same_value(left: Any, right: Any) -> bool:
    """Equal as JSON, with text compared without case or surrounding space."""
    if isinstance(left, str) and isinstance(right, str):
        return left.strip().casefold() == right.strip().casefold()
    return bool(left == right)
