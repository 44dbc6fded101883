"""Fitting a linear text model: full batches, a fixed number of steps, 64-bit sums in a fixed order. The same input gives the same bytes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.models.linear import LinearModel, TrainedOn
from app.models.tokens import Ngrams, tokens

_Floats: TypeAlias = NDArray[np.float64]
_Whole: TypeAlias = NDArray[np.int64]

STEPS = 400
_POWER_STEPS = 30
_DIGITS = 3
_NEGLIGIBLE = 0.5 * 10**-_DIGITS


@dataclass(frozen=True, slots=True)
class _Lines:
    """One sparse direction of a matrix: the numbers of line i stand at `starts[i]` up to the next start. No line is empty."""

    starts: _Whole
    places: _Whole
    numbers: _Floats

    def times(self, dense: _Floats) -> _Floats:
        return np.add.reduceat(self.numbers[:, None] * dense[self.places], self.starts, axis=0)


def train(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    ngrams: Ngrams = "word12",
    l2: float = 0.02,
    min_count: int = 2,
    weights: Sequence[float] | None = None,
    trained_on: Sequence[TrainedOn] = (),
) -> LinearModel:
    """`l2` is the penalty on the squared weights against the sum of all losses (1/C elsewhere); `min_count` is in how many texts a
    token must stand; `weights` say how much each text counts, 1 each where not given. Raises ValueError where there are fewer
    than two labels, or no token that counts."""
    if len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts need as many labels, found {len(labels)}")
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise ValueError("training needs texts of at least two labels")
    counted = [Counter(tokens(text, ngrams)) for text in texts]
    idf = _inverse_frequencies(counted, min_count)
    if not idf:
        raise ValueError(f"no token stands in {min_count} texts; give more texts or lower min_count")
    vocabulary = {token: place for place, token in enumerate(idf)}
    rows, columns = _matrix(counted, idf, vocabulary)
    wanted = np.zeros((len(texts), len(classes)))
    wanted[np.arange(len(texts)), [classes.index(label) for label in labels]] = 1.0
    how_much = np.ones(len(texts)) if weights is None else np.asarray(weights, dtype=np.float64)
    fitted, bias = _fit(rows, columns, wanted, how_much, l2)
    return LinearModel(classes, ngrams, _row(bias[:-1]), _features(idf, fitted), tuple(trained_on))


def _inverse_frequencies(counted: Sequence[Counter[str]], min_count: int) -> dict[str, float]:
    """Smoothed, by token in alphabetical order, rounded as the file will have it."""
    seen = Counter(token for counts in counted for token in counts)
    total = 1 + len(counted)
    return {t: round(1.0 + math.log(total / (1 + n)), _DIGITS) for t, n in sorted(seen.items()) if n >= min_count}


def _matrix(counted: Sequence[Counter[str]], idf: dict[str, float], vocabulary: dict[str, int]) -> tuple[_Lines, _Lines]:
    """The rows of unit length, and the same by columns. A row without a known token gets a single zero."""
    lengths: list[int] = []
    places: list[int] = []
    numbers: list[float] = []
    for counts in counted:
        known = sorted((vocabulary[t], (1.0 + math.log(n)) * idf[t]) for t, n in counts.items() if t in vocabulary) or [(0, 0.0)]
        length = math.sqrt(math.fsum(number * number for _, number in known)) or 1.0
        lengths.append(len(known))
        places += [place for place, _ in known]
        numbers += [number / length for _, number in known]
    by_row = _Lines(_starts(lengths), np.asarray(places, dtype=np.int64), np.asarray(numbers))
    owners = np.repeat(np.arange(len(counted)), lengths)
    order = np.lexsort((owners, by_row.places))
    found = np.bincount(by_row.places, minlength=len(vocabulary))
    by_column = _Lines(_starts(found.tolist()), owners[order], by_row.numbers[order])
    return by_row, by_column


def _starts(lengths: Sequence[int]) -> _Whole:
    return np.asarray(list(accumulate(lengths, initial=0))[:-1], dtype=np.int64)


def _fit(rows: _Lines, columns: _Lines, wanted: _Floats, how_much: _Floats, l2: float) -> tuple[_Floats, _Floats]:
    """Accelerated gradient descent (Nesterov) with the step that the largest curvature allows."""
    total = float(how_much.sum())
    penalty = l2 / total
    step = 1.0 / (0.5 * (_curvature(rows, columns, how_much) + total) / total + penalty)
    weights = ahead = np.zeros((len(columns.starts), wanted.shape[1]))
    bias = bias_ahead = np.zeros(wanted.shape[1])
    momentum = 1.0
    for _ in range(STEPS):
        missed = (_softmax(rows.times(ahead) + bias_ahead) - wanted) * how_much[:, None] / total
        new_weights = ahead - step * (columns.times(missed) + penalty * ahead)
        new_bias = bias_ahead - step * missed.sum(axis=0)
        following = (1.0 + math.sqrt(1.0 + 4.0 * momentum * momentum)) / 2.0
        push = (momentum - 1.0) / following
        ahead, bias_ahead = new_weights + push * (new_weights - weights), new_bias + push * (new_bias - bias)
        weights, bias, momentum = new_weights, new_bias, following
    return weights, bias


def _curvature(rows: _Lines, columns: _Lines, how_much: _Floats) -> float:
    """The largest eigenvalue of the rows' products, a little too high rather than too low."""
    guess = np.ones((len(columns.starts), 1))
    size = 1.0
    for _ in range(_POWER_STEPS):
        guess = columns.times(how_much[:, None] * rows.times(guess / size))
        size = float(np.sqrt((guess * guess).sum())) or 1.0
    return 1.1 * size


def _softmax(scores: _Floats) -> _Floats:
    raised: _Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: _Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _features(idf: dict[str, float], fitted: _Floats) -> dict[str, tuple[float, ...]]:
    """The last class is left out: its weights make each row's sum zero. Tokens that weigh nothing stay for a row's length."""
    return {token: (number, *_row(fitted[place][:-1])) for place, (token, number) in enumerate(idf.items())}


def _row(numbers: _Floats) -> tuple[float, ...]:
    return tuple(round(float(n), _DIGITS) if abs(n) > _NEGLIGIBLE else 0.0 for n in numbers)
