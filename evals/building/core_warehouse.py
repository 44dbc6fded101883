"""Stories about movement: what the warehouse does, and silence before the carrier has it."""

from evals.building.labels import Label
from evals.building.parcel_bodies import Scan
from evals.building.stage import Stage
from evals.building.telling import Story
from guardrails.taxonomy import Action, Category

_REROUTE, _CLAIM = Action.REROUTE_FULFILMENT, Action.FILE_CARRIER_CLAIM


# --- warehouse_exception ---


def rejected_for_capacity(s: Stage) -> Label:
    s.placed().at(2).wms(
        "order.rejected",
        reason=s.pick("CAPACITY", "TIMEOUT", "CUTOFF_PASSED", "SYSTEM_BUSY"),
        message=s.pick("wave full, resend tomorrow", "Zeitüberschreitung", "réessayer", "混雑"),
    )
    return Label(Category.WAREHOUSE_EXCEPTION, "A transient rejection: submit once more.")


def broken_on_the_packing_table(s: Stage) -> Label:
    s.record().at(6).wms(
        "item.damaged",
        sku=s.order.lines[0].sku,
        quantity=1,
        message=s.pick("dropped at the bench", "beim Packen zerbrochen", "tombé du tapis", "梱包時に破損"),
    )
    s.fact("inventory.sku", s.order.lines[0].sku, "wms").fact("inventory.on_hand", 9, "wms").fact("inventory.allocated", 2, "wms")
    return Label(Category.WAREHOUSE_EXCEPTION, "The warehouse broke it, and has more on the shelf: it packs another.")


def wrong_item_packed(s: Stage) -> Label:
    s.placed().at(9).wms(
        "item.mispicked",
        sku=s.order.lines[0].sku,
        quantity=1,
        message=s.pick("weight check failed, other size in box", "falscher Artikel", "mauvaise taille", "誤ピック"),
    )
    return Label(Category.WAREHOUSE_EXCEPTION, "A mispick, noticed inside the warehouse: the warehouse corrects it.")


def partner_account_on_hold(s: Stage) -> Label:
    s.record().at(4).shipbob(
        "order.shipment.on_hold",
        "OnHold",
        305,
        "BillingHold",
        s.pick("Account past due", "Invoice overdue", "Card on file declined", "Account suspended"),
    )
    return Label(Category.WAREHOUSE_EXCEPTION, "The warehouse stops for our unpaid account, not for the order.", step=_REROUTE)


def third_rejection_in_a_row(s: Stage) -> Label:
    s.placed()
    for hour in (2, 8, 20):
        s.at(hour).wms(
            "order.rejected", reason="DOCK_CLOSED", message=s.pick("dock 3 closed", "Tor 3 gesperrt", "quai fermé", "閉鎖中")
        )
    s.fact("fulfilment.attempts", 3, "wms")
    return Label(Category.WAREHOUSE_EXCEPTION, "Resubmitting has failed three times; another place must do it.", step=_REROUTE)


# --- fulfilment_stalled ---


def paid_and_nobody_began(s: Stage) -> Label:
    s.placed().at(0.1).paid().judged(s.pick(74, 90, 80, 101))
    s.fact("fulfilment.state", "received", "wms").fact("promise.ship_by", s.moment(48), "shopify")
    return Label(Category.FULFILMENT_STALLED, "Paid, received, past its promised shipping time, freshly read: nudge.")


def label_bought_and_never_scanned(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(s.pick(70, 80, 96, 75)).tracked(
        Scan(6, "Shipping label created, awaiting item", "pre_transit", "label_created")
    )
    return Label(Category.FULFILMENT_STALLED, "Days after the label no carrier has accepted the parcel.")


def announced_and_still_pending(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(90).followed(
        Scan(5, s.pick("Info received", "Sendungsdaten übermittelt", "Données reçues", "受付"), "InfoReceived", "InfoReceived_001"),
        event="tracking_pending_time",
    )
    return Label(Category.FULFILMENT_STALLED, "The aggregator says that it waits too long for a first scan.")


def customer_asks_before_anything_left(s: Stage) -> Label:
    s.placed().at(1).accepted().at(96).said(
        s.pick(
            "Has my order even been packed?",
            "Wurde schon etwas verschickt?",
            "Toujours en préparation ?",
            "まだ発送されていませんか",
        )
    )
    s.fact("fulfilment.state", "in_progress", "wms").fact("promise.ship_by", s.moment(60), "shopify")
    return Label(Category.FULFILMENT_STALLED, "Accepted four days ago, promised for the third day, not shipped.")


def warehouse_reading_is_old(s: Stage) -> Label:
    s.placed().judged(98).fact("promise.ship_by", s.moment(48), "shopify").fact(
        "fulfilment.state", "received", "wms", hours_before=70
    )
    needs = "a fresh reading of the warehouse: the last is 70 hours old"
    return Label(Category.FULFILMENT_STALLED, "Looks stalled, by a reading that is days old.", needs=needs, tags=("stale-facts",))


STORIES = tuple(
    Story(tell)
    for tell in (
        rejected_for_capacity,
        broken_on_the_packing_table,
        wrong_item_packed,
        partner_account_on_hold,
        third_rejection_in_a_row,
        paid_and_nobody_began,
        label_bought_and_never_scanned,
        announced_and_still_pending,
        customer_asks_before_anything_left,
        warehouse_reading_is_old,
    )
)
