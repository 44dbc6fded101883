"""The order as all systems see it: per field the value, its source, its age, and who says otherwise.

The context is a pure fold over observations. Of one system and field only the newest by *event* time counts, so a late or
repeated delivery never makes the picture older. Between systems the system of record wins (`config/sources.yaml`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from app.signals.shapes import Observation, Source
from app.statements import ContextField, SourceRule, SourceRules, Statement, same_value, weigh
from guardrails.facts import CLOCK_SKEW, UNKNOWN, Fact, Facts, FactValue, Unknown, canonical_json, rfc3339
from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import ValueType

__all__ = [
    "ContextField",
    "OrderContext",
    "RelatedOrder",
    "SignalSummary",
    "SourceRule",
    "SourceRules",
    "Statement",
    "build_context",
]

SNAPSHOT_VERSION = 1


@dataclass(frozen=True, slots=True)
class SignalSummary:
    """One accepted signal of the order. `late` marks an event that is older than one already seen from its system."""

    signal_id: str
    source: str
    topic: str
    occurred_at: datetime
    received_at: datetime
    observations: tuple[Observation, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class OrderContext:
    """Everything known about one order as of one moment."""

    order_ref: str
    as_of: datetime
    fields: Mapping[str, ContextField]
    signals: tuple[SignalSummary, ...]
    related: tuple["RelatedOrder", ...] = ()
    entities: Mapping[str, tuple[ContextField, ...]] = field(default_factory=dict)

    def entities_of(self, name: str) -> tuple[ContextField, ...]:
        """The field for every entity, the one that changed last first."""
        return self.entities.get(name, ())

    def current(self, name: str) -> ContextField | None:
        """The field of the entity that changed last, or None when no system has said anything."""
        found = self.entities.get(name, ())
        return found[0] if found else None

    def snapshot(self) -> dict[str, Any]:
        """The immutable JSON form that goes with every decision."""
        return {
            "version": SNAPSHOT_VERSION,
            "order_ref": self.order_ref,
            "as_of": rfc3339(self.as_of),
            "fields": {key: _plain_field(item, self.as_of) for key, item in sorted(self.fields.items())},
            "signals": [
                {
                    "id": s.signal_id,
                    "source": s.source,
                    "topic": s.topic,
                    "occurred_at": rfc3339(s.occurred_at),
                    "received_at": rfc3339(s.received_at),
                    "late": s.late,
                }
                for s in self.signals
            ],
            "related": [{"order_ref": r.order_ref, "placed_at": rfc3339(r.placed_at), "same": list(r.same)} for r in self.related],
        }

    def to_facts(self, derived: Mapping[str, FactValue | Unknown] | None = None) -> Facts:
        """The customs desk: only catalogued fields pass, typed; what does not fit its type is unknown."""
        by_name: dict[str, Fact] = {}
        for name in self.entities:
            declared = CATALOGUE.get(name)
            current = self.current(name)
            if declared is None or current is None or declared.writer is not Writer.RECORD:
                continue
            by_name[name] = Fact(
                name=name,
                value=_typed(current.winner.value, declared.type, declared.values),
                source=current.winner.system,
                observed_at=current.winner.observed_at,
                stale=current.stale,
                conflict=any(item.conflict for item in self.entities_of(name)),
                untrusted=declared.untrusted,
            )
        for name, value in (derived or {}).items():
            declared = CATALOGUE.get(name)
            clock = declared is not None and declared.writer is Writer.CLOCK
            by_name[name] = Fact(name, value, "ordermend", self.as_of, clock=clock)
        return Facts(self.order_ref, self.as_of, by_name)


@dataclass(frozen=True, slots=True)
class RelatedOrder:
    """Another order that shares something telling with this one. `same` names what: customer, lines, ship_to."""

    order_ref: str
    placed_at: datetime
    same: tuple[str, ...]
    cancelled: bool = False


def build_context(
    order_ref: str,
    signals: Iterable[SignalSummary],
    rules: SourceRules,
    as_of: datetime,
    related: Sequence[RelatedOrder] = (),
) -> OrderContext:
    """Fold the order's signals, in order of receipt, into its context. Signals from after `as_of` are left out.

    The fields depend on the events alone: received in any other order, or twice, they fold into the same fields.
    """
    seen = tuple(_not_from_the_future(s) for s in signals if s.received_at <= as_of)
    statements: dict[tuple[str, str], list[Statement]] = defaultdict(list)
    for (name, entity, system), said in _by_subject(seen).items():
        statements[name, entity].append(_latest(system, said))
    fields = {}
    entities: dict[str, list[ContextField]] = defaultdict(list)
    for (name, entity), told in statements.items():
        item = weigh(name, entity, told, rules.for_field(name), as_of)
        fields[item.key] = item
        entities[name].append(item)
    ordered = {
        name: tuple(sorted(items, key=lambda f: (f.winner.observed_at, f.entity), reverse=True)) for name, items in entities.items()
    }
    return OrderContext(order_ref, as_of, fields, _mark_late(seen), tuple(related), ordered)


def _not_from_the_future(signal: SignalSummary) -> SignalSummary:
    """A time further ahead of its receipt than clocks differ means nothing, as if none were given. Believed, it would be the
    newest word for good, and nothing that the system says later could correct it."""
    latest = signal.received_at + CLOCK_SKEW
    if signal.occurred_at <= latest and all(told.occurred_at <= latest for told in signal.observations):
        return signal

    def known(moment: datetime) -> datetime:
        return moment if moment <= latest else signal.received_at

    told = tuple(replace(item, occurred_at=known(item.occurred_at)) for item in signal.observations)
    return replace(signal, occurred_at=known(signal.occurred_at), observations=told)


@dataclass(frozen=True, slots=True)
class _Said:
    """One observation with the signal that brought it. `place` is its position in that signal: the later one corrects."""

    observation: Observation
    place: int
    signal_id: str
    reading: bool

    @property
    def order(self) -> tuple[datetime, int, str, str, str]:
        """By event time. The rest only makes the fold independent of the order of receipt."""
        told = self.observation
        return told.occurred_at, self.place, canonical_json(told.value), told.pointer, self.signal_id


def _by_subject(signals: Sequence[SignalSummary]) -> dict[tuple[str, str, str], list[_Said]]:
    """All that each system says of each field of each entity."""
    settle = _settler(signals)
    found: dict[tuple[str, str, str], list[_Said]] = defaultdict(list)
    for signal in signals:
        for place, told in enumerate(signal.observations):
            found[told.field, settle(told), told.system].append(_Said(told, place, signal.signal_id, signal.source in _READINGS))
    return found


# Sources that carry what was asked for, not what a system sends of its own accord.
_READINGS = frozenset([Source.TRIAGE, Source.EVIDENCE])
# Families in which a reading that names no entity is about the only one there is.
_ONE_OF_A_KIND = frozenset(["payment", "tracking", "refund", "dispute"])


def _settler(signals: Sequence[SignalSummary]) -> Callable[[Observation], str]:
    """To which entity an observation belongs. "The payment succeeded" without an id means the one payment that its own system
    has named, else the one that anybody has named; of several it stays without."""
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for signal in signals:
        for told in signal.observations:
            if told.entity and _family(told.field) in _ONE_OF_A_KIND:
                named[_family(told.field), told.system].add(told.entity)
                named[_family(told.field), ""].add(told.entity)

    def settle(told: Observation) -> str:
        if told.entity:
            return told.entity
        family = _family(told.field)
        candidates = named.get((family, told.system)) or named.get((family, "")) or set()
        return next(iter(candidates)) if len(candidates) == 1 else ""

    return settle


def _family(name: str) -> str:
    return name.partition(".")[0]


def _latest(system: str, said: list[_Said]) -> Statement:
    """The newest statement by event time, and since when it has stood."""
    said = sorted(said, key=lambda item: item.order)
    last = said[-1].observation
    since = last.occurred_at
    for item in reversed(said):
        if not same_value(item.observation.value, last.value):
            break
        since = item.observation.occurred_at
    return Statement(last.value, system, last.occurred_at, said[-1].signal_id, last.pointer, since, said[-1].reading)


def _subject(signal: SignalSummary) -> str:
    """What the signal speaks about: events are only late relative to others about the same thing."""
    entities = {o.entity for o in signal.observations if o.entity}
    return min(entities) if entities else ""


def _mark_late(signals: Sequence[SignalSummary]) -> tuple[SignalSummary, ...]:
    """The signals, those marked that are older than one already seen from the same source about the same thing."""
    newest: dict[tuple[str, str], datetime] = {}
    marked = []
    for signal in signals:
        mark = (signal.source, _subject(signal))
        marked.append(replace(signal, late=True) if signal.occurred_at < newest.get(mark, signal.occurred_at) else signal)
        newest[mark] = max(signal.occurred_at, newest.get(mark, signal.occurred_at))
    return tuple(marked)


def _typed(value: Any, kind: ValueType, allowed: frozenset[str]) -> FactValue | Unknown:
    """The value as its declared type; anything else is unknown."""
    match kind, value:
        case ValueType.BOOL, bool():
            return value
        case ValueType.INT, int() if not isinstance(value, bool):
            return value
        case ValueType.TEXT, str() if not allowed or value in allowed:
            return value
        case ValueType.MONEY, {"amount": int() as amount, "currency": str() as currency}:
            try:
                return Money(amount, currency)
            except MoneyError:
                return UNKNOWN
        case ValueType.TIME, str():
            return _moment(value)
    return UNKNOWN


def _moment(text: str) -> datetime | Unknown:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return UNKNOWN
    return moment if moment.tzinfo else UNKNOWN


def _plain_field(item: ContextField, as_of: datetime) -> dict[str, Any]:
    return {
        "value": item.winner.value,
        "source": item.winner.system,
        "observed_at": rfc3339(item.winner.observed_at),
        "since": rfc3339(item.winner.since),
        "age_s": max(0, int((as_of - item.winner.observed_at).total_seconds())),
        "signal": item.winner.signal_id,
        "pointer": item.winner.pointer,
        "why": item.why,
        "stale": item.stale,
        "conflict": item.conflict,
        "outdated": item.outdated,
        "others": [
            {"value": o.value, "source": o.system, "observed_at": rfc3339(o.observed_at), "signal": o.signal_id}
            for o in item.others
        ],
    }
