"""The recorded payloads, vectors and cases that the tests of the signals read, and small builders around them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.signals.shapes import Envelope, Observation, ParsedSignal, Source

_ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
STANDARD_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
SECRETS = {
    Source.SHOPIFY: "hush",
    Source.STRIPE: "whsec_test_secret",
    Source.EASYPOST: "sécret",
    Source.AFTERSHIP: "after-secret",
    Source.SHIPBOB: STANDARD_SECRET,
    Source.WOOCOMMERCE: "woo-secret",
    Source.EVENTS: STANDARD_SECRET,
}


def rows(path: str) -> list[dict[str, Any]]:
    text = (_ROOT / path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def vectors() -> list[dict[str, Any]]:
    text = (_ROOT / "tests/data/signatures/webhook_signature_vectors.json").read_text(encoding="utf-8")
    return list(json.loads(text))


def cloud_event_vectors() -> list[dict[str, Any]]:
    return list(json.loads((_ROOT / "tests/data/signatures/cloudevents_conformance.json").read_text(encoding="utf-8")))


def cases() -> list[dict[str, Any]]:
    return rows("evals/datasets/dev.jsonl")


def webhook_bodies() -> Iterator[tuple[str, Source, dict[str, str], dict[str, Any]]]:
    """(id, source, headers, payload) of every recorded webhook body. AfterShip's trackings are put into its envelope."""
    for row in rows("tests/data/payloads/shopify.jsonl"):
        yield row["id"], Source.SHOPIFY, {"X-Shopify-Topic": row["kind"]}, row["payload"]
    for name in (Source.STRIPE, Source.EASYPOST):
        for row in rows(f"tests/data/payloads/{name}.jsonl"):
            yield row["id"], name, {}, row["payload"]
    for row in rows("tests/data/payloads/aftership.jsonl"):
        data = row["payload"]["data"]
        for tracking in [data["tracking"]] if "tracking" in data else data["trackings"]:
            envelope = {"ts": 1668063584, "event": "tracking_update", "event_id": row["id"], "msg": tracking}
            yield row["id"], Source.AFTERSHIP, {}, envelope


def envelope(source: Source, body: bytes, headers: dict[str, str]) -> Envelope:
    return Envelope(source, headers, body, NOW)


def seen(signal: ParsedSignal, field: str, entity: str | None = None) -> Any:
    """The value of the only observation of a field (of an entity); an assertion error when there is none or more."""
    found = observations(signal, field, entity)
    assert len(found) == 1, (
        f"{field}: {[(o.entity, o.value) for o in found]} among {sorted({o.field for o in signal.observations})}"
    )
    return found[0].value


def observations(signal: ParsedSignal, field: str, entity: str | None = None) -> list[Observation]:
    return [o for o in signal.observations if o.field == field and entity in (None, o.entity)]


def at_pointer(document: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document
