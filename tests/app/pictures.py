"""Order contexts for tests: what which system said when, in hours after the order was placed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.config_files import load_detectors, load_owners, load_sources
from app.context import OrderContext, RelatedOrder, SignalSummary, build_context
from app.signals.shapes import Observation, Source

CONFIG = Path(__file__).resolve().parents[2] / "config"
SOURCES = load_sources((CONFIG / "sources.yaml").read_text(), "sources.yaml")
DETECTORS = load_detectors((CONFIG / "detectors.yaml").read_text(), "detectors.yaml")
OWNERS = load_owners((CONFIG / "owners.yaml").read_text(), "owners.yaml")

PLACED = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


def at(hours: float) -> datetime:
    return PLACED + timedelta(hours=hours)


def when(hours: float) -> str:
    return at(hours).isoformat()


def eur(cents: int) -> dict[str, Any]:
    return {"amount": cents, "currency": "EUR"}


def said(
    system: str,
    fields: Mapping[str, Any],
    hours: float = 0,
    *,
    entity: str = "",
    received: float | None = None,
    source: Source = Source.EVENTS,
    name: str = "",
) -> SignalSummary:
    """One signal in which one system states fields of one entity. It arrives when it happened unless told otherwise."""
    told = tuple(Observation(field, value, system, at(hours), entity, f"/{field}") for field, value in fields.items())
    known_by = name or f"sig_{system}_{hours}_{entity}_{'_'.join(fields)}"
    return SignalSummary(known_by, source, "test", at(hours), at(hours if received is None else received), told)


def read(system: str, fields: Mapping[str, Any], hours: float, received: float, *, entity: str = "") -> SignalSummary:
    """What a system answered when it was asked, reported later."""
    return said(system, fields, hours, entity=entity, received=received, source=Source.EVIDENCE)


def placed(**more: Any) -> SignalSummary:
    """The storefront's word of a new, paid order of 100.00 EUR."""
    fields = {
        "order.total": eur(10_000),
        "order.financial_status": "paid",
        "order.fulfillment_status": "unfulfilled",
        "order.placed_at": when(0),
        **{f"order.{name}": value for name, value in more.items()},
    }
    return said("shopify", fields)


def picture(*signals: SignalSummary, now: float = 1, related: tuple[RelatedOrder, ...] = ()) -> OrderContext:
    return build_context("#1001", signals, SOURCES, at(now), related)
