"""Cited evidence holds only when it resolves and says exactly what stands there."""

from typing import Any

import pytest

from guardrails.grounding import ground, justifying
from guardrails.proposal import Evidence
from guardrails.ruling import GroundedEvidence

NOTE = "Please ring twice. The invoice 4711 is wrong."
SNAPSHOT: dict[str, Any] = {
    "version": 1,
    "order_ref": "#1001",
    "as_of": "2026-11-23T10:00:00Z",
    "fields": {
        "order.total": {
            "value": {"amount": 61_200, "currency": "USD"},
            "source": "shopify",
            "conflict": True,
            "why": "shopify is the system of record",
            "others": [{"value": {"amount": 60_000, "currency": "USD"}, "source": "stripe"}],
        },
        "order.financial_status": {"value": "partially_paid", "source": "shopify", "others": []},
        "order.placed_at": {"value": "2026-11-20T08:00:00Z", "source": "shopify", "others": []},
        "order.note": {"value": NOTE, "source": "shopify", "others": []},
        "fulfilment.attempts": {"value": 3, "source": "wms", "others": []},
        "payment.status[pi_1/a~b]": {"value": "failed", "source": "stripe", "others": []},
        "address.deliverable": {"value": False, "source": "verifier", "others": []},
        "risk.recommendation": {"value": None, "source": "shopify", "others": []},
        "product.aliases": {"value": "blue thing", "source": "pim", "others": []},
        "fulfilment.message[1]": {"value": "Dock is full", "source": "wms", "others": []},
    },
    "signals": [{"id": "sig_1", "topic": "orders/create", "late": False}],
    "related": [{"order_ref": "#1000", "placed_at": "2026-11-20T07:00:00Z", "same": ["customer", "lines"]}],
}


def grounded(pointer: str, quote: str) -> GroundedEvidence:
    return ground([Evidence(pointer, quote)], SNAPSHOT)[0]


@pytest.mark.parametrize(
    ("pointer", "quote"),
    [
        ("/fields/order.financial_status/value", "partially_paid"),
        ("/fields/order.financial_status/value", '"partially_paid"'),
        ("/fields/order.placed_at/value", "2026-11-20"),
        ("/fields/order.note/value", "invoice 4711"),
        ("/fields/fulfilment.attempts/value", "3"),
        ("/fields/fulfilment.attempts/value", "3.0"),
        ("/fields/payment.status[pi_1~1a~0b]/value", "failed"),
        ("/fields/address.deliverable/value", "false"),
        ("/fields/risk.recommendation/value", "null"),
        ("/fields/order.total/value", "612.00 USD"),
        ("/fields/order.total/value", "USD 612"),
        ("/fields/order.total/value", "61200 USD"),
        ("/fields/order.total/value", '{"currency": "USD", "amount": 61200}'),
        ("/fields/order.total/value/amount", "61200"),
        ("/fields/order.total/value/currency", "USD"),
        ("/fields/order.total/others/0/value", "600.00 USD"),
        ("/fields/order.total/conflict", "true"),
        ("/related/0/same/1", "lines"),
        ("/signals/0/topic", "orders/create"),
    ],
)
def test_a_true_quote_holds(pointer: str, quote: str) -> None:
    assert grounded(pointer, quote).struck is None


@pytest.mark.parametrize(
    ("pointer", "quote", "why"),
    [
        ("/fields/order.financial_status/value", "paid", "quoted whole"),
        ("/fields/order.financial_status/value", "Partially_Paid", "does not stand there"),
        ("/fields/order.financial_status/value", "", "empty"),
        ("/fields/order.financial_status/value", "  \n", "empty"),
        ("/fields/order.note/value", "in", "too short"),
        ("/fields/order.note/value", "The invoice 4712", "does not stand there"),
        ("/fields/fulfilment.attempts/value", "4", "the value there is 3"),
        ("/fields/fulfilment.attempts/value", "3 times", "the value there is 3"),
        ("/fields/fulfilment.attempts/value", "1e999999999", "the value there is 3"),
        ("/fields/address.deliverable/value", "true", "the value there is false"),
        ("/fields/address.deliverable/value", "0", "the value there is false"),
        ("/fields/risk.recommendation/value", "accept", "the value there is null"),
        ("/fields/order.total/value", "612.00 EUR", "not the amount"),
        ("/fields/order.total/value", "612.01 USD", "not the amount"),
        ("/fields/order.total/value", "USD", "not the amount"),
        ("/fields/order.total/value", "USD USD", "not the amount"),
        ("/fields/order.total/value", "[" * 100_000, "not the amount"),
        ("/fields/order.total", "shopify", "says nothing"),
        ("/fields/order.total/why", "shopify is the system of record", "says nothing"),
        ("/fields/order.total/others", "600.00", "says nothing"),
        ("/related/0/same", "customer", "says nothing"),
        ("/version", "1", "says nothing"),
        ("/as_of", "2026-11-23", "says nothing"),
        ("/fields/order.totl/value", "612.00 USD", "nothing at 'order.totl'"),
        ("/fields/order.total/others/1/value", "600.00 USD", "nothing at '1'"),
        ("/fields/order.total/others/-1/value", "600.00 USD", "nothing at '-1'"),
        ("/fields/order.total/others/00/value", "600.00 USD", "nothing at '00'"),
        ("fields/order.total/value", "612.00 USD", "not a JSON pointer"),
        ("#/fields/order.total/value", "612.00 USD", "not a JSON pointer"),
        ("", "anything", "not a JSON pointer"),
        ("/fields/order.total~2/value", "612.00 USD", "escapes nothing"),
    ],
)
def test_a_quote_that_does_not_hold_is_struck_with_its_reason(pointer: str, quote: str, why: str) -> None:
    item = grounded(pointer, quote)
    assert item.struck is not None
    assert why in item.struck
    assert justifying([item]) == 0


@pytest.mark.parametrize(
    ("pointer", "quote"),
    [
        ("/fields/order.note/value", "invoice 4711"),
        ("/fields/fulfilment.message[1]/value", "Dock is full"),
        ("/fields/product.aliases/value", "blue thing"),
        ("/signals/0/topic", "orders/create"),
    ],
)
def test_free_text_may_be_cited_and_never_justifies(pointer: str, quote: str) -> None:
    item = grounded(pointer, quote)
    assert item.struck is None
    assert item.untrusted
    assert justifying([item]) == 0


def test_one_fact_cited_twice_counts_once() -> None:
    twice = [Evidence("/fields/order.total/value", "612.00 USD"), Evidence("/fields/order.total/value", "61200 USD")]
    assert justifying(ground(twice, SNAPSHOT)) == 1


def test_the_source_is_that_of_the_statement_cited() -> None:
    assert grounded("/fields/order.total/value", "612.00 USD").source == "shopify"
    assert grounded("/fields/order.total/others/0/value", "600.00 USD").source == "stripe"
    assert grounded("/related/0/order_ref", "#1000").source is None
