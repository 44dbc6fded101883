"""Nothing about a person reaches a model: not from any recorded body, wherever the person's data stands in it, nor from any case."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.classify import Question
from app.compact import compact
from app.context import SignalSummary, build_context
from app.detect import Detections
from app.rendering import render
from app.signals import reading
from app.signals.shapes import Envelope, SignalRefused, Source
from evals.cli import bench_from
from evals.dataset import read_dataset
from evals.run import run
from tests.app.questions import RULES, question, said

ROOT = Path(__file__).parents[2]
PAYLOADS = sorted((ROOT / "tests" / "data" / "payloads").glob("*.jsonl"))
DATASETS = sorted((ROOT / "evals" / "datasets").glob("*.jsonl"))
AT = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
PLANTED = {
    r"e?mail": "xanthippe.q@private.example",
    r"phone|sms|mobile": "+44 7700 900123",
    r"first_name": "Xanthippe",
    r"last_name|surname": "Quillfeather",
    r"^name$|customer_name|recipient_name|full_name|signed_by|shop_owner": "Xanthippe Quillfeather",
    r"address_?1|street_?1|line1": "4417 Brackenhollow Lane",
    r"address_?2|street_?2|line2": "Garret 93b",
    r"^(zip|postal_code|postcode|zip_code)$": "90417-5512",
    r"^city$": "Zembrowice",
    r"company$": "Quillfeather and Daughters",
    r"last4": "4417-4242",
    r"^customer$|customer_id": "cus_Xq90417",
    r"browser_ip|ip_address": "198.51.100.217",
}
"""By the key it stands under. Where a name is not a person's (an order, a product) it is put there as well."""
NAMES = (
    *("xanthippe", "quillfeather", "brackenhollow", "garret 93b", "90417", "4417-4242", "cus_xq", "198.51.100.217", "900123"),
    *("private.example", "zembrowice"),
)
WRITTEN = "Xanthippe Quillfeather, 4417 brackenhollow lane, Garret 93b, Zembrowice 90417-5512, xanthippe.q@private.example, +44 (7700) 900123"
FREE = re.compile(r"note|message|description|text|comment|reason_notes|tags")
SOURCES = {"shopify": Source.SHOPIFY, "stripe": Source.STRIPE, "easypost": Source.EASYPOST, "aftership": Source.AFTERSHIP}
PERSON = {"name": "Xanthippe Quillfeather", "first_name": "Xanthippe", "last_name": "Quillfeather", "phone": "+44 7700 900123"}
ADDRESS = PERSON | {"address1": "4417 Brackenhollow Lane", "address2": "Garret 93b", "city": "Zembrowice", "zip": "90417-5512"}


def planted(value: Any, key: str = "", above: str = "") -> Any:
    """The body with the same person in every place for one, and told of in every place for words."""
    match value:
        case dict():
            return {name: planted(item, name.lower(), key) for name, item in value.items()}
        case list():
            return [planted(item, key, above) for item in value]
        case str():
            return _planted(value, key, above)
    return value


def _planted(value: str, key: str, above: str) -> str:
    if key == "name" and above in ("", "order"):
        return value  # the order's own
    if FREE.search(key) and above:
        return f"{value} {WRITTEN}"
    return next((person for known, person in PLANTED.items() if re.search(known, key)), value)


def recorded() -> list[Any]:
    found = []
    for path in PAYLOADS:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.append(pytest.param(path.stem, row, id=row["id"]))
    return found


def asked(source: Source, topic: str, body: dict[str, Any]) -> Question | None:
    """None for a body that no parser reads."""
    headers = {"x-shopify-topic": topic}
    try:
        (delivery,) = reading.open_body(Envelope(source, headers, json.dumps(body).encode(), AT))
        parsed = reading.parse(source, delivery.headers, delivery.payload, AT)
    except SignalRefused:
        return None
    address = said("order.ship_to", ADDRESS, "shopify", at=AT)
    signal = SignalSummary("sig_1", source, parsed.topic, AT, AT, (*parsed.observations, address))
    context = build_context(parsed.order_ref or "#1001", [signal], RULES, AT)
    return Question(context, context.snapshot(), context.to_facts(), Detections((), ()), {})


def shown(question: Question) -> str:
    rendering, short = render(question), compact(question)
    return "\n".join([rendering.facts, rendering.texts, short.facts, short.texts])


@pytest.mark.parametrize(("source", "row"), recorded())
def test_a_person_in_every_place_of_a_recorded_body_is_shown_in_none(source: str, row: dict[str, Any]) -> None:
    question = asked(SOURCES[source], row["kind"], planted(row["payload"]))
    if question is None:
        question = asked(SOURCES[source], row["kind"], row["payload"])
    if question is not None:
        text = shown(question).casefold()
        assert [name for name in NAMES if name in text] == []


def test_most_recorded_bodies_are_read_with_the_person_in_them() -> None:
    """The proof above would hold of nothing at all if the planted bodies were refused."""
    rows = [param.values for param in recorded()]
    read = [asked(SOURCES[source], row["kind"], planted(row["payload"])) for source, row in rows]
    assert sum(found is not None for found in read) > 0.9 * len(rows)
    assert sum(found is not None and "<" in render(found).texts for found in read) > 15


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda path: path.stem)
def test_no_case_of_the_datasets_shows_a_model_who_it_is_about(dataset: Path) -> None:
    seen = 0
    bench = _bench()
    for result in asyncio.run(run(read_dataset(dataset), bench)):
        if result.judgement is None:
            continue
        sighting = result.judgement.sighting
        text = shown(Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, {})).casefold()
        own = {name for signal in result.case.signals for name in people_of(signal.payload)}
        assert [name for name in own if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)] == [], result.case.id
        seen += 1
    assert seen > 30


@cache
def _bench() -> Any:
    return bench_from(ROOT / "config")


_OWN_KEYS = re.compile(r"^(first_name|last_name|phone|email|address1|address2|street1|street2|signed_by|last4|contact_email)$")
_HOLDERS = frozenset(["shipping_address", "billing_address", "ship_to", "original", "candidate", "recipient", "to_address"])


def people_of(value: Any, key: str = "", holder: str = "") -> Iterator[str]:
    """Names, streets, postal codes, e-mails and phones, by their keys alone."""
    match value:
        case dict():
            for name, item in value.items():
                yield from people_of(item, name.lower(), key)
        case list():
            for item in value:
                yield from people_of(item, key, holder)
        case str() if len(value.strip()) > 3 and (_OWN_KEYS.search(key) or (holder in _HOLDERS and key in ("name", "zip", "city"))):
            yield value.strip().casefold()


@pytest.mark.parametrize("odd", ["ana@private.example", "+447700900123", "Quillfeather", "90417-5512", "4417 Brackenhollow Lane"])
@pytest.mark.parametrize(
    "field", ["order.channel", "payment.decline_code", "inventory.sku", "refund.status_detail", "parcel.carrier"]
)
def test_a_person_where_a_code_belongs_is_not_shown(field: str, odd: str) -> None:
    asked = question([said("order.ship_to", ADDRESS, "shopify"), said(field, odd)])
    assert odd.casefold() not in shown(asked).casefold()


def test_a_sender_or_a_subject_that_is_somebodys_address_is_not_shown() -> None:
    asked = question([said("payment.status", "failed", "ana@private.example", entity="ana@private.example")])
    assert "private.example" not in shown(asked)


def test_the_reviewer_gets_back_what_was_taken_out() -> None:
    asked = question([said("order.ship_to", ADDRESS, "shopify"), said("customer.message", WRITTEN, "helpdesk")])
    rendering = render(asked)
    assert "Quillfeather" not in rendering.texts
    quote = json.loads(rendering.texts.partition(": ")[2])
    assert rendering.unmask(quote) == WRITTEN
