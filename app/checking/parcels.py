"""Where the parcels are, by the carriers' scans, and who contradicts whom about them."""

import re
from datetime import datetime, timedelta
from typing import Any

from app.checking.values import Checked, current, moment, moments, stated, told_of, value_of, values, whole_hours
from app.context import ContextField, OrderContext, Statement
from app.signals.body import to_code
from guardrails.facts import UNKNOWN, Unknown

MOVING = frozenset(["in_transit", "out_for_delivery", "available_for_pickup", "return_to_sender", "failure", "delivered"])
"""Words that a carrier uses only of a parcel it has held in its hands."""
_ANNOUNCED = frozenset(["pre_transit"])
_UNDER_WAY = frozenset(["pre_transit", "in_transit", "out_for_delivery"])
_NOT_ARRIVED = _UNDER_WAY | {"return_to_sender", "failure"}
_MIRROR_LAG = timedelta(hours=1)
_REUSED_BEFORE = timedelta(days=2)
_POSTAL_AREA = 3
"""Leading characters of a postal code that must agree: scans carry the delivery office's code, not always the door's."""


def _carrier_words(context: OrderContext, name: str) -> list[ContextField]:
    """The field for every parcel, without what the storefront or the warehouse say in a carrier's place."""
    return [item for item in stated(context, name) if item.winner.system not in ("shopify", "woocommerce", "shipbob", "wms")]


def scans(context: OrderContext) -> list[dict[str, Any]]:
    """All visible scans of all parcels."""
    lists = [item.winner.value for item in _carrier_words(context, "tracking.scans")]
    found = [scan for told in lists if isinstance(told, list) for scan in told if isinstance(scan, dict)]
    return [{key: value for key, value in scan.items() if isinstance(value, str | bool)} for scan in found]


def scanned(context: OrderContext) -> Checked:
    """False only where a tracker exists and shows that nothing but the announcement has happened."""
    states = {item.winner.value for item in _carrier_words(context, "tracking.status")}
    if states & MOVING or any(scan.get("physical") is True for scan in scans(context)) or values(context, "tracking.last_scan_at"):
        return True
    return False if states and states <= _ANNOUNCED else UNKNOWN


def shipped(context: OrderContext) -> Checked:
    """By the seller's own systems, not by a carrier."""
    work = set(values(context, "fulfilment.state"))
    if values(context, "parcel.shipped_at") or work & {"shipped", "delivered"}:
        return True
    told = current(context, "order.fulfillment_status")
    if told in ("fulfilled", "partial"):
        return True
    return False if told in ("unfulfilled", "restocked") or work else UNKNOWN


def delivered(context: OrderContext) -> Checked:
    """Every parcel that a carrier speaks of was delivered."""
    states = [item.winner.value for item in _carrier_words(context, "tracking.status")]
    return all(state == "delivered" for state in states) if states else UNKNOWN


def damaged_on_the_way(context: OrderContext) -> Checked:
    """A scan said so, whatever came after: what is broken stays broken."""
    details = {item.winner.value for item in _carrier_words(context, "tracking.status_detail")}
    details |= {scan.get("detail") for scan in scans(context)}
    if "damaged" in details:
        return True
    return UNKNOWN if not details else False


def hours_since_label(context: OrderContext) -> int | Unknown:
    """Since the first standing label was bought, or announced to the carrier."""
    voided = {item.entity for item in stated(context, "label.voided_at")}
    bought = [
        at for item in stated(context, "label.purchased_at") if item.entity not in voided and (at := moment(item.winner.value))
    ]
    announced = [at for scan in scans(context) if scan.get("physical") is False and (at := moment(scan.get("at")))]
    known = [*bought, *announced] or moments(context, "parcel.shipped_at")
    return whole_hours(context.as_of - min(known)) if known else UNKNOWN


def hours_since_scan(context: OrderContext) -> int | Unknown:
    """Since the last physical scan; where scans are not listed, since the carrier's last word of a moving parcel."""
    known = moments(context, "tracking.last_scan_at")
    known = known or [i.winner.observed_at for i in _carrier_words(context, "tracking.status") if i.winner.value in MOVING]
    return whole_hours(context.as_of - max(known)) if known else UNKNOWN


def hours_at_pickup(context: OrderContext) -> int | Unknown:
    """Since the carrier first had it ready for the recipient, while it still waits there."""
    waiting = {item.entity for item in _carrier_words(context, "tracking.status") if item.winner.value == "available_for_pickup"}
    if not waiting:
        return UNKNOWN
    ready = [at for scan in scans(context) if scan.get("status") == "available_for_pickup" and (at := moment(scan.get("at")))]
    ready = ready or [i.winner.since for i in _carrier_words(context, "tracking.status") if i.entity in waiting]
    return whole_hours(context.as_of - min(ready))


def partly_shipped(context: OrderContext) -> Checked:
    """A part left and a part did not, or the parts have parted ways."""
    told, left = current(context, "order.fulfillment_status"), shipped(context)
    if told == "partial" or values(context, "fulfilment_order.split_at"):
        return True
    if "partially_shipped" in values(context, "fulfilment.detail"):
        return True
    if values(context, "fulfilment_order.moved_at") and values(context, "parcel.shipped_at"):
        return True
    parcels = {item.entity for item in stated(context, "parcel.shipped_at")}
    if len(parcels) > 1:
        states = [value_of(context, "tracking.status", code) for code in parcels]
        return "delivered" in states and any(state != "delivered" for state in states)
    return UNKNOWN if left is UNKNOWN else False


# --- contradictions ---


def carrier_conflict(context: OrderContext) -> Checked:
    answers = [
        _delivered_and_not(context),
        _seller_ahead_of_carrier(context),
        _carriers_named_differently(context),
        _code_used_before(context),
        _delivered_elsewhere(context),
        _back_while_under_way(context),
    ]
    return True if True in answers else (UNKNOWN if all(answer is UNKNOWN for answer in answers) else False)


def _delivered_and_not(context: OrderContext) -> Checked:
    """Of one parcel a system says delivered, and another says later that it is still under way, coming back or lost."""
    told = [item for item in stated(context, "tracking.status") if len(item.statements) > 1]
    if not told:
        return UNKNOWN
    return any(_contradicts(one, other) for item in told for one in told_of(item) for other in told_of(item))


def _contradicts(done: Statement, later: Statement) -> bool:
    return (
        done.system != later.system
        and done.value == "delivered"
        and later.value in _NOT_ARRIVED
        and later.observed_at > done.observed_at
    )


def _seller_ahead_of_carrier(context: OrderContext) -> Checked:
    """Storefront or warehouse call it delivered, and the carrier says afterwards that it is not."""
    claims = [i.winner.since for i in stated(context, "parcel.delivery_status") if i.winner.value == "delivered"]
    claims += [i.winner.since for i in stated(context, "fulfilment.state") if i.winner.value == "delivered"]
    claims += [
        told.since
        for i in stated(context, "tracking.status")
        for told in told_of(i)
        if told.system in ("shopify", "woocommerce", "shipbob") and told.value == "delivered"
    ]
    carrier = _carrier_words(context, "tracking.status")
    if not claims or not carrier:
        return UNKNOWN
    return any(i.winner.value not in ("delivered", "unknown") and i.winner.observed_at > min(claims) for i in carrier)


def _carriers_named_differently(context: OrderContext) -> Checked:
    """The label, the seller's systems and the tracker name different carriers for the same tracking code."""
    names: dict[str, list[str]] = {}
    for field in ("parcel.carrier", "label.carrier", "tracking.carrier"):
        for item in stated(context, field):
            if item.entity and isinstance(item.winner.value, str):
                names.setdefault(item.entity, []).append(item.winner.value)
    several = [found for found in names.values() if len(found) > 1]
    if not several:
        return UNKNOWN
    return any(not same_carrier(found[0], other) for found in several for other in found[1:])


def same_carrier(left: str, right: str) -> bool:
    """`DHLExpress` is `DHL Express`, `dpd-uk` is `DPDUK` is `DPD`, `brt-it` is `BRT`; `UPS` is not `USPS`."""
    one, two = (re.sub(r"[^a-z0-9]", "", name.casefold()) for name in (left, right))
    if one.startswith(two) or two.startswith(one):
        return True
    first, second = (re.split(r"[_ ]", to_code(name))[0] for name in (left, right))
    return (
        len(first) > 2
        and len(second) > 2
        and (first.startswith(second[:3]) and second.startswith(first[:3]))
        and first[:3] != "pos"
    )


def _code_used_before(context: OrderContext) -> Checked:
    """Carriers recycle tracking codes: scans from before the order was placed belong to somebody else's parcel."""
    placed, first = moments(context, "order.placed_at"), moments(context, "tracking.first_scan_at")
    return UNKNOWN if not placed or not first else min(first) < min(placed) - _REUSED_BEFORE


def _delivered_elsewhere(context: OrderContext) -> Checked:
    """Delivered in another postal area than the one it was ordered to."""
    ordered_to = _postal_area(_zip_of(current(context, "order.ship_to")))
    delivered_in = [_postal_area(scan.get("zip")) for scan in scans(context) if scan.get("status") == "delivered"]
    delivered_in += [_postal_area(zip_code) for zip_code in _zip_facts(context)]
    known = [area for area in delivered_in if area]
    if not ordered_to or not known:
        return UNKNOWN
    return any(not (area.startswith(ordered_to) or ordered_to.startswith(area)) for area in known)


def _zip_facts(context: OrderContext) -> list[Any]:
    """Where the last scan was, of parcels that are said to be delivered."""
    done = {i.entity for i in _carrier_words(context, "tracking.status") if i.winner.value == "delivered"}
    return [item.winner.value for item in stated(context, "tracking.zip") if item.entity in done]


def _zip_of(address: Any) -> Any:
    return (
        next((address[k] for k in ("zip", "postal_code", "zip_code") if address.get(k)), None)
        if isinstance(address, dict)
        else None
    )


def _postal_area(code: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", code.casefold())[:_POSTAL_AREA] if isinstance(code, str) else ""


def _back_while_under_way(context: OrderContext) -> Checked:
    """The warehouse has it back, and the carrier last said that it was under way to the recipient."""
    back = [
        item.winner.observed_at
        for item in stated(context, "return.received_at")
        if value_of(context, "return.reason", item.entity) in ("rts", "return_to_sender", "returned_to_sender")
    ]
    told = [item.winner.value for item in stated(context, "tracking.status")]
    told += [item.winner.value for item in stated(context, "parcel.delivery_status")]
    return UNKNOWN if not back or not told else not any(state == "return_to_sender" for state in told)


def late_by_promise(context: OrderContext) -> Checked:
    """The promise to the buyer was not kept, or without one the carrier's own day, and it is not there yet."""
    arrived = delivered(context)
    due = moments(context, "promise.deliver_by") or _due_by_carrier(context)
    if not due:
        return UNKNOWN
    if arrived is True:
        return False
    return max(due) < context.as_of if arrived is False else (UNKNOWN if max(due) < context.as_of else False)


def _due_by_carrier(context: OrderContext) -> list[datetime]:
    return moments(context, "tracking.eta")


def still_promised(context: OrderContext) -> Checked:
    """The carrier names a day of delivery that is yet to come."""
    due = _due_by_carrier(context)
    return UNKNOWN if not due else max(due) > context.as_of
