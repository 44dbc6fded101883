"""Stories about movement: carriers, contradiction, lateness, parts."""

from evals.building.labels import Label
from evals.building.parcel_bodies import Scan
from evals.building.stage import Stage
from evals.building.telling import Story
from guardrails.taxonomy import Action, Category

_ASK, _RESHIP, _CLAIM = Action.MESSAGE_CUSTOMER, Action.RESHIP, Action.FILE_CARRIER_CLAIM


# --- delivery_exception ---


def damaged_on_the_way(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(60).tracked(
        Scan(20, "Picked up", "in_transit", "received_at_origin_facility"),
        Scan(58, s.pick("Package damaged in transit", "Sendung beschädigt", "Colis endommagé", "荷物破損"), "failure", "damaged"),
    )
    return Label(Category.DELIVERY_EXCEPTION, "A scan says damaged.", step=_CLAIM)


def lost_says_the_carrier(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(220).followed(
        Scan(22, "Departed", "InTransit", "InTransit_001"),
        Scan(
            215,
            s.pick("Parcel lost, search closed", "Nachforschung erfolglos", "Colis perdu", "紛失"),
            "Exception",
            "Exception_013",
        ),
    )
    return Label(Category.DELIVERY_EXCEPTION, "The carrier gave it up as lost.", step=_CLAIM)


def refused_at_the_door(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(70).tracked(
        Scan(24, "In transit", "in_transit", "in_transit"),
        Scan(
            68,
            s.pick("Refused by recipient", "Annahme verweigert", "Refusé par le destinataire", "受取拒否"),
            "return_to_sender",
            "refused",
        ),
    )
    return Label(Category.DELIVERY_EXCEPTION, "The recipient refused it and it is coming back.", step=_ASK)


def held_at_customs(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(100).followed(
        Scan(40, "Export cleared", "InTransit", "InTransit_003"),
        Scan(
            98,
            s.pick("Held in customs, importer to be contacted", "Zollbeschau", "Retenu en douane", "通関保留"),
            "Exception",
            "Exception_004",
        ),
    )
    return Label(Category.DELIVERY_EXCEPTION, "Customs holds the parcel.", step=_ASK)


def first_attempt_failed_next_is_booked(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(53).followed(
        Scan(30, "On vehicle", "OutForDelivery", "OutForDelivery_001"),
        Scan(
            52,
            s.pick("No one home, next attempt tomorrow", "Neuer Versuch morgen", "Nouvelle livraison demain", "再配達予定"),
            "AttemptFail",
            "AttemptFail_001",
        ),
    )
    return Label(Category.DELIVERY_EXCEPTION, "One failed attempt and the next is booked: wait.")


# --- carrier_conflict ---


def delivered_but_not_received(s: Stage) -> Label:
    s.placed().at(10).sent().at(60).tracked(
        Scan(20, "Accepted", "in_transit", "received_at_origin_facility"),
        Scan(59, "Delivered, left at porch", "delivered", "arrived_at_destination"),
    )
    s.at(80).said(
        s.pick(
            "Says delivered but there is nothing here.",
            "Angeblich zugestellt, aber nichts da!",
            "Indiqué livré, rien reçu.",
            "配達済みですが届いていません。",
        )
    )
    return Label(Category.CARRIER_CONFLICT, "The carrier says delivered, the recipient says not.", step=_RESHIP)


def two_followers_disagree(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(70).tracked(
        Scan(24, "In transit", "in_transit", "in_transit"), Scan(69, "Delivered", "delivered", "arrived_at_destination")
    )
    s.at(71).followed(
        Scan(24, "In transit", "InTransit", "InTransit_001"),
        Scan(
            s.pick(70.5, 68.5, 69, 70),
            s.pick("Returning to sender", "Rücksendung", "Retour", "返送中"),
            "Exception",
            "Exception_011",
        ),
        return_to_sender=True,
    )
    return Label(
        Category.CARRIER_CONFLICT, "One follower of the parcel says delivered, the other going back.", conflict=True, step=_RESHIP
    )


def delivered_in_another_town(s: Stage) -> Label:
    s.placed().at(9).sent().at(50).tracked(
        Scan(20, "Accepted", "in_transit", "received_at_origin_facility"),
        Scan(
            49,
            "Delivered",
            "delivered",
            "arrived_at_destination",
            s.pick("ELSEWHERE", "ANDERSDORF", "AUTREVILLE", "他市"),
            s.pick("99501", "01067", "13001", "900-0001"),
        ),
    )
    return Label(Category.CARRIER_CONFLICT, "Delivered under a postcode that is not the order's.", conflict=True, step=_RESHIP)


def code_used_before_the_order(s: Stage) -> Label:
    s.placed().at(12).sent().at(13).tracked(
        Scan(-4000, "Accepted", "in_transit", "received_at_origin_facility"),
        Scan(-3900, "Delivered", "delivered", "arrived_at_destination"),
    )
    return Label(Category.CARRIER_CONFLICT, "The scans are older than the order: a recycled tracking code.", conflict=True)


# --- delivery_late ---


def late_and_moving(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(s.pick(150, 170, 160, 155)).tracked(
        Scan(30, "Departed", "in_transit", "departed_facility"),
        Scan(140, "Arrived at facility", "in_transit", "arrived_at_facility"),
    )
    s.fact("promise.deliver_by", s.moment(96), "shopify")
    return Label(Category.DELIVERY_LATE, "Past the promise and still moving.")


def silent_for_a_week(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(36).tracked(Scan(34, "Departed origin", "in_transit", "departed_origin_facility"))
    s.judged(36 + 24 * s.pick(8, 9, 10, 8)).fact("tracking.status", "in_transit", "easypost").fact(
        "promise.deliver_by", s.moment(24 * 5), "shopify"
    )
    return Label(Category.DELIVERY_LATE, "No scan for a week, past the promise, freshly read.")


def storm_on_the_way(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(100).followed(
        Scan(28, "Departed", "InTransit", "InTransit_001"),
        Scan(98, s.pick("Severe weather", "Unwetter", "Intempéries", "悪天候"), "Exception", "Exception_017"),
    )
    return Label(Category.DELIVERY_LATE, "The weather delays it; nothing else is wrong.", also=(Category.DELIVERY_EXCEPTION,))


def date_moved_and_customer_asks(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(90).followed(
        Scan(30, "In transit", "InTransit", "InTransit_001"), event="edd_revise", expected_delivery=s.moment(140)[:10]
    )
    s.fact("promise.deliver_by", s.moment(72), "shopify")
    s.at(95).said(s.pick("Where is it? It was due yesterday.", "Wo bleibt das Paket?", "Où est mon colis ?", "遅れていますか"))
    return Label(Category.DELIVERY_LATE, "The carrier moved its date past the promise.")


def parcel_expired_from_view(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 34).followed(
        Scan(26, "Departed", "InTransit", "InTransit_001"), Scan(24 * 33, "Expired", "Expired", "Expired_001")
    )
    return Label(
        Category.DELIVERY_LATE,
        "A month without news: the aggregator gave up looking.",
        step=_CLAIM,
        also=(Category.DELIVERY_EXCEPTION,),
    )


# --- split_shipment ---


def one_of_two_left(s: Stage) -> Label:
    s.placed().at(20).sent(1).at(21).updated("orders/partially_fulfilled", fulfillment_status="partial").judged(
        s.pick(90, 100, 110, 95)
    )
    return Label(Category.SPLIT_SHIPMENT, "Only one of two lines left; the rest is free to go.")


def work_split_by_the_shop(s: Stage) -> Label:
    s.placed().at(2)
    rest = {"id": s.work + "9", "status": "open"}
    items = [{"id": "gid://shopify/FulfillmentOrderLineItem/1", "quantity": 1}]
    s.works("split", "open", remaining_fulfillment_order=rest, replacement_fulfillment_order=None, split_line_items=items)
    return Label(Category.SPLIT_SHIPMENT, "The shop divided the work in two.")


def two_parcels_diverged(s: Stage) -> Label:
    s.placed().at(20).sent(1).at(22).sent(2, which="b")
    s.at(70).tracked(
        Scan(24, "In transit", "in_transit", "in_transit"), Scan(69, "Delivered", "delivered", "arrived_at_destination")
    )
    s.at(71).tracked(Scan(26, "In transit", "in_transit", "in_transit"), which="b")
    s.said(s.pick("Only half of it came.", "Nur die Hälfte ist da.", "Il en manque la moitié.", "半分しか届いていません。"))
    return Label(Category.SPLIT_SHIPMENT, "Two parcels: one is there, the other is on its way.")


def partly_shipped_and_the_customer_wants_all(s: Stage) -> Label:
    s.record(fulfilment="partial").at(30).shipbob(
        "order.shipped", "Completed", 502, "PartiallyShipped", "1 of 2 lines in this shipment", s.code
    )
    s.at(60).said(
        s.pick("Please cancel the rest then.", "Dann stornieren Sie den Rest.", "Annulez le reste.", "残りはキャンセルで。")
    )
    return Label(Category.SPLIT_SHIPMENT, "Partly shipped; the buyer wants the rest cancelled.", step=Action.CANCEL_ORDER)


_TWO = frozenset([one_of_two_left, work_split_by_the_shop, two_parcels_diverged, partly_shipped_and_the_customer_wants_all])
STORIES = tuple(
    Story(tell, lines=2 if tell in _TWO else 1)
    for tell in (
        damaged_on_the_way,
        lost_says_the_carrier,
        refused_at_the_door,
        held_at_customs,
        first_attempt_failed_next_is_booked,
        delivered_but_not_received,
        two_followers_disagree,
        delivered_in_another_town,
        code_used_before_the_order,
        late_and_moving,
        silent_for_a_week,
        storm_on_the_way,
        date_moved_and_customer_asks,
        parcel_expired_from_view,
        one_of_two_left,
        work_split_by_the_shop,
        two_parcels_diverged,
        partly_shipped_and_the_customer_wants_all,
    )
)
