"""Two readings, both defensible, or too little to read anything."""

from evals.building.labels import Label
from evals.building.parcel_bodies import Scan
from evals.building.stage import Stage
from evals.building.telling import Case, Story, stage_of, told
from guardrails.taxonomy import Action, Category

TELLINGS = 3
_ASK = Action.MESSAGE_CUSTOMER


def lost_or_only_late(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 16).tracked(
        Scan(30, "Departed", "in_transit", "departed_facility"),
        Scan(24 * 15, s.pick("Parcel being traced", "Nachforschung läuft", "Recherche en cours"), "unknown", "unknown"),
    )
    s.fact("promise.deliver_by", s.moment(24 * 6), "shopify")
    return Label(Category.DELIVERY_LATE, "Long past the promise and traced, not yet given up.", also=(Category.DELIVERY_EXCEPTION,))


def stalled_or_out_of_stock(s: Stage) -> Label:
    s.placed().at(60).said(
        s.pick("Your site now says sold out. Will mine ship?", "Ist jetzt ausverkauft, kommt meins noch?", "Rupture sur le site ?")
    )
    s.fact("fulfilment.state", "received", "wms").fact("promise.ship_by", s.moment(48), "shopify").judged(75)
    return Label(
        Category.FULFILMENT_STALLED, "No progress; only the customer guesses at the stock.", also=(Category.INVENTORY_UNAVAILABLE,)
    )


def duplicate_or_two_presents(s: Stage) -> Label:
    s.placed(note=s.pick("For Anna", "Für Oma", "Pour Léa")).second_order(20).placed(
        note=s.pick("For Anna's sister", "Für Opa", "Pour Zoé")
    )
    return Label(
        Category.UNKNOWN,
        "Two orders a day apart with different presents' notes.",
        also=(Category.DUPLICATE_ORDER,),
        tags=("healthy",),
    )


def fraud_or_declined(s: Stage) -> Label:
    s.placed(financial_status="pending").at(0.1)
    outcome = {
        "type": "blocked",
        "network_status": "not_sent_to_network",
        "reason": "highest_risk_level",
        "risk_level": "highest",
        "risk_score": 86,
    }
    s.charged(
        "charge.failed",
        captured=False,
        amount_captured=0,
        paid=False,
        status="failed",
        failure_code="card_declined",
        outcome=outcome,
    )
    return Label(Category.FRAUD_RISK, "The processor itself blocked the charge for its risk.", also=(Category.PAYMENT_FAILED,))


def address_or_delivery(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(80).followed(
        Scan(28, "Departed", "InTransit", "InTransit_001"),
        Scan(78, s.pick("Recipient moved", "Empfänger verzogen", "Destinataire déménagé"), "Exception", "Exception_002"),
    )
    return Label(
        Category.ADDRESS_RISK, "Undeliverable because the recipient moved.", also=(Category.DELIVERY_EXCEPTION,), step=_ASK
    )


def conflict_or_dispute(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(60).scanned(s.order.shop.parcels[2], "delivered", "Delivered")
    s.links[s.code] = s.ref
    s.at(100).said(
        s.pick("Never came. I will go to my bank.", "Nicht angekommen, ich hole mir das Geld zurück.", "Rien reçu, je conteste.")
    )
    return Label(
        Category.CARRIER_CONFLICT,
        "Delivered, says the carrier; not, says the buyer, who only threatens.",
        also=(Category.DELIVERY_EXCEPTION,),
        step=Action.RESHIP,
    )


def split_or_short(s: Stage) -> Label:
    s.placed().at(30).sent(1).at(31).updated("orders/partially_fulfilled", fulfillment_status="partial")
    s.at(32).wms("order.held", reason="BACKORDER", message=s.pick("line 2 due Thursday", "Pos. 2 am Donnerstag", "ligne 2 jeudi"))
    return Label(
        Category.INVENTORY_UNAVAILABLE,
        "The second line waits for goods.",
        also=(Category.SPLIT_SHIPMENT,),
        step=Action.REROUTE_FULFILMENT,
    )


def expired_or_never_paid(s: Stage) -> Label:
    s.placed(financial_status="authorized").at(0.1).authorised().at(24 * 7 + 2).stripe(
        "payment_intent.canceled",
        {"id": s.payment, "object": "payment_intent", "amount": s.order.total, "currency": s.order.shop.currency.lower()}
        | {"status": "canceled", "cancellation_reason": "automatic", "metadata": {"order_id": s.ref}, "amount_received": 0},
    )
    return Label(
        Category.PAYMENT_FAILED,
        "The uncaptured intent was cancelled by time.",
        also=(Category.AUTHORIZATION_EXPIRING,),
        step=Action.SEND_PAYMENT_LINK,
    )


def race_or_refund(s: Stage) -> Label:
    s.placed().at(1).accepted().at(4).updated(
        "orders/cancelled", cancelled_at=s.moment(4), cancel_reason="customer", financial_status="refunded"
    )
    s.refunded(
        "refund.failed", s.order.total, status="failed", failure_reason=s.pick("declined", "expired_or_canceled_card", "unknown")
    )
    return Label(
        Category.CHANGE_RACE,
        "Cancelled after acceptance, and its refund failed: the goods leave first.",
        also=(Category.REFUND_EXCEPTION,),
        conflict=True,
        step=Action.VOID_LABEL,
    )


def warehouse_or_plumbing(s: Stage) -> Label:
    s.record().at(5).wms(
        "order.rejected",
        reason=s.pick("PARSE_ERROR", "XML_INVALID", "EDI_997_REJECT"),
        message=s.pick("segment N1 missing", "Datei unlesbar", "fichier illisible"),
    )
    return Label(
        Category.INTEGRATION_FAILURE,
        "The warehouse could not read our message.",
        also=(Category.WAREHOUSE_EXCEPTION, Category.INVALID_ORDER_DATA),
    )


def a_bare_hold(s: Stage) -> Label:
    s.record(with_total=False).at(3).held("other", s.pick("see ticket", "s. Ticket", "voir ticket"))
    return Label(
        Category.UNKNOWN,
        "A hold whose reason stands elsewhere.",
        needs="the ticket that the hold names, and the total",
        also=(Category.WAREHOUSE_EXCEPTION,),
        tags=("insufficient",),
    )


def a_word_without_a_subject(s: Stage) -> Label:
    s.record(with_total=False).at(9).said(s.pick("???", "Hallo?", "Répondez svp"))
    return Label(Category.UNKNOWN, "Nothing can be read from it.", needs="what is meant, and the total", tags=("insufficient",))


def a_tracker_that_knows_nothing(s: Stage) -> Label:
    s.record("paid", "fulfilled").at(30).tracked(Scan(29, "", "unknown", "unknown"))
    return Label(
        Category.UNKNOWN,
        "The tracker has no status, a day after shipping.",
        also=(Category.FULFILMENT_STALLED, Category.DELIVERY_LATE),
        needs="any scan of the parcel",
        tags=("insufficient",),
    )


def a_failure_nobody_names(s: Stage) -> Label:
    s.record(with_total=False).at(2).broke(s.pick("erp", "pim", "crm"), "unknown", s.pick("error", "Fehler", "erreur"))
    return Label(
        Category.INTEGRATION_FAILURE,
        "Something of ours failed; not what.",
        also=(Category.UNKNOWN,),
        needs="which operation failed, and the total",
    )


_TWO = frozenset([split_or_short])
STORIES = tuple(
    Story(tell, lines=2 if tell in _TWO else 1)
    for tell in (
        lost_or_only_late,
        stalled_or_out_of_stock,
        duplicate_or_two_presents,
        fraud_or_declined,
        address_or_delivery,
        conflict_or_dispute,
        split_or_short,
        expired_or_never_paid,
        race_or_refund,
        warehouse_or_plumbing,
        a_bare_hold,
        a_word_without_a_subject,
        a_tracker_that_knows_nothing,
        a_failure_nobody_names,
    )
)


def cases() -> list[Case]:
    found = []
    for number, story in enumerate(STORIES):
        for variant in range(TELLINGS):
            stage = stage_of(story, number, variant)
            found.append(told(stage, story.tell(stage), story.cluster))
    return found
