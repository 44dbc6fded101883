"""Stories about money that is not there: failed, disagreeing, lapsing."""

from evals.building import shopify_bodies, stripe_bodies
from evals.building.labels import Label
from evals.building.stage import Stage
from evals.building.telling import Story
from evals.building.world import decimal
from guardrails.taxonomy import Action, Category

_LINK, _CAPTURE, _REFUND = Action.SEND_PAYMENT_LINK, Action.RETRY_CAPTURE, Action.REFUND_PAYMENT


# --- payment_failed ---


def card_declined_and_nothing_paid(s: Stage) -> Label:
    reason, advice = s.pick(
        ("insufficient_funds", "try_again_later"),
        ("stolen_card", "do_not_try_again"),
        ("expired_card", "confirm_card_data"),
        ("do_not_honor", "do_not_try_again"),
    )
    s.placed(financial_status="pending").at(0.1).declined("card_declined", reason, advice)
    return Label(Category.PAYMENT_FAILED, "The only attempt was declined and nothing else paid the order.", step=_LINK)


def capture_failed_after_authorisation(s: Stage) -> Label:
    s.placed(financial_status="authorized").at(20)
    s.charged(
        "charge.failed",
        captured=False,
        amount_captured=0,
        paid=False,
        status="failed",
        failure_code=s.pick("card_declined", "expired_card"),
    )
    return Label(Category.PAYMENT_FAILED, "The capture failed a day after the authorisation; no money was taken.", step=_LINK)


def bank_debit_returned_later(s: Stage) -> Label:
    method = s.pick("sepa_debit", "acss_debit", "bacs_debit", "us_bank_account")
    s.record("pending").at(72).stripe("checkout.session.async_payment_failed", stripe_bodies.session(s.order, s.draw, method))
    return Label(Category.PAYMENT_FAILED, f"The {method} was returned three days after checkout.", step=_LINK)


def held_for_want_of_payment(s: Stage) -> Label:
    s.placed(financial_status="pending").at(0.2).declined("authentication_required", "authentication_required", "confirm_card_data")
    s.at(5).held("awaiting_payment", s.pick("waiting for 3DS", "Zahlung offen", "no funds yet", "en attente"))
    return Label(
        Category.PAYMENT_FAILED,
        "The hold is only the symptom: the payment behind it failed.",
        step=_LINK,
        tags=("cause-over-symptom",),
    )


def authorisation_expired_untouched(s: Stage) -> Label:
    s.record("authorized").at(24 * 7 + 1).charged("charge.expired", captured=False, amount_captured=0, status="failed")
    also = (Category.AUTHORIZATION_EXPIRING,)
    return Label(Category.PAYMENT_FAILED, "The authorisation lapsed before anyone captured it.", step=_LINK, also=also)


def subscription_invoice_unpaid(s: Stage) -> Label:
    s.record("pending").at(24 * s.pick(2, 3, 5, 1)).stripe(
        "invoice.payment_failed", stripe_bodies.invoice(s.order, s.draw, s.pick(2, 3, 4, 1))
    )
    return Label(Category.PAYMENT_FAILED, "The renewal's invoice could not be collected.", step=_LINK)


def capture_failed_in_the_shop(s: Stage) -> Label:
    s.placed(financial_status="authorized").at(30)
    ids = s.draw.number("transaction", 6_900_100_000, 6_900_900_000), s.payment
    said = s.pick("Capture declined by issuer", "Erfassung abgelehnt", "Capture refusée", "売上確定に失敗")
    s.shopify("order_transactions/create", shopify_bodies.transaction_body(s.order, s.clock, ids, "capture", "failure", said))
    return Label(Category.PAYMENT_FAILED, "The shop's own capture was declined.", step=_LINK)


# --- payment_mismatch ---


def captured_less_than_the_order(s: Stage) -> Label:
    less = s.order.total - s.order.total // 10 // 10 * 10
    s.placed().at(0.1).charged("charge.captured", amount_captured=less)
    return Label(Category.PAYMENT_MISMATCH, "A tenth less was captured than the order says.", step=_CAPTURE, conflict=True)


def paid_twice_for_one_order(s: Stage) -> Label:
    s.placed().at(0.05).paid().at(0.2).paid("b")
    return Label(Category.PAYMENT_MISMATCH, "Two payments succeeded for one order.", step=_REFUND)


def paid_in_another_currency(s: Stage) -> Label:
    other = "eur" if s.order.shop.currency != "EUR" else "usd"
    s.placed().at(0.1).paid(currency=other)
    return Label(
        Category.PAYMENT_MISMATCH, "The payment was taken in another currency than the order's.", step=_REFUND, conflict=True
    )


def shop_says_paid_and_nothing_was_taken(s: Stage) -> Label:
    s.placed().at(0.1).fact("payment.status", "processing", "stripe").fact(
        "payment.amount_received", {"amount": 0, "currency": s.order.shop.currency}, "stripe"
    )
    s.links[s.payment] = s.ref
    s.said(
        s.pick(
            "My bank shows nothing taken, is that right?", "Ich sehe keine Abbuchung.", "No charge yet?", "請求がまだありません。"
        )
    )
    return Label(Category.PAYMENT_MISMATCH, "The shop says paid; the processor took nothing yet.", conflict=True, step=_CAPTURE)


def edited_upwards_after_capture(s: Stage) -> Label:
    extra = s.order.total // 5 // 10 * 10
    s.placed().at(0.1).paid().at(6)
    total, currency = s.order.total + extra, s.order.shop.currency
    s.total = total
    s.updated(total=total, total_outstanding=decimal(extra, currency), financial_status="partially_paid")
    return Label(Category.PAYMENT_MISMATCH, "The order grew after its capture: a part of the price is open.", step=_LINK)


# --- authorization_expiring ---


def _authorised(s: Stage, at: float, lapses: float) -> None:
    s.placed(financial_status="authorized").at(0.1).authorised().judged(at)
    s.fact("payment.status", "requires_capture", "stripe").fact("payment.capture_before", s.moment(lapses), "stripe")


def lapses_within_a_day_nothing_packed(s: Stage) -> Label:
    _authorised(s, 150, 150 + s.pick(20, 9, 16, 4))
    s.fact("fulfilment.state", "received", "wms")
    return Label(Category.AUTHORIZATION_EXPIRING, "Uncaptured, lapses within a day, and the warehouse has not begun.")


def lapses_before_the_planned_shipment(s: Stage) -> Label:
    _authorised(s, 100, 130)
    s.fact("fulfilment.planned_ship", s.moment(150), "wms")
    return Label(Category.AUTHORIZATION_EXPIRING, "The planned shipment is later than the end of the authorisation.", step=_CAPTURE)


def held_while_the_authorisation_runs_out(s: Stage) -> Label:
    _authorised(s, 140, 156)
    s.at(30).held("other", s.pick("waiting for engraving proof", "Rückfrage Gravur", "artwork pending", "名入れ確認中"))
    why = "A harmless hold lasts nearly as long as the authorisation does."
    return Label(Category.AUTHORIZATION_EXPIRING, why, tags=("cause-over-symptom",))


def backorder_outlives_the_authorisation(s: Stage) -> Label:
    _authorised(s, 120, 140)
    s.fact("fulfilment.earliest_possible_ship", s.moment(200), "wms")
    s.at(90).said(s.pick("No hurry, I can wait.", "Kein Stress.", "Take your time!", "急ぎません。"))
    return Label(Category.AUTHORIZATION_EXPIRING, "The earliest shipment is days after the authorisation lapses.", step=_CAPTURE)


def reading_of_the_authorisation_is_old(s: Stage) -> Label:
    s.placed(financial_status="authorized").at(0.1).authorised().judged(140)
    s.fact("payment.status", "requires_capture", "stripe", hours_before=60)
    s.fact("payment.capture_before", s.moment(152), "stripe", hours_before=60)
    needs = "a fresh reading of the payment: the last is 60 hours old"
    return Label(
        Category.AUTHORIZATION_EXPIRING, "About to lapse by a reading that is days old.", needs=needs, tags=("stale-facts",)
    )


STORIES = tuple(
    Story(tell)
    for tell in (
        card_declined_and_nothing_paid,
        capture_failed_after_authorisation,
        bank_debit_returned_later,
        held_for_want_of_payment,
        authorisation_expired_untouched,
        subscription_invoice_unpaid,
        capture_failed_in_the_shop,
        captured_less_than_the_order,
        paid_twice_for_one_order,
        paid_in_another_currency,
        shop_says_paid_and_nothing_was_taken,
        edited_upwards_after_capture,
        lapses_within_a_day_nothing_packed,
        lapses_before_the_planned_shipment,
        held_while_the_authorisation_runs_out,
        backorder_outlives_the_authorisation,
        reading_of_the_authorisation_is_old,
    )
)
