"""The fold: what wins, what is late, what contradicts, what is too old."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.context import SignalSummary, SourceRule, SourceRules, build_context
from guardrails.facts import UNKNOWN, canonical_json
from guardrails.money import Money
from tests.app.pictures import SOURCES, at, eur, picture, placed, read, said, when


def value(context: object, name: str) -> object:
    found = context.current(name)  # type: ignore[attr-defined]  # any context
    return None if found is None else found.winner.value


def test_a_late_event_does_not_make_the_picture_older() -> None:
    paid = said("stripe", {"payment.status": "succeeded"}, 2, entity="pi_1")
    declined = said("stripe", {"payment.status": "requires_payment_method"}, 1, entity="pi_1", received=3)
    context = picture(paid, declined, now=4)
    assert value(context, "payment.status") == "succeeded"
    assert [signal.late for signal in context.signals] == [False, True]


def test_a_repeated_delivery_changes_nothing() -> None:
    once = said("stripe", {"payment.status": "succeeded"}, 1, entity="pi_1")
    assert picture(once, once, now=4).fields == picture(once, now=4).fields


def test_a_signal_from_after_the_moment_is_not_seen() -> None:
    context = picture(placed(), said("wms", {"fulfilment.state": "packed"}, 5), now=4)
    assert value(context, "fulfilment.state") is None


def test_the_system_of_record_wins_over_a_newer_mirror() -> None:
    item = picture(
        said("stripe", {"payment.status": "requires_capture"}, 1, entity="pi_1"),
        said("shopify", {"payment.status": "succeeded"}, 2, entity="pi_1"),
        now=3,
    ).fields["payment.status[pi_1]"]
    assert (item.winner.system, item.why) == ("stripe", "stripe is the system of record")
    assert item.conflict, "the mirror said something else later"


def test_a_mirror_that_is_only_behind_is_no_conflict() -> None:
    item = picture(
        said("shopify", {"payment.status": "requires_capture"}, 1, entity="pi_1"),
        said("stripe", {"payment.status": "succeeded"}, 2, entity="pi_1"),
        now=3,
    ).fields["payment.status[pi_1]"]
    assert not item.conflict


def test_what_does_not_move_conflicts_whoever_spoke_first() -> None:
    context = picture(said("erp", {"order.total": eur(9_000)}, 0), said("shopify", {"order.total": eur(10_000)}, 1))
    item = context.fields["order.total"]
    assert (item.winner.value, item.conflict) == (eur(10_000), True)


def test_a_system_that_nobody_counts_on_raises_no_conflict() -> None:
    context = picture(said("helpdesk", {"order.total": eur(9_000)}, 0), said("shopify", {"order.total": eur(10_000)}, 1))
    assert not context.fields["order.total"].conflict


def test_of_equal_carriers_the_one_that_spoke_last_is_believed() -> None:
    item = picture(
        said("easypost", {"tracking.status": "in_transit"}, 1, entity="1Z"),
        said("aftership", {"tracking.status": "delivered"}, 2, entity="1Z"),
        now=3,
    ).fields["tracking.status[1Z]"]
    assert item.winner.system == "aftership"


def test_without_a_system_of_record_whoever_spoke_last_is_believed() -> None:
    item = picture(said("a", {"unheard.of": 1}, 1), said("b", {"unheard.of": 2}, 2), now=3).fields["unheard.of"]
    assert (item.winner.system, item.conflict) == ("b", False)


def test_a_value_turns_stale_after_its_time_and_not_before() -> None:
    payment = said("stripe", {"payment.status": "succeeded"}, 0, entity="pi_1")
    assert not picture(payment, now=6).fields["payment.status[pi_1]"].stale
    assert picture(payment, now=6.01).fields["payment.status[pi_1]"].stale


def test_an_old_reading_is_outdated_and_an_old_push_is_not() -> None:
    assert picture(read("wms", {"fulfilment.state": "packed"}, 0, 1), now=5).fields["fulfilment.state"].outdated
    assert not picture(said("wms", {"fulfilment.state": "packed"}, 0), now=5).fields["fulfilment.state"].outdated
    assert not picture(read("wms", {"fulfilment.state": "packed"}, 0, 1), now=3).fields["fulfilment.state"].outdated


def test_reading_the_same_again_does_not_move_since_when_it_stands() -> None:
    item = picture(said("wms", {"fulfilment.state": "packed"}, 1), read("wms", {"fulfilment.state": "packed"}, 5, 6), now=7).fields[
        "fulfilment.state"
    ]
    assert (item.winner.since, item.winner.observed_at) == (at(1), at(5))


def test_a_reading_without_an_id_is_about_the_only_payment() -> None:
    context = picture(
        said("stripe", {"payment.status": "requires_capture"}, 1, entity="pi_1"),
        read("stripe", {"payment.status": "succeeded"}, 2, 3),
        now=4,
    )
    assert list(context.fields) == ["payment.status[pi_1]"]
    assert value(context, "payment.status") == "succeeded"


def test_a_reading_without_an_id_is_about_neither_of_two_payments() -> None:
    context = picture(
        said("stripe", {"payment.status": "failed"}, 1, entity="pi_1"),
        said("stripe", {"payment.status": "succeeded"}, 1, entity="pi_2"),
        read("stripe", {"payment.status": "canceled"}, 2, 3),
        now=4,
    )
    assert set(context.fields) == {"payment.status[pi_1]", "payment.status[pi_2]", "payment.status"}


def test_read_and_got_nothing_is_an_unknown_fact() -> None:
    facts = picture(read("stripe", {"payment.capture_before": None}, 0, 1)).to_facts()
    assert facts.get("payment.capture_before") is UNKNOWN
    assert "payment.capture_before" in facts.by_name


def test_only_catalogued_fields_of_the_right_type_become_facts() -> None:
    facts = picture(said("shopify", {"order.total": eur(10_000), "order.placed_at": "yesterday", "order.tags": "vip"})).to_facts()
    assert facts.get("order.total") == Money(10_000, "EUR")
    assert facts.get("order.placed_at") is UNKNOWN
    assert "order.tags" not in facts.by_name


def test_a_pointer_leads_to_the_value_in_the_snapshot() -> None:
    context = picture(said("shopify", {"order.attribute": "x"}, entity="a/b~c"))
    (item,) = context.fields.values()
    assert item.pointer == "/fields/order.attribute[a~1b~0c]/value"
    assert context.snapshot()["fields"]["order.attribute[a/b~c]"]["value"] == "x"


def test_the_first_pattern_that_matches_counts() -> None:
    rules = SourceRules((SourceRule("order.total", ("erp",), timedelta(1)), SourceRule("*", (), timedelta(2))))
    assert rules.for_field("order.total").record == ("erp",)
    assert rules.for_field("order.note").record == ()


_EVENTS = [
    placed(),
    said("stripe", {"payment.status": "requires_payment_method"}, 1, entity="pi_1"),
    said("stripe", {"payment.status": "succeeded", "payment.amount": eur(10_000)}, 2, entity="pi_1"),
    said("stripe", {"payment.status": "canceled"}, 2, entity="pi_1", name="same second"),
    said("shopify", {"payment.status": "succeeded"}, 3, entity="pi_1"),
    read("stripe", {"payment.status": "succeeded"}, 3, 4),
    said("wms", {"fulfilment.state": "received"}, 1),
    said("wms", {"fulfilment.state": "packed"}, 3),
    said("easypost", {"tracking.status": "in_transit", "tracking.eta": when(40)}, 4, entity="1Z"),
    said("aftership", {"tracking.status": "delivered"}, 4, entity="1Z"),
]


@given(st.permutations(_EVENTS), st.lists(st.sampled_from(_EVENTS), max_size=3))
def test_any_order_of_receipt_with_repeats_gives_the_same_fields(order: list[SignalSummary], again: list[SignalSummary]) -> None:
    expected = build_context("#1001", _EVENTS, SOURCES, at(10))
    found = build_context("#1001", [*order, *again], SOURCES, at(10))
    assert canonical_json(found.snapshot()["fields"]) == canonical_json(expected.snapshot()["fields"])


def test_a_statement_from_the_future_does_not_outlast_what_the_system_says_later() -> None:
    poison = said("shopify", {"order.total": eur(100)}, 900_000, received=1)
    context = picture(poison, said("shopify", {"order.total": eur(90_000)}, 2), now=3)
    assert value(context, "order.total") == eur(90_000)


def test_clocks_may_differ_a_little_without_losing_the_order_of_events() -> None:
    ahead = said("wms", {"fulfilment.state": "packed"}, 1.2, received=1)
    assert value(picture(ahead, said("wms", {"fulfilment.state": "received"}, 1.1), now=3), "fulfilment.state") == "packed"
