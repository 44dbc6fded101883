"""What the warehouse does with the order: why it stopped, since when nothing moved, and what changed under its hands.

Reasons are read from codes, never from messages. Vendors' documented codes come first (Shopify's rejection and hold reasons,
ShipBob's status details, ShipHero's and Oracle's holds, WMS short-pick codes); of other codes the words are looked at one by one,
because every warehouse writes `ADDRESS_HOLD` or `BAD_ADDRESS` in its own way. Free text decides nothing here.
"""

from datetime import datetime
from itertools import pairwise
from typing import Final

from app.checking.values import Checked, current, history, moments, stated, told_of, value_of, values, whole_hours
from app.context import OrderContext
from guardrails.facts import UNKNOWN, Unknown

_DOCUMENTED: Final = {
    "incorrect_address": "address",
    "undeliverable_destination": "address",
    "ship_to": "address",
    "inventory_out_of_stock": "stock",
    "shortpick": "stock",
    "noinv": "stock",
    "incorrect_product_info": "order_data",
    "ineligible_product": "order_data",
    "international_shipping_unavailable": "order_data",
    "invalid_contact_information": "contact",
    "invalid_sku": "order_data",
    "inactive_product": "order_data",
    "missing_customs_info": "order_data",
    "missing_tariff_codes": "order_data",
    "high_risk_of_fraud": "fraud",
    "awaiting_payment": "payment",
    "merchant_blocked_or_suspended": "account",
    "payment": "payment",
    "client": "seller",
    "client_hold": "seller",
    "merchant_hold": "seller",
    "user": "seller",
    "operator": "warehouse",
    "other": "warehouse",
}
_OF_A_WAREHOUSE: Final = """
    capacity labor labour staff staffing backlog workload cutoff closed closure dock bay shift strike holiday weather power system
    equipment conveyor printer label carton box packaging packing pack pick picking mispick wave bin location aisle zone slot
    damage damaged broken quality qc qa inspection weight dimension dimensions oversize oversized battery hazmat dangerous docs
    preorder warehouse operator carrier pickup
"""
_WORDS: Final = (
    ("stock", frozenset(["stock", "inventory", "backorder", "backordered", "oversold", "oos"])),
    ("address", frozenset(["address", "zip", "postcode"])),
    ("contact", frozenset(["contact", "phone", "email", "recipient"])),
    ("amounts", frozenset(["price", "tax", "qty", "quantity"])),
    ("order_data", frozenset(["sku", "product", "item", "customs", "tariff", "hs"])),
    ("fraud", frozenset(["fraud"])),
    ("payment", frozenset(["payment", "unpaid"])),
    ("account", frozenset(["billing", "account", "card", "credit"])),
    ("transient", frozenset(["timeout", "busy", "unavailable", "temporary", "retry", "maintenance", "throttled"])),
    ("warehouse", frozenset(_OF_A_WAREHOUSE.split())),
)

UNCODED: Final = "uncoded"

_STOPPED = frozenset(["rejected", "held", "incomplete", "cancelled"])
_BEGUN = frozenset(["received", "accepted", "in_progress", "packed", "shipped"])
_PROGRESS = frozenset(["received", "accepted", "in_progress", "packed", "shipped", "delivered"])


def reason_kind(code: str) -> str:
    """What a rejection, hold or exception code is about. Of a code that nobody has listed nothing is known: it may mean any of them."""
    if code in _DOCUMENTED:
        return _DOCUMENTED[code]
    words = set(code.split("_"))
    return next((kind for kind, telling in _WORDS if words & telling), UNCODED)


def work_reason(context: OrderContext) -> str | Unknown:
    """Why the work stopped, by the last code that was given for it; `uncoded` where there is none, or none that we can read; `none`
    while it goes on; unknown while no warehouse has spoken."""
    parts = stated(context, "fulfilment.state")
    if not parts:
        return UNKNOWN
    if parts[0].winner.value not in _STOPPED:
        return "none"
    stopped = [part.entity for part in parts if part.winner.value in _STOPPED]
    codes = [value_of(context, "fulfilment.reason", entity) for entity in stopped]
    return next((reason_kind(code) for code in codes if isinstance(code, str)), UNCODED)


def held(context: OrderContext) -> Checked:
    """The storefront or the warehouse holds it. A storefront states a hold by an event of its own, so once it has spoken of the
    order without one there is none."""
    holds, work = values(context, "hold.reason"), values(context, "fulfilment.state")
    if any(reason != "none" for reason in holds) or "held" in work[:1]:
        return True
    return False if holds or work or _storefront_spoke(context) else UNKNOWN


def hours_since_held(context: OrderContext) -> int | Unknown:
    """Since the oldest hold of the storefront that still stands was placed."""
    since = [item.winner.since for item in stated(context, "hold.reason") if item.winner.value != "none"]
    return whole_hours(context.as_of - min(since)) if since else UNKNOWN


def cancelled(context: OrderContext) -> Checked:
    """False once a storefront has spoken of the order and stated no cancellation: it states one by an event of its own."""
    if values(context, "order.cancelled_at"):
        return True
    return False if _storefront_spoke(context) else UNKNOWN


def _storefront_spoke(context: OrderContext) -> bool:
    return bool(context.entities_of("order.financial_status") or context.entities_of("order.total"))


def _work_began(context: OrderContext) -> list[datetime]:
    """When the warehouse, or the label desk, had taken the order on."""
    began = [word.at for word in history(context, "fulfilment.state") if word.value in _BEGUN]
    began += [word.at for word in history(context, "fulfilment.request") if word.value == "accepted"]
    return began + moments(context, "label.purchased_at") + moments(context, "parcel.shipped_at")


def _changes(context: OrderContext) -> list[datetime]:
    """When the buyer or the shop changed what had been ordered."""
    changes = [*moments(context, "order.cancelled_at"), *moments(context, "order.edited_at")]
    moved = address_changed_at(context)
    return changes if moved is None else [*changes, moved]


def changed_after_work_began(context: OrderContext) -> Checked:
    """An edit, a cancellation or another ship-to came after work had begun, or work went on after a cancellation."""
    requests = values(context, "fulfilment.request")
    if {"cancellation_requested", "cancellation_rejected"} & set(requests):
        return True
    changes, began = _changes(context), _work_began(context)
    if not changes:
        return UNKNOWN if not began else False
    if "cancellation_accepted" in requests or "cancelled" in values(context, "fulfilment.state"):
        return False
    if not began:
        return UNKNOWN
    cancelled_at = moments(context, "order.cancelled_at")
    return min(began) < max(changes) or any(at > min(cancelled_at) for at in began if cancelled_at)


def address_changed_at(context: OrderContext) -> datetime | None:
    """When the storefront first stated another ship-to than the one before, or None."""
    item = context.current("order.ship_to_fingerprint")
    if item is None:
        return None
    told = [word for word in history(context, "order.ship_to_fingerprint") if word.system == item.winner.system]
    return next((after.at for before, after in pairwise(told) if before.value != after.value), None)


def hours_since_placed(context: OrderContext) -> int | Unknown:
    placed = moments(context, "order.placed_at")
    return whole_hours(context.as_of - min(placed)) if placed else UNKNOWN


def hours_since_progress(context: OrderContext) -> int | Unknown:
    """Since the last step towards the carrier: placed, accepted, packed, released. A reading that finds the same is no step."""
    steps = moments(context, "order.placed_at")
    for field in ("fulfilment.state", "fulfilment.request"):
        steps += [told.since for item in stated(context, field) for told in told_of(item) if told.value not in _STOPPED]
    steps += [item.winner.since for item in stated(context, "hold.reason") if item.winner.value == "none"]
    steps += moments(context, "fulfilment.submitted_at")
    return whole_hours(context.as_of - max(steps)) if steps else UNKNOWN


# --- stock ---


def oversold(context: OrderContext) -> Checked:
    """More is promised of a SKU than was counted, or less than nothing is left to sell."""
    available = [value for value in values(context, "inventory.available") if isinstance(value, int)]
    if any(value < 0 for value in available):
        return True
    spare = _spare(context)
    if any(count < 0 for count in spare):
        return True
    return False if spare or available else UNKNOWN


def _spare(context: OrderContext) -> list[int]:
    """Counted less promised, per SKU."""
    found = []
    for item in stated(context, "inventory.on_hand"):
        promised = value_of(context, "inventory.allocated", item.entity)
        if isinstance(item.winner.value, int) and isinstance(promised, int):
            found.append(item.winner.value - promised)
    return found


def stock_conflict(context: OrderContext) -> Checked:
    """The storefront sells what the warehouse has not, or has none of what lies in the warehouse."""
    available = [value for value in values(context, "inventory.available") if isinstance(value, int)]
    spare = _spare(context)
    if not available or not spare or len(available) > 1 or len(spare) > 1:
        return UNKNOWN
    return (available[0] < 0) != (spare[0] < 0) and (available[0] > 0 or spare[0] > 0)


def picked_short(context: OrderContext) -> Checked:
    """A pick of any SKU found less than it was asked for."""
    pairs = [(value_of(context, "pick.requested", i.entity), i.winner.value) for i in stated(context, "pick.available")]
    known = [(asked, found) for asked, found in pairs if isinstance(asked, int) and isinstance(found, int)]
    return any(found < asked for asked, found in known) if known else UNKNOWN


def submitted_often(context: OrderContext) -> Checked:
    """The warehouse turned the request down more than once."""
    attempts = current(context, "fulfilment.attempts")
    rejections = {word.at for word in history(context, "fulfilment.state") if word.value == "rejected"}
    if isinstance(attempts, int):
        return max(attempts, len(rejections)) > 1
    return len(rejections) > 1 if rejections else UNKNOWN
