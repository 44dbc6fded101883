"""Every figure against one worked out by hand."""

import pytest

from evals.metrics import (
    Confident,
    Rate,
    area_under_risk_coverage,
    brier,
    calibration_error_equal_mass,
    coverage_at_risk,
    coverage_interval,
    equal_mass_bins,
    expected_calibration_error,
    macro_f1,
    macro_f1_interval,
    rate,
    risk_coverage_points,
)
from evals.statistics import wilson


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


# --- equal mass, Brier, intervals ---


def test_bins_of_equal_mass_keep_one_confidence_together() -> None:
    answers = [Confident(1_000 * (i // 4), True) for i in range(32)]
    assert [len(members) for members in equal_mass_bins(answers)] == [4] * 8
    assert [len(members) for members in equal_mass_bins([Confident(100 * (i // 2), True) for i in range(32)])] == [4] * 8
    assert [len(members) for members in equal_mass_bins([Confident(5_000, True)] * 100)] == [100]
    assert sum(len(members) for members in equal_mass_bins(ANSWERS)) == len(ANSWERS)


def test_calibration_error_over_equal_mass() -> None:
    # three bins (0.2: 1 right, 0.8: 0 right, 0.95 twice: 2 right): 0.8/4 + 0.8/4 + 0.05 * 2/4
    assert calibration_error_equal_mass(ANSWERS) == pytest.approx(0.425)
    assert calibration_error_equal_mass([]) is None


def test_brier_is_the_mean_squared_distance() -> None:
    # 0.05² twice, 0.8², 0.8²
    assert brier(ANSWERS) == pytest.approx((2 * 0.0025 + 2 * 0.64) / 4)
    assert brier([]) is None


def test_risk_and_coverage_points_are_those_of_each_confidence() -> None:
    assert [(p.confidence, p.coverage, p.risk) for p in risk_coverage_points(ANSWERS)] == [
        (9_500, 0.5, 0.0),
        (8_000, 0.75, pytest.approx(1 / 3)),
        (2_000, 1.0, 0.25),
    ]


def test_the_interval_of_macro_f1_holds_its_value_and_widens_with_clusters() -> None:
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("c", "c")] * 25
    alone = macro_f1_interval(pairs, [str(i) for i in range(100)])
    grouped = macro_f1_interval(pairs, [str(i % 4) for i in range(100)])
    value = macro_f1(pairs)
    assert value is not None
    assert alone is not None
    assert grouped is not None
    assert alone.low < value < alone.high
    assert grouped.high - grouped.low > alone.high - alone.low
    assert macro_f1_interval([], []) is None


def test_the_interval_of_a_coverage_is_a_draw_of_the_same_figure() -> None:
    answers = [Confident(9_000, True)] * 80 + [Confident(1_000, False)] * 20
    found = coverage_interval(answers, 0.05, [str(i) for i in range(100)])
    assert found is not None
    # Coverage is the share of sure answers: 0.8 ± 1.96 * sqrt(0.16 / 100)
    assert found.low == pytest.approx(0.72, abs=0.03)
    assert found.high == pytest.approx(0.88, abs=0.03)
