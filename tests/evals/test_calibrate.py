"""Calibrators on answers whose true calibration is known."""

import math
import random

import pytest

from evals.calibrate import IDENTITY, Calibrator, Method, fit, method_for, out_of_fold, too_few
from evals.metrics import Confident, brier, calibration_error_equal_mass


def answers_at(*groups: tuple[int, int, int]) -> list[Confident]:
    """(confidence, right, of)"""
    return [Confident(confidence, i < right) for confidence, right, n in groups for i in range(n)]


def overconfident(n: int, seed: int = 3) -> list[Confident]:
    """Says sigmoid(2 z) where sigmoid(z) is true: the right temperature is 2."""
    drawn = random.Random(seed)
    found = []
    for _ in range(n):
        z = drawn.gauss(1.0, 1.0)
        said = 1 / (1 + math.exp(-2 * z))
        found.append(Confident(round(said * 10_000), drawn.random() < 1 / (1 + math.exp(-z))))
    return found


def test_one_group_is_moved_to_the_share_that_was_right() -> None:
    # 0.9 said, 3/4 right: logit(0.9) = ln 9, logit(0.75) = ln 3, so T = 2 exactly
    calibrator = fit(answers_at((9_000, 45, 60)), Method.TEMPERATURE)
    assert calibrator.parameters[0] == pytest.approx(2.0, abs=1e-6)
    assert calibrator.share(9_000) == pytest.approx(0.75, abs=1e-6)


def test_the_temperature_of_an_overconfident_classifier_is_found() -> None:
    calibrator = fit(overconfident(8_000), Method.TEMPERATURE)
    assert calibrator.parameters[0] == pytest.approx(2.0, rel=0.08)


def test_platt_finds_slope_and_offset() -> None:
    # Two groups, two parameters: with many answers the fit goes through both shares (Platt's smoothing moves them by 1/n)
    calibrator = fit(answers_at((9_000, 4_500, 6_000), (6_000, 1_200, 6_000)), Method.PLATT)
    assert calibrator.share(9_000) == pytest.approx(0.75, abs=1e-3)
    assert calibrator.share(6_000) == pytest.approx(0.2, abs=1e-3)


def test_platt_survives_a_perfect_separation() -> None:
    calibrator = fit(answers_at((9_000, 50, 50), (1_000, 0, 50)), Method.PLATT)
    # Platt's targets: (50 + 1) / (50 + 2) and 1 / (50 + 2)
    assert calibrator.share(9_000) == pytest.approx(51 / 52, abs=1e-6)
    assert calibrator.share(1_000) == pytest.approx(1 / 52, abs=1e-6)


def test_isotonic_pools_what_is_out_of_order() -> None:
    # 0.2: 1/10, then 0.4: 6/10 and 0.6: 4/10 are out of order and pool to 10/20, 0.9: 9/10
    calibrator = fit(answers_at((2_000, 1, 10), (4_000, 6, 10), (6_000, 4, 10), (9_000, 9, 10)), Method.ISOTONIC)
    assert calibrator.parameters == (0.2, 0.1, 0.4, 0.5, 0.9, 0.9)
    assert [calibrator.share(said) for said in (0, 2_000, 3_999, 4_000, 8_999, 9_000, 10_000)] == [
        0.1,
        0.1,
        0.1,
        0.5,
        0.5,
        0.9,
        0.9,
    ]


@pytest.mark.parametrize("method", [Method.TEMPERATURE, Method.PLATT, Method.ISOTONIC])
def test_no_method_turns_the_order_round(method: Method) -> None:
    calibrator = fit(overconfident(400), method)
    shares = [calibrator.share(confidence) for confidence in range(0, 10_001, 100)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize(
    ("n", "method"), [(299, Method.TEMPERATURE), (300, Method.PLATT), (1000, Method.PLATT), (1001, Method.ISOTONIC)]
)
def test_the_method_follows_the_number_of_labels(n: int, method: Method) -> None:
    assert method_for(n) is method
    assert fit(overconfident(n)).method is method


def test_calibration_pays_on_cases_that_it_did_not_see() -> None:
    answers = overconfident(1_500)
    calibrated = out_of_fold(answers, [str(i) for i in range(len(answers))], Method.TEMPERATURE)
    assert calibrated is not None
    before, after = calibration_error_equal_mass(answers), calibration_error_equal_mass(calibrated)
    assert before is not None
    assert after is not None
    assert after < 0.04 < 0.08 < before
    worse, better = brier(answers), brier(calibrated)
    assert worse is not None
    assert better is not None
    assert better < worse
    assert sorted(a.right for a in answers) == sorted(a.right for a in calibrated)


def test_answers_of_one_cluster_are_never_on_both_sides_of_a_fit() -> None:
    # Every answer is of one cluster, so holding it out leaves nothing to fit on.
    assert out_of_fold(overconfident(100), ["one"] * 100, Method.TEMPERATURE) is None


def test_too_few_labels_are_said_and_confidence_stays() -> None:
    few = answers_at((9_000, 20, 25))
    assert (too_few(few) or "").startswith("5 more labelled answers")
    assert fit(few) is IDENTITY
    assert fit(few).share(9_000) == 0.9


def test_without_errors_nothing_shows_where_confidence_fails() -> None:
    assert "3 more wrong answers" in (too_few(answers_at((9_000, 98, 100))) or "")
    assert "5 more right answers" in (too_few(answers_at((9_000, 0, 100))) or "")
    assert too_few(answers_at((9_000, 95, 100))) is None


def test_full_and_no_confidence_have_a_logit() -> None:
    cooled = Calibrator(Method.TEMPERATURE, (2.0,))
    assert 0.98 < cooled.share(10_000) < 1.0
    assert 0.0 < cooled.share(0) < 0.02


def test_a_classifier_that_is_surest_when_wrong_is_not_turned_round() -> None:
    misled = answers_at((9_000, 100, 200), (6_000, 190, 200))
    calibrator = fit(misled, Method.PLATT)
    assert calibrator.method is Method.TEMPERATURE
    assert calibrator.share(9_000) > calibrator.share(6_000)
