"""Stories about our own plumbing, and about nothing that has a name: healthy, irrelevant, insufficient."""

from evals.building.labels import Label
from evals.building.stage import Stage
from evals.building.telling import Story
from guardrails.taxonomy import Category

# --- integration_failure ---


def order_webhook_dead_lettered(s: Stage) -> Label:
    s.record().at(1).broke(
        "shopify",
        "orders/create webhook",
        s.pick("gave up after 6 attempts: 500", "dead letter: timeout", "schema mismatch at ingest", "queue full"),
    )
    return Label(Category.INTEGRATION_FAILURE, "The order's webhook was given up; backfill it.")


def warehouse_never_got_the_order(s: Stage) -> Label:
    s.placed().at(3).broke(
        "wms", "create order", s.pick("502 Bad Gateway", "ECONNRESET", "401 token expired", "TLS handshake failed")
    )
    return Label(Category.INTEGRATION_FAILURE, "Our call to the warehouse failed: run it again.")


def outcome_of_a_refund_call_unknown(s: Stage) -> Label:
    s.record().at(30).broke(
        "stripe", "create refund", s.pick("read timeout after 30 s", "connection reset mid-response", "no response", "504")
    )
    return Label(
        Category.INTEGRATION_FAILURE, "Nobody knows whether the refund was made.", needs="whether the processor has the refund"
    )


def tracking_feed_is_silent(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(40).broke(
        "easypost",
        "tracker webhooks",
        s.pick("no event for 9 hours", "subscription deleted", "endpoint disabled", "silent since 04:00 UTC"),
    )
    return Label(Category.INTEGRATION_FAILURE, "A source has fallen silent: subscribe again and backfill.")


# --- unknown: healthy, irrelevant, insufficient ---


def declined_then_paid(s: Stage) -> Label:
    s.placed().at(0.02).declined(
        "card_declined", s.pick("insufficient_funds", "incorrect_cvc", "expired_card", "generic_decline"), "try_again_later"
    )
    s.at(0.1).paid()
    return Label(Category.UNKNOWN, "Declined, then paid on the same intent: healthy.", tags=("healthy",))


def a_question_about_opening_hours(s: Stage) -> Label:
    s.record(fulfilment="fulfilled").at(24 * 10).said(
        s.pick(
            "Do you have a shop in town?", "Haben Sie samstags geöffnet?", "Faites-vous des cartes cadeaux ?", "店舗はありますか"
        )
    )
    return Label(Category.UNKNOWN, "A question that is no exception.", tags=("irrelevant",))


def something_is_wrong_says_a_note(s: Stage) -> Label:
    s.record(with_total=False).at(8).said(
        s.pick("there is a problem with it", "Es gibt ein Problem.", "Ça ne va pas.", "問題があります")
    )
    return Label(
        Category.UNKNOWN,
        "Nobody says what is wrong, and the total is not known.",
        needs="what is wrong, and the order's total",
        tags=("insufficient",),
    )


def hold_placed_and_released(s: Stage) -> Label:
    s.placed().at(1).held("other", s.pick("gift wrap check", "Geschenkkarte prüfen", "vérif. gravure", "確認中")).at(2).works(
        "hold_released", "open"
    )
    return Label(Category.UNKNOWN, "Held for an hour and released: nothing is open.", tags=("healthy",))


STORIES = tuple(
    Story(tell)
    for tell in (
        order_webhook_dead_lettered,
        warehouse_never_got_the_order,
        outcome_of_a_refund_call_unknown,
        tracking_feed_is_silent,
        declined_then_paid,
        a_question_about_opening_hours,
        something_is_wrong_says_a_note,
        hold_placed_and_released,
    )
)
