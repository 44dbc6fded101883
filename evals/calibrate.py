"""From what a classifier says of itself to how often it is right: fitted on labelled answers, chosen by how many there are."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evals.metrics import Confident

TEMPERATURE_UP_TO = 300
PLATT_UP_TO = 1000
LEAST_LABELS = 30
LEAST_OF_EACH = 5
_EDGE = 0.5e-4
_COLDEST, _HOTTEST = 0.05, 20.0
_GOLDEN = (math.sqrt(5) - 1) / 2
_ROUNDS = 80


class Method(StrEnum):
    IDENTITY = "identity"
    TEMPERATURE = "temperature"
    PLATT = "platt"
    ISOTONIC = "isotonic"


@dataclass(frozen=True, slots=True)
class Calibrator:
    """`temperature` is one number T (logit / T); `platt` two, a and b (a * logit + b); `isotonic` a flat list of pairs (confidence
    from which, share right), both as shares of 1."""

    method: Method
    parameters: tuple[float, ...] = ()

    def share(self, confidence: int) -> float:
        """Of basis points as the classifier said them: how often such an answer is right."""
        if self.method is Method.IDENTITY:
            return confidence / 10_000
        if self.method is Method.TEMPERATURE:
            return _sigmoid(_logit(confidence) / self.parameters[0])
        if self.method is Method.PLATT:
            slope, offset = self.parameters
            return _sigmoid(slope * _logit(confidence) + offset)
        place = bisect_right(self.parameters[::2], confidence / 10_000) - 1
        return self.parameters[1::2][max(0, place)]

    def applied(self, answers: Sequence[Confident]) -> list[Confident]:
        return [Confident(round(self.share(answer.confidence) * 10_000), answer.right) for answer in answers]


IDENTITY = Calibrator(Method.IDENTITY)


def method_for(n: int) -> Method:
    """Few labels carry few parameters: on small sets isotonic regression ties answers together and loses their order."""
    if n < TEMPERATURE_UP_TO:
        return Method.TEMPERATURE
    return Method.PLATT if n <= PLATT_UP_TO else Method.ISOTONIC


def too_few(answers: Sequence[Confident]) -> str | None:
    """Why nothing can be fitted on these answers, in words; None when it can."""
    right = sum(answer.right for answer in answers)
    wrong = len(answers) - right
    if len(answers) < LEAST_LABELS:
        return f"{LEAST_LABELS - len(answers)} more labelled answers with a confidence are needed (there are {len(answers)} of {LEAST_LABELS})"
    if min(right, wrong) < LEAST_OF_EACH:
        which, have = ("wrong", wrong) if wrong < right else ("right", right)
        return f"{LEAST_OF_EACH - have} more {which} answers are needed (there are {have} of {LEAST_OF_EACH}): nothing shows where confidence fails"
    return None


def fit(answers: Sequence[Confident], method: Method | None = None) -> Calibrator:
    """The method that the number of answers allows, unless one is named. Too few answers leave confidence as it is."""
    if too_few(answers):
        return IDENTITY
    return _FITS[method or method_for(len(answers))](answers)


def out_of_fold(answers: Sequence[Confident], clusters: Sequence[str], method: Method, folds: int = 5) -> list[Confident] | None:
    """Every answer calibrated by a fit that saw no answer of its cluster: what calibration is worth on new cases. None where a
    fold leaves too few."""
    names = {name: place % folds for place, name in enumerate(dict.fromkeys(clusters))}
    placed = [(answer, names[name]) for answer, name in zip(answers, clusters, strict=True)]
    calibrated: list[Confident] = []
    for fold in range(folds):
        rest = [answer for answer, own in placed if own != fold]
        if too_few(rest):
            return None
        calibrated += fit(rest, method).applied([answer for answer, own in placed if own == fold])
    return calibrated


def _temperature(answers: Sequence[Confident]) -> Calibrator:
    """The loss has one minimum in 1/T, so a search by golden sections finds it."""
    points = [(_logit(answer.confidence), answer.right) for answer in answers]
    best = _smallest(lambda cold: _loss(points, cold, 0.0), 1 / _HOTTEST, 1 / _COLDEST)
    return Calibrator(Method.TEMPERATURE, (1 / best,))


def _platt(answers: Sequence[Confident]) -> Calibrator:
    """Platt 1999 with his smoothed targets, so that a perfect separation does not run away; by Newton's method with halved steps.
    A slope that would turn the order round is not taken: then one temperature has to do."""
    right = sum(answer.right for answer in answers)
    high, low = (right + 1) / (right + 2), 1 / (len(answers) - right + 2)
    points = [(_logit(answer.confidence), high if answer.right else low) for answer in answers]
    slope, offset = 0.0, math.log((right + 1) / (len(answers) - right + 1))
    for _ in range(_ROUNDS):
        step = _newton(points, slope, offset)
        size, now = 1.0, _loss(points, slope, offset)
        while size > 1e-9 and _loss(points, slope - size * step[0], offset - size * step[1]) > now:
            size /= 2
        slope, offset = slope - size * step[0], offset - size * step[1]
        if size * (abs(step[0]) + abs(step[1])) < 1e-10:
            break
    return Calibrator(Method.PLATT, (slope, offset)) if slope > 0 else _temperature(answers)


def _newton(points: Sequence[tuple[float, float]], slope: float, offset: float) -> tuple[float, float]:
    g0 = g1 = 0.0
    h00 = h11 = 1e-9
    h01 = 0.0
    for x, target in points:
        p = _sigmoid(slope * x + offset)
        gap, weight = p - target, p * (1 - p)
        g0, g1 = g0 + gap * x, g1 + gap
        h00, h01, h11 = h00 + weight * x * x, h01 + weight * x, h11 + weight
    determinant = h00 * h11 - h01 * h01
    return (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant


def _isotonic(answers: Sequence[Confident]) -> Calibrator:
    """Pools neighbours whose shares right are out of order (PAV), lowest confidence first."""
    groups: dict[int, list[bool]] = {}
    for answer in answers:
        groups.setdefault(answer.confidence, []).append(answer.right)
    blocks: list[tuple[int, int, int]] = []
    for confidence in sorted(groups):
        block = (confidence, sum(groups[confidence]), len(groups[confidence]))
        while blocks and blocks[-1][1] * block[2] >= block[1] * blocks[-1][2]:
            start, right, n = blocks.pop()
            block = (start, right + block[1], n + block[2])
        blocks.append(block)
    return Calibrator(Method.ISOTONIC, tuple(x for start, right, n in blocks for x in (start / 10_000, right / n)))


_FITS: Mapping[Method, Callable[[Sequence[Confident]], Calibrator]] = {
    Method.TEMPERATURE: _temperature,
    Method.PLATT: _platt,
    Method.ISOTONIC: _isotonic,
}


def _loss(points: Sequence[tuple[float, float]], slope: float, offset: float) -> float:
    """The mean surprise: log(1 + e^z) - target * z, kept from overflowing."""
    scores = [(slope * x + offset, target) for x, target in points]
    return math.fsum(max(z, 0.0) + math.log1p(math.exp(-abs(z))) - target * z for z, target in scores) / len(scores)


def _smallest(loss: Callable[[float], float], low: float, high: float) -> float:
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_ROUNDS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2


def _logit(confidence: int) -> float:
    share = min(1 - _EDGE, max(_EDGE, confidence / 10_000))
    return math.log(share / (1 - share))


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
