"""Thresholds with a guarantee: fixed-sequence testing by rank (Learn then Test, Angelopoulos et al. 2021).

Labels are sorted by score. A threshold that accepts m of them, k wrong, is proved for an error rate of alpha when
P(Binomial(m, alpha) <= k) <= delta. Thresholds are tried by rank, few accepted first, and the walk stops at the first that is not
proved, which is why no price is paid for trying many. Ranks and ties come from scores alone; no label decides what is tried.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from guardrails.binomial import binomial_cdf, clopper_pearson_upper, labels_needed
from guardrails.certificate import GLOBAL, Certificate, Keys
from guardrails.facts import sha256_of
from guardrails.taxonomy import Category

_STEP = 1.2
_TOLERATED = 1


@dataclass(frozen=True, slots=True)
class Label:
    """One case whose automated decision a person has judged. `score` is a share of 1; `cluster` names the incident that it came
    from: several cases of one incident prove no more than one."""

    case: str
    cluster: str
    category: str
    score: float
    wrong: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Fixed before any label is looked at. The categories share one `delta` of their own; each may have its own `alpha` by the
    damage an error does there. With `scan`, half of delta buys a scan of every rank for scores that are not monotone."""

    alpha: float = 0.02
    delta: float = 0.10
    scan: bool = True
    category_alpha: Mapping[str, float] = field(default_factory=dict)
    categories: tuple[str, ...] = tuple(category.value for category in Category)


@dataclass(frozen=True, slots=True)
class Uncertified:
    """Nothing was proved, so nothing may be automated. `more_labels` is the exact smallest number of further labels with a score
    of at least `at_score` (any score, where it is None) after which the test of that threshold would pass, if none of them is
    wrong. A wrong one raises it."""

    scope: str
    alpha: float
    delta: float
    labels: int
    errors: int
    more_labels: int
    at_score: float | None

    @property
    def sentence(self) -> str:
        return f"uncertified, {self.more_labels} more label{'s' * (self.more_labels != 1)} needed"


@dataclass(frozen=True, slots=True)
class Tuning:
    """The global scope first, then each category of the plan. Only labels of different clusters were counted."""

    overall: Certificate | Uncertified
    by_category: Mapping[str, Certificate | Uncertified]
    labels: int
    left_out: int


def tune(labels: Sequence[Label], plan: Plan, keys: Keys, population: str) -> Tuning:
    """`population` says in words where the labels come from: the guarantee is about cases that come like these."""
    counted = independent(labels)
    overall = certify(GLOBAL, counted, plan, keys, population)
    share = plan.delta / max(1, len(plan.categories))
    by_category = {}
    for name in plan.categories:
        own = replace(plan, alpha=plan.category_alpha.get(name, plan.alpha), delta=share)
        by_category[name] = certify(name, [label for label in counted if label.category == name], own, keys, population)
    return Tuning(overall, by_category, len(counted), len(labels) - len(counted))


def independent(labels: Sequence[Label]) -> list[Label]:
    """One label of each cluster, drawn by the hash of its case id: blind to score and outcome."""
    chosen: dict[str, Label] = {}
    for label in sorted(labels, key=lambda label: (sha256_of(label.case), label.case)):
        chosen.setdefault(label.cluster, label)
    return list(chosen.values())


def certify(scope: str, labels: Sequence[Label], plan: Plan, keys: Keys, population: str) -> Certificate | Uncertified:
    """One scope by itself. The labels must be independent of each other, and none may have fitted the calibrator."""
    walk = _Walk.over(labels)
    spent = plan.delta / 2 if plan.scan else plan.delta
    grid = walk.grid(plan.alpha, spent)
    accepted = max(walk.walked(grid, plan.alpha, spent), walk.scanned(grid, plan.alpha, spent) if plan.scan else 0)
    if not accepted:
        return _uncertified(scope, walk, plan, spent)
    return Certificate(
        scope=scope,
        alpha=plan.alpha,
        delta=plan.delta,
        spent=spent,
        threshold=walk.scores[accepted - 1],
        labels=len(walk.scores),
        accepted=accepted,
        errors=walk.wrong[accepted],
        bound=clopper_pearson_upper(walk.wrong[accepted], accepted, spent),
        keys=keys,
        population=population,
        cases_sha256=sha256_of(sorted(label.case for label in labels)),
    )


@dataclass(frozen=True, slots=True)
class _Walk:
    """Scores, highest first; `wrong[m]` of the first m are wrong; `ends` are the ranks at which a threshold can be put."""

    scores: tuple[float, ...]
    wrong: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def over(cls, labels: Sequence[Label]) -> "_Walk":
        ranked = sorted(labels, key=lambda label: -label.score)
        scores = tuple(label.score for label in ranked)
        wrong = [0]
        for label in ranked:
            wrong.append(wrong[-1] + label.wrong)
        ends = tuple(m for m in range(1, len(scores) + 1) if m == len(scores) or scores[m] < scores[m - 1])
        return cls(scores, tuple(wrong), ends)

    def grid(self, alpha: float, delta: float) -> list[int]:
        """From the first rank at which one error could be borne, in steps of a fifth, to all. A threshold inside a tie would
        accept the whole tie, so each rank moves to the end of its own."""
        n, rank, ranks = len(self.scores), labels_needed(_TOLERATED, alpha, delta), []
        if rank > n:
            return []
        while rank < n:
            ranks.append(self.ends[bisect_left(self.ends, rank)])
            rank = math.ceil(rank * _STEP)
        return list(dict.fromkeys([*ranks, n]))

    def proved(self, accepted: int, alpha: float, delta: float) -> bool:
        return binomial_cdf(self.wrong[accepted], accepted, alpha) <= delta

    def walked(self, grid: Sequence[int], alpha: float, delta: float) -> int:
        """The last rank before the first that is not proved; 0 where that is the first of all."""
        passed = 0
        for rank in grid:
            if not self.proved(rank, alpha, delta):
                break
            passed = rank
        return passed

    def scanned(self, grid: Sequence[int], alpha: float, delta: float) -> int:
        """The largest rank that is proved although every rank of the grid was tried."""
        return max((rank for rank in grid if self.proved(rank, alpha, delta / len(grid))), default=0)


def _uncertified(scope: str, walk: _Walk, plan: Plan, delta: float) -> Uncertified:
    """The walk has to begin at the first rank; any other can only be proved by the scan, at the scan's price."""
    n, first = len(walk.scores), labels_needed(_TOLERATED, plan.alpha, delta)
    ranks = walk.grid(plan.alpha, delta)
    if not ranks:
        needs = [(max(first, labels_needed(walk.wrong[n], plan.alpha, delta)) - n, n)]
    else:
        needs = [(labels_needed(walk.wrong[ranks[0]], plan.alpha, delta) - ranks[0], ranks[0])]
        scanned = ranks[1:] if plan.scan else []
        needs += [(labels_needed(walk.wrong[m], plan.alpha, delta / len(ranks)) - m, m) for m in scanned]
    more, rank = min(needs)
    return Uncertified(scope, plan.alpha, plan.delta, n, walk.wrong[n], more, walk.scores[rank - 1] if rank else None)
