"""Everything that a ruling may rest on, as of one moment."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from guardrails.money import Money


class Unknown(Enum):
    """Unknown is a value of its own: not False, not None by accident."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


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
        counted = {name: _for_digest(fact) for name, fact in self.by_name.items() if not fact.clock}
        return sha256_of({"order_ref": self.order_ref, "facts": counted})


def _for_digest(fact: Fact) -> Any:
    return to_plain(replace(fact, observed_at=None) if fact.source == COMPUTED else fact)


def to_plain(value: Any) -> Any:
    """The canonical JSON form of a fact, value, or container of them. Money is `{"amount", "currency"}`, times RFC 3339 UTC."""
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
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
