"""What people and scripts report through the API: facts with their sources, and a description in free text.

    {"order_ref": "#1001", "reported_by": "…", "description"?: "…",
     "facts"?: {"order.total": {"value", "source", "observed_at"}, "links": {"trk_…": "#1001"}}}

The facts are answers of systems of record, brought by whoever may report; the description is data, never an instruction.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.linking import ORDER_NAME
from app.signals.body import Observer, Part, distinct, plain, read_body, to_code
from app.signals.fingerprints import address_fingerprint
from app.signals.references import named_order, shopify_order
from app.signals.shapes import Delivery, Observation, ParsedSignal
from guardrails.facts import CLOCK_SKEW
from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.language import ValueType

_WITH_ENTITY = re.compile(r"(?P<name>[a-z_.]+)\[(?P<entity>[^\]]+)\]")
_BARE_CODE = re.compile(r"[A-Z0-9]{8,40}")
# Other names that systems of record use for a catalogued fact.
_ALIASES = {
    "hold.held_by_requesting_app": "hold.ours",
    "fulfilment.request_status": "fulfilment.request",
    "fulfilment.status": "fulfilment_order.status",
}
# Addresses: their fingerprint goes beside them, as it does for the ones in webhooks.
_ADDRESSES = frozenset(["order.ship_to", "label.ship_to", "address.original", "address.candidate", "address.checked"])
# A payment provider's answer to "which refunds are there?"; an empty list says that there is none.
_LISTS_OF_REFUNDS = frozenset(["refund.refunds", "payment.refunds", "refunds"])
_NOTHING_MEANS = {"order.fulfillment_status": "unfulfilled"}
# Finer words for the warehouse's work; the word itself stays in `fulfilment.state_detail`.
_WORK = {
    "not_started": "received",
    "queued": "received",
    "scheduled": "received",
    "allocated": "accepted",
    "picking": "in_progress",
    "picked": "in_progress",
    "packing": "in_progress",
    "canceled": "cancelled",
    "on_hold": "held",
}


def delivery(headers: Mapping[str, str], payload: dict[str, Any], fallback: str) -> Delivery:
    """A report has no id of its own; the API's Idempotency-Key is checked before this."""
    key = headers.get("idempotency-key", "").strip() or fallback
    return Delivery(dict(headers), payload, key, key, "report")


def parse(headers: Mapping[str, str], payload: dict[str, Any], received_at: datetime) -> ParsedSignal:
    body = read_body(payload)
    facts, links = body["facts"], body["facts"]["links"]
    ref = body["order_ref"].text() or facts["order.ref"]["value"].text() or _only_order(links)
    observer = Observer(body["reported_by"].text() or "report", received_at)
    observer.see("report.description", body["description"].text(), body["description"], _mark(received_at))
    seen = list(observer.seen)
    if isinstance(facts.value, Mapping):
        for name in facts.value:
            if name != "links":
                seen += _observe(str(name), facts, received_at)
    identifiers = distinct([named_order(ref), *_own_ids(facts), *_linked(links, ref)])
    body.checked()
    occurred_at = max((item.occurred_at for item in seen), default=received_at)
    return ParsedSignal("report", True, min(occurred_at, received_at), identifiers, ref, tuple(seen))


def _mark(received_at: datetime) -> str:
    """Each report's description is an entity of its own, so that a later one does not hide it."""
    return f"report:{received_at.isoformat()}"


def _own_ids(facts: Part) -> list[str | None]:
    found = facts["order.id"]["value"].ident()
    return [shopify_order(found) if facts["order.id"]["source"].value == "shopify" else None]


def _only_order(links: Part) -> str | None:
    """The order that all links name, when they name just one."""
    named = set(links.value.values()) if isinstance(links.value, Mapping) and all(map(_is_text, links.value.values())) else set()
    return str(named.pop()) if len(named) == 1 else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _linked(links: Part, ref: str | None) -> list[str | None]:
    """The vendor ids that are said to be this order's. Ids of other orders stay out, and so do names: a vendor's id under the
    storefront's name of another order would take that order's signals away from it."""
    if not isinstance(links.value, Mapping):
        links["*"]  # anything but an object or nothing is noted as wrong
        return []
    own = named_order(ref)
    mine = [str(vendor_id) for vendor_id, order in links.value.items() if isinstance(order, str) and named_order(order) == own]
    return [vendor_id for vendor_id in mine if not vendor_id.startswith(ORDER_NAME)]


def _observe(name: str, facts: Part, received_at: datetime) -> list[Observation]:
    """The fact, under its catalogued name, and finer words kept beside it."""
    fact = facts[name]
    system = fact["source"].text()
    if system is None or not fact.has("value"):
        fact.errors.append((fact.pointer, 'must be {"value", "source", "observed_at"}'))
        return []
    at = fact["observed_at"].moment() or received_at
    if at > received_at and at.date() == received_at.date() and len(str(fact["observed_at"].value)) == len("2026-01-01"):
        at = received_at  # a bare date means its end, and today has not ended
    if at > received_at + CLOCK_SKEW:
        fact.errors.append((f"{fact.pointer}/observed_at", "lies in the future; nobody has observed it yet"))
    field, entity = _field_and_entity(name, fact, facts)
    if field in _LISTS_OF_REFUNDS and fact["value"].value == []:
        return [Observation("refund.status", None, system, at, "", fact["value"].pointer)]
    value, pointer = plain(fact["value"].plain()), fact["value"].pointer
    told = _NOTHING_MEANS.get(field) if value is None else _fit(field, value, system)
    if not _fits(field, told):
        fact.errors.append((pointer, f"{field} must be {_WANTED[CATALOGUE[field].type]}"))
    found = [Observation(field, told, system, at, entity, pointer)]
    if field in _ADDRESSES and (mark := address_fingerprint(value)) is not None:
        found.append(Observation(f"{field}_fingerprint", mark, system, at, entity, pointer))
    if field == "fulfilment.state" and told != value:
        found.append(Observation("fulfilment.state_detail", value, system, at, entity, pointer))
    return found


_WANTED = {
    ValueType.BOOL: "true or false",
    ValueType.INT: "a whole number",
    ValueType.TEXT: "text",
    ValueType.SET: "a list of texts",
    ValueType.DURATION: "a duration",
    ValueType.MONEY: 'money such as {"amount": 5800, "currency": "USD"}, in whole minor units',
    ValueType.TIME: "a time with a zone, such as 2026-11-23T10:00:00Z",
}


def _fits(field: str, value: Any) -> bool:
    """A catalogued field holds a value of its type. A word outside a closed list is kept, and the catalogue reads it as
    unknown; what nobody has catalogued may be anything."""
    declared = CATALOGUE.get(field)
    if declared is None or value is None:
        return True
    match declared.type:
        case ValueType.BOOL:
            return isinstance(value, bool)
        case ValueType.INT:
            return isinstance(value, int) and not isinstance(value, bool)
        case ValueType.TEXT:
            return isinstance(value, str)
        case ValueType.MONEY:
            return isinstance(value, Mapping) and _is_money(value)
        case ValueType.TIME:
            return isinstance(value, str) and read_body({"at": value})["at"].moment() is not None
    return True


def _is_money(value: Mapping[str, Any]) -> bool:
    try:
        Money(value["amount"], value["currency"])
    except (MoneyError, KeyError, TypeError):
        return False
    return True


def _field_and_entity(name: str, fact: Part, facts: Part) -> tuple[str, str]:
    match = _WITH_ENTITY.fullmatch(name)
    field = _ALIASES.get(match["name"] if match else name, match["name"] if match else name)
    given = match["entity"] if match else fact["entity"].text()
    if given:
        return field, f"inventory_item:{given}" if field.startswith("inventory.") and given.isdigit() else given
    family = field.partition(".")[0]
    if family in ("inventory", "product"):
        sku = facts[f"{family}.sku"]["value"].text()
        return field, f"sku:{sku}" if sku else ""
    if family in ("tracking", "parcel", "label"):
        return field, _only_parcel(facts["links"])
    return field, ""


def _only_parcel(links: Part) -> str:
    """The parcel that a fact about tracking must mean: the one linked code, when there is just one."""
    codes = [key for key in links.value or () if _BARE_CODE.fullmatch(key)] if isinstance(links.value, Mapping) else []
    return str(codes[0]) if len(codes) == 1 else ""


def _fit(field: str, value: Any, system: str) -> Any:
    """The value as a webhook would have given it: closed values in the catalogue's spelling, Shopify's order id as its gid,
    stock elsewhere as one number. Anything else as it is."""
    if field == "order.id" and isinstance(value, (int, str)):
        return (shopify_order(str(value)) if system == "shopify" else None) or str(value)
    if field == "inventory.other_locations" and isinstance(value, list):
        counts = [item.get("on_hand") for item in value if isinstance(item, Mapping)]
        return sum(counts) if len(counts) == len(value) and all(isinstance(count, int) for count in counts) else value
    declared = CATALOGUE.get(field)
    if declared is None or not declared.values or not isinstance(value, str):
        return value
    code = to_code(value)
    return _WORK.get(code, code) if field == "fulfilment.state" else code
