"""Reading the plain JSON values of a context as what they are. What does not fit is None: not seen, never guessed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.context import ContextField, OrderContext, Statement
from guardrails.facts import UNKNOWN, Unknown
from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.language import ValueType

Checked = bool | Unknown


_STRUCTURED = frozenset(["tracking.scans", "order.lines", "order.ship_to", "order.gateways", "product.list_price"])
"""Fields whose values are lists or objects that the checks look into. Their insides are read one by one, each for itself."""
_JSON_TYPE: Mapping[ValueType, type] = {ValueType.BOOL: bool, ValueType.INT: int, ValueType.MONEY: dict}


def told_of(item: ContextField) -> tuple[Statement, ...]:
    """Every system's usable statement of a field, the believed one first."""
    return tuple(told for told in item.statements if _usable(item.name, told.value))


def stated(context: OrderContext, name: str) -> tuple[ContextField, ...]:
    """The field for every entity of which a usable value was stated, the one that changed last first."""
    return tuple(item for item in context.entities_of(name) if _usable(name, item.winner.value))


def _usable(name: str, value: Any) -> bool:
    """A value of another type than the field's is no statement: whoever sent it, it must not be taken for one."""
    if value is None or name in _STRUCTURED:
        return value is not None
    declared = CATALOGUE.get(name)
    if declared is None:
        return isinstance(value, str | int)
    return type(value) is _JSON_TYPE.get(declared.type, str)


def values(context: OrderContext, name: str) -> tuple[Any, ...]:
    return tuple(item.winner.value for item in stated(context, name))


def current(context: OrderContext, name: str) -> Any:
    """The value of the entity that changed last, or None."""
    found = context.current(name)
    return found.winner.value if found is not None and _usable(name, found.winner.value) else None


def value_of(context: OrderContext, name: str, entity: str) -> Any:
    """The value of one entity, or None."""
    return next((item.winner.value for item in stated(context, name) if item.entity == entity), None)


def moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else None


def money(value: Any) -> Money | None:
    match value:
        case {"amount": int() as amount, "currency": str() as currency}:
            try:
                return Money(amount, currency)
            except MoneyError:
                return None
    return None


def whole(value: Any) -> int | None:
    return value if type(value) is int else None


def moments(context: OrderContext, name: str) -> list[datetime]:
    return [found for value in values(context, name) if (found := moment(value)) is not None]


def monies(context: OrderContext, name: str) -> list[Money]:
    return [found for value in values(context, name) if (found := money(value)) is not None]


def total_of(amounts: Iterable[Money]) -> Money | None:
    """The sum of one currency; None of none, and of several currencies."""
    amounts = list(amounts)
    if not amounts or len({item.currency for item in amounts}) > 1:
        return None
    return Money(sum(item.amount for item in amounts), amounts[0].currency)


@dataclass(frozen=True, slots=True)
class Word:
    """What a system said at some time, also where it has said something else since."""

    at: datetime
    value: Any
    system: str
    entity: str


def history(context: OrderContext, name: str) -> list[Word]:
    """Every statement of the field there ever was, by event time."""
    found = [
        Word(told.occurred_at, told.value, told.system, told.entity)
        for signal in context.signals
        for told in signal.observations
        if told.field == name and _usable(name, told.value)
    ]
    return sorted(found, key=lambda word: word.at)


def whole_hours(span: timedelta) -> int:
    """Rounded down, also below zero: an hour that has begun is not yet over."""
    return int(span.total_seconds() // 3600)


def any_of(answers: Iterable[Checked]) -> Checked:
    """Kleene's or: true as soon as one is; unknown while one might be; of none at all unknown."""
    answers = list(answers)
    if True in answers:
        return True
    return UNKNOWN if not answers or UNKNOWN in answers else False
