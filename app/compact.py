"""A question as the one-token choice and the statistics read it: a line for each thing, true checks only, ages for times, no ids.

The detectors' findings are left out: they are the evidence of the rules, and would be counted twice. Facts come first and what
outsiders wrote last, so that the view with text begins like the view without and an endpoint can keep what it has read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.classify import Question
from app.rendering import Line, facts_of, outside_of, shown, tells_of_people
from guardrails.facts import Facts

_LEFT_OUT = frozenset(
    [
        "inventory.sku",
        "item.sku",
        "order.channel",
        "order.currency",
        "order.line_count",
        "order.billing_country",
        "order.outstanding",
        "order.placed_at",
        "order.ref",
        "order.ship_to_country",
        "parcel.carrier",
        "payment.capture_method",
        "pick.sku",
        "tracking.carrier",
        "tracking.delivered_at",
        "tracking.first_scan_at",
    ]
)
"""Fields that name or repeat, but tell no kind of exception from another."""
_TELLS_LITTLE = frozenset(["check.message_unread", "check.work_reason", "tracking.zip"])
_LONGEST_TEXT = 240
_MOST_TEXTS = 6
_MOST_TOPICS = 3
_HOUR, _DAY = 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Compact:
    """`texts` is empty when nobody outside wrote anything that may be shown."""

    facts: str
    texts: str

    @property
    def with_texts(self) -> str:
        return f"{self.facts}\n{self.texts}" if self.texts else self.facts


def compact(question: Question) -> Compact:
    """The same question always gives the same bytes."""
    as_of = question.context.as_of
    return Compact(
        facts="\n".join([*_things(facts_of(question), as_of), *_checks(question.facts), *_around(question)]),
        texts="\n".join(_texts(question)),
    )


def _things(lines: list[Line], as_of: datetime) -> Iterator[str]:
    """`payment: status=refused decline_code=05`, one line for each payment, parcel, SKU."""
    things: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        if line.name in _LEFT_OUT:
            continue
        thing, _, field = line.name.partition(".")
        _, _, entity = line.path.partition("[")
        said = _value(line.value, as_of)
        conflict = "!" if "CONFLICT" in line.note else ""
        stale = "?" if "STALE" in line.note else ""
        other = line.note.strip(" ()").removeprefix("says ") + ":" if "@" in line.path else ""
        things.setdefault((thing, entity.partition("]")[0]), []).append(f"{other}{field}={said}{conflict}{stale}")
    for (thing, _), fields in things.items():
        yield f"{thing}: {' '.join(fields)}"


def _value(value: Any, as_of: datetime) -> str:
    if isinstance(value, str) and (time := _time(value)) is not None:
        return _apart(time, as_of)
    return shown(value) or "?"


def _time(text: str) -> datetime | None:
    if len(text) < len("2026-01-01T00:00Z") or text[4] != "-":
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _apart(time: datetime, as_of: datetime) -> str:
    seconds = (as_of - time).total_seconds()
    size, unit = (_DAY, "d") if abs(seconds) >= 2 * _DAY else (_HOUR, "h")
    count = round(abs(seconds) / size)
    return f"{count}{unit}_ago" if seconds >= 0 else f"in_{count}{unit}"


def _checks(facts: Facts) -> Iterator[str]:
    found = []
    for name, fact in sorted(facts.by_name.items()):
        kind, _, check = name.partition(".")
        if kind != "check" or name in _TELLS_LITTLE or fact.value is False:
            continue
        if fact.value is True:
            found.append(check)
        elif isinstance(fact.value, int | str):
            found.append(f"{check}={fact.value}")
    if found:
        yield f"checks: {' '.join(found)}"


def _around(question: Question) -> Iterator[str]:
    topics = [s["topic"] for s in question.snapshot["signals"] if not tells_of_people(s["topic"]) and s["topic"] != "report"]
    if topics:
        yield f"signals: {' '.join(dict.fromkeys(topics[-_MOST_TOPICS:]))}"
    for related in question.snapshot["related"]:
        yield f"another order, same {','.join(related['same'])}"


def _texts(question: Question) -> Iterator[str]:
    told = [(line, text) for line, text in outside_of(question).texts if line.name not in _TELLS_LITTLE]
    for line, text in told[:_MOST_TEXTS]:
        name = "report" if line.name == "report.description" else line.name
        clipped = text if len(text) <= _LONGEST_TEXT else f'{text[:_LONGEST_TEXT]}…"'
        yield f"[{name}: {clipped}]"
