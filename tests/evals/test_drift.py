"""The drift alarm against its simulated figures, and the prediction-powered error rate against worlds of known rate."""

import math
from statistics import median

import numpy as np
import pytest

from evals.drift import error_rate
from guardrails.drift import DriftAlarm

FRESH = DriftAlarm(alpha=0.02, feared=0.06, delta=0.05)


def audits_until_it_sounds(rate: float, most: int, generator: np.random.Generator) -> int | None:
    alarm = FRESH
    for count, wrong in enumerate((generator.random(most) < rate).tolist(), start=1):
        alarm = alarm.after(wrong=wrong)
        if alarm.sounded:
            return count
    return None


def test_one_audit_moves_the_stake_by_the_odds() -> None:
    assert FRESH.after(wrong=True).log_stake == pytest.approx(math.log(3))
    assert FRESH.after(wrong=False).log_stake == pytest.approx(math.log(0.94 / 0.98))
    # 3 ** 3 = 27 >= 20
    assert not FRESH.after(wrong=True).after(wrong=True).sounded
    assert FRESH.after(wrong=True).after(wrong=True).after(wrong=True).sounded


def test_false_alarms_stay_below_delta_however_long_one_watches() -> None:
    generator = np.random.default_rng(2)
    sounded = [audits_until_it_sounds(0.02, 2_000, generator) is not None for _ in range(300)]
    assert sum(sounded) / 300 <= 0.05


@pytest.mark.parametrize(("rate", "about"), [(0.06, 91), (0.10, 36)])
def test_a_real_drift_is_found_in_about_so_many_audits(rate: float, about: int) -> None:
    """Medians of research/llm.md B, from an independent simulation."""
    generator = np.random.default_rng(3)
    counts = [audits_until_it_sounds(rate, 3_000, generator) for _ in range(300)]
    assert None not in counts
    assert median(count for count in counts if count is not None) == pytest.approx(about, rel=0.25)


def test_an_alarm_that_has_sounded_goes_on_sounding() -> None:
    alarm = FRESH
    for _ in range(3):
        alarm = alarm.after(wrong=True)
    for _ in range(1_000):
        alarm = alarm.after(wrong=False)
    assert alarm.sounded


def test_an_alarm_that_could_never_sound_is_refused() -> None:
    for alpha, feared, delta in ((0.06, 0.02, 0.05), (0.0, 0.1, 0.05), (0.02, 0.06, 1.0)):
        with pytest.raises(ValueError, match="drift alarm"):
            DriftAlarm(alpha, feared, delta)


def drawn(n: int, more: int, generator: np.random.Generator) -> tuple[list[tuple[float, float]], list[float]]:
    """Predicted errors are the true chances, so the predictions are worth a lot. The mean rate is 0.25."""
    chances = np.where(generator.random(n + more) < 0.25, 0.9, 1 / 30)
    wrong = (generator.random(n + more) < chances).astype(float)
    return list(zip(wrong[:n].tolist(), chances[:n].tolist(), strict=True)), chances[n:].tolist()


def test_the_estimate_covers_the_truth_as_often_as_it_says_and_is_narrower_than_labels_alone() -> None:
    generator = np.random.default_rng(4)
    covered, widths = 0, []
    for _ in range(400):
        found = error_rate(*drawn(100, 2_000, generator))
        assert found is not None
        covered += found.interval.low <= 0.25 <= found.interval.high
        widths.append(found.interval.high - found.interval.low)
    assert 0.91 <= covered / 400 <= 0.98
    # Labels alone: 2 * 1.96 * sqrt(0.25 * 0.75 / 100) = 0.170
    assert sum(widths) / 400 < 0.8 * 0.170


def test_predictions_that_say_nothing_leave_the_mean_of_the_labels() -> None:
    found = error_rate([(1.0, 0.5), (0.0, 0.5), (0.0, 0.5), (0.0, 0.5)], [0.5, 0.5, 0.5])
    assert found is not None
    assert (found.value, found.trust) == (0.25, 0.0)


def test_nothing_is_estimated_from_one_label() -> None:
    assert error_rate([(1.0, 0.5)], [0.1, 0.2]) is None
    assert error_rate([(1.0, 0.5), (0.0, 0.1)], [0.1]) is None


def test_the_estimate_is_the_one_worked_out_by_hand() -> None:
    # Cov(Y, f) = 1/3 over four labels; Var(f) of all eight predictions = 2/7; lambda = (1/3) / ((1 + 4/4) * 2/7) = 7/12
    labelled = [(1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (0.0, 0.0)]
    found = error_rate(labelled, [1.0, 1.0, 0.0, 0.0])
    assert found is not None
    assert found.trust == pytest.approx(7 / 12)
    assert found.value == pytest.approx(0.5)
    # Var(Y - lambda f) = (5/12)² / 3, lambda² Var_U(f) = (7/12)² / 3, both over 4
    half = 1.959964 * math.sqrt(((5 / 12) ** 2 + (7 / 12) ** 2) / 12)
    assert found.interval.high == pytest.approx(0.5 + half, abs=1e-6)
