"""A dataset through the production path: parse, join, fold, look, classify, guard. Only the database and the queue are left out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.classify import Classifier
from app.context import SourceRules
from app.detect import DetectorRules
from app.judge import Judgement, Sighting, judge, look
from app.linking import order_identifier
from app.signals.shapes import SignalRefused
from evals.dataset import LabelledCase, Unlabelled
from evals.order_book import file_case
from guardrails.policy.tables import Policy
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Category

_NO_RANK = 10_000


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that judges, as it is configured."""

    classifier: Classifier
    policy: Policy
    sources: SourceRules
    detectors: DetectorRules


@dataclass(frozen=True, slots=True)
class Result:
    """One case judged. `judgement` is None where its signals could not be read or named no order; `problem` then says why."""

    case: LabelledCase
    judgement: Judgement | None
    seconds: float
    problem: str | None = None

    @property
    def category(self) -> Category:
        return Category.UNKNOWN if self.judgement is None else self.judgement.diagnosis.category


async def run(cases: Sequence[LabelledCase], bench: Bench, clock: Callable[[], float] = time.perf_counter) -> list[Result]:
    """Each case by itself. Labels go around the judgement and meet it again only in the result."""
    results = []
    for case in cases:
        started = clock()
        try:
            judgement = await judge_case(case.question(), bench)
            problem = None if judgement is not None else "no signal named an order"
        except SignalRefused as error:
            judgement, problem = None, f"a signal cannot be read: {error}"
        results.append(Result(case, judgement, clock() - started, problem))
    return results


async def judge_case(case: Unlabelled, bench: Bench) -> Judgement | None:
    sighting = sighted(case, bench)
    return None if sighting is None else await judge(sighting, bench.classifier, bench.policy, NOTHING_SPENT)


def sighted(case: Unlabelled, bench: Bench) -> Sighting | None:
    """Of several orders in one case the one with the most specific detection; of equals the one that was placed last."""
    book = file_case(case)
    contexts = book.contexts(bench.sources, case.as_of, bench.detectors.duplicate_window)
    return min((look(context, bench.detectors) for context in contexts), key=_specificity, default=None)


def _specificity(sighting: Sighting) -> tuple[int, float]:
    found = sighting.detections.found
    placed = sighting.context.current("order.placed_at")
    later_first = -placed.winner.observed_at.timestamp() if placed is not None else 0.0
    return (found[0].rank if found else _NO_RANK), later_first


def same_order(left: str, right: str) -> bool:
    return order_identifier(left) == order_identifier(right)
