"""Values as the console writes them. Whatever came from outside stays text; what would be invisible in it is made visible."""

import itertools
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from guardrails.facts import UNKNOWN, rfc3339, to_plain
from guardrails.money import Money, MoneyError
from guardrails.wording import confidence_in_words

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Control characters, direction marks, zero-width and tag characters. The joiners that scripts and emoji need are left."""


def visible(value: Any) -> Any:
    """Text in which nothing hides: each character that cannot be seen stands there as its code."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", value)
    return value


def as_typed(text: str) -> Markup:
    """For form fields, whose text comes back to us and must not be changed by showing it."""
    return escape(text)


def span(length: timedelta) -> str:
    """The two largest units, rounded down: `2 d 4 h`, `3 h 10 min`, `45 s`."""
    seconds = int(abs(length).total_seconds())
    for (size, unit), (smaller, name) in itertools.pairwise(_UNITS):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit} {rest} {name}" if rest and size > _MINUTE else f"{seconds // size} {unit}"
    return f"{seconds} s"


_MINUTE = 60
_UNITS = ((86_400, "d"), (3_600, "h"), (_MINUTE, "min"), (1, "s"))


def age(moment: datetime | str, now: datetime) -> str:
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if timedelta(0) <= now - then < timedelta(seconds=1):
        return "just now"
    return f"{span(now - then)} ago" if then <= now else f"in {span(then - now)}"


def due(moment: datetime, now: datetime) -> str:
    return f"overdue by {span(now - moment)}" if moment <= now else f"due in {span(moment - now)}"


def clock(moment: datetime | str) -> str:
    """RFC 3339 in UTC, to the second."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return rfc3339(then.replace(microsecond=0))


def confidence(points: int | None) -> str:
    return "not given" if points is None else confidence_in_words(points)


def shown(value: Any) -> str:
    """A stored value for a reader: money with its decimals, yes and no, several parts one a line."""
    match value:
        case None:
            return "read, and nothing there"
        case bool():
            return "yes" if value else "no"
        case {"amount": int(), "currency": str()} if len(value) == 2:
            return _money(value)
        case {"unknown": True}:
            return UNKNOWN.value
        case Mapping():
            return "\n".join(f"{name}: {_inner(item)}" for name, item in value.items()) or "{}"
        case list() | tuple():
            return "\n".join(_inner(item) for item in value) or "none"
    return str(value)


def _inner(value: Any) -> str:
    nested = isinstance(value, list | tuple) or (isinstance(value, Mapping) and set(value) != {"amount", "currency"})
    return written(value) if nested else shown(value)


def _money(value: Mapping[str, Any]) -> str:
    try:
        return str(Money(value["amount"], value["currency"]))
    except MoneyError:
        return written(value)


def written(value: Any) -> str:
    """Exactly as stored, as JSON on one line. What cannot be seen is escaped, so that it survives being edited."""
    return _escaped(json.dumps(to_plain(value), ensure_ascii=False, sort_keys=True))


def laid_out(value: Any) -> str:
    return _escaped(json.dumps(to_plain(value), ensure_ascii=False, sort_keys=True, indent=2))


def _escaped(text: str) -> str:
    return re.sub(_UNSEEN.pattern, lambda match: match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1], text)


def brief(digest: str) -> str:
    return digest[:12]
