"""Every `check.*` of the catalogue: what code works out of the values that systems of record stated.

Each is a small pure function of the order's context and three-valued: what it cannot see makes it unknown, never false.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.checking import parcels, payments, people, refunds, work
from app.checking.values import Checked
from app.context import OrderContext
from guardrails.facts import UNKNOWN, FactValue, Unknown
from guardrails.policy.catalogue import CATALOGUE

Check = Callable[[OrderContext], FactValue | Unknown]


def derive(context: OrderContext) -> dict[str, FactValue | Unknown]:
    """All checks by their catalogue names."""
    return {name: check(context) for name, (check, _) in CHECKS.items()}


def source_conflict(context: OrderContext) -> Checked:
    """Two systems of record differ on one field, or on what several fields together mean."""
    if any(item.conflict for name, items in context.entities.items() if name in CATALOGUE for item in items):
        return True
    told = [
        payments.payment_conflict(context),
        refunds.refund_conflict(context),
        parcels.carrier_conflict(context),
        work.stock_conflict(context),
        people.label_address_differs(context),
        people.risk_conflict(context),
        people.price_off(context),
    ]
    return True if True in told else (False if False in told else UNKNOWN)


def inputs_of(name: str) -> tuple[str, ...]:
    """The recorded fields that a check is worked out of, the most telling first; none for a field that is recorded itself."""
    return CHECKS[name][1] if name in CHECKS else ()


_PAYMENT = ("payment.status", "payment.amount_received", "payment.amount_captured", "payment.amount_capturable", "order.total")

CHECKS: Mapping[str, tuple[Check, tuple[str, ...]]] = MappingProxyType(
    {
        "check.paid": (payments.paid, ("payment.status", "order.financial_status")),
        "check.hours_since_paid": (payments.hours_since_paid, ("payment.status", "order.financial_status")),
        "check.payment_conflict": (payments.payment_conflict, (*_PAYMENT, "order.financial_status", "order.outstanding")),
        "check.underpaid": (payments.underpaid, (*_PAYMENT, "order.financial_status")),
        "check.paid_twice": (payments.paid_twice, _PAYMENT),
        "check.capture_failed": (payments.capture_failed, ("transaction.status", "transaction.kind", "transaction.error_code")),
        "check.hours_to_lapse": (
            payments.hours_to_lapse,
            ("payment.capture_before", "payment.status", "payment.authorized_at", "order.financial_status", "order.placed_at"),
        ),
        "check.lapses_before_shipment": (
            payments.lapses_before_shipment,
            ("payment.capture_before", "fulfilment.planned_ship", "fulfilment.scheduled_for", "fulfilment.carrier_pickup"),
        ),
        "check.can_ship_before_lapse": (
            payments.can_ship_before_lapse,
            ("payment.capture_before", "fulfilment.earliest_possible_ship", "fulfilment.earlier_pickup_slot"),
        ),
        "check.refund_failed": (refunds.refund_failed, ("refund.status", "refund.failure_reason", "refund.amount")),
        "check.refund_conflict": (
            refunds.refund_conflict,
            ("refund.status", "refund.amount", "refund.storefront_amount", "order.financial_status"),
        ),
        "check.hours_since_refund_asked": (refunds.hours_refund_pending, ("refund.status", "refund.amount")),
        "check.return_without_refund": (
            refunds.return_without_refund,
            ("return.processed_at", "return.received_at", "return.status"),
        ),
        "check.scanned": (parcels.scanned, ("tracking.status", "tracking.last_scan_at")),
        "check.shipped": (parcels.shipped, ("parcel.shipped_at", "fulfilment.state", "order.fulfillment_status")),
        "check.delivered": (parcels.delivered, ("tracking.status", "tracking.delivered_at")),
        "check.damaged_on_the_way": (parcels.damaged_on_the_way, ("tracking.scans", "tracking.status_detail")),
        "check.carrier_conflict": (
            parcels.carrier_conflict,
            (
                "tracking.status",
                "parcel.delivery_status",
                "parcel.carrier",
                "label.carrier",
                "tracking.first_scan_at",
                "tracking.zip",
            ),
        ),
        "check.late_by_promise": (parcels.late_by_promise, ("promise.deliver_by", "tracking.eta", "tracking.status")),
        "check.still_promised": (parcels.still_promised, ("tracking.eta",)),
        "check.partly_shipped": (
            parcels.partly_shipped,
            ("order.fulfillment_status", "fulfilment_order.split_at", "fulfilment.detail", "parcel.shipped_at", "tracking.status"),
        ),
        "check.hours_since_label": (parcels.hours_since_label, ("label.purchased_at", "tracking.status", "parcel.shipped_at")),
        "check.hours_since_scan": (parcels.hours_since_scan, ("tracking.last_scan_at", "tracking.status")),
        "check.hours_since_at_pickup": (parcels.hours_at_pickup, ("tracking.status", "tracking.status_detail")),
        "check.work_reason": (work.work_reason, ("fulfilment.reason", "fulfilment.state")),
        "check.held": (work.held, ("hold.reason", "fulfilment.state")),
        "check.hours_since_held": (work.hours_since_held, ("hold.reason",)),
        "check.cancelled": (work.cancelled, ("order.cancelled_at", "order.cancel_reason")),
        "check.changed_after_work_began": (
            work.changed_after_work_began,
            ("order.cancelled_at", "order.edited_at", "fulfilment.request", "fulfilment.state", "label.purchased_at"),
        ),
        "check.submitted_often": (work.submitted_often, ("fulfilment.attempts", "fulfilment.state")),
        "check.hours_since_placed": (work.hours_since_placed, ("order.placed_at",)),
        "check.hours_since_progress": (work.hours_since_progress, ("fulfilment.state", "fulfilment.request", "order.placed_at")),
        "check.promised_ship_passed": (people.promised_ship_passed, ("promise.ship_by",)),
        "check.oversold": (work.oversold, ("inventory.available", "inventory.on_hand", "inventory.allocated")),
        "check.stock_conflict": (work.stock_conflict, ("inventory.available", "inventory.on_hand", "inventory.allocated")),
        "check.picked_short": (work.picked_short, ("pick.available", "pick.requested")),
        "check.address_changed_after_payment": (
            people.address_changed_after_payment,
            ("order.ship_to_fingerprint", "payment.status", "order.financial_status"),
        ),
        "check.label_address_differs": (
            people.label_address_differs,
            ("label.ship_to_fingerprint", "order.ship_to_fingerprint"),
        ),
        "check.verified_address_differs": (
            people.verified_address_differs,
            ("address.checked_fingerprint", "address.original_fingerprint", "order.ship_to_fingerprint"),
        ),
        "check.address_corrected": (
            people.address_corrected,
            ("address.original_fingerprint", "address.candidate_fingerprint"),
        ),
        "check.duplicate": (
            people.duplicate,
            ("order.customer", "order.lines_fingerprint", "order.ship_to_fingerprint", "order.channel_order_id"),
        ),
        "check.high_risk": (people.high_risk, ("risk.level", "risk.recommendation")),
        "check.risk_conflict": (
            people.risk_conflict,
            ("risk.level", "risk.recommendation", "payment.risk_level", "payment.review"),
        ),
        "check.many_cards": (people.many_cards, ("customer.distinct_cards", "payment.card_fingerprint")),
        "check.price_off": (people.price_off, ("order.lines", "product.list_price")),
        "check.message_unread": (people.message_unread, ("customer.message", "report.description")),
        "check.source_conflict": (
            source_conflict,
            (*_PAYMENT, "order.financial_status", "refund.status", "tracking.status", "inventory.available", "risk.level"),
        ),
    }
)
