"""The condition language: three-valued, typed, and unable to guess."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import ConditionError, FieldType, Scope, ValueType, compile_condition
from guardrails.taxonomy import Category, Truth
from tests.guardrails.clean_case import NOW

F, U, T = Truth.FALSE, Truth.UNKNOWN, Truth.TRUE
LIMITS = {"high_value": {"USD": Money(50_000, "USD"), "JPY": Money(70_000, "JPY")}}
SCOPE = Scope(
    {**FIELD_TYPES, "a": FieldType(ValueType.BOOL), "b": FieldType(ValueType.BOOL)}, LIMITS, {"payment": timedelta(hours=6)}
)


def facts_with(**values: Any) -> Facts:
    """Facts of these values; a value UNKNOWN is one that a system stated without content."""
    named = {key.replace("__", "."): value for key, value in values.items()}
    return Facts("#1", NOW, {n: Fact(n, v, "shopify", NOW - timedelta(hours=5)) for n, v in named.items()})


def truth(text: str, **values: Any) -> Truth:
    return compile_condition(text, SCOPE).evaluate(facts_with(**values))


def as_value(t: Truth) -> Any:
    return {F: False, U: UNKNOWN, T: True}[t]


AND = {(F, F): F, (F, U): F, (F, T): F, (U, U): U, (U, T): U, (T, T): T}
OR = {(F, F): F, (F, U): U, (F, T): T, (U, U): U, (U, T): T, (T, T): T}


@pytest.mark.parametrize(("table", "word"), [(AND, "and"), (OR, "or")])
def test_and_and_or_follow_kleene_in_both_orders(table: dict[tuple[Truth, Truth], Truth], word: str) -> None:
    for (left, right), expected in table.items():
        assert truth(f"a {word} b", a=as_value(left), b=as_value(right)) is expected
        assert truth(f"b {word} a", a=as_value(left), b=as_value(right)) is expected


@pytest.mark.parametrize(("inner", "expected"), [(F, T), (U, U), (T, F)])
def test_not_turns_true_and_false_and_leaves_unknown(inner: Truth, expected: Truth) -> None:
    assert truth("not a", a=as_value(inner)) is expected


def test_not_binds_tighter_than_and_which_binds_tighter_than_or() -> None:
    assert truth("not a and b", a=False, b=False) is F
    assert truth("true or false and false") is T
    assert truth("(true or false) and false") is F


@pytest.mark.parametrize("text", ["order.total >= limit(high_value)", "limit(high_value) <= order.total"])
@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (Money(49999, "USD"), F),
        (Money(50000, "USD"), T),
        (Money(50001, "USD"), T),
        (Money(69999, "JPY"), F),
        (Money(70000, "JPY"), T),
        (Money(1, "CHF"), U),
        (UNKNOWN, U),
        ("50000", U),
        (50000, U),
    ],
)
def test_a_total_is_compared_with_the_limit_of_its_own_currency(text: str, total: Any, expected: Truth) -> None:
    assert truth(text, order__total=total) is expected


def test_a_limit_is_unknown_for_an_order_without_total() -> None:
    assert truth("order.total >= limit(high_value)") is U


def test_two_currencies_compare_as_unknown_even_for_equality() -> None:
    for op in ("==", "!=", "<", "<=", ">", ">="):
        assert truth(f"order.total {op} 500.00 EUR", order__total=Money(50_000, "USD")) is U
    assert truth("order.total + payment.amount > 1.00 USD", order__total=Money(1, "USD"), payment__amount=Money(1, "EUR")) is U


def test_sums_are_exact() -> None:
    text = "payment.amount_captured + payment.amount_refunded == 0.30 USD"
    assert truth(text, payment__amount_captured=Money(10, "USD"), payment__amount_refunded=Money(20, "USD")) is T


@pytest.mark.parametrize(("status", "expected"), [("failed", T), ("succeeded", F), (UNKNOWN, U), (3, U)])
def test_membership_of_an_unknown_value_is_unknown_either_way(status: Any, expected: Truth) -> None:
    assert truth("payment.status in ['failed', 'expired']", payment__status=status) is expected
    assert truth("payment.status not in ['failed', 'expired']", payment__status=status) is Truth(2 - expected)


def test_membership_among_amounts_of_another_currency_is_unknown() -> None:
    assert truth("order.total in [1.00 EUR]", order__total=Money(100, "USD")) is U


@pytest.mark.parametrize(
    ("detected", "expected"),
    [(frozenset(["fraud_risk"]), T), (frozenset(), F), (UNKNOWN, U), ("fraud_risk", U), (["fraud_risk"], U)],
)
def test_a_set_field_is_asked_for_a_member(detected: Any, expected: Truth) -> None:
    assert truth("'fraud_risk' in case.detected", case__detected=detected) is expected


def test_sets_are_compared_by_inclusion() -> None:
    small, large = frozenset(["lead"]), frozenset(["lead", "admin"])
    assert truth("actor.roles <= case.detected", actor__roles=small, case__detected=large) is T
    assert truth("actor.roles <= case.detected", actor__roles=large, case__detected=small) is F


def test_known_tells_silence_from_an_empty_answer() -> None:
    assert truth("known(order.total)") is F
    assert truth("known(order.total)", order__total=UNKNOWN) is U
    assert truth("known(order.total) and true", order__total=Money(1, "USD")) is T


def test_ages_and_times_to_come_are_durations() -> None:
    assert truth("age(payment.status) > freshness(payment)", payment__status="failed") is F
    assert truth("age(payment.status) >= 5h", payment__status="failed") is T
    assert truth("age(payment.status) > 1h") is U
    assert truth("until(dispute.due_by) < 3d", dispute__due_by=NOW + timedelta(days=2)) is T
    assert truth("until(dispute.due_by) < 3d", dispute__due_by=UNKNOWN) is U


def test_a_time_without_zone_is_unknown() -> None:
    naive = datetime(2026, 11, 23)
    assert truth("promise.ship_by == promise.deliver_by", promise__ship_by=naive, promise__deliver_by=NOW) is U
    assert truth("until(promise.ship_by) < 1d", promise__ship_by=naive) is U


def test_a_text_enum_compares_as_its_text() -> None:
    assert truth("case.category == 'fraud_risk'", case__category=Category.FRAUD_RISK) is T


def test_a_number_is_not_a_truth_and_a_truth_is_not_a_number() -> None:
    assert truth("a", a=1) is U
    assert truth("fulfilment.attempts == 1", fulfilment__attempts=True) is U
    assert truth("fulfilment.attempts + 1 > 1", fulfilment__attempts="1") is U
    assert truth("a == true", a=1) is U


@pytest.mark.parametrize("odd", [None, 1.5, float("nan"), [], {}, object(), b"x"])
@pytest.mark.parametrize(
    "text",
    [
        "order.total >= limit(high_value)",
        "payment.status == 'failed'",
        "fulfilment.attempts < 3",
        "a",
        "until(promise.ship_by) < 1h",
        "check.oversold == true",
        "case.detected <= actor.roles",
        "payment.status in ['failed']",
        "fulfilment.attempts + 1 > 2",
    ],
)
def test_an_odd_value_is_unknown_and_never_an_error(text: str, odd: Any) -> None:
    names = ["order.total", "payment.status", "fulfilment.attempts", "a", "promise.ship_by", "check.oversold"]
    values = {name.replace(".", "__"): odd for name in [*names, "case.detected", "actor.roles"]}
    assert truth(text, **values) is U


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("order.totl >= limit(high_value)", 1, "did you mean 'order.total'"),
        ("order.total >= limit(high_valu)", 22, "did you mean 'high_value'"),
        ("payment.status == 'faild'", 19, "did you mean 'failed'"),
        ("payment.status in ['failed', 'exprd']", 30, "did you mean 'expired'"),
        ("age(payment.status) > freshness(paymnt)", 33, "did you mean 'payment'"),
        ("order.total >= 500.00", 16, "floats are not exact"),
        ("order.total >= 500", 13, "cannot compare a money with a int"),
        ("order.total >= 500.001 USD", 16, "more digits"),
        ("order.total", 12, "alone is not a condition"),
        ("check.oversold ==", 18, "missing here"),
        ("check.oversold == true true", 24, "unexpected 'true'"),
        ("(check.oversold == true", 24, "')' is missing"),
        ("check.oversold > true", 16, "has no order"),
        ("limit(high_value) == limit(high_value)", 19, "not with a limit"),
        ("payment.status in 'failed'", 19, "takes a list"),
        ("payment.status in order.ref", 19, "set field"),
        ("order.total + 1 > 2", 15, "cannot add"),
        ("now() > 3h", 1, "no function now()"),
        ("known(order.totl)", 7, "did you mean 'order.total'"),
        ("known('x')", 7, "takes one field"),
        ("until(order.total) > 1h", 7, "takes a time"),
        ("a; b", 2, "not part of the language"),
        ("age(order.total) > 36501d", 20, "longer than a duration may be"),
        ("age(order.total) > 9999999999999d", 20, "longer than a duration may be"),
        ("", 1, "missing here"),
    ],
)
def test_a_mistake_is_found_with_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compile_condition(text, SCOPE)
    assert caught.value.column == column
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["(" * 1_999, "not " * 499 + "a", "a and " * 333 + "a", "a" * 3_000])
def test_a_condition_cannot_be_made_to_exhaust_the_stack(text: str) -> None:
    try:
        condition = compile_condition(text, SCOPE)
    except ConditionError:
        return
    assert condition.evaluate(facts_with(a=True)) in (T, F)


def column_of_mistake(text: str) -> int:
    """1 for a condition without mistake."""
    try:
        compile_condition(text, SCOPE)
    except ConditionError as error:
        return error.column
    return 1


@given(st.text(max_size=80))
def test_any_text_is_a_condition_or_a_located_mistake(text: str) -> None:
    assert 1 <= column_of_mistake(text) <= len(text) + 1


def test_a_condition_names_the_fields_and_limits_it_reads() -> None:
    condition = compile_condition("order.total >= limit(high_value) and known(dispute.status) and age(payment.status) > 1h", SCOPE)
    assert condition.fields == {"order.total", "dispute.status", "payment.status"}
    assert condition.limits == {"high_value"}
