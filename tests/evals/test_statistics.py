"""Exact statistics against published tables and exact arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest

from evals.statistics import bootstrap, mcnemar_exact, resampled, wilson
from guardrails.binomial import binomial_cdf, binomial_pmf, binomial_quantile, clopper_pearson_upper, labels_needed


def exact_cdf(k: int, n: int, p: Fraction) -> float:
    return float(sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)))


@pytest.mark.parametrize(
    ("k", "n", "p"), [(0, 1, "1/2"), (3, 10, "1/4"), (9, 10, "1/4"), (1, 77, "1/20"), (40, 60, "2/3"), (59, 60, "2/3")]
)
def test_the_binomial_is_that_of_exact_fractions(k: int, n: int, p: str) -> None:
    assert binomial_cdf(k, n, float(Fraction(p))) == pytest.approx(exact_cdf(k, n, Fraction(p)), rel=1e-11)


def test_a_hundred_thousand_draws_neither_overflow_nor_vanish() -> None:
    # With p = 1/2 and n odd, exactly half of the mass lies at or below (n - 1) / 2.
    assert binomial_cdf(49_999, 99_999, 0.5) == pytest.approx(0.5, abs=1e-9)
    # P(X = 0) = 0.99999 ** 100000
    assert binomial_cdf(0, 100_000, 1e-5) == pytest.approx(0.99999**100_000, rel=1e-9)
    # The normal tail at four standard deviations, with continuity correction: 3.17e-5
    assert binomial_cdf(49_367, 100_000, 0.5) == pytest.approx(3.17e-5, rel=0.02)
    assert 0.0 <= binomial_cdf(10, 100_000, 0.5) < 1e-300


def test_the_ends_of_the_binomial_are_certain() -> None:
    assert (binomial_cdf(-1, 5, 0.3), binomial_cdf(5, 5, 0.3), binomial_cdf(2, 5, 0.0), binomial_cdf(4, 5, 1.0)) == (0, 1, 1, 0)
    assert (binomial_pmf(0, 5, 0.0), binomial_pmf(5, 5, 1.0), binomial_pmf(6, 5, 0.5)) == (1.0, 1.0, 0.0)


def test_the_quantile_is_the_first_count_that_reaches_the_share() -> None:
    for n, p in ((10, 0.3), (500, 0.02)):
        for q in (0.05, 0.5, 0.95):
            k = binomial_quantile(q, n, p)
            assert binomial_cdf(k, n, p) >= q > binomial_cdf(k - 1, n, p)


def test_wilson_gives_the_published_intervals() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I: 81/263, 15/148, 0/20, 1/29
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        assert tuple(round(end, 4) for end in wilson(hits, n)) == (low, high)


def test_clopper_pearson_gives_the_published_upper_ends() -> None:
    # Newcombe 1998, table I: two-sided 95 %, so 2.5 % above each upper end
    for hits, n, high in ((81, 263, 0.3676), (15, 148, 0.1617), (0, 20, 0.1684), (1, 29, 0.1776)):
        assert round(clopper_pearson_upper(hits, n, 0.025), 4) == high
    # Without an error it is exactly 1 - delta ** (1/n)
    assert clopper_pearson_upper(0, 61, 0.05) == pytest.approx(1 - 0.05 ** (1 / 61), rel=1e-12)
    assert clopper_pearson_upper(3, 3, 0.05) == clopper_pearson_upper(0, 0, 0.05) == 1.0


@pytest.mark.parametrize(
    ("alpha", "delta", "needed"),
    [
        (0.10, 0.10, {0: 22, 1: 38, 2: 52, 3: 65, 5: 91, 10: 152}),
        (0.05, 0.10, {0: 45, 1: 77, 2: 105, 3: 132, 5: 184, 10: 306}),
        (0.02, 0.10, {0: 114, 1: 194, 2: 265, 3: 333, 5: 462, 10: 768}),
        (0.01, 0.10, {0: 230, 1: 388, 2: 531, 3: 667, 5: 926, 10: 1538}),
        (0.005, 0.10, {0: 460, 1: 777, 2: 1063, 3: 1335, 5: 1853, 10: 3079}),
        (0.05, 0.05, {0: 59, 1: 93, 3: 153}),
        (0.01, 0.05, {0: 299, 1: 473, 3: 773}),
    ],
)
def test_labels_needed_are_those_of_the_exact_table(alpha: float, delta: float, needed: dict[int, int]) -> None:
    """59 for 5 % and 299 for 1 % without an error are the numbers of the old success-run tables (95 % sure)."""
    assert {errors: labels_needed(errors, alpha, delta) for errors in needed} == needed
    for errors, m in needed.items():
        assert binomial_cdf(errors, m, alpha) <= delta < binomial_cdf(errors, m - 1, alpha)


def test_mcnemar_is_exact_and_two_sided() -> None:
    # 2 * (1 + 10) / 2**10, and 2 * (1 + 8 + 28) / 2**8
    assert mcnemar_exact(1, 9) == mcnemar_exact(9, 1) == pytest.approx(22 / 1024)
    assert mcnemar_exact(2, 6) == pytest.approx(74 / 256)
    assert mcnemar_exact(0, 0) == mcnemar_exact(5, 5) == mcnemar_exact(0, 1) == 1.0


def test_clusters_are_drawn_whole() -> None:
    weights = resampled(["a", "a", "b", "c"], draws=200)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert {0.0, 1.0, 2.0} <= set(weights[:, 2])


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values = np.arange(400) % 2
    found = bootstrap([str(i) for i in range(400)], lambda w: (w @ values) / w.sum(axis=1))
    assert found is not None
    # 1.96 * sqrt(0.25 / 400) = 0.049
    assert found.high - 0.5 == pytest.approx(0.049, abs=0.006)
    assert 0.5 - found.low == pytest.approx(0.049, abs=0.006)


def test_cases_of_few_clusters_prove_less() -> None:
    values = np.array([i // 20 % 2 for i in range(400)])
    alone = bootstrap([str(i) for i in range(400)], lambda w: (w @ values) / w.sum(axis=1))
    grouped = bootstrap([str(i // 20) for i in range(400)], lambda w: (w @ values) / w.sum(axis=1))
    assert alone is not None
    assert grouped is not None
    # Clusters of 20 equal cases: sqrt(20) times as wide
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(20**0.5, rel=0.15)


def test_the_same_seed_draws_the_same() -> None:
    assert (resampled(["a", "b", "c"], seed=7) == resampled(["a", "b", "c"], seed=7)).all()
    assert (resampled(["a", "b", "c"], seed=7) != resampled(["a", "b", "c"], seed=8)).any()


def test_nothing_has_no_interval() -> None:
    assert bootstrap([], lambda w: w.sum(axis=1)) is None
    assert bootstrap(["a"], lambda w: np.full(len(w), np.nan)) is None
