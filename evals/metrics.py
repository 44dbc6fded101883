"""The figures, as pure functions of what was expected and what came out. Rates carry their 95 % Wilson interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Z_95 = 1.959963984540054
_BINS = 10


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


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a proportion: it stays inside 0 and 1 and is honest for few cases."""
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


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
            sure = sum(a.confidence for a in members) / len(members) / 10_000
            right = sum(a.right for a in members) / len(members)
            gap += abs(sure - right) * len(members) / len(answers)
    return gap


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


def _by_confidence(answers: Sequence[Confident]) -> list[list[Confident]]:
    """Groups of equal confidence, the most confident first."""
    groups: dict[int, list[Confident]] = {}
    for answer in answers:
        groups.setdefault(answer.confidence, []).append(answer)
    return [groups[confidence] for confidence in sorted(groups, reverse=True)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
