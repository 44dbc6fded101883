"""Each detector fires on what certainly is, stays quiet on what certainly is not, and is unsure where it cannot see."""

from datetime import timedelta
from typing import Any

import pytest

from app.detect import Detections, cleared, detect, explained, render
from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.taxonomy import Action, Category
from tests.app.pictures import DETECTORS, PLACED

Given = dict[str, Any]


def facts(given: Given, stale: frozenset[str] = frozenset()) -> Facts:
    return Facts("#1001", PLACED, {n: Fact(n, v, "test", PLACED, stale=n in stale) for n, v in given.items()})


def answer(detector: str, given: Given) -> str:
    """`fires`, `quiet` or `unsure`."""
    seen = detect(facts(given), DETECTORS)
    if detector in {d.detector for d in seen.found}:
        return "fires"
    return "unsure" if detector in seen.unknown else "quiet"


UNPAID: Given = {"check.paid": False, "check.cancelled": False}
WAITING: Given = {"check.hours_to_lapse": 20, "check.cancelled": False}
FREE: Given = {"check.paid": True, "check.shipped": False, "check.held": False, "check.cancelled": False}

# detector: (what sets it off, the change that makes it certainly false, the fact without which it cannot tell)
TABLE: dict[str, tuple[Given, Given, str]] = {
    "dispute.open": ({"dispute.status": "needs_response"}, {"dispute.status": "won"}, "dispute.status"),
    "dispute.early_warning": ({"fraud_warning.type": "misc"}, {}, "fraud_warning.type"),
    "fraud.review_open": ({"payment.review": "open"}, {"payment.review": "approved"}, "payment.review"),
    "fraud.set_aside": ({"payment.outcome": "manual_review"}, {"payment.review": "approved"}, "payment.outcome"),
    "fraud.assessed_high": ({"check.high_risk": True}, {"check.high_risk": False}, "check.high_risk"),
    "fraud.provider_highest": ({"payment.risk_level": "highest"}, {"payment.risk_level": "normal"}, "payment.risk_level"),
    "fraud.provider_elevated": (
        {"payment.risk_level": "elevated", "check.shipped": False},
        {"payment.review": "approved"},
        "payment.risk_level",
    ),
    "fraud.held": (
        {"hold.reason": "high_risk_of_fraud", "check.work_reason": "seller"},
        {"hold.reason": "other"},
        "hold.reason",
    ),
    "fraud.many_cards": ({"check.many_cards": True}, {"check.many_cards": False}, "check.many_cards"),
    "payment.declined": ({**UNPAID, "payment.status": "failed"}, {"check.paid": True}, "check.paid"),
    "payment.capture_refused": (
        {"check.capture_failed": True, "order.financial_status": "authorized", "check.cancelled": False},
        {"check.capture_failed": False},
        "order.financial_status",
    ),
    "payment.capture_failed": ({**UNPAID, "check.capture_failed": True}, {"check.capture_failed": False}, "check.paid"),
    "payment.lapsed": (
        {**UNPAID, "check.hours_to_lapse": -1, "order.financial_status": "authorized"},
        {"check.hours_to_lapse": 0},
        "check.hours_to_lapse",
    ),
    "payment.cancelled": (
        {**UNPAID, "payment.status": "canceled", "order.financial_status": "pending"},
        {"check.cancelled": True},
        "check.cancelled",
    ),
    "payment.awaited": (
        {**UNPAID, "hold.reason": "awaiting_payment", "check.work_reason": "seller"},
        {"hold.reason": "none"},
        "hold.reason",
    ),
    "payment.overdue": (
        {**UNPAID, "order.financial_status": "pending", "check.hours_since_placed": 72},
        {"check.hours_since_placed": 71},
        "check.hours_since_placed",
    ),
    "change.after_work_began": (
        {"check.changed_after_work_began": True},
        {"check.changed_after_work_began": False},
        "check.changed_after_work_began",
    ),
    "authorization.can_ship_sooner": (
        {**WAITING, "check.can_ship_before_lapse": True, "check.lapses_before_shipment": True},
        {"check.can_ship_before_lapse": False},
        "check.can_ship_before_lapse",
    ),
    "authorization.lapses_first": (
        {**WAITING, "check.lapses_before_shipment": True},
        {"check.lapses_before_shipment": False},
        "check.lapses_before_shipment",
    ),
    "authorization.lapses_soon": (WAITING, {"check.hours_to_lapse": 24}, "check.hours_to_lapse"),
    "payment.twice": ({"check.paid_twice": True}, {"check.paid_twice": False}, "check.paid_twice"),
    "payment.disagrees": ({"check.payment_conflict": True}, {"check.payment_conflict": False}, "check.payment_conflict"),
    "payment.short": ({"check.underpaid": True, "check.cancelled": False}, {"check.underpaid": False}, "check.underpaid"),
    "refund.failed": ({"check.refund_failed": True}, {"check.refund_failed": False}, "check.refund_failed"),
    "refund.disagrees": ({"check.refund_conflict": True}, {"check.refund_conflict": False}, "check.refund_conflict"),
    "refund.missing": (
        {"check.return_without_refund": True},
        {"check.return_without_refund": False},
        "check.return_without_refund",
    ),
    "refund.pending": (
        {"refund.status": "pending", "check.hours_since_refund_asked": 120},
        {"check.hours_since_refund_asked": 119},
        "check.hours_since_refund_asked",
    ),
    "refund.awaits_goods": (
        {"hold.reason": "awaiting_return_items", "check.hours_since_held": 120},
        {"check.hours_since_held": 119},
        "check.hours_since_held",
    ),
    "duplicate.same_purchase": ({"check.duplicate": True}, {"check.duplicate": False}, "check.duplicate"),
    "parcel.contradiction": ({"check.carrier_conflict": True}, {"check.carrier_conflict": False}, "check.carrier_conflict"),
    "address.undeliverable": ({"address.deliverable": False}, {"address.deliverable": True}, "address.deliverable"),
    "address.refused": (
        {"check.work_reason": "address", "hold.reason": "none"},
        {"check.work_reason": "stock"},
        "check.work_reason",
    ),
    "address.corrected_by_carrier": (
        {"tracking.status_detail": "address_correction"},
        {"tracking.status_detail": "held"},
        "tracking.status_detail",
    ),
    "address.changed": (
        {"check.address_changed_after_payment": True},
        {"check.address_changed_after_payment": False},
        "check.address_changed_after_payment",
    ),
    "address.label_differs": (
        {"check.label_address_differs": True},
        {"check.label_address_differs": False},
        "check.label_address_differs",
    ),
    "address.not_verified_now": (
        {"check.verified_address_differs": True},
        {"check.verified_address_differs": False},
        "check.verified_address_differs",
    ),
    "address.correction_proposed": (
        {"check.address_corrected": True, "check.shipped": False},
        {"check.shipped": True},
        "check.address_corrected",
    ),
    "stock.short_pick": ({"check.picked_short": True}, {"check.picked_short": False}, "check.picked_short"),
    "stock.refused": ({"check.work_reason": "stock", "hold.reason": "none"}, {"check.work_reason": "address"}, "check.work_reason"),
    "stock.oversold": ({"check.oversold": True, "check.shipped": False}, {"check.oversold": False}, "check.oversold"),
    "data.contact": ({"check.work_reason": "contact"}, {"check.work_reason": "stock"}, "check.work_reason"),
    "data.amounts": (
        {"check.work_reason": "amounts", "check.price_off": False},
        {"check.work_reason": "stock"},
        "check.work_reason",
    ),
    "data.product": ({"check.work_reason": "order_data"}, {"check.work_reason": "stock"}, "check.work_reason"),
    "integration.own_hold": (
        {"hold.ours": True, "hold.case_closed": True, "hold.handle": "ordermend-1"},
        {"hold.ours": False},
        "hold.case_closed",
    ),
    "integration.failed": ({"integration.system": "erp"}, {}, "integration.system"),
    "warehouse.keeps_failing": (
        {"check.work_reason": "transient", "check.submitted_often": True},
        {"check.submitted_often": False},
        "check.submitted_often",
    ),
    "warehouse.passing_trouble": ({"check.work_reason": "transient"}, {"check.work_reason": "stock"}, "check.work_reason"),
    "warehouse.mispicked": ({"item.mispicked": 1}, {"item.mispicked": 0}, "item.mispicked"),
    "warehouse.damaged": ({"item.damaged": 1}, {"item.damaged": 0}, "item.damaged"),
    "warehouse.account": ({"check.work_reason": "account"}, {"check.work_reason": "stock"}, "check.work_reason"),
    "warehouse.gave_up": (
        {"fulfilment.state": "incomplete", "check.cancelled": False},
        {"check.cancelled": True},
        "check.cancelled",
    ),
    "warehouse.stopped": (
        {"check.work_reason": "warehouse", "check.cancelled": False},
        {"check.work_reason": "stock"},
        "check.work_reason",
    ),
    "warehouse.stopped_without_code": (
        {"fulfilment.state": "rejected", "check.work_reason": "uncoded"},
        {"fulfilment.state": "held"},
        "fulfilment.state",
    ),
    "delivery.lost": (
        {"tracking.status_detail": "lost", "check.damaged_on_the_way": False},
        {"tracking.status_detail": "held"},
        "tracking.status_detail",
    ),
    "delivery.coming_back": (
        {"tracking.status": "return_to_sender", "tracking.status_detail": "held"},
        {"tracking.status": "delivered"},
        "tracking.status",
    ),
    "delivery.attempt_failed": (
        {"tracking.status_detail": "attemptfail_002"},
        {"tracking.status_detail": "held"},
        "tracking.status_detail",
    ),
    "delivery.trouble_carrier_mends": (
        {"tracking.status_detail": "missorted", "check.still_promised": True},
        {"check.still_promised": False},
        "check.still_promised",
    ),
    "delivery.trouble": (
        {"tracking.status": "failure", "tracking.status_detail": "departed_facility"},
        {"tracking.status": "delivered"},
        "tracking.status",
    ),
    "delivery.not_fetched": (
        {"tracking.status": "available_for_pickup", "check.hours_since_at_pickup": 120},
        {"check.hours_since_at_pickup": 119},
        "check.hours_since_at_pickup",
    ),
    "split.parts_diverged": (
        {"check.partly_shipped": True, "check.cancelled": False},
        {"check.partly_shipped": False},
        "check.partly_shipped",
    ),
    "late.given_up": ({"tracking.status_detail": "expired"}, {"tracking.status_detail": "held"}, "tracking.status_detail"),
    "late.past_promise": (
        {"check.scanned": True, "check.late_by_promise": True},
        {"check.late_by_promise": False},
        "check.late_by_promise",
    ),
    "late.delayed": (
        {"tracking.status_detail": "weather_delay", "check.delivered": False},
        {"check.delivered": True},
        "tracking.status_detail",
    ),
    "late.silent": (
        {"check.scanned": True, "check.delivered": False, "tracking.status": "in_transit", "check.hours_since_scan": 96},
        {"check.hours_since_scan": 95},
        "check.hours_since_scan",
    ),
    "stalled.no_acceptance_scan": (
        {"check.scanned": False, "check.hours_since_label": 48, "check.held": False, "check.cancelled": False},
        {"check.hours_since_label": 47},
        "check.scanned",
    ),
    "stalled.past_promise": ({**FREE, "check.promised_ship_passed": True}, {"check.held": True}, "check.promised_ship_passed"),
    "stalled.no_progress": (
        {**FREE, "check.hours_since_progress": 48},
        {"check.hours_since_progress": 47},
        "check.hours_since_progress",
    ),
}


@pytest.mark.parametrize("detector", TABLE)
def test_a_detector_fires_when_its_exception_certainly_exists(detector: str) -> None:
    assert answer(detector, TABLE[detector][0]) == "fires"


@pytest.mark.parametrize("detector", TABLE)
def test_a_detector_stays_quiet_when_its_exception_certainly_does_not_exist(detector: str) -> None:
    fires, change, _ = TABLE[detector]
    assert answer(detector, {**fires, **change} if change else {}) == "quiet"


@pytest.mark.parametrize("detector", TABLE)
def test_a_detector_is_unsure_where_a_fact_has_no_value(detector: str) -> None:
    fires, _, without = TABLE[detector]
    assert answer(detector, {**fires, without: UNKNOWN}) == "unsure"


def test_every_configured_detector_stands_in_the_table() -> None:
    assert set(TABLE) == {detector.id for detector in DETECTORS.detectors}


def test_every_category_but_unknown_has_a_detector_and_a_window() -> None:
    assert {d.category for d in DETECTORS.detectors} == set(Category) - {Category.UNKNOWN}
    assert set(DETECTORS.reopen_within) == set(Category)


def test_of_no_facts_at_all_nothing_fires() -> None:
    assert detect(facts({}), DETECTORS).found == ()


def test_the_more_specific_cause_comes_first() -> None:
    seen = detect(facts({**TABLE["stalled.no_progress"][0], **TABLE["stock.short_pick"][0]}), DETECTORS)
    assert [d.detector for d in seen.found] == ["stock.short_pick", "stalled.no_progress"]
    assert seen.categories == {Category.INVENTORY_UNAVAILABLE, Category.FULFILMENT_STALLED}


def test_a_detection_names_the_facts_that_set_it_off_and_what_to_do() -> None:
    (found,) = detect(facts({"fraud_warning.type": "misc", "order.note": "x"}), DETECTORS).found
    assert (found.fields, found.then) == (("fraud_warning.type",), (Action.HOLD_FULFILMENT, Action.NOTIFY_OWNER))
    assert found.sentence == "the issuer sent an early fraud warning (misc)"


def test_ranks_of_different_categories_never_tie() -> None:
    by_rank: dict[int, set[Category]] = {}
    for detector in DETECTORS.detectors:
        by_rank.setdefault(detector.rank, set()).add(detector.category)
    assert all(len(categories) == 1 for categories in by_rank.values())


@pytest.mark.parametrize(
    ("value", "shown"),
    [(Money(14_195, "GBP"), "141.95 GBP"), (PLACED, "2026-11-02T10:00:00Z"), (True, "yes"), (UNKNOWN, "unknown"), (7, "7")],
)
def test_a_sentence_shows_the_value_seen(value: Any, shown: str) -> None:
    assert render("it is {order.total}", facts({"order.total": value})) == f"it is {shown}"


# --- all is well, clearing, coming back ---


def test_an_order_is_benign_only_when_it_certainly_is() -> None:
    young = {**FREE, "check.hours_since_placed": 5, "check.message_unread": False}
    assert detect(facts(young), DETECTORS).benign == "paid 5 hours after it was placed, and nothing is due yet"
    assert detect(facts({**young, "check.message_unread": True}), DETECTORS).benign is None
    assert detect(facts({**young, "check.paid": UNKNOWN}), DETECTORS).benign is None


def test_nothing_is_benign_beside_a_detection() -> None:
    young = {**FREE, "check.hours_since_placed": 5, "check.message_unread": False}
    assert detect(facts({**young, "fraud_warning.type": "misc"}), DETECTORS).benign is None


def test_a_case_heals_when_its_detector_is_certainly_false_on_fresh_facts() -> None:
    mine = frozenset(["payment.declined"])
    paid = {**UNPAID, "check.paid": True, "payment.status": "succeeded"}
    assert cleared(facts(paid), DETECTORS, mine)
    assert not cleared(facts(paid, stale=frozenset(["payment.status"])), DETECTORS, mine)
    assert not cleared(facts({}), DETECTORS, mine), "unknown is not false"
    assert not cleared(facts({**UNPAID, "payment.status": "failed"}), DETECTORS, mine)


def test_a_case_that_cannot_heal_by_itself_does_not() -> None:
    assert not cleared(facts({}), DETECTORS, frozenset(["dispute.early_warning"]))


def test_a_case_of_a_detector_that_is_gone_does_not_heal() -> None:
    assert not cleared(facts({}), DETECTORS, frozenset(["no.longer_there"]))
    assert not cleared(facts({}), DETECTORS, frozenset())


def test_a_symptom_joins_the_case_of_its_cause_and_not_the_other_way_round() -> None:
    assert explained(DETECTORS, Category.PAYMENT_FAILED, Category.FULFILMENT_STALLED)
    assert explained(DETECTORS, Category.PAYMENT_FAILED, Category.PAYMENT_FAILED)
    assert not explained(DETECTORS, Category.FULFILMENT_STALLED, Category.PAYMENT_FAILED)


def test_no_two_causes_explain_each_other() -> None:
    for cause, symptoms in DETECTORS.explains.items():
        for symptom in symptoms:
            assert cause not in DETECTORS.explains.get(symptom, frozenset()), (cause, symptom)


def test_a_recurrence_re_opens_within_its_window_and_not_after() -> None:
    window = DETECTORS.reopen_within[Category.DELIVERY_LATE]
    assert DETECTORS.reopens(Category.DELIVERY_LATE, PLACED, PLACED + window)
    assert not DETECTORS.reopens(Category.DELIVERY_LATE, PLACED, PLACED + window + timedelta(seconds=1))


def test_without_detectors_there_is_nothing_to_see() -> None:
    assert Detections((), ()).categories == frozenset()
