"""What every source's parser hands on: the same small shapes, whatever the vendor calls things."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """Where signals come in. `triage` and `evidence` are what people and scripts report through the API."""

    SHOPIFY = "shopify"
    STRIPE = "stripe"
    EASYPOST = "easypost"
    AFTERSHIP = "aftership"
    SHIPBOB = "shipbob"
    WOOCOMMERCE = "woocommerce"
    EVENTS = "events"
    TRIAGE = "triage"
    EVIDENCE = "evidence"


WEBHOOK_SOURCES = tuple(s for s in Source if s not in (Source.TRIAGE, Source.EVIDENCE))


@dataclass(frozen=True, slots=True)
class Observation:
    """One field as one system states it.

    `value` is plain JSON: money is `{"amount": minor units, "currency"}`, times are RFC 3339 with zone, null means "read
    and got nothing". `entity` names the payment, parcel or SKU it belongs to, empty for the order itself. `pointer` is the
    RFC 6901 pointer into the payload. `system` is the system that states it, e.g. `stripe`, `wms`, `shopify`.
    """

    field: str
    value: Any
    system: str
    occurred_at: datetime
    entity: str = ""
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class ParsedSignal:
    """A verified body, read. `known` is False for a topic that no parser maps: stored and counted, never refused.

    `identifiers` are every id in the body that belongs to the same order, most telling first: `order:1001` (the storefront's
    name without `#`), Shopify order gids, `pi_…`, `ch_…`, `re_…`, fulfilment-order gids, bare tracking codes,
    `inventory_item:ID`, `checkout:TOKEN`. `order_ref` is the order's name as its storefront writes it, when the body has it.
    """

    topic: str
    known: bool
    occurred_at: datetime
    identifiers: tuple[str, ...]
    order_ref: str | None
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A delivery as it came: raw bytes, lower-cased header names, and when we received it."""

    source: Source
    headers: dict[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event out of a delivery (a CloudEvents batch holds several).

    `delivery_id` is the transport's own id, the same on every retry; `event_id` is the event's, the same however often and
    through however many subscriptions it comes. Each is unique within its source. `headers` have lower-cased names.
    """

    headers: dict[str, str]
    payload: dict[str, Any]
    delivery_id: str
    event_id: str
    topic: str


class SignalRefused(Exception):
    """The delivery cannot be accepted. The message says what to do."""


class SignatureInvalid(SignalRefused):
    """The signature is absent, wrong, too old, or the secret is not configured."""


class BodyNotJson(SignalRefused):
    """The body is not JSON, or not an object."""


class FieldsInvalid(SignalRefused):
    """Fields have the wrong type. `errors` are (RFC 6901 pointer, what is wrong) pairs."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in errors))
        self.errors = errors
