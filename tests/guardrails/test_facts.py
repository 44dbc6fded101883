"""Facts: unknown stays unknown, ages are honest, and a digest changes exactly when the facts do."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts, canonical_json, rfc3339, sha256_of
from guardrails.money import Money
from tests.guardrails.clean_case import NOW, clean_facts, fact


def test_a_field_that_nobody_stated_is_unknown() -> None:
    facts = Facts("#1", NOW, {})
    assert facts.get("order.total") is UNKNOWN
    assert facts.age("order.total") is UNKNOWN


def test_the_age_of_a_value_that_could_not_be_read_is_unknown() -> None:
    assert clean_facts(order__total=UNKNOWN).age("order.total") is UNKNOWN


def test_a_slightly_fast_clock_means_new_and_a_time_far_ahead_means_nothing() -> None:
    ahead = clean_facts(order__total=fact("order.total", Money(1, "USD"), minutes_old=-5))
    far = clean_facts(order__total=fact("order.total", Money(1, "USD"), minutes_old=-60 * 24))
    assert ahead.age("order.total") == timedelta(0)
    assert far.age("order.total") is UNKNOWN


def test_a_time_without_zone_has_no_age() -> None:
    naive = Fact("order.total", Money(1, "USD"), "shopify", datetime(2026, 11, 23, 9))
    assert Facts("#1", NOW, {"order.total": naive}).age("order.total") is UNKNOWN


def test_the_digest_does_not_change_with_the_passing_of_time() -> None:
    facts = clean_facts(check__hours_since_paid=Fact("check.hours_since_paid", 5, COMPUTED, NOW, clock=True))
    later = {
        name: replace(item, observed_at=NOW + timedelta(hours=1)) if item.source == COMPUTED else item
        for name, item in facts.by_name.items()
    }
    later["check.hours_since_paid"] = Fact("check.hours_since_paid", 6, COMPUTED, NOW + timedelta(hours=1), clock=True)
    assert Facts("#1001", NOW + timedelta(hours=1), later).digest() == facts.digest()


@pytest.mark.parametrize(
    "changed",
    [
        clean_facts(order__total=Money(8_951, "USD")),
        clean_facts(order__total=UNKNOWN),
        clean_facts(order__total=None),
        clean_facts(order__total=fact("order.total", Money(8_950, "USD"), stale=True)),
        clean_facts(order__total=fact("order.total", Money(8_950, "USD"), conflict=True)),
        clean_facts(order__total=fact("order.total", Money(8_950, "USD"), minutes_old=5)),
        clean_facts(check__oversold=True),
        clean_facts(case__detected=frozenset(["fraud_risk"])),
    ],
)
def test_the_digest_changes_with_value_source_time_marks_and_detections(changed: Facts) -> None:
    assert changed.digest() != clean_facts().digest()


def test_the_order_of_names_does_not_count() -> None:
    facts = clean_facts()
    assert Facts("#1001", NOW, dict(reversed(list(facts.by_name.items())))).digest() == facts.digest()


def test_the_canonical_form_is_one_text_per_value() -> None:
    value = {"b": Money(1, "USD"), "a": [UNKNOWN, frozenset(["y", "x"]), NOW]}
    expected = '{"a":[{"unknown":true},["x","y"],"2026-11-23T10:00:00Z"],"b":{"amount":1,"currency":"USD"}}'
    assert canonical_json(value) == expected
    assert sha256_of(value) == sha256_of(dict(reversed(value.items())))


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 11, 23))
