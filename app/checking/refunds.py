"""Did the money really go back, and do storefront and provider say the same of it?"""

from datetime import timedelta

from app.checking.values import Checked, current, moment, moments, money, monies, stated, total_of, value_of, values, whole_hours
from app.context import OrderContext
from guardrails.facts import UNKNOWN, Unknown
from guardrails.money import Money

_NOT_BACK = frozenset(["failed", "canceled", "requires_action"])
_SAYS_REFUNDED = frozenset(["refunded", "partially_refunded"])
_MIRROR_LAG = timedelta(hours=1)
_SETTLED_WITHIN = timedelta(days=10)
"""How long a shop may take to send money back once it has the goods; many laws allow fourteen days from the withdrawal."""
_RETURN_OVER = frozenset(["declined", "cancelled"])


def refund_failed(context: OrderContext) -> Checked:
    """The provider could not send money back. A later refund that went through settles an earlier failure."""
    refunds = stated(context, "refund.status")
    return refunds[0].winner.value in _NOT_BACK if refunds else UNKNOWN


def refund_conflict(context: OrderContext) -> Checked:
    """The storefront says that money went back and the provider says otherwise: it failed, or it is another amount."""
    states = [item.winner.value for item in stated(context, "refund.status")]
    says_refunded = (
        bool(values(context, "refund.storefront_amount")) or current(context, "order.financial_status") in _SAYS_REFUNDED
    )
    if not states:
        return True if says_refunded and _provider_has_none(context) else UNKNOWN
    if not says_refunded:
        return _storefront_never_heard(context)
    if "succeeded" not in states and any(state in _NOT_BACK for state in states):
        return True
    return _amounts_differ(context)


def _provider_has_none(context: OrderContext) -> bool:
    """The provider was asked for refunds and answered that there is none."""
    return any(item.winner.value is None for item in context.entities_of("refund.status"))


def _storefront_never_heard(context: OrderContext) -> bool:
    """The provider sent money back, and well after that the storefront still calls the order paid."""
    mirror = context.current("order.financial_status")
    sent = [item.winner.since for item in stated(context, "refund.status") if item.winner.value == "succeeded"]
    return (
        mirror is not None and bool(sent) and mirror.winner.value == "paid" and mirror.winner.observed_at > max(sent) + _MIRROR_LAG
    )


def _amounts_differ(context: OrderContext) -> Checked:
    """What the storefront wrote off against what the provider sent or is sending."""
    sent, claimed = total_of(_on_its_way(context)), _written_off(context)
    return UNKNOWN if claimed is None or sent is None else claimed != sent


def _on_its_way(context: OrderContext) -> list[Money]:
    alive = [item.entity for item in stated(context, "refund.status") if item.winner.value not in _NOT_BACK]
    found = [money(value_of(context, "refund.amount", entity)) for entity in alive]
    return [amount for amount in found if amount is not None]


def _written_off(context: OrderContext) -> Money | None:
    """By the storefront's refunds; where it only says `refunded`, that is all that was taken."""
    booked = total_of(monies(context, "refund.storefront_amount"))
    if booked is not None or current(context, "order.financial_status") != "refunded":
        return booked
    return total_of(monies(context, "payment.amount_received")) or money(current(context, "order.total"))


def hours_refund_pending(context: OrderContext) -> int | Unknown:
    """Since the oldest refund that is still pending was asked for."""
    waiting = [item for item in stated(context, "refund.status") if item.winner.value == "pending"]
    if not waiting:
        return UNKNOWN
    asked = [moment(value_of(context, "refund.created_at", item.entity)) or item.winner.since for item in waiting]
    return whole_hours(context.as_of - min(asked))


def return_without_refund(context: OrderContext) -> Checked:
    """Goods came back or the return was processed, and the provider, asked for refunds, has none, or the storefront knows of none
    long after."""
    came_back = [*values(context, "return.processed_at"), *values(context, "return.received_at")]
    if not came_back or current(context, "return.status") in _RETURN_OVER:
        return UNKNOWN if not came_back else False
    if values(context, "refund.status") or values(context, "refund.storefront_amount"):
        return False
    return True if _provider_has_none(context) or _still_paid_long_after(context) else UNKNOWN


def _still_paid_long_after(context: OrderContext) -> bool:
    """The storefront still calls the order paid, in words said long after the goods came back."""
    back = [*moments(context, "return.processed_at"), *moments(context, "return.received_at")]
    mirror = context.current("order.financial_status")
    return (
        mirror is not None
        and bool(back)
        and mirror.winner.value == "paid"
        and mirror.winner.observed_at > max(back) + _SETTLED_WITHIN
    )
