"""The error rate of what was automated, from few labels and many predictions: for dashboards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import covariance, fmean, variance

from evals.statistics import Z_95, Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean error rate with its 95 % interval, asymptotic: for dashboards, never for deciding what may be automated.
    `trust` is the weight that the predictions earned; 0 is the plain mean of the labels."""

    value: float
    interval: Interval
    trust: float


def error_rate(labelled: Sequence[tuple[float, float]], unlabelled: Sequence[float]) -> Estimate | None:
    """PPI++ (Angelopoulos, Duchi & Zrnic 2023). `labelled` are (error, predicted error), `unlabelled` the predicted errors of
    cases that nobody judged; predicted is 1 - calibrated confidence. None for fewer than two of either."""
    n, more = len(labelled), len(unlabelled)
    if n < 2 or more < 2:
        return None
    errors, predicted = [error for error, _ in labelled], [guess for _, guess in labelled]
    spread = variance([*predicted, *unlabelled])
    trust = min(1.0, max(0.0, covariance(errors, predicted) / ((1 + n / more) * spread))) if spread > 0 else 0.0
    value = fmean(errors) + trust * (fmean(unlabelled) - fmean(predicted))
    left = variance([error - trust * guess for error, guess in labelled])
    half = Z_95 * math.sqrt(left / n + trust**2 * variance(unlabelled) / more)
    return Estimate(value, Interval(max(0.0, value - half), min(1.0, value + half)), trust)
