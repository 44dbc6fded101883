"""The figures, as pure functions of what was expected and what came out. Rates carry their 95 % Wilson interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.statistics import Interval, Weights, bootstrap, wilson

_BINS = 10
_MASS_BINS = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n`. Without any case the value and its interval are None: nothing was measured."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None

    def plain(self) -> dict[str, float | None]:
        low, high = wilson(self.hits, self.n) if self.n else (None, None)
        return {"value": _rounded(self.value), "low": _rounded(low), "high": _rounded(high)}


def rate(answers: Iterable[bool]) -> Rate:
    answers = list(answers)
    return Rate(sum(answers), len(answers))


def with_interval(value: float | None, interval: Interval | None) -> dict[str, float | None]:
    """The same form for a figure that is no plain share of cases."""
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}


def macro_f1(pairs: Sequence[tuple[str, str]]) -> float | None:
    """`pairs` are (expected, got). The plain mean of F1 over every class that was expected."""
    classes = sorted({expected for expected, _ in pairs})
    if not classes:
        return None
    return sum(_f1(pairs, label) for label in classes) / len(classes)


def _f1(pairs: Sequence[tuple[str, str]], label: str) -> float:
    right = sum(expected == got == label for expected, got in pairs)
    expected_n = sum(expected == label for expected, _ in pairs)
    got_n = sum(got == label for _, got in pairs)
    return 2 * right / (expected_n + got_n) if right else 0.0


def macro_f1_interval(pairs: Sequence[tuple[str, str]], clusters: Sequence[str]) -> Interval | None:
    """Over draws of whole clusters; in each draw the mean is over the classes that were expected in it."""
    classes = sorted({expected for expected, _ in pairs})
    expected = np.array([[e == label for label in classes] for e, _ in pairs], dtype=np.float64)
    got = np.array([[g == label for label in classes] for _, g in pairs], dtype=np.float64)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        right, wanted, given = weights @ (expected * got), weights @ expected, weights @ got
        f1 = np.divide(2 * right, wanted + given, out=np.zeros_like(right), where=wanted + given > 0)
        seen = wanted > 0
        found: NDArray[np.float64] = (f1 * seen).sum(axis=1) / seen.sum(axis=1)
        return found

    return bootstrap(clusters, statistic)


@dataclass(frozen=True, slots=True)
class Confident:
    """One answer with its confidence in basis points, and whether it was right."""

    confidence: int
    right: bool


def expected_calibration_error(answers: Sequence[Confident]) -> float | None:
    """Over ten equal bins of confidence, the mean gap between confidence and share right, weighted by the bin's size."""
    if not answers:
        return None
    gap = 0.0
    for index in range(_BINS):
        members = [a for a in answers if min(a.confidence * _BINS // 10_000, _BINS - 1) == index]
        if members:
            gap += abs(_sure(members) - _share_right(members)) * len(members) / len(answers)
    return gap


def equal_mass_bins(answers: Sequence[Confident], most: int = _MASS_BINS) -> list[list[Confident]]:
    """Bins of about as many answers each, the least confident first. Answers of one confidence stay together, so a classifier
    that knows few confidences has few bins."""
    bins: list[list[Confident]] = [[]]
    for group in reversed(_by_confidence(answers)):
        if len(bins[-1]) >= len(answers) / most:
            bins.append([])
        bins[-1] += group
    return [members for members in bins if members]


def calibration_error_equal_mass(answers: Sequence[Confident]) -> float | None:
    """The mean gap between confidence and share right over bins of equal mass: no bin rests on a handful of answers."""
    if not answers:
        return None
    return sum(abs(_sure(m) - _share_right(m)) * len(m) for m in equal_mass_bins(answers)) / len(answers)


def _sure(members: Sequence[Confident]) -> float:
    return sum(answer.confidence for answer in members) / len(members) / 10_000


def _share_right(members: Sequence[Confident]) -> float:
    return sum(answer.right for answer in members) / len(members)


def brier(answers: Sequence[Confident]) -> float | None:
    """The mean squared distance between confidence and what came true; 0.25 is a coin that says one half."""
    if not answers:
        return None
    return sum((answer.confidence / 10_000 - answer.right) ** 2 for answer in answers) / len(answers)


def area_under_risk_coverage(answers: Sequence[Confident]) -> float | None:
    """The mean share of wrong answers among the k most confident, over all k. Answers of one confidence count as one group
    whose errors are spread evenly, so that their order does not matter. 0 is perfect."""
    if not answers:
        return None
    risks: list[float] = []
    wrong = taken = 0.0
    for group in _by_confidence(answers):
        share = sum(not a.right for a in group) / len(group)
        for _ in group:
            wrong, taken = wrong + share, taken + 1
            risks.append(wrong / taken)
    return sum(risks) / len(risks)


def coverage_at_risk(answers: Sequence[Confident], most_risk: float) -> float | None:
    """The largest share of cases that can be answered, the most confident first, with at most this share of them wrong."""
    if not answers:
        return None
    best = wrong = taken = 0
    for group in _by_confidence(answers):
        wrong += sum(not a.right for a in group)
        taken += len(group)
        if wrong <= most_risk * taken:
            best = taken
    return best / len(answers)


def coverage_interval(answers: Sequence[Confident], most_risk: float, clusters: Sequence[str]) -> Interval | None:
    """Of the coverage at this risk, over draws of whole clusters. `clusters` names one for each answer."""
    levels = sorted({answer.confidence for answer in answers}, reverse=True)
    member = np.array([[a.confidence == level for level in levels] for a in answers], dtype=np.float64)
    wrong = np.array([not a.right for a in answers], dtype=np.float64)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        taken = np.cumsum(weights @ member, axis=1)
        errors = np.cumsum(weights @ (member * wrong[:, None]), axis=1)
        covered = np.where(errors <= most_risk * taken, taken, 0.0).max(axis=1)
        found: NDArray[np.float64] = covered / weights.sum(axis=1)
        return found

    return bootstrap(clusters, statistic)


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Answering every case of at least this confidence covers this share of all cases, this share of them wrong."""

    confidence: int
    coverage: float
    risk: float


def risk_coverage_points(answers: Sequence[Confident]) -> list[RiskPoint]:
    points, wrong, taken = [], 0, 0
    for group in _by_confidence(answers):
        wrong += sum(not a.right for a in group)
        taken += len(group)
        points.append(RiskPoint(group[0].confidence, taken / len(answers), wrong / taken))
    return points


def _by_confidence(answers: Sequence[Confident]) -> list[list[Confident]]:
    """Groups of equal confidence, the most confident first."""
    groups: dict[int, list[Confident]] = {}
    for answer in answers:
        groups.setdefault(answer.confidence, []).append(answer)
    return [groups[confidence] for confidence in sorted(groups, reverse=True)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
