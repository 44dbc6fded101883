"""Exact binomial statistics and a clustered bootstrap, in plain Python: no table, no approximation where counts are small."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
DRAWS = 1000
SEED = 20_261_123
_NEGLIGIBLE = 1e-18
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends belong to it. NaN never occurs: where nothing could be measured there is no interval."""

    low: float
    high: float


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a proportion: it stays inside 0 and 1 and is honest for few cases."""
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


# --- the binomial distribution, exactly ---


def binomial_pmf(k: int, n: int, p: float) -> float:
    """P(X = k) of n draws with chance p; through logarithms, so that n = 100,000 neither overflows nor vanishes."""
    if not 0 <= k <= n:
        return 0.0
    if p <= 0.0 or p >= 1.0:
        return 1.0 if k == (n if p >= 1.0 else 0) else 0.0
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k). Sums the shorter side from k outwards, each term from the one before, until terms no longer count."""
    if k < 0:
        return 0.0
    if k >= n or p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    if k <= n * p:
        return min(1.0, _sum_down(k, n, p))
    return max(0.0, 1.0 - _sum_up(k + 1, n, p))


def _sum_down(k: int, n: int, p: float) -> float:
    term = total = binomial_pmf(k, n, p)
    for i in range(k, 0, -1):
        term *= i / (n - i + 1) * (1 - p) / p
        total += term
        if term <= total * _NEGLIGIBLE:
            break
    return total


def _sum_up(k: int, n: int, p: float) -> float:
    term = total = binomial_pmf(k, n, p)
    for i in range(k, n):
        term *= (n - i) / (i + 1) * p / (1 - p)
        total += term
        if term <= total * _NEGLIGIBLE:
            break
    return total


def binomial_quantile(q: float, n: int, p: float) -> int:
    """The smallest k with P(X <= k) >= q."""
    return _first(lambda k: binomial_cdf(k, n, p) >= q, 0, n)


def clopper_pearson_upper(hits: int, n: int, delta: float) -> float:
    """The one-sided upper bound of a chance: with probability at least 1 - delta it is not above this. 1.0 for n = 0."""
    if hits >= n:
        return 1.0
    low, high = hits / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if binomial_cdf(hits, n, middle) <= delta else (middle, high)
    return high


def labels_needed(errors: int, alpha: float, delta: float) -> int:
    """The fewest labels m, `errors` of them wrong, that prove an error rate of at most alpha with probability 1 - delta."""
    high = errors + 1
    while binomial_cdf(errors, high, alpha) > delta:
        high *= 2
    return _first(lambda m: binomial_cdf(errors, m, alpha) <= delta, errors + 1, high)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest whole number between the two for which a monotone condition holds; it holds at `high`."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p of as lopsided a split among the cases on which two runs differ, were each run as likely to be the right one."""
    differing = only_first + only_second
    return min(1.0, 2.0 * binomial_cdf(min(only_first, only_second), differing, 0.5)) if differing else 1.0


# --- the clustered bootstrap ---

Weights = NDArray[np.float64]
"""Shape (draws, cases): how often each case counts in each draw."""


def resampled(clusters: Sequence[str], seed: int = SEED, draws: int = DRAWS) -> Weights:
    """Draws whole clusters with replacement, so that cases of one origin come and go together."""
    names = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    drawn = np.random.default_rng(seed).integers(0, len(names), size=(draws, len(names)))
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn]).astype(np.float64)
    return counts[:, [names[name] for name in clusters]]


def percentile_interval(values: NDArray[np.float64], level: float = 0.95) -> Interval | None:
    """The middle `level` of the draws; None where no draw could be measured."""
    measured = values[~np.isnan(values)]
    if not measured.size:
        return None
    low, high = np.quantile(measured, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bootstrap(clusters: Sequence[str], statistic: Callable[[Weights], NDArray[np.float64]]) -> Interval | None:
    """The 95 % interval of a statistic, which gets the weights and answers one value a draw (NaN: not measurable in this one)."""
    return percentile_interval(statistic(resampled(clusters))) if clusters else None
