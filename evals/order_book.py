"""The signals of one case joined to their orders in memory, by the same parsers and the same linking rule as the store."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.context import OrderContext, SignalSummary, SourceRules, build_context
from app.linking import Holders, resolve
from app.related import marks_of, related_orders
from app.signals import reading
from app.signals.shapes import Delivery, Envelope, ParsedSignal, Source
from evals.dataset import LabelledSignal, Unlabelled


@dataclass(slots=True)
class OrderBook:
    """Orders by a number of our own; `waiting` holds signals that no order claims yet."""

    refs: dict[str, str] = field(default_factory=dict)
    signals: dict[str, list[SignalSummary]] = field(default_factory=dict)
    holders: Holders = field(default_factory=Holders)
    waiting: list[tuple[SignalSummary, ParsedSignal]] = field(default_factory=list)

    def add(self, summary: SignalSummary, parsed: ParsedSignal) -> None:
        """Join the signal to its orders; then whatever waited may have found its order, too."""
        if not self._join(summary, parsed):
            self.waiting.append((summary, parsed))
            return
        progress = True
        while progress:
            still = [(s, p) for s, p in self.waiting if not self._join(s, p)]
            progress = len(still) < len(self.waiting)
            self.waiting = still

    def _join(self, summary: SignalSummary, parsed: ParsedSignal) -> bool:
        link = resolve(parsed.identifiers, self.holders.known, self.holders.names)
        orders = list(link.orders)
        if link.opens:
            orders = [f"order-{len(self.refs) + 1}"]
            self.refs[orders[0]], self.signals[orders[0]] = parsed.order_ref or parsed.identifiers[0], []
        if link.merge:
            orders = [self._merge(orders)]
        for order in orders:
            self.signals[order].append(summary)
            if parsed.order_ref and len(orders) == 1 and self.refs[order].startswith("gid://"):
                self.refs[order] = parsed.order_ref
        if len(orders) == 1:
            self.holders.join(orders[0], parsed.identifiers)
        return bool(orders)

    def _merge(self, orders: list[str]) -> str:
        """Two records of one order become one: the earlier keeps its name."""
        keep, *others = sorted(orders)
        for other in others:
            self.signals[keep] += self.signals.pop(other)
            self.refs.pop(other)
        self.holders.merge(keep, others)
        return keep

    def contexts(self, rules: SourceRules, as_of: datetime, window: timedelta) -> list[OrderContext]:
        """Every order as all systems see it, each knowing the others that resemble it."""
        alone = {key: build_context(self.refs[key], _in_order(self.signals[key]), rules, as_of) for key in self.refs}
        marks = {key: marks_of(context) for key, context in alone.items()}
        found = []
        for key in self.refs:
            others = [mark for other, mark in marks.items() if other != key]
            related = related_orders(marks[key], others, window)
            found.append(build_context(self.refs[key], _in_order(self.signals[key]), rules, as_of, related))
        return found


def _in_order(signals: Iterable[SignalSummary]) -> list[SignalSummary]:
    return sorted(signals, key=lambda signal: (signal.received_at, signal.signal_id))


def file_case(case: Unlabelled) -> OrderBook:
    """All signals of the case in order of receipt, each event once, and the facts as one report at its end."""
    book = OrderBook()
    seen: set[tuple[Source, str]] = set()
    for place, signal in enumerate(case.signals, start=1):
        for part, delivery in enumerate(_open(signal)):
            identities = {(signal.source, delivery.delivery_id), (signal.source, delivery.event_id)}
            if not identities & seen:
                _file(book, f"sig_{place:04d}_{part}", signal.source, delivery, signal.received_at)
            seen |= identities
    if case.facts:
        report = LabelledSignal(source=Source.EVIDENCE, received_at=case.as_of, payload=_report(case, book))
        for delivery in _open(report):
            _file(book, "sig_facts", report.source, delivery, report.received_at)
    return book


def _report(case: Unlabelled, book: OrderBook) -> dict[str, Any]:
    """What systems of record answered. Asked about one order, they answer about that one."""
    payload: dict[str, Any] = {"reported_by": "system-of-record", "facts": dict(case.facts)}
    names_one = "order.ref" in case.facts or len(book.refs) != 1
    return payload if names_one else {**payload, "order_ref": next(iter(book.refs.values()))}


def _open(signal: LabelledSignal) -> tuple[Delivery, ...]:
    body = json.dumps(signal.payload, ensure_ascii=False).encode()
    return reading.open_body(Envelope(signal.source, signal.headers, body, signal.received_at))


def _file(book: OrderBook, signal_id: str, source: Source, delivery: Delivery, received_at: datetime) -> None:
    """Parse and join. A topic that nobody reads is stored and counted, and joins nothing."""
    parsed = reading.parse(source, delivery.headers, delivery.payload, received_at)
    if parsed.known:
        book.add(SignalSummary(signal_id, source, parsed.topic, parsed.occurred_at, received_at, parsed.observations), parsed)
