"""Watching what was certified: an alarm that may be read after every audited case, and an error rate for dashboards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import covariance, fmean, variance

from evals.statistics import Z_95, Interval


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """A bet against "at most a share `alpha` is wrong", placed on every audited case in turn (an e-process, Ville 1939). While
    that is true, the stake ever grows to 1/`delta` with probability at most delta, however long one watches. `feared` is the
    error rate at which the alarm is quickest."""

    alpha: float
    feared: float
    delta: float
    log_stake: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < self.feared < 1 or not 0 < self.delta < 1:
            raise ValueError("a drift alarm needs 0 < alpha < feared < 1 and 0 < delta < 1")

    def after(self, *, wrong: bool) -> "DriftAlarm":
        """The alarm after one more audited case. Once it has sounded it goes on sounding: somebody has to look and begin anew."""
        if self.sounded:
            return self
        odds = self.feared / self.alpha if wrong else (1 - self.feared) / (1 - self.alpha)
        return replace(self, log_stake=self.log_stake + math.log(odds))

    @property
    def sounded(self) -> bool:
        """True: stop automating."""
        return self.log_stake >= -math.log(self.delta)


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
