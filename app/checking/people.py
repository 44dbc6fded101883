"""The buyer's side: the address, a second order like this one, the risk that several parties see, and the prices."""

from datetime import timedelta
from typing import Any

from app.checking.payments import paid
from app.checking.values import Checked, any_of, current, moments, money, stated, value_of, values
from app.checking.work import address_changed_at
from app.context import OrderContext
from app.related import marks_of
from guardrails.facts import UNKNOWN

_CERTAIN_WITHIN = timedelta(hours=1)
"""Two equal orders this close are one purchase, whatever the note says; further apart a different note speaks against it."""
_ONE_PURCHASE = frozenset(["channel_order", "checkout"])
_PURCHASE = frozenset(["customer", "lines", "ship_to"])
_MANY_CARDS = 3
_FRACTION_OF_LIST = 5
_RISKY = frozenset(["elevated", "highest"])
_HARMLESS = frozenset(["none", "low"])
_GO_AHEAD = frozenset(["accept", "none"])


# --- address ---


def address_changed_after_payment(context: OrderContext) -> Checked:
    """The storefront replaced the ship-to once the money was there."""
    changed = address_changed_at(context)
    if changed is None:
        return False if values(context, "order.ship_to_fingerprint") else UNKNOWN
    since = [
        item.winner.since for item in stated(context, "payment.status") if item.winner.value in ("succeeded", "requires_capture")
    ]
    if since:
        return changed > min(since)
    return paid(context)


def label_address_differs(context: OrderContext) -> Checked:
    """A standing label goes to another address than the order."""
    ordered = current(context, "order.ship_to_fingerprint")
    voided = {item.entity for item in stated(context, "label.voided_at")}
    labels = [item.winner.value for item in stated(context, "label.ship_to_fingerprint") if item.entity not in voided]
    return UNKNOWN if not ordered or not labels else any(label != ordered for label in labels)


def verified_address_differs(context: OrderContext) -> Checked:
    """The verifier's answer is about another address than the one the order now has."""
    ordered = current(context, "order.ship_to_fingerprint")
    verified = [
        value for name in ("address.original_fingerprint", "address.checked_fingerprint") for value in values(context, name)
    ]
    return UNKNOWN if not ordered or not verified else ordered not in verified


def address_corrected(context: OrderContext) -> Checked:
    """The verifier proposes another address than the one that was given."""
    given, proposed = current(context, "address.original_fingerprint"), current(context, "address.candidate_fingerprint")
    return UNKNOWN if not given or not proposed else given != proposed


# --- duplicates ---


def duplicate(context: OrderContext) -> Checked:
    """An earlier order that still stands is the same purchase. The earlier of the two is no duplicate."""
    mine = marks_of(context)
    if mine.placed_at is None or (mine.channel_order is None and None in (mine.customer, mine.lines, mine.ship_to)):
        return UNKNOWN
    for other in context.related:
        earlier = (other.placed_at, other.order_ref) < (mine.placed_at, mine.order_ref)
        if not earlier or other.cancelled or mine.cancelled:
            continue
        close = mine.placed_at - other.placed_at <= _CERTAIN_WITHIN
        if _ONE_PURCHASE & set(other.same) or (set(other.same) >= _PURCHASE and (close or "note" in other.same)):
            return True
    return False


# --- risk ---


def high_risk(context: OrderContext) -> Checked:
    """A risk assessment, of whichever provider, asks for a person."""
    advice = current(context, "risk.recommendation")
    levels = values(context, "risk.level")
    if advice in ("investigate", "cancel") or "high" in levels:
        return True
    return False if levels or advice else UNKNOWN


def risk_conflict(context: OrderContext) -> Checked:
    """The storefront sees no risk and the payment provider does."""
    storefront, advice = set(values(context, "risk.level")), set(values(context, "risk.recommendation"))
    provider = [
        current(context, "payment.risk_level") in _RISKY if values(context, "payment.risk_level") else UNKNOWN,
        current(context, "payment.review") == "open" if values(context, "payment.review") else UNKNOWN,
    ]
    worried = any_of(provider)
    if not storefront | advice or worried is UNKNOWN:
        return UNKNOWN
    return storefront <= _HARMLESS and advice <= _GO_AHEAD and worried is True


def many_cards(context: OrderContext) -> Checked:
    """The same buyer used several cards within a day, by the storefront's count or by the payments of this order."""
    counted = current(context, "customer.distinct_cards")
    cards = set(values(context, "payment.card_fingerprint"))
    if not isinstance(counted, int) and not cards:
        return UNKNOWN
    return max(counted if isinstance(counted, int) else 0, len(cards)) >= _MANY_CARDS


# --- prices ---


def price_off(context: OrderContext) -> Checked:
    """A line costs nothing, or less than a fifth of its list price: a slipped point rather than a discount."""
    lines = [
        line for value in values(context, "order.lines") if isinstance(value, list) for line in value if isinstance(line, dict)
    ]
    answers = [_line_off(context, line) for line in lines]
    return any_of(answers)


def _line_off(context: OrderContext, line: dict[str, Any]) -> Checked:
    price = money(line.get("price"))
    listed = money(value_of(context, "product.list_price", f"sku:{line.get('sku')}"))
    if price is None or listed is None or price.currency != listed.currency:
        return UNKNOWN
    return price.amount * _FRACTION_OF_LIST < listed.amount or price.amount > listed.amount * _FRACTION_OF_LIST


def message_unread(context: OrderContext) -> Checked:
    """A customer wrote, or somebody reported in their own words: what it means is for a reader, not for rules."""
    return bool(values(context, "customer.message") or values(context, "report.description"))


def promised_ship_passed(context: OrderContext) -> Checked:
    due = moments(context, "promise.ship_by")
    return UNKNOWN if not due else max(due) < context.as_of
