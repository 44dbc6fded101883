"""What code works out of recorded values: true, false, and unknown where it cannot see."""

from datetime import timedelta
from typing import Any

import pytest

from app.checking.parcels import same_carrier
from app.checking.work import reason_kind
from app.checks import CHECKS, derive, inputs_of
from app.context import OrderContext, RelatedOrder, SignalSummary
from app.related import OrderMarks, related_orders
from guardrails.facts import UNKNOWN, Unknown
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import ValueType
from tests.app.pictures import at, eur, picture, placed, read, said, when


def check(name: str, context: OrderContext) -> Any:
    return derive(context)[f"check.{name}"]


def payment(status: str, hours: float = 0.5, entity: str = "pi_1", **amounts: int) -> SignalSummary:
    fields = {"payment.status": status, **{f"payment.{name}": eur(cents) for name, cents in amounts.items()}}
    return said("stripe", fields, hours, entity=entity)


def tracker(status: str, hours: float, *, entity: str = "1Z", system: str = "easypost", **more: Any) -> SignalSummary:
    return said(system, {"tracking.status": status, **{f"tracking.{k}": v for k, v in more.items()}}, hours, entity=entity)


def scan(status: str, hours: float, **more: Any) -> dict[str, Any]:
    return {"at": when(hours), "status": status, "detail": None, "zip": None, "physical": status != "pre_transit", **more}


def work(state: str, hours: float, reason: str | None = None) -> SignalSummary:
    return said("wms", {"fulfilment.state": state, "fulfilment.reason": reason}, hours)


def twin(hours: float, *same: str, cancelled: bool = False) -> RelatedOrder:
    return RelatedOrder("#1000", at(hours), same, cancelled)


MARKS = {"customer": "c", "lines_fingerprint": "l", "ship_to_fingerprint": "s"}
ALL = ("customer", "lines", "ship_to")

CASES: list[tuple[str, str, OrderContext, Any]] = [
    ("paid", "the provider has it", picture(payment("succeeded")), True),
    ("paid", "it is authorised", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(9)}, entity="pi_1")), True),
    ("paid", "it lapsed", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(0.6)}, entity="pi_1")), False),
    ("paid", "it failed after the mirror", picture(placed(), payment("failed")), False),
    ("paid", "the mirror says later that it was paid", picture(payment("failed", -1), placed()), UNKNOWN),
    ("paid", "only the mirror speaks", picture(placed()), True),
    ("paid", "the mirror waits", picture(placed(financial_status="pending")), False),
    ("paid", "it is in the works", picture(payment("processing")), UNKNOWN),
    ("payment_conflict", "all agree", picture(placed(), payment("succeeded", amount_received=10_000)), False),
    ("payment_conflict", "a cent less", picture(placed(), payment("succeeded", amount_received=9_999)), True),
    ("payment_conflict", "nobody said the total", picture(payment("succeeded", amount_received=9_999)), UNKNOWN),
    ("payment_conflict", "something went back", picture(placed(), payment("succeeded", amount_received=10_000, amount_refunded=1)), UNKNOWN),
    (
        "payment_conflict",
        "another currency",
        picture(placed(), said("stripe", {"payment.status": "succeeded", "payment.amount": {"amount": 10_000, "currency": "USD"}}, entity="p")),
        True,
    ),
    (
        "payment_conflict",
        "the rest is known to be open",
        picture(payment("succeeded", -1, amount_received=6_000), placed(outstanding=eur(4_000))),
        False,
    ),
    (
        "payment_conflict",
        "a gift card paid a part",
        picture(placed(gateways=["gift_card", "stripe"]), payment("succeeded", amount_received=6_000)),
        UNKNOWN,
    ),
    ("payment_conflict", "the mirror calls failed money paid", picture(placed(), payment("failed")), True),
    (
        "payment_conflict",
        "the mirror has not heard",
        picture(payment("succeeded", -1, amount_received=10_000), placed(financial_status="pending")),
        True,
    ),
    (
        "payment_conflict",
        "the mirror is a moment behind",
        picture(payment("succeeded", -0.1, amount_received=10_000), placed(financial_status="pending")),
        False,
    ),
    ("underpaid", "too little", picture(placed(), payment("succeeded", amount_received=9_999)), True),
    ("underpaid", "enough", picture(placed(), payment("succeeded", amount_received=10_000)), False),
    ("underpaid", "no payment seen", picture(placed()), UNKNOWN),
    (
        "paid_twice",
        "two whole payments",
        picture(placed(), payment("succeeded", amount_received=10_000), payment("succeeded", entity="pi_2", amount_received=10_000)),
        True,
    ),
    (
        "paid_twice",
        "two parts",
        picture(placed(), payment("succeeded", amount_received=4_000), payment("succeeded", entity="pi_2", amount_received=6_000)),
        False,
    ),
    (
        "paid_twice",
        "two yen payments",
        picture(payment("succeeded", amount_received=1), payment("succeeded", entity="pi_2", amount_received=1)),
        UNKNOWN,
    ),
    ("payment_conflict", "called paid, and not taken even later", picture(placed(), payment("processing", 1), now=2), True),
    ("payment_conflict", "not taken yet when it was called paid", picture(payment("processing", -1), placed(), now=2), False),
    ("capture_failed", "the capture failed", picture(said("shopify", {"transaction.kind": "capture", "transaction.status": "failure"}, entity="t")), True),
    ("capture_failed", "it went through", picture(said("shopify", {"transaction.kind": "sale", "transaction.status": "success"}, entity="t")), False),
    ("capture_failed", "only a refund", picture(said("shopify", {"transaction.kind": "refund", "transaction.status": "failure"}, entity="t")), UNKNOWN),
    ("hours_to_lapse", "by the provider", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(3.5)}, entity="pi_1")), 2),
    ("hours_to_lapse", "by the common window", picture(placed(), payment("requires_capture"), now=24), 144),
    ("hours_to_lapse", "it is captured", picture(placed(), payment("succeeded")), UNKNOWN),
    ("lapses_before_shipment", "planned too late", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(9)}, entity="pi_1"), said("wms", {"fulfilment.planned_ship": when(10)})), True),
    ("lapses_before_shipment", "planned in time", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(9)}, entity="pi_1"), said("wms", {"fulfilment.planned_ship": when(8)})), False),
    ("can_ship_before_lapse", "there is a slot", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(9)}, entity="pi_1"), said("wms", {"fulfilment.earliest_possible_ship": when(8)})), True),
    ("can_ship_before_lapse", "the slot is later", picture(payment("requires_capture"), said("stripe", {"payment.capture_before": when(9)}, entity="pi_1"), said("wms", {"fulfilment.earliest_possible_ship": when(10)})), False),
    ("hours_since_paid", "since the payment", picture(payment("succeeded", 0.5), now=3), 2),
    ("hours_since_placed", "rounded down", picture(placed(), now=2.9), 2),
    ("refund_failed", "it failed", picture(said("stripe", {"refund.status": "failed"}, entity="re_1")), True),
    ("refund_failed", "a second one went through", picture(said("stripe", {"refund.status": "failed"}, entity="re_1"), said("stripe", {"refund.status": "succeeded"}, 0.5, entity="re_2")), False),
    ("refund_conflict", "booked and failed", picture(said("shopify", {"refund.storefront_amount": eur(5)}, entity="g"), said("stripe", {"refund.status": "failed"}, entity="re_1")), True),
    ("refund_conflict", "a tenth went back", picture(placed(financial_status="refunded"), said("stripe", {"refund.status": "succeeded", "refund.amount": eur(1_000)}, entity="re_1")), True),
    ("refund_conflict", "all agree", picture(placed(financial_status="refunded"), said("stripe", {"refund.status": "succeeded", "refund.amount": eur(10_000)}, entity="re_1")), False),
    ("refund_conflict", "two parts are the whole", picture(placed(financial_status="refunded"), *(said("stripe", {"refund.status": "succeeded", "refund.amount": eur(5_000)}, entity=f"re_{n}") for n in (1, 2))), False),
    ("refund_conflict", "booked, and the provider has none", picture(placed(financial_status="refunded"), read("stripe", {"refund.status": None}, 0, 1)), True),
    ("refund_conflict", "the storefront never heard", picture(said("stripe", {"refund.status": "succeeded", "refund.amount": eur(5)}, -3, entity="re_1"), placed()), True),
    ("hours_since_refund_asked", "by its creation", picture(said("stripe", {"refund.status": "pending", "refund.created_at": when(-48)}, entity="re_1")), 49),
    ("return_without_refund", "asked and none", picture(said("shopify", {"return.processed_at": when(0)}, entity="r"), read("stripe", {"refund.status": None}, 0, 1)), True),
    ("return_without_refund", "nobody asked", picture(said("shopify", {"return.processed_at": when(0)}, entity="r")), UNKNOWN),
    ("return_without_refund", "still called paid long after", picture(said("shopify", {"return.processed_at": when(0)}, entity="r"), said("shopify", {"order.financial_status": "paid"}, 264), now=265), True),
    ("return_without_refund", "still called paid soon after", picture(said("shopify", {"return.processed_at": when(0)}, entity="r"), said("shopify", {"order.financial_status": "paid"}, 200), now=201), UNKNOWN),
    ("return_without_refund", "there is one", picture(said("shopify", {"return.processed_at": when(0)}, entity="r"), said("stripe", {"refund.status": "pending"}, entity="re_1")), False),
    ("scanned", "a moving parcel", picture(tracker("in_transit", 1)), True),
    ("scanned", "only announced", picture(tracker("pre_transit", 1)), False),
    ("scanned", "no tracker", picture(placed(fulfillment_status="fulfilled")), UNKNOWN),
    ("scanned", "a tracker that knows nothing", picture(tracker("unknown", 1)), UNKNOWN),
    ("shipped", "a parcel left", picture(said("wms", {"parcel.shipped_at": when(0)}, entity="1Z")), True),
    ("shipped", "the store says no", picture(placed()), False),
    ("delivered", "all", picture(tracker("delivered", 1)), True),
    ("delivered", "one of two", picture(tracker("delivered", 1), tracker("in_transit", 1, entity="2Z")), False),
    ("damaged_on_the_way", "an earlier scan", picture(tracker("delivered", 1, scans=[scan("in_transit", 0, detail="damaged")])), True),
    ("damaged_on_the_way", "no such scan", picture(tracker("delivered", 1, scans=[scan("in_transit", 0, detail="held")])), False),
    ("late_by_promise", "past the promise", picture(placed(), said("shopify", {"promise.deliver_by": when(20)}), tracker("in_transit", 5), now=21), True),
    ("late_by_promise", "past the carrier's day", picture(tracker("in_transit", 5, eta=when(20)), now=21), True),
    ("late_by_promise", "still time", picture(tracker("in_transit", 5, eta=when(20)), now=19), False),
    ("late_by_promise", "it arrived", picture(tracker("delivered", 5, eta=when(4)), now=21), False),
    ("late_by_promise", "no carrier speaks", picture(said("shopify", {"promise.deliver_by": when(2)}), now=21), UNKNOWN),
    ("still_promised", "a day to come", picture(tracker("in_transit", 5, eta=when(20)), now=19), True),
    ("still_promised", "a day gone", picture(tracker("in_transit", 5, eta=when(20)), now=21), False),
    ("hours_since_label", "since it was bought", picture(said("labels", {"label.purchased_at": when(0)}, entity="1Z"), now=50), 50),
    ("hours_since_label", "it was voided", picture(said("labels", {"label.purchased_at": when(0), "label.voided_at": when(1)}, entity="1Z"), now=50), UNKNOWN),
    ("hours_since_label", "since it was announced", picture(tracker("pre_transit", 2, scans=[scan("pre_transit", 1)]), now=50), 49),
    ("hours_since_scan", "since the last scan", picture(tracker("in_transit", 9, last_scan_at=when(8)), now=20), 12),
    ("hours_since_at_pickup", "since it was ready", picture(tracker("available_for_pickup", 30, scans=[scan("available_for_pickup", 10)]), now=40), 30),
    ("hours_since_at_pickup", "it was fetched", picture(tracker("delivered", 30, scans=[scan("available_for_pickup", 10)]), now=40), UNKNOWN),
    ("partly_shipped", "the store says so", picture(placed(fulfillment_status="partial")), True),
    ("partly_shipped", "one arrived, one travels", picture(*(said("wms", {"parcel.shipped_at": when(0)}, entity=e) for e in ("1Z", "2Z")), tracker("delivered", 1), tracker("in_transit", 1, entity="2Z")), True),
    ("partly_shipped", "nothing left", picture(placed()), False),
    ("carrier_conflict", "delivered, then under way", picture(tracker("delivered", 1, system="aftership"), tracker("in_transit", 2, system="carrier"), now=3), True),
    ("carrier_conflict", "delivered, then coming back", picture(tracker("delivered", 1), tracker("return_to_sender", 2, system="aftership"), now=3), True),
    ("carrier_conflict", "coming back, then delivered", picture(tracker("return_to_sender", 1), tracker("delivered", 2, system="aftership"), now=3), False),
    ("carrier_conflict", "under way, then delivered", picture(tracker("in_transit", 1, system="carrier"), tracker("delivered", 2, system="aftership"), now=3), False),
    ("carrier_conflict", "the store is ahead", picture(said("shopify", {"parcel.delivery_status": "delivered"}, 1, entity="1Z"), tracker("pre_transit", 2), now=3), True),
    ("carrier_conflict", "the carrier caught up", picture(said("shopify", {"parcel.delivery_status": "delivered"}, 1, entity="1Z"), tracker("delivered", 2), now=3), False),
    ("carrier_conflict", "another carrier on the label", picture(said("shopify", {"parcel.carrier": "Royal Mail"}, entity="1Z"), said("labels", {"label.carrier": "UPS"}, entity="1Z")), True),
    ("carrier_conflict", "a code used before", picture(placed(), tracker("delivered", 1, first_scan_at=when(-200))), True),
    ("carrier_conflict", "delivered elsewhere", picture(placed(ship_to={"zip": "04101"}), tracker("delivered", 1, scans=[scan("delivered", 1, zip="97205")])), True),
    ("carrier_conflict", "delivered next door", picture(placed(ship_to={"zip": "LS1 3DA"}), tracker("delivered", 1, scans=[scan("delivered", 1, zip="LS1")])), False),
    ("carrier_conflict", "back while under way", picture(said("wms", {"return.received_at": when(2), "return.reason": "rts"}, 2), tracker("out_for_delivery", 1), now=3), True),
    ("work_reason", "a documented code", picture(work("rejected", 1, "inventory_out_of_stock")), "stock"),
    ("work_reason", "no code", picture(work("rejected", 1)), "uncoded"),
    ("work_reason", "a code that nobody listed", picture(work("rejected", 1, "zz_4711")), "uncoded"),
    ("work_reason", "a word of the trade", picture(work("rejected", 1, "labor_shortage_today")), "warehouse"),
    ("work_reason", "it went on", picture(work("rejected", 1, "invalid_sku"), work("received", 2), now=3), "none"),
    ("held", "by the store", picture(said("shopify", {"hold.reason": "other"}, entity="fo")), True),
    ("held", "released", picture(said("shopify", {"hold.reason": "none"}, entity="fo")), False),
    ("held", "by the warehouse", picture(work("held", 1, "qc")), True),
    ("held", "nobody said so", picture(placed()), False),
    ("hours_since_held", "since it was placed", picture(said("shopify", {"hold.reason": "other"}, entity="fo"), now=7), 7),
    ("cancelled", "it was", picture(placed(cancelled_at=when(1)), now=2), True),
    ("cancelled", "it was not", picture(placed()), False),
    ("changed_after_work_began", "cancelled after acceptance", picture(placed(cancelled_at=when(2)), work("received", 1), now=3), True),
    ("changed_after_work_began", "late news of acceptance", picture(placed(cancelled_at=when(2)), said("wms", {"fulfilment.state": "received"}, 1, received=5), now=6), True),
    ("changed_after_work_began", "shipped after the cancellation", picture(placed(cancelled_at=when(1)), said("wms", {"parcel.shipped_at": when(2)}, 2, entity="1Z"), now=3), True),
    ("changed_after_work_began", "edited before", picture(placed(edited_at=when(1)), work("received", 2), now=3), False),
    ("changed_after_work_began", "the warehouse cancelled too", picture(placed(cancelled_at=when(2)), work("received", 1), work("cancelled", 2.5), now=3), False),
    ("changed_after_work_began", "the request was refused", picture(said("shopify", {"fulfilment.request": "cancellation_rejected"}, entity="fo")), True),
    ("changed_after_work_began", "nothing changed", picture(placed(), work("received", 1)), False),
    ("submitted_often", "three times", picture(said("wms", {"fulfilment.attempts": 3})), True),
    ("submitted_often", "once", picture(work("rejected", 1, "timeout")), False),
    ("hours_since_progress", "since the last step", picture(placed(), work("received", 1), work("packed", 5), now=60), 55),
    ("promised_ship_passed", "it passed", picture(said("shopify", {"promise.ship_by": when(5)}), now=6), True),
    ("promised_ship_passed", "not yet", picture(said("shopify", {"promise.ship_by": when(5)}), now=4), False),
    ("oversold", "below nothing", picture(said("shopify", {"inventory.available": -1}, entity="i")), True),
    ("oversold", "promised more than counted", picture(said("wms", {"inventory.on_hand": 1, "inventory.allocated": 2}, entity="s")), True),
    ("oversold", "enough", picture(said("wms", {"inventory.on_hand": 2, "inventory.allocated": 2}, entity="s")), False),
    ("oversold", "nobody counted promises", picture(said("wms", {"inventory.on_hand": 2}, entity="s")), UNKNOWN),
    ("stock_conflict", "sold what is not there", picture(said("shopify", {"inventory.available": 3}, entity="i"), said("wms", {"inventory.on_hand": 0, "inventory.allocated": 1}, entity="s")), True),
    ("stock_conflict", "both have some", picture(said("shopify", {"inventory.available": 3}, entity="i"), said("wms", {"inventory.on_hand": 4, "inventory.allocated": 1}, entity="s")), False),
    ("picked_short", "one short", picture(said("wms", {"pick.requested": 2, "pick.available": 1}, entity="s")), True),
    ("picked_short", "an earlier pick was short", picture(said("wms", {"pick.requested": 2, "pick.available": 1}, entity="s"), said("wms", {"pick.requested": 1, "pick.available": 1}, 0.5, entity="t")), True),
    ("picked_short", "all there", picture(said("wms", {"pick.requested": 2, "pick.available": 2}, entity="s")), False),
    ("address_changed_after_payment", "replaced", picture(placed(ship_to_fingerprint="a"), payment("succeeded"), said("shopify", {"order.ship_to_fingerprint": "b"}, 2), now=3), True),
    ("address_changed_after_payment", "replaced before", picture(placed(ship_to_fingerprint="a"), said("shopify", {"order.ship_to_fingerprint": "b"}, 2), payment("succeeded", 3), now=4), False),
    ("address_changed_after_payment", "never", picture(placed(ship_to_fingerprint="a"), payment("succeeded")), False),
    ("label_address_differs", "another", picture(placed(ship_to_fingerprint="a"), said("labels", {"label.ship_to_fingerprint": "b"}, entity="1Z")), True),
    ("label_address_differs", "the same", picture(placed(ship_to_fingerprint="a"), said("labels", {"label.ship_to_fingerprint": "a"}, entity="1Z")), False),
    ("verified_address_differs", "it was another", picture(placed(ship_to_fingerprint="a"), said("v", {"address.original_fingerprint": "b"})), True),
    ("verified_address_differs", "this one", picture(placed(ship_to_fingerprint="a"), said("v", {"address.original_fingerprint": "a"})), False),
    ("address_corrected", "it proposes another", picture(said("v", {"address.original_fingerprint": "a", "address.candidate_fingerprint": "b"})), True),
    ("address_corrected", "it proposes the same", picture(said("v", {"address.original_fingerprint": "a", "address.candidate_fingerprint": "a"})), False),
    ("duplicate", "the later of two", picture(placed(**MARKS), related=(twin(-0.5, *ALL),)), True),
    ("duplicate", "the earlier of two", picture(placed(**MARKS), related=(twin(0.5, *ALL),)), False),
    ("duplicate", "another note, hours later", picture(placed(**MARKS, note="for my brother"), related=(twin(-6, *ALL),)), False),
    ("duplicate", "the same note, hours later", picture(placed(**MARKS), related=(twin(-6, *ALL, "note"),)), True),
    ("duplicate", "the first was cancelled", picture(placed(**MARKS), related=(twin(-0.5, *ALL, cancelled=True),)), False),
    ("duplicate", "other lines", picture(placed(**MARKS), related=(twin(-0.5, "customer", "ship_to"),)), False),
    ("duplicate", "one channel order", picture(placed(channel="amazon", channel_order_id="114"), related=(twin(-0.5, "channel_order"),)), True),
    ("duplicate", "marks are missing", picture(placed()), UNKNOWN),
    ("high_risk", "one of two assessors", picture(said("shopify", {"risk.level": "high"}, 1, entity="a"), said("shopify", {"risk.level": "low"}, 2, entity="b"), now=3), True),
    ("high_risk", "low", picture(said("shopify", {"risk.level": "low"}, entity="a")), False),
    ("high_risk", "advice", picture(said("shopify", {"risk.recommendation": "investigate"})), True),
    ("risk_conflict", "only the provider worries", picture(said("shopify", {"risk.level": "low"}, entity="a"), said("stripe", {"payment.risk_level": "elevated"}, entity="pi")), True),
    ("risk_conflict", "the storefront says go ahead", picture(said("shopify", {"risk.recommendation": "accept"}), said("stripe", {"payment.risk_level": "highest"}, entity="pi")), True),
    ("risk_conflict", "the storefront worries too", picture(said("shopify", {"risk.recommendation": "investigate"}), said("stripe", {"payment.risk_level": "highest"}, entity="pi")), False),
    ("risk_conflict", "both are calm", picture(said("shopify", {"risk.level": "low"}, entity="a"), said("stripe", {"payment.risk_level": "normal", "payment.review": "approved"}, entity="pi")), False),
    ("risk_conflict", "nobody knows of a review", picture(said("shopify", {"risk.level": "low"}, entity="a"), said("stripe", {"payment.risk_level": "normal"}, entity="pi")), UNKNOWN),
    ("many_cards", "three", picture(said("shopify", {"customer.distinct_cards": 3})), True),
    ("many_cards", "two", picture(said("shopify", {"customer.distinct_cards": 2})), False),
    ("price_off", "a slipped point", picture(placed(lines=[{"sku": "X", "price": eur(189)}]), said("pim", {"product.list_price": eur(18_900)}, entity="sku:X")), True),
    ("price_off", "a sale", picture(placed(lines=[{"sku": "X", "price": eur(9_900)}]), said("pim", {"product.list_price": eur(18_900)}, entity="sku:X")), False),
    ("message_unread", "somebody wrote", picture(said("helpdesk", {"customer.message": "Hi"}, entity="m")), True),
    ("source_conflict", "stock", picture(said("shopify", {"inventory.available": 3}, entity="i"), said("wms", {"inventory.on_hand": 0, "inventory.allocated": 1}, entity="s")), True),
    ("source_conflict", "one field", picture(placed(), said("erp", {"order.total": eur(9_000)})), True),
    ("source_conflict", "all agree", picture(placed(), payment("succeeded", amount_received=10_000)), False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "story", "context", "expected"), CASES, ids=[f"{name}: {story}" for name, story, _, _ in CASES])
def test_a_check_says_what_the_records_say(name: str, story: str, context: OrderContext, expected: Any) -> None:
    assert check(name, context) == expected


def test_every_catalogued_check_is_derived_and_nothing_else() -> None:
    assert set(CHECKS) == {name for name in CATALOGUE if name.startswith("check.")}


def test_of_an_order_that_nobody_knows_every_check_is_unknown() -> None:
    known = {name: found for name, found in derive(picture()).items() if found is not UNKNOWN}
    assert known == {"check.message_unread": False}, "messages are counted from what came in"


@pytest.mark.parametrize(("name", "story", "context", "_expected"), CASES, ids=[f"{name}: {story}" for name, story, _, _ in CASES])
def test_every_answer_has_the_type_that_the_catalogue_says(name: str, story: str, context: OrderContext, _expected: Any) -> None:
    kinds = {ValueType.BOOL: bool, ValueType.INT: int, ValueType.TEXT: str}
    for field, found in derive(context).items():
        assert isinstance(found, Unknown) or type(found) is kinds[CATALOGUE[field].type], field
        assert not CATALOGUE[field].values or isinstance(found, Unknown) or found in CATALOGUE[field].values, field


def test_a_number_that_the_clock_moves_is_marked_so() -> None:
    for name in CHECKS:
        if CATALOGUE[name].type is ValueType.INT:
            assert CATALOGUE[name].writer is Writer.CLOCK, name


def test_every_check_has_a_story_and_names_its_inputs() -> None:
    assert {f"check.{name}" for name, *_ in CASES} == set(CHECKS)
    assert all(inputs_of(name) for name in CHECKS)
    assert inputs_of("order.total") == ()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("incorrect_address", "address"),
        ("address_hold", "address"),
        ("shortpick", "stock"),
        ("out_of_stock", "stock"),
        ("missing_customs_info", "order_data"),
        ("invalid_contact_information", "contact"),
        ("qty_limit", "amounts"),
        ("system_busy", "transient"),
        ("billing_hold", "account"),
        ("client", "seller"),
        ("carton_size", "warehouse"),
    ],
)
def test_a_code_is_read_by_its_words(code: str, kind: str) -> None:
    assert reason_kind(code) == kind


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("DHLExpress", "DHL Express", True),
        ("DPDUK", "DPD", True),
        ("brt-it", "BRT", True),
        ("royal-mail", "Royal Mail", True),
        ("UPS", "USPS", False),
        ("Royal Mail", "UPS", False),
        ("PostNL", "PostNord", False),
    ],
)
def test_carriers_are_the_same_whatever_they_are_called(left: str, right: str, same: bool) -> None:
    assert same_carrier(left, right) is same
    assert same_carrier(right, left) is same


def marks(ref: str, hours: float | None, **more: Any) -> OrderMarks:
    base: dict[str, Any] = {"customer": "c", "lines": "l", "ship_to": "s", "cancelled": False, **more}
    return OrderMarks(ref, None if hours is None else at(hours), **base)


def test_related_orders_share_something_telling_within_the_window() -> None:
    others = [
        marks("#2", 1),
        marks("#3", 30),
        marks("#4", 0.5, customer="x", lines="x", ship_to="x"),
        marks("#1", 0),
        marks("#5", None),
    ]
    found = related_orders(marks("#1", 0), others, timedelta(hours=24))
    assert [(order.order_ref, order.same) for order in found] == [("#2", ALL)]


def test_an_unknown_mark_is_never_the_same() -> None:
    blank = marks("#1", 0, customer=None, lines=None, ship_to=None)
    assert related_orders(blank, [marks("#2", 0, customer=None, lines=None, ship_to=None)], timedelta(1)) == ()


def test_two_imports_of_one_channel_order_belong_together_however_far_apart() -> None:
    found = related_orders(marks("#1", 900, channel_order="a:1"), [marks("#2", 0, channel_order="a:1")], timedelta(hours=1))
    assert [order.order_ref for order in found] == ["#2"]
