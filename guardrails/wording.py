"""Values as a person reads them in a reason. Text from outside is shortened and stripped of control characters: it is quoted,
never obeyed."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from guardrails.facts import COMPUTED, Fact, Facts, FactValue, Unknown, rfc3339
from guardrails.money import Money

_LONGEST_TEXT = 60


def in_words(value: FactValue | timedelta | Unknown) -> str:
    match value:
        case Unknown():
            return "unknown"
        case bool():
            return "true" if value else "false"
        case timedelta():
            return duration_in_words(value)
        case datetime():
            return rfc3339(value)
        case frozenset():
            return ", ".join(sorted(in_words(item) for item in value)) or "none"
        case Money():
            return str(value)
        case _:
            return _shortened(str(value))


def duration_in_words(span: timedelta) -> str:
    """The largest unit that fits at least twice, rounded down: `90 minutes`, `39 hours`, `4 days`."""
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def confidence_in_words(points: int) -> str:
    """9000 basis points are `0.90`."""
    whole, rest = divmod(points, 10_000)
    digits = f"{rest:04d}"
    return f"{whole}.{digits[:2]}{digits[2:].rstrip('0')}"


def sentence(clause: str, seen: str = "") -> str:
    """A clause as a sentence, with what was seen in brackets. A name such as `hold_fulfilment` keeps its spelling."""
    text = clause if "_" in clause.partition(" ")[0] else clause[:1].upper() + clause[1:]
    return f"{text} ({seen})." if seen else f"{text}."


def seen(facts: Facts, names: Iterable[str]) -> str:
    """Value, source and age of each field that a system stated: `order.total 612.00 USD from shopify, 4 minutes old`."""
    return "; ".join(_seen(facts, facts.by_name[name]) for name in sorted(names) if _is_stated(facts, name))


def unseen(facts: Facts, names: Iterable[str]) -> str:
    """`we could not see …`, with the reason for each field that has no value; empty when all have one."""
    parts = [_why_unseen(facts, name) for name in sorted(names) if isinstance(facts.get(name), Unknown)]
    return "we could not see " + ", and ".join(parts) if parts else ""


def fill(template: str, facts: Facts, limits: Mapping[str, Mapping[str, Money]], compared: Iterable[str]) -> str:
    """The template with its `{field}` and `{limit.name}` slots filled. A limit is shown in the currency of the money among the
    `compared` fields. Slots were checked when the policy was loaded."""
    values = [facts.get(name) for name in sorted(compared)]
    currency = next((value.currency for value in values if isinstance(value, Money)), "")

    def shown(slot: re.Match[str]) -> str:
        name = slot[1]
        if not name.startswith("limit."):
            return in_words(facts.get(name))
        table = limits[name.removeprefix("limit.")]
        return str(table[currency]) if currency in table else "unknown"

    # One pass: a value that happens to look like a slot stays as it is.
    return re.sub(r"\{([^{}]*)\}", shown, template)


def _is_stated(facts: Facts, name: str) -> bool:
    fact = facts.by_name.get(name)
    return fact is not None and not isinstance(fact.value, Unknown) and fact.source != COMPUTED


def _seen(facts: Facts, fact: Fact) -> str:
    age = facts.age(fact.name)
    when = "age unknown" if isinstance(age, Unknown) else f"{duration_in_words(age)} old"
    notes = [note for note, holds in (("stale", fact.stale), ("other systems disagree", fact.conflict)) if holds]
    return ", ".join([f"{fact.name} {in_words(fact.value)} from {_shortened(fact.source)}", when, *notes])


def _why_unseen(facts: Facts, name: str) -> str:
    fact = facts.by_name.get(name)
    if fact is None:
        return f"{name} (no system has stated it)"
    if fact.source == COMPUTED:
        return f"{name} (what it is computed from is missing)"
    return f"{name} ({_shortened(fact.source)} answered without a usable value)"


def _shortened(text: str) -> str:
    clean = text if text.isprintable() else "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= _LONGEST_TEXT else clean[: _LONGEST_TEXT - 1] + "…"
