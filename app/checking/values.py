"""Reading the plain JSON values of a context as what they are. What does not fit is None: not seen, never guessed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.context import ContextField, OrderContext
from guardrails.facts import UNKNOWN, Unknown
from guardrails.money import Money, MoneyError

Checked = bool | Unknown


def stated(context: OrderContext, name: str) -> tuple[ContextField, ...]:
    """The field for every entity of which a value was stated."""
    return tuple(item for item in context.entities_of(name) if item.winner.value is not None)


def values(context: OrderContext, name: str) -> tuple[Any, ...]:
    return tuple(item.winner.value for item in stated(context, name))


def current(context: OrderContext, name: str) -> Any:
    """The value of the entity that changed last, or None."""
    found = context.current(name)
    return None if found is None else found.winner.value


def value_of(context: OrderContext, name: str, entity: str) -> Any:
    """The value of one entity, or None."""
    return next((item.winner.value for item in context.entities_of(name) if item.entity == entity), None)


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
        if told.field == name and told.value is not None
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
