"""The signals of a case come to their orders as they would in the store."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.signals.shapes import Source
from evals.dataset import LabelledSignal, Unlabelled
from evals.order_book import OrderBook, file_case
from tests.app.pictures import SOURCES

AT = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


def event(kind: str, subject: str | None, data: Mapping[str, Any], minutes: int = 0, name: str = "") -> LabelledSignal:
    body = {
        "specversion": "1.0",
        "id": name or f"{kind}-{minutes}",
        "source": "/wms/east",
        "type": kind,
        "time": (AT + timedelta(minutes=minutes)).isoformat(),
        "data": dict(data),
    }
    payload = {**body, "subject": subject} if subject else body
    headers = {"content-type": "application/cloudevents+json"}
    return LabelledSignal(source=Source.EVENTS, headers=headers, received_at=AT + timedelta(minutes=minutes), payload=payload)


def stripe(order: str | None, minutes: int = 0, name: str = "evt_1", **thing: Any) -> LabelledSignal:
    metadata = {"order_id": order} if order else {}
    found = {
        "object": "payment_intent",
        "id": "pi_1",
        "status": "succeeded",
        "amount": 100,
        "currency": "eur",
        "metadata": metadata,
    }
    body = {"id": name, "type": "payment_intent.succeeded", "created": int(AT.timestamp()), "data": {"object": {**found, **thing}}}
    return LabelledSignal(source=Source.STRIPE, received_at=AT + timedelta(minutes=minutes), payload=body)


def book(*signals: LabelledSignal, facts: Mapping[str, Any] | None = None) -> OrderBook:
    return file_case(Unlabelled("c", signals, dict(facts or {}), AT + timedelta(hours=1)))


def orders(found: OrderBook) -> dict[str, int]:
    """How many signals each order has, by its name."""
    return {ref: len(found.signals[key]) for key, ref in found.refs.items()}


def test_signals_that_name_one_order_come_together() -> None:
    assert orders(book(event("wms.order.received", "#1001", {}), stripe("1001", 1))) == {"#1001": 2}


def test_two_orders_stay_two() -> None:
    assert orders(book(event("wms.order.received", "#1", {}), event("wms.order.packed", "#2", {}, 1))) == {"#1": 1, "#2": 1}


def test_a_signal_whose_order_is_not_known_yet_waits_for_it() -> None:
    early = event("carrier.tracking", None, {"carrier": "UPS", "tracking_code": "1Z999AA10123456784", "status": "delivered"})
    label = event(
        "label.purchased", "#1", {"carrier": "UPS", "service": "G", "tracking_code": "1Z999AA10123456784", "ship_to": {}}, 1
    )
    assert orders(book(early, label)) == {"#1": 2}


def test_a_link_among_the_facts_leads_to_the_order() -> None:
    early = event("carrier.tracking", None, {"carrier": "UPS", "tracking_code": "1Z999AA10123456784", "status": "delivered"})
    facts = {
        "order.ref": {"value": "#1", "source": "shopify", "observed_at": AT.isoformat()},
        "links": {"1Z999AA10123456784": "#1"},
    }
    assert orders(book(early, facts=facts)) == {"#1": 2}


def test_one_event_delivered_twice_counts_once() -> None:
    assert orders(book(stripe("#1", 0), stripe("#1", 5))) == {"#1": 1}


def test_facts_are_readings_about_the_only_order() -> None:
    facts = {"payment.status": {"value": "failed", "source": "stripe", "observed_at": (AT + timedelta(minutes=30)).isoformat()}}
    found = book(stripe("#1"), facts=facts)
    (context,) = found.contexts(SOURCES, AT + timedelta(hours=1), timedelta(hours=24))
    item = context.fields["payment.status[pi_1]"]
    assert (item.winner.value, item.winner.reading) == ("failed", True)


def test_an_unknown_topic_joins_nothing() -> None:
    assert orders(book(event("crm.campaign.sent", "#1", {}))) == {}


def test_an_id_that_turns_up_later_merges_two_records_of_one_order() -> None:
    apart = [
        event("wms.order.received", "#1", {}),
        stripe(None, 1, name="evt_2", id="pi_9", metadata={"order_id": "5484242798325"}),
    ]
    both = stripe("#1", 2, name="evt_3", id="pi_9")
    assert len(book(*apart).refs) == 2
    assert orders(book(*apart, both)) == {"#1": 3}
