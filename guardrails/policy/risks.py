"""Which way each field gets riskier. A field that is not listed can be read either way: neither is riskier.

Of a text, `safe` are the values that speak against a risk; every other value is riskier than each of them. A field that is
`bad_news` is a risk by being stated at all; of every other, silence is the riskier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Direction(StrEnum):
    UP = "upwards"
    """More, later, true, or more members."""
    DOWN = "downwards"


@dataclass(frozen=True, slots=True)
class Risk:
    direction: Direction | None = None
    safe: frozenset[str] = frozenset()
    bad_news: bool = False


_UP = """
    order.total order.outstanding dispute.amount refund.amount action.amount payment.risk_score fulfilment.attempts item.damaged
    item.mispicked inventory.allocated customer.orders_last_24h customer.distinct_cards case.untrusted_instructions
    case.classifier_failed case.detected basis.outdated
    check.payment_conflict check.paid_twice check.refund_conflict check.carrier_conflict check.address_changed_after_payment
    check.label_address_differs check.duplicate check.partly_shipped check.changed_after_work_began check.oversold
    check.source_conflict check.underpaid check.capture_failed check.lapses_before_shipment check.refund_failed
    check.return_without_refund check.damaged_on_the_way check.late_by_promise check.submitted_often check.promised_ship_passed
    check.stock_conflict check.picked_short check.verified_address_differs check.high_risk check.risk_conflict
    check.many_cards check.price_off check.message_unread
"""
_DOWN = """
    inventory.available inventory.on_hand pick.available address.deliverable case.confidence case.grounded_evidence check.paid
    check.can_ship_before_lapse check.still_promised
"""
_SAFE = {
    "risk.recommendation": "accept none",
    "risk.level": "none low",
    "payment.review": "approved closed",
    "payment.outcome": "authorized",
    "payment.risk_level": "normal",
    "payment.status": "succeeded requires_capture processing",
    "order.financial_status": "paid authorized",
    "refund.status": "succeeded",
    "hold.reason": "online_store_post_purchase_cross_sell",
    "check.work_reason": "transient none",
    "tracking.status": "pre_transit in_transit out_for_delivery delivered",
    "parcel.delivery_status": "pre_transit in_transit out_for_delivery delivered",
}

RISKS: Mapping[str, Risk] = MappingProxyType(
    {name: Risk(Direction.UP) for name in _UP.split()}
    | {name: Risk(Direction.DOWN) for name in _DOWN.split()}
    | {name: Risk(safe=frozenset(values.split())) for name, values in _SAFE.items()}
    | {
        "dispute.status": Risk(safe=frozenset(["won", "warning_closed", "prevented"]), bad_news=True),
        "fraud_warning.type": Risk(bad_news=True),
        "payment.decline_code": Risk(bad_news=True),
    }
)
