import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.context import SignalSummary, SourceRule, SourceRules, build_context
from app.linking import is_shared, resolve
from app.signals import reading
from app.signals.shapes import Observation, ParsedSignal, Source
from guardrails.facts import UNKNOWN
from guardrails.policy.catalogue import CATALOGUE
from tests.app.signals.recorded import NOW, SECRETS, at_pointer, cases, envelope, webhook_bodies

BODIES = list(webhook_bodies())
CASES = cases()
# An orphan by design: its story is that no fulfilment has this code.
ORPHANS = {("oc-0100", "tracker.updated")}
# Shopify's documentation shows this state, which its API does not have.
UNDOCUMENTED = {("order.fulfillment_status", "pending")}


@pytest.mark.parametrize(("name", "source", "headers", "payload"), BODIES, ids=[b[0] for b in BODIES])
def test_a_recorded_body_signed_as_its_vendor_does_is_accepted_and_read(
    name: str, source: Source, headers: dict[str, str], payload: dict[str, Any]
) -> None:
    body = json.dumps(payload, ensure_ascii=False).encode()
    delivery = envelope(source, body, reading.sign(source, SECRETS[source], body, headers, NOW))
    reading.verify(delivery, [SECRETS[source]], NOW)
    (opened,) = reading.open_body(delivery)
    signal = reading.parse(source, opened.headers, opened.payload, NOW)
    assert signal.occurred_at.tzinfo is not None
    assert_well_formed(signal, opened.payload)


def test_the_recorded_bodies_are_all_there() -> None:
    assert Counter(source for _, source, _, _ in BODIES) == {"shopify": 238, "stripe": 29, "easypost": 17, "aftership": 2}


def assert_well_formed(signal: ParsedSignal, payload: dict[str, Any]) -> None:
    """Catalogued fields fit their type, values are found where the pointer says, and everything is JSON."""
    for item in signal.observations:
        if item.value is not None:
            at_pointer(payload, item.pointer)
        assert item.occurred_at.tzinfo is not None
        assert fits(item) or (item.field, item.value) in UNDOCUMENTED, item
    json.dumps([item.value for item in signal.observations])


def fits(item: Observation) -> bool:
    """What the customs desk of the context makes of it is not unknown."""
    declared = CATALOGUE.get(item.field)
    if declared is None or item.value is None:
        return True
    signal = SignalSummary("sig_1", item.system, "topic", NOW, NOW, (item,))
    context = build_context("#1", [signal], SourceRules((SourceRule("*", (), timedelta(days=1)),)), NOW)
    return context.to_facts().get(item.field) is not UNKNOWN


def parsed(case: dict[str, Any]) -> list[ParsedSignal]:
    """The case's signals, and its facts as a report about its order."""
    found = [reading.parse(Source(s["source"]), s["headers"], s["payload"], at(s["received_at"])) for s in case["signals"]]
    report = {"order_ref": case["expected"]["order_ref"], "facts": case.get("facts", {})}
    return [*found, reading.parse(Source.TRIAGE, {}, report, at(case["as_of"]))]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_every_signal_of_a_labelled_case_finds_its_order(case: dict[str, Any]) -> None:
    """Identifiers and `facts.links` join them, whatever the order of arrival; a sibling order of a duplicate keeps its own."""
    signals = parsed(case)
    orders = join(signals)
    wanted = orders["order:" + case["expected"]["order_ref"].removeprefix("#")]
    assert len(wanted) == 1
    for signal in signals:
        if (case["id"], signal.topic) in ORPHANS:
            continue
        known = {order for i in signal.identifiers for order in orders.get(i, ())}
        named_otherwise = signal.order_ref is not None and signal.order_ref != case["expected"]["order_ref"]
        assert known & wanted or (named_otherwise and known), (signal.topic, signal.identifiers)


def join(signals: list[ParsedSignal]) -> dict[str, frozenset[str]]:
    """The linker over all signals until nothing changes: what a store knows once everything has arrived."""
    orders: dict[str, frozenset[str]] = {}
    for _ in range(len(signals)):
        for signal in signals:
            link = resolve(signal.identifiers, orders)
            holders = frozenset([signal.identifiers[0]]) if link.opens else frozenset(link.orders[:1])
            own = [i for i in signal.identifiers if not is_shared(i)] if holders else []
            shared = [i for i in signal.identifiers if is_shared(i)] if own else []
            merged = frozenset(link.orders)
            if link.merge:
                orders = {i: frozenset(link.orders[0] if o in merged else o for o in held) for i, held in orders.items()}
            orders |= {i: holders for i in own}
            orders |= {i: orders.get(i, frozenset()) | holders for i in shared}
    return orders


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_what_a_labelled_case_says_fits_the_catalogue(case: dict[str, Any]) -> None:
    report = {"order_ref": case["expected"]["order_ref"], "facts": case.get("facts", {})}
    payloads = [*(s["payload"] for s in case["signals"]), report]
    for signal, payload in zip(parsed(case), payloads, strict=True):
        assert_well_formed(signal, payload)


def test_the_links_of_the_cases_are_written_exactly_as_the_identifiers() -> None:
    """A link that no signal of its case carries would join nothing."""
    for case in CASES:
        carried = {i for s in parsed(case)[:-1] for i in s.identifiers}
        assert set(case.get("facts", {}).get("links", {})) <= carried, case["id"]


def test_only_the_two_foreign_topics_of_the_cases_are_unknown() -> None:
    unknown = {signal.topic for case in CASES for signal in parsed(case) if not signal.known}
    assert unknown == {"crm.campaign.sent", "erp.note.added"}


def test_the_time_of_a_late_signal_is_when_it_happened_not_when_it_came() -> None:
    """Every case tagged so has a signal that happened before one of its own source that was received earlier."""
    tagged = [case for case in CASES if {"late-signal", "out-of-order"} & set(case["tags"])]
    assert len(tagged) > 5
    for case in tagged:
        times = [signal.occurred_at for signal in parsed(case)[:-1]]
        received = [at(signal["received_at"]) for signal in case["signals"]]
        assert received == sorted(received)
        waited = [came - happened for came, happened in zip(received, times, strict=True)]
        assert times != sorted(times) or max(waited) > timedelta(minutes=10), case["id"]
