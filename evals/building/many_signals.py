"""Five to fifteen signals in one case: what recovered by itself, duplicates, wrong order, cause against symptom."""

from evals.building.labels import Label
from evals.building.parcel_bodies import Scan
from evals.building.shopify_bodies import edit_body
from evals.building.stage import Stage
from evals.building.telling import Case, Story, stage_of, told
from guardrails.taxonomy import Action, Category

TELLINGS = 3
_ACCEPTED = Scan(26, "Accepted", "in_transit", "received_at_origin_facility")
_MOVING = Scan(40, "Arrived at facility", "in_transit", "arrived_at_facility")
_THERE = Scan(60, "Delivered", "delivered", "arrived_at_destination")


def _until_shipped(s: Stage) -> None:
    """Placed, paid, accepted, packed, shipped: five signals in which nothing is wrong."""
    lines = [{"sku": line.sku, "quantity": line.quantity} for line in s.order.lines]
    s.placed().at(0.05).paid().at(2).accepted().at(20).wms("order.packed", lines=lines).at(24).sent()


def everything_went_well(s: Stage) -> Label:
    _until_shipped(s)
    s.at(26).tracked(_ACCEPTED).at(40).tracked(_ACCEPTED, _MOVING).at(60).tracked(_ACCEPTED, _MOVING, _THERE)
    s.at(61).said(s.pick("Lovely, thank you!", "Alles bestens!", "Parfait, merci !"))
    return Label(Category.UNKNOWN, "Nothing is wrong anywhere.", tags=("healthy",))


def three_declines_then_paid(s: Stage) -> Label:
    s.placed(financial_status="pending")
    for minute, reason in ((1, "insufficient_funds"), (3, "incorrect_cvc"), (7, "insufficient_funds")):
        s.at(minute / 60).declined("card_declined", reason, "try_again_later")
    s.at(0.3).paid().at(0.31).updated("orders/paid").again()
    return Label(Category.UNKNOWN, "Three declines, then paid: it recovered by itself.", tags=("healthy", "duplicate-signal"))


def old_decline_arrives_last(s: Stage) -> Label:
    s.placed(financial_status="pending").at(0.02).declined("card_declined", "insufficient_funds", "try_again_later").late(3)
    s.at(0.1).paid().again().at(0.11).updated("orders/paid").at(2).accepted().judged(4)
    return Label(
        Category.UNKNOWN,
        "The decline is older than the success and only arrived after it.",
        tags=("healthy", "out-of-order", "late-signal", "duplicate-signal"),
    )


def delivered_then_disputed(s: Stage) -> Label:
    _until_shipped(s)
    s.at(60).tracked(_ACCEPTED, _MOVING, _THERE).at(24 * 20).disputed(
        reason=s.pick("fraudulent", "product_not_received", "unrecognized")
    ).again()
    s.judged(24 * 20 + 1)
    return Label(Category.PAYMENT_DISPUTE, "All went well until the bank disputed it.", tags=("duplicate-signal",))


def lost_after_a_long_silence(s: Stage) -> Label:
    _until_shipped(s)
    s.at(26).tracked(_ACCEPTED).at(150).said(s.pick("Where is it?", "Wo ist es?", "Où est-il ?")).at(190)
    s.said(s.pick("Hello??", "Hallo??", "Allô ??")).at(240)
    s.tracked(_ACCEPTED, _MOVING, Scan(239, s.pick("Lost in network", "Im Netz verloren", "Perdu"), "failure", "lost"))
    return Label(Category.DELIVERY_EXCEPTION, "The last scan names the loss.", step=Action.FILE_CARRIER_CLAIM)


def rejected_twice_then_taken(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(2)
    s.wms("order.rejected", reason="TIMEOUT", message="upstream timeout").at(3).wms(
        "order.rejected", reason="SYSTEM_BUSY", message="retry"
    )
    s.at(4).wms("order.received").at(9).wms("order.packed", lines=[{"sku": s.order.lines[0].sku, "quantity": 1}]).at(12).sent()
    return Label(Category.UNKNOWN, "Rejected twice, then taken and shipped.", tags=("healthy",))


def stock_short_behind_a_silence(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(1).wms("order.received").at(30).said(
        s.pick("Any news?", "Gibt es etwas Neues?", "Des nouvelles ?")
    )
    s.at(50).wms("pick.short", sku=s.order.lines[0].sku, requested=1, available=0, location="C-11").again()
    s.at(51).wms("inventory.counted", sku=s.order.lines[0].sku, on_hand=0, allocated=2, location="C-11")
    return Label(
        Category.INVENTORY_UNAVAILABLE,
        "The silence has its cause: the shelf is empty.",
        step=Action.REROUTE_FULFILMENT,
        tags=("cause-over-symptom", "duplicate-signal"),
    )


def payment_failed_behind_holds(s: Stage) -> Label:
    s.placed(financial_status="pending").at(0.1).declined(
        "card_declined", s.pick("do_not_honor", "lost_card", "expired_card"), "do_not_try_again"
    )
    s.at(1).held("awaiting_payment", "").at(5).wms("order.held", reason="PAYMENT", message="no release").at(40)
    s.said(s.pick("Why is it not shipped?", "Warum nicht verschickt?", "Pourquoi pas expédié ?")).again()
    s.fact("payment.status", "requires_payment_method", "stripe")
    return Label(
        Category.PAYMENT_FAILED,
        "Two holds and a complaint, all of one failed payment.",
        step=Action.SEND_PAYMENT_LINK,
        tags=("cause-over-symptom", "duplicate-signal"),
    )


def returned_for_the_address(s: Stage) -> Label:
    _until_shipped(s)
    back = Scan(
        90, s.pick("Insufficient address", "Anschrift ungenügend", "Adresse insuffisante"), "return_to_sender", "address_correction"
    )
    s.at(40).tracked(_ACCEPTED, _MOVING).at(91).tracked(_ACCEPTED, _MOVING, back).at(92).said(
        s.pick("Tracking says return?", "Retoure?", "Retour ?")
    )
    return Label(Category.ADDRESS_RISK, "The return's cause is the address.", step=Action.RESHIP, tags=("cause-over-symptom",))


def older_scan_after_delivery(s: Stage) -> Label:
    _until_shipped(s)
    s.at(40).tracked(_ACCEPTED, _MOVING, Scan(41, "Delayed by weather", "in_transit", "weather_delay")).late(30)
    s.at(60).tracked(_ACCEPTED, _MOVING, _THERE).judged(73)
    return Label(
        Category.UNKNOWN, "It was delivered; the older scan only arrived late.", tags=("healthy", "out-of-order", "late-signal")
    )


def edits_then_a_cancellation(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(1).accepted().at(2).shopify("orders/edited", edit_body(s.order, s.clock, "gift wrap", 0, 0))
    s.at(3).wms("order.packed", lines=[{"sku": s.order.lines[0].sku, "quantity": 1}])
    s.at(4).updated("orders/cancelled", cancelled_at=s.moment(4), cancel_reason="customer").again().at(4.2)
    s.works("cancellation_request_rejected", "in_progress", request="cancellation_rejected", message="packed")
    return Label(
        Category.CHANGE_RACE, "Cancelled after packing; the warehouse refused.", step=Action.VOID_LABEL, tags=("duplicate-signal",)
    )


def duplicate_with_both_paid(s: Stage) -> Label:
    s.placed().at(0.05).paid().at(0.06).updated("orders/paid").second_order(0.2).placed().at(0.25).paid("b").at(0.26).updated(
        "orders/paid"
    )
    s.at(1).said(s.pick("Two confirmations came?", "Zwei Bestätigungen?", "Deux confirmations ?"))
    return Label(Category.DUPLICATE_ORDER, "Both paid within minutes; the later is the duplicate.", step=Action.CANCEL_ORDER)


def refund_requested_and_failed(s: Stage) -> Label:
    _until_shipped(s)
    s.at(60).tracked(_ACCEPTED, _THERE).at(200).wms("order.received", reason="RETURN", message="complete")
    s.at(210).refunded("refund.created", s.order.total, status="pending").at(260)
    s.refunded(
        "refund.failed",
        s.order.total,
        status="failed",
        failure_reason=s.pick("declined", "lost_or_stolen_card", "expired_or_canceled_card"),
    )
    return Label(Category.REFUND_EXCEPTION, "The return came in and its refund failed.", step=Action.REFUND_PAYMENT)


def risk_raised_then_lowered(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(0.2).reviewed("review.opened", "rule").at(5).reviewed("review.closed", "approved")
    s.at(5.1).accepted().at(20).sent().at(26).tracked(_ACCEPTED)
    return Label(Category.UNKNOWN, "The review was opened and approved; the parcel is moving.", tags=("healthy",))


def risk_stays_open_while_work_goes_on(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(0.2).reviewed("review.opened", "rule").again().at(1).wms("order.received").at(2)
    s.said(s.pick("Ship today please!", "Bitte heute noch!", "Aujourd'hui svp !")).said(s.pick("Urgent!", "Eilig!", "Urgent !"))
    return Label(Category.FRAUD_RISK, "The review is still open and the customer pushes.", tags=("duplicate-signal",))


def two_parcels_one_late(s: Stage) -> Label:
    s.placed().at(0.1).paid().at(20).sent(1).at(22).sent(2, which="b").at(60).tracked(_ACCEPTED, _THERE)
    s.at(61).tracked(Scan(30, "Departed", "in_transit", "departed_facility"), which="b").at(70).said(
        s.pick("Half is missing", "Eine Hälfte fehlt", "Il en manque")
    )
    return Label(Category.SPLIT_SHIPMENT, "Two parcels have diverged.", also=(Category.DELIVERY_LATE,))


_TWO = frozenset([two_parcels_one_late])
STORIES = tuple(
    Story(tell, lines=2 if tell in _TWO else 1)
    for tell in (
        everything_went_well,
        three_declines_then_paid,
        old_decline_arrives_last,
        delivered_then_disputed,
        lost_after_a_long_silence,
        rejected_twice_then_taken,
        stock_short_behind_a_silence,
        payment_failed_behind_holds,
        returned_for_the_address,
        older_scan_after_delivery,
        edits_then_a_cancellation,
        duplicate_with_both_paid,
        refund_requested_and_failed,
        risk_raised_then_lowered,
        risk_stays_open_while_work_goes_on,
        two_parcels_one_late,
    )
)


def cases() -> list[Case]:
    found = []
    for number, story in enumerate(STORIES):
        for variant in range(TELLINGS):
            stage = stage_of(story, number, variant)
            found.append(told(stage, story.tell(stage), story.cluster, ["many-signals"]))
    return found
