"""Every figure against one worked out by hand."""

import pytest

from evals.metrics import (
    Confident,
    Rate,
    area_under_risk_coverage,
    coverage_at_risk,
    expected_calibration_error,
    macro_f1,
    rate,
    wilson,
)


def test_the_interval_is_wilsons() -> None:
    # 8 of 10: centre (0.8 + 1.9207/10) / 1.38415, half 1.96 * sqrt(0.016 + 0.0096) / 1.38415
    low, high = wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)


def test_the_interval_never_leaves_zero_and_one() -> None:
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0
    assert wilson(5, 5)[0] < 1.0


def test_a_rate_of_nothing_was_not_measured() -> None:
    assert rate([]).plain() == {"value": None, "low": None, "high": None}
    assert Rate(1, 4).plain()["value"] == 0.25


def test_macro_f1_is_the_plain_mean_over_expected_classes() -> None:
    # a: 1 right, 2 expected, 1 got -> 2/3; b: 1 right, 1 expected, 2 got -> 2/3
    assert macro_f1([("a", "a"), ("a", "b"), ("b", "b")]) == pytest.approx(2 / 3)
    # a class that was only ever guessed is not averaged over: a is 2*1/(2+1)
    assert macro_f1([("a", "a"), ("a", "z")]) == pytest.approx(2 / 3)
    assert macro_f1([("a", "b")]) == 0.0
    assert macro_f1([]) is None


ANSWERS = [Confident(9_500, True), Confident(9_500, True), Confident(8_000, False), Confident(2_000, True)]


def test_calibration_error_weighs_each_bin_by_its_size() -> None:
    # bins: 0.95 vs 1.0 (2 of 4), 0.8 vs 0 (1 of 4), 0.2 vs 1 (1 of 4)
    assert expected_calibration_error(ANSWERS) == pytest.approx(0.05 * 0.5 + 0.8 * 0.25 + 0.8 * 0.25)
    assert expected_calibration_error([]) is None


def test_full_confidence_falls_into_the_last_bin() -> None:
    assert expected_calibration_error([Confident(10_000, True)]) == 0.0


def test_risk_coverage_is_averaged_over_every_coverage() -> None:
    # risks at 1, 2, 3, 4 answers: 0, 0, 1/3, 1/4
    assert area_under_risk_coverage(ANSWERS) == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_equal_confidence_makes_the_order_not_count() -> None:
    tied = [Confident(5_000, True), Confident(5_000, False)]
    assert area_under_risk_coverage(tied) == area_under_risk_coverage(tied[::-1]) == pytest.approx(0.5)


def test_coverage_at_risk_takes_whole_groups_of_confidence() -> None:
    assert coverage_at_risk(ANSWERS, 0.0) == 0.5
    assert coverage_at_risk(ANSWERS, 0.25) == 1.0
    assert coverage_at_risk([Confident(9_000, True), Confident(9_000, False)], 0.1) == 0.0
    assert coverage_at_risk([], 0.1) is None
