"""Stories about money that is claimed back: disputed, risky, refunded."""

from evals.building import shopify_bodies
from evals.building.labels import Label
from evals.building.stage import Stage
from evals.building.telling import Story
from guardrails.taxonomy import Action, Category

_LINK, _CAPTURE, _REFUND = Action.SEND_PAYMENT_LINK, Action.RETRY_CAPTURE, Action.REFUND_PAYMENT


# --- payment_dispute ---


def chargeback_as_fraudulent(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 12).disputed(reason=s.pick("fraudulent", "unrecognized", "general", "duplicate"))
    return Label(Category.PAYMENT_DISPUTE, "A chargeback was opened on the payment.")


def chargeback_not_received_but_delivered(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(70).scanned(s.order.shop.parcels[2], "delivered", "Delivered, front door", signed_by="RES")
    s.links[s.code] = s.ref
    s.at(24 * 15).disputed(reason="product_not_received").judged(24 * 15 + 1)
    return Label(
        Category.PAYMENT_DISPUTE, "Disputed as not received though the carrier delivered it.", also=(Category.CARRIER_CONFLICT,)
    )


def early_fraud_warning_before_shipping(s: Stage) -> Label:
    s.record().at(9).warned(s.pick("made_with_stolen_card", "unauthorized_use_of_card", "made_with_lost_card", "misc"))
    return Label(Category.PAYMENT_DISPUTE, "The issuer warned of fraud on a payment that was taken.", never=(Action.CANCEL_ORDER,))


def inquiry_in_the_shop(s: Stage) -> Label:
    inquiry = s.draw.number("inquiry", 28_600_000, 28_900_000)
    reason = s.pick("credit_not_processed", "product_unacceptable", "unrecognized", "general")
    s.placed().at(24 * 20)
    s.shopify("disputes/create", shopify_bodies.dispute_body(s.order, s.clock, inquiry, "inquiry", reason))
    return Label(Category.PAYMENT_DISPUTE, "The bank asks about the payment: an inquiry.")


def funds_withdrawn_after_a_complaint(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 9).said(
        s.pick("It arrived broken. I told my bank.", "Kaputt angekommen!", "Cassé.", "壊れていました。")
    )
    s.at(24 * 11).disputed("charge.dispute.funds_withdrawn", reason="product_unacceptable", status="under_review")
    return Label(Category.PAYMENT_DISPUTE, "The bank has withdrawn the money; the broken goods are its reason.")


# --- fraud_risk ---


def assessed_as_high_risk(s: Stage) -> Label:
    s.placed().at(0.3).shopify(
        "orders/risk_assessment_changed",
        {"provider_id": None, "provider_title": s.pick("Shopify", "Signifyd", "Riskified", "NoFraud"), "risk_level": "HIGH"}
        | {"created_at": s.moment(0.3), "order_id": str(s.order.id), "admin_graphql_api_order_id": s.order.gid},
    )
    return Label(Category.FRAUD_RISK, "A risk assessment of the shop stands at HIGH before fulfilment.")


def review_opened_by_a_rule(s: Stage) -> Label:
    s.record().at(0.4).reviewed("review.opened", s.pick("rule", "manual", "rule", "rule"))
    return Label(Category.FRAUD_RISK, "The processor's review of the payment is open.")


def highest_risk_and_failed_checks(s: Stage) -> Label:
    checks = {
        "address_line1_check": "fail",
        "address_postal_code_check": "fail",
        "cvc_check": s.pick("fail", "unavailable", "fail", "unchecked"),
    }
    card = {"brand": "visa", "checks": checks, "country": "US", "fingerprint": s.draw.hexes("card", 16)}
    outcome = {"risk_level": "highest", "risk_score": s.pick(83, 91, 77, 88)}
    s.placed().at(0.1).charged(outcome=outcome, payment_method_details={"type": "card", "card": card})
    return Label(Category.FRAUD_RISK, "The processor rates the charge `highest` and the card's checks failed.")


def held_for_high_risk(s: Stage) -> Label:
    s.record().at(2).held(
        "high_risk_of_fraud", s.pick("IP in other country", "freight forwarder", "Weiterleitungsadresse", "名義不一致")
    )
    s.said(s.pick("When will you ship?", "Wann kommt es?", "C'est pour quand ?", "いつ届きますか"))
    return Label(Category.FRAUD_RISK, "The order is held for high risk of fraud.")


def two_systems_read_the_risk_differently(s: Stage) -> Label:
    s.placed().at(0.1).charged(outcome={"risk_level": "highest", "risk_score": 80})
    s.at(0.2).fact("risk.recommendation", "ACCEPT", "shopify")
    return Label(Category.FRAUD_RISK, "The processor says highest risk, the shop says accept.", conflict=True)


# --- refund_exception ---


def refund_bounced(s: Stage) -> Label:
    why = s.pick("expired_or_canceled_card", "lost_or_stolen_card", "declined", "insufficient_funds")
    s.record("refunded").at(24 * 6).refunded("refund.failed", s.order.total, status="failed", failure_reason=why)
    return Label(
        Category.REFUND_EXCEPTION, "The refund failed at the bank; the shop counts it as done.", conflict=True, step=_REFUND
    )


def shop_refunded_and_the_processor_did_not(s: Stage) -> Label:
    refund, amount = s.draw.number("refund", 8_900_100_000, 8_900_900_000), s.order.total // 2 // 10 * 10
    note = s.pick("one item missing", "goodwill", "Retoure teilweise", "返金")
    s.placed(fulfillment_status="fulfilled").at(96)
    s.shopify("refunds/create", shopify_bodies.refund_body(s.order, s.clock, refund, amount, note))
    s.judged(140).fact("refund.refunds", [], "stripe")
    return Label(Category.REFUND_EXCEPTION, "The shop booked a refund; the processor knows of none.", conflict=True, step=_REFUND)


def refund_pending_for_two_weeks(s: Stage) -> Label:
    s.record("refunded").at(24 * 5).refunded("refund.created", s.order.total, status="pending")
    s.judged(24 * s.pick(19, 22, 20, 25)).fact("refund.status", "pending", "stripe")
    return Label(Category.REFUND_EXCEPTION, "Pending for two weeks: re-read, tell the owner, wait.")


def refund_refused_by_a_local_method(s: Stage) -> Label:
    source, word = s.pick(
        ("/psp/ideal", "IBAN unbekannt"),
        ("/psp/swish", "number not enrolled"),
        ("/psp/konbini", "口座なし"),
        ("/psp/mb-way", "conta encerrada"),
    )
    amount, currency = s.order.total, s.order.shop.currency
    s.record("refunded").at(50)
    s.event(
        "refund.status",
        source,
        {"refund_id": "rf-" + s.draw.hexes("rf", 8), "amount": amount, "currency": currency, "status": "failed", "message": word},
    )
    return Label(
        Category.REFUND_EXCEPTION,
        "The local method could not pay the refund out; the shop counts it as done.",
        conflict=True,
        step=_REFUND,
    )


def return_arrived_and_nothing_was_refunded(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 14).wms(
        "order.received", reason="RETURN", message=s.pick("all items back, grade A", "Ware vollständig", "complet", "全点返却済")
    )
    s.at(24 * 25).said(s.pick("Still no refund.", "Wo bleibt mein Geld?", "Toujours pas remboursée.", "返金がまだです"))
    s.fact("refund.status", None, "stripe").fact("refund.refunds", [], "stripe")
    return Label(Category.REFUND_EXCEPTION, "The goods came back eleven days ago and no refund was made.", step=_REFUND)


STORIES = tuple(
    Story(tell)
    for tell in (
        chargeback_as_fraudulent,
        chargeback_not_received_but_delivered,
        early_fraud_warning_before_shipping,
        inquiry_in_the_shop,
        funds_withdrawn_after_a_complaint,
        assessed_as_high_risk,
        review_opened_by_a_rule,
        highest_risk_and_failed_checks,
        held_for_high_risk,
        two_systems_read_the_risk_differently,
        refund_bounced,
        shop_refunded_and_the_processor_did_not,
        refund_pending_for_two_weeks,
        refund_refused_by_a_local_method,
        return_arrived_and_nothing_was_refunded,
    )
)
