"""Is the money there, all of it, once, and until when? Exact amounts; two currencies are never added or compared."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.checking.values import (
    Checked,
    current,
    moment,
    moments,
    money,
    monies,
    stated,
    total_of,
    value_of,
    values,
    whole_hours,
)
from app.context import OrderContext
from guardrails.facts import UNKNOWN, Unknown
from guardrails.money import Money

CARD_WINDOW = timedelta(days=7)
"""How long card networks commonly keep an authorisation, where the provider names no moment of its own."""
MIRROR_LAG = timedelta(minutes=15)
"""How long a storefront may take to mirror what its payment provider did."""

_MONEY_IS_THERE = frozenset(["paid", "authorized", "partially_refunded", "refunded"])
_NO_MONEY = frozenset(["pending", "voided", "expired"])
_NOT_TAKEN = frozenset(["failed", "expired", "canceled", "requires_payment_method", "requires_action"])
_PLANNED = ("fulfilment.planned_ship", "fulfilment.scheduled_for", "fulfilment.carrier_pickup", "fulfilment_order.fulfil_at")
_SOONER = ("fulfilment.earliest_possible_ship", "fulfilment.earlier_pickup_slot")


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment at its provider. `since` is when it got into this state; `lapses_at` only where it is merely authorised."""

    entity: str
    status: str
    since: datetime
    amount: Money | None
    lapses_at: datetime | None

    def secured(self, as_of: datetime) -> bool:
        if self.status == "succeeded":
            return True
        return self.status == "requires_capture" and (self.lapses_at is None or self.lapses_at > as_of)


def payments(context: OrderContext) -> tuple[Payment, ...]:
    return tuple(
        Payment(
            item.entity,
            str(item.winner.value),
            item.winner.since,
            _amount(context, item.entity, str(item.winner.value)),
            _lapse(context, item.entity) if item.winner.value == "requires_capture" else None,
        )
        for item in stated(context, "payment.status")
    )


def _amount(context: OrderContext, entity: str, status: str) -> Money | None:
    """What was taken, or what may still be taken."""
    names = ["payment.amount_received", "payment.amount_captured"] if status == "succeeded" else ["payment.amount_capturable"]
    for name in [*names, "payment.amount"]:
        found = money(value_of(context, name, entity))
        if found is not None:
            return found
    return None


def _lapse(context: OrderContext, entity: str) -> datetime | None:
    """By the provider; else the common window from the authorisation on."""
    stated_end = moment(value_of(context, "payment.capture_before", entity))
    if stated_end is not None:
        return stated_end
    start = moment(value_of(context, "payment.authorized_at", entity)) or moment(current(context, "order.placed_at"))
    return None if start is None else start + CARD_WINDOW


def _mirrored(context: OrderContext) -> tuple[str, datetime] | None:
    """The payment state as the storefront mirrors it, and when it last said so."""
    item = context.current("order.financial_status")
    if item is None or not isinstance(item.winner.value, str):
        return None
    return item.winner.value, item.winner.observed_at


def paid(context: OrderContext) -> Checked:
    seen = payments(context)
    if any(payment.secured(context.as_of) for payment in seen):
        return True
    mirror = _mirrored(context)
    if seen and all(p.status in _NOT_TAKEN or p.status == "requires_capture" for p in seen):
        contradicted = mirror is not None and mirror[0] in _MONEY_IS_THERE and mirror[1] > max(p.since for p in seen)
        return UNKNOWN if contradicted and mirror is not None and mirror[0] != "authorized" else False
    if seen or mirror is None:
        return UNKNOWN
    if mirror[0] in _MONEY_IS_THERE:
        return True
    return False if mirror[0] in _NO_MONEY else UNKNOWN


def hours_since_paid(context: OrderContext) -> int | Unknown:
    """Since the money was there: by the provider, else since the storefront first said so."""
    since = [payment.since for payment in payments(context) if payment.secured(context.as_of)]
    mirror = context.current("order.financial_status")
    if not since and mirror is not None and (_mirrored(context) or ("", None))[0] in _MONEY_IS_THERE:
        since = [mirror.winner.since]
    return whole_hours(context.as_of - min(since)) if since else UNKNOWN


def _refunded(context: OrderContext) -> bool:
    """Something went back, or was to: the amounts of before no longer have to agree."""
    mirror = _mirrored(context)
    back = [*monies(context, "payment.amount_refunded"), *monies(context, "refund.amount")]
    back += monies(context, "refund.storefront_amount")
    return any(item.amount > 0 for item in back) or (mirror is not None and mirror[0] in ("refunded", "partially_refunded"))


def _secured(context: OrderContext) -> list[Payment]:
    return [payment for payment in payments(context) if payment.secured(context.as_of)]


def payment_conflict(context: OrderContext) -> Checked:
    """Storefront and provider disagree on amount, currency or state."""
    secured, mirror = _secured(context), _mirrored(context)
    if any(item.conflict for item in (*context.entities_of("payment.status"), *context.entities_of("payment.amount_captured"))):
        return True
    if not secured:
        return _claims_money_that_failed(context)
    if mirror is not None and mirror[0] == "pending" and mirror[1] > max(p.since for p in secured) + MIRROR_LAG:
        return True
    owed = money(current(context, "order.total"))
    if owed is None or any(payment.amount is None for payment in secured):
        return UNKNOWN
    amounts = [payment.amount for payment in secured if payment.amount is not None]
    if any(amount.currency != owed.currency for amount in amounts):
        return True
    if _refunded(context) or _several_gateways(context):
        return UNKNOWN
    return sum(amount.amount for amount in amounts) != _claimed(context, owed, secured).amount


def _several_gateways(context: OrderContext) -> bool:
    """Part may be paid by other means, such as a gift card, of which this provider knows nothing."""
    return any(isinstance(names, list) and len(names) > 1 for names in values(context, "order.gateways"))


def _claims_money_that_failed(context: OrderContext) -> Checked:
    """No payment stands, yet the storefront calls the order paid: all of them failed, or none had been taken even later."""
    seen, mirror = payments(context), _mirrored(context)
    if not seen or mirror is None:
        return UNKNOWN
    if mirror[0] != "paid":
        return False
    return all(p.status in _NOT_TAKEN for p in seen) or _nothing_taken_since(context, mirror[1])


def _nothing_taken_since(context: OrderContext, claimed_at: datetime) -> bool:
    """After the storefront called it paid, the provider still had it under way or undone, every payment of it."""
    told = [item.winner for item in stated(context, "payment.status")]
    undone = _NOT_TAKEN | {"processing"}
    return all(word.value in undone and word.observed_at > claimed_at for word in told)


def _claimed(context: OrderContext, owed: Money, secured: list[Payment]) -> Money:
    """What the storefront counts as paid: the total without what it calls outstanding, once that was said after the payment."""
    item = context.current("order.outstanding")
    open_amount = money(item.winner.value) if item is not None else None
    captured = [payment for payment in secured if payment.status == "succeeded"]
    if item is None or open_amount is None or open_amount.currency != owed.currency or len(captured) < len(secured):
        return owed
    said_before = item.winner.observed_at <= max(payment.since for payment in captured)
    return owed if said_before else Money(owed.amount - open_amount.amount, owed.currency)


def underpaid(context: OrderContext) -> Checked:
    """Less is secured than the order costs now."""
    owed, secured = money(current(context, "order.total")), _secured(context)
    got = total_of(p.amount for p in secured if p.amount is not None)
    if _mirrored(context) is not None and (_mirrored(context) or ("", None))[0] == "partially_paid":
        return True
    if owed is None or got is None or got.currency != owed.currency or any(p.amount is None for p in secured):
        return UNKNOWN
    return UNKNOWN if _refunded(context) else got.amount < owed.amount


def paid_twice(context: OrderContext) -> Checked:
    """Two payments succeeded and together are more than the order costs. Part payments that add up are none."""
    taken = [p for p in payments(context) if p.status == "succeeded"]
    if not payments(context):
        return UNKNOWN
    if len(taken) < 2:
        return False
    owed, got = money(current(context, "order.total")), total_of(p.amount for p in taken if p.amount is not None)
    if owed is None or got is None or got.currency != owed.currency or _refunded(context):
        return UNKNOWN
    return got.amount > owed.amount


def _lapse_of_order(context: OrderContext) -> datetime | None:
    """When the first authorisation that is still needed lapses."""
    seen = payments(context)
    if any(payment.status == "succeeded" for payment in seen):
        return None
    ends = [payment.lapses_at for payment in seen if payment.lapses_at is not None]
    if ends:
        return min(ends)
    mirror, placed = _mirrored(context), moments(context, "order.placed_at")
    only_mirrored = not seen and mirror is not None and mirror[0] == "authorized"
    return placed[0] + CARD_WINDOW if only_mirrored and placed else None


def hours_to_lapse(context: OrderContext) -> int | Unknown:
    end = _lapse_of_order(context)
    return UNKNOWN if end is None else whole_hours(end - context.as_of)


def lapses_before_shipment(context: OrderContext) -> Checked:
    """The authorisation ends before the shipment that is planned."""
    end, planned = _lapse_of_order(context), [at for name in _PLANNED for at in moments(context, name)]
    return UNKNOWN if end is None or not planned else end < max(planned)


def can_ship_before_lapse(context: OrderContext) -> Checked:
    """The warehouse names a moment before the authorisation ends at which it could ship."""
    end, sooner = _lapse_of_order(context), [at for name in _SOONER for at in moments(context, name)]
    return UNKNOWN if end is None or not sooner else min(sooner) < end


def capture_failed(context: OrderContext) -> Checked:
    """A transaction that should have taken the money failed, and none of that payment has succeeded since."""
    tries = {item.entity: item for item in stated(context, "transaction.status")}
    kinds = {item.entity: item.winner.value for item in stated(context, "transaction.kind")}
    taking = [item for entity, item in tries.items() if kinds.get(entity) in ("capture", "sale")]
    if not taking:
        return UNKNOWN
    last = max(taking, key=lambda item: item.winner.observed_at)
    return last.winner.value in ("failure", "error")
