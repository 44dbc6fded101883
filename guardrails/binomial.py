"""The binomial distribution, exactly, in plain Python: no table, and no approximation where counts are small."""

import math
from collections.abc import Callable

_NEGLIGIBLE = 1e-18
_HALVINGS = 60


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
