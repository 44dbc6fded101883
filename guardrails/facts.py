"""Everything that a ruling may rest on, as of one moment."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from guardrails.money import Money


class Unknown(Enum):
    """Unknown is a value of its own: not False, not None by accident."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"

    __hash__ = object.__hash__  # an enum's own hash is slow, and this value is looked up often


UNKNOWN: Final = Unknown.UNKNOWN

CLOCK_SKEW: Final = timedelta(minutes=15)
"""How far another system's clock may run ahead of ours before its times mean nothing."""

COMPUTED: Final = "ordermend"
"""The source of a fact that we computed from other facts."""

FactValue = bool | int | str | Money | datetime | frozenset[str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One value, where it came from and when its source said so."""

    name: str
    value: FactValue | Unknown
    source: str
    observed_at: datetime | None
    stale: bool = False
    conflict: bool = False
    """Two systems of record hold different values for this field right now."""
    untrusted: bool = False
    """Free text that somebody outside wrote: data, never a reason to act by itself."""
    clock: bool = False
    """Its value changes by the mere passing of time."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one order. A name that is absent is unknown."""

    order_ref: str
    as_of: datetime
    by_name: Mapping[str, Fact] = field(default_factory=dict)
    _digest: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    """The digest once it was asked for; it is asked for often."""

    def get(self, name: str) -> FactValue | Unknown:
        fact = self.by_name.get(name)
        return UNKNOWN if fact is None else fact.value

    def age(self, name: str) -> timedelta | Unknown:
        fact = self.by_name.get(name)
        if fact is None or fact.observed_at is None or fact.value is UNKNOWN or fact.observed_at.tzinfo is None:
            return UNKNOWN
        age = self.as_of - fact.observed_at
        return UNKNOWN if age < -CLOCK_SKEW else max(age, timedelta(0))

    def digest(self) -> str:
        """sha256 over names, values, sources and times: the same facts always have the same digest. `as_of` is left
        out, so that the mere passing of time does not make an approval stale; staleness flags are part of it. For the same
        reason a computed fact counts without its time, and one that changes with the clock not at all."""
        if not self._digest:
            self._digest.append(self._new_digest())
        return self._digest[0]

    def _new_digest(self) -> str:
        said: list[Any] = [self.order_ref]
        for name in sorted(self.by_name):
            fact = self.by_name[name]
            if fact.clock:
                continue
            value, source, seen = fact.value, fact.source, fact.observed_at
            marks = (1 if fact.stale else 0) | (2 if fact.conflict else 0) | (4 if fact.untrusted else 0)
            when = None if seen is None or source == COMPUTED else _instant(seen)
            said += [name, value if type(value) in _PLAIN else _marked(value), source, when, marks]
        return sha256_of_text(_JSON.encode(said))


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = frozenset([str, bool, int])
"""Types that JSON tells apart by itself."""


def _marked(value: Any) -> Any:
    """A value of another type, in a list that says which: what would read the same must not count as the same."""
    match value:
        case Unknown():
            return ["unknown"]
        case Money():
            return ["money", value.amount, value.currency]
        case datetime():
            return ["time", _instant(value)]
        case frozenset():
            return ["set", *sorted(value)]
        case _:
            return ["other", to_plain(value)]


def _instant(moment: datetime) -> int:
    """Microseconds since 1970. A naive time is refused."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be compared; give it one")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_plain(value: Any) -> Any:
    """The canonical JSON form of a fact, value, or container of them. Money is `{"amount", "currency"}`, times RFC 3339 UTC."""
    if value is None or type(value) in _PLAIN:
        return value
    match value:
        case Fact():
            return {
                "value": to_plain(value.value),
                "source": value.source,
                "observed_at": to_plain(value.observed_at),
                "stale": value.stale,
                "conflict": value.conflict,
                "untrusted": value.untrusted,
            }
        case Unknown():
            return {"unknown": True}
        case Money():
            return {"amount": value.amount, "currency": value.currency}
        case datetime():
            return rfc3339(value)
        case frozenset():
            return sorted(value)
        case Mapping():
            return {str(key): to_plain(item) for key, item in value.items()}
        case list() | tuple():
            return [to_plain(item) for item in value]
        case _:
            return value


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T10:00:00Z`, with microseconds only where there are any. A naive time is refused."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be compared; give it one")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def canonical_json(value: Any) -> str:
    """One byte-stable text per value: sorted keys, no spaces, no NaN."""
    return canonical_text(to_plain(value))


def canonical_text(plain: Any) -> str:
    """As `canonical_json`, of what is plain JSON already."""
    return _CANONICAL.encode(plain)


def sha256_of(value: Any) -> str:
    return sha256_of_text(canonical_json(value))


def sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
