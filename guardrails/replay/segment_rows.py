"""One recorded ruling as columns take it, or as the reason why they do not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from guardrails.augment import with_case
from guardrails.facts import UNKNOWN, Fact, Facts, FactValue, Unknown
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.syntax import ValueType
from guardrails.replay.columns import LARGEST, microseconds
from guardrails.replay.recorded import RecordedAction, RecordedRuling, proposal_of, to_json
from guardrails.replay.segment_shapes import EPOCH, RowKind
from guardrails.standing import Spent, Standing

_PLAIN: Mapping[ValueType, type] = {
    ValueType.BOOL: bool,
    ValueType.INT: int,
    ValueType.MONEY: Money,
    ValueType.TIME: datetime,
    ValueType.SET: frozenset,
}


def since_epoch(moment: Any) -> int:
    """Microseconds since 1970. Raises ValueError where the moment has no time zone."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ValueError("a ruling without a moment in a time zone cannot be kept; give it one")
    return microseconds(moment - EPOCH)


@dataclass(frozen=True, slots=True)
class Row:
    """A ruling as columns take it; one that they cannot hold leaves them empty."""

    kind: RowKind
    facts: Mapping[str, Fact] = field(default_factory=dict)
    as_of: datetime = EPOCH
    actions: tuple[RecordedAction, ...] = ()
    standing: Standing = field(default_factory=lambda: Standing({}))
    text: str | None = None
    speaking: frozenset[str] = frozenset()


def row_of(ruling: RecordedRuling) -> Row:
    if not _has_digest(ruling.facts):
        return Row(RowKind.BROKEN)
    facts = with_case(ruling.facts, proposal_of(ruling), ruling.grounded)
    if _is_plain(ruling, facts):
        return Row(RowKind.COLUMNS, facts.by_name, facts.as_of, ruling.actions, ruling.standing, speaking=ruling.speaking)
    text = _as_text(ruling) or _as_text(replace(ruling, facts=_catalogued(facts)))
    return Row(RowKind.LOST) if text is None else Row(RowKind.WHOLE, text=text)


def _as_text(ruling: RecordedRuling) -> str | None:
    """The ruling as JSON; None where a value has no plain form."""
    try:
        return to_json(ruling)
    except (TypeError, ValueError, AttributeError):
        return None


def _catalogued(facts: Facts) -> Facts:
    """The facts as the gate weighs them, without values that no condition can read."""
    return Facts(facts.order_ref, facts.as_of, {name: replace(item, value=_read(item)) for name, item in facts.by_name.items()})


def _read(item: Fact) -> FactValue | Unknown:
    """The value as conditions see it: of an enum its text, of a field that they cannot name nothing."""
    if item.name not in CATALOGUE:
        return UNKNOWN
    return str(item.value) if isinstance(item.value, str) else item.value


def _has_digest(facts: Facts) -> bool:
    try:
        facts.digest()
    except Exception:  # whatever hostile values raise: the gate fails over the same, and blocks
        return False
    return True


def _is_plain(ruling: RecordedRuling, facts: Facts) -> bool:
    amounts = [item.amount for item in ruling.actions if item.amount is not None]
    return (
        EPOCH <= facts.as_of < datetime(2100, 1, 1, tzinfo=EPOCH.tzinfo)
        and all(_is_plain_fact(item, facts.as_of) for item in facts.by_name.values())
        and all(type(amount) is Money and 0 <= amount.amount <= LARGEST for amount in amounts)
        and 0 <= ruling.grounded <= LARGEST
        and _is_plain_spent(ruling.standing.spent)
    )


def _is_plain_fact(item: Fact, as_of: datetime) -> bool:
    marks = all(type(mark) is bool for mark in (item.stale, item.conflict, item.untrusted, item.clock))
    return type(item.source) is str and marks and _is_plain_time(item.observed_at, as_of) and _is_plain_value(item, as_of)


def _is_plain_time(moment: Any, as_of: datetime) -> bool:
    if moment is None:
        return True
    return type(moment) is datetime and moment.utcoffset() is not None and abs(microseconds(as_of - moment)) <= LARGEST


def _is_plain_value(item: Fact, as_of: datetime) -> bool:
    declared, value = CATALOGUE.get(item.name), item.value
    if declared is None or value is UNKNOWN:
        return True
    if declared.type is ValueType.TEXT:
        return type(str(value)) is str
    if type(value) is not _PLAIN.get(declared.type):
        return False
    match value:
        case Money(amount, currency):
            return type(currency) is str and abs(amount) <= LARGEST
        case datetime():
            return _is_plain_time(value, as_of)
        case frozenset():
            return all(type(member) is str for member in value)
    return not isinstance(value, int) or abs(value) <= LARGEST


def _is_plain_spent(spent: Any) -> bool:
    if spent is None:
        return True
    if not isinstance(spent, Mapping) or not all(type(item) is Spent for item in spent.values()):
        return False
    counts = [count for item in spent.values() for count in (item.count, *item.money.values())]
    return all(type(count) is int and 0 <= count <= LARGEST for count in counts)
