"""Intervals, a paired test and a clustered bootstrap. The exact binomial is in `guardrails/binomial.py`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guardrails.binomial import binomial_cdf

Z_95 = 1.959963984540054
DRAWS = 1000
SEED = 20_261_123


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
