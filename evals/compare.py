"""Two runs case by case: exact McNemar on the cases both judged, what flipped either way, and what each category gained or lost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evals.gates import Soft
from evals.statistics import mcnemar_exact


class Outcome(Protocol):
    """What a comparison needs of one case: a case of a run record, or of a blessed baseline."""

    @property
    def id(self) -> str: ...
    @property
    def expected_category(self) -> str: ...
    @property
    def got_category(self) -> str: ...
    @property
    def got_verdict(self) -> str | None: ...
    @property
    def right(self) -> bool: ...
    @property
    def verdict_right(self) -> bool: ...
    @property
    def runs(self) -> int: ...
    @property
    def runs_right(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Measure:
    """One yes-or-no question about each case. `worse` and `better` are ids of cases that flipped; points are of 100 cases."""

    name: str
    n: int
    before: int
    after: int
    worse: tuple[str, ...]
    better: tuple[str, ...]
    p: float

    @property
    def points(self) -> float:
        return 100 * (self.after - self.before) / self.n

    def dropped(self, gate: Soft) -> bool:
        """Significant and large: chance alone, or a trifle, fails nobody."""
        return self.p < gate.p_below and -self.points >= gate.points


@dataclass(frozen=True, slots=True)
class CategoryDelta:
    category: str
    n: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Flip:
    """A case whose category or verdict is another than before, whichever is right."""

    id: str
    expected: str
    before: str
    after: str
    became: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`only_before` and `only_after` are ids that the other run did not judge; they count nowhere."""

    measures: tuple[Measure, ...]
    categories: tuple[CategoryDelta, ...]
    flips: tuple[Flip, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    unsettled: tuple[tuple[str, int], ...] = ()
    """Cases that were right in each of so many runs before and are wrong in at least one now."""

    @property
    def common(self) -> int:
        return self.measures[0].n

    def dropped(self, gate: Soft) -> list[str]:
        return [
            f"{m.name}: {m.points:+.1f} points (p = {m.p:.4f}, {len(m.worse)} worse, {len(m.better)} better)"
            for m in self.measures
            if m.dropped(gate)
        ] + self._stable_lost(gate)

    def _stable_lost(self, gate: Soft) -> list[str]:
        lost = [name for name, runs in self.unsettled if runs >= gate.stable_runs]
        if len(lost) <= gate.stable_cases_failing:
            return []
        return [f"stable cases: {len(lost)} failing now, at most {gate.stable_cases_failing} allowed: {' '.join(lost)}"]

    def plain(self) -> dict[str, Any]:
        return {
            "n": self.common,
            "measures": {
                m.name: {
                    "before": m.before,
                    "after": m.after,
                    "points": round(m.points, 2),
                    "p": round(m.p, 6),
                    "worse": list(m.worse),
                    "better": list(m.better),
                }
                for m in self.measures
            },
            "categories": [{"category": c.category, "n": c.n, "before": c.before, "after": c.after} for c in self.categories],
            "flips": [
                {"id": f.id, "expected": f.expected, "before": f.before, "after": f.after, "became": f.became} for f in self.flips
            ],
            "unsettled": [{"id": name, "runs": runs} for name, runs in self.unsettled],
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }


class NothingInCommon(ValueError):
    """The two runs share no case, so there is nothing to compare."""


def compare(before: Sequence[Outcome], after: Sequence[Outcome]) -> Comparison:
    """Cases are paired by id. Raises NothingInCommon."""
    earlier, later = {case.id: case for case in before}, {case.id: case for case in after}
    pairs = [(earlier[name], later[name]) for name in earlier if name in later]
    if not pairs:
        raise NothingInCommon("the two runs have no case in common; compare runs of the same dataset")
    return Comparison(
        measures=(
            _measure("category", pairs, lambda case: case.right),
            _measure("verdict", pairs, lambda case: case.verdict_right),
        ),
        categories=_deltas(pairs),
        flips=tuple(flip for was, now in pairs if (flip := _flip(was, now)) is not None),
        only_before=tuple(name for name in earlier if name not in later),
        only_after=tuple(name for name in later if name not in earlier),
        unsettled=tuple((now.id, was.runs) for was, now in pairs if was.runs > 1 and _always_right(was) and not _always_right(now)),
    )


def _always_right(case: Outcome) -> bool:
    return case.runs_right == case.runs


def _measure(name: str, pairs: Sequence[tuple[Outcome, Outcome]], holds: Callable[[Outcome], bool]) -> Measure:
    worse = tuple(now.id for was, now in pairs if holds(was) and not holds(now))
    better = tuple(now.id for was, now in pairs if holds(now) and not holds(was))
    before, after = sum(holds(was) for was, _ in pairs), sum(holds(now) for _, now in pairs)
    return Measure(name, len(pairs), before, after, worse, better, mcnemar_exact(len(worse), len(better)))


def _deltas(pairs: Sequence[tuple[Outcome, Outcome]]) -> tuple[CategoryDelta, ...]:
    found = []
    for category in sorted({now.expected_category for _, now in pairs}):
        own = [(was, now) for was, now in pairs if now.expected_category == category]
        found.append(CategoryDelta(category, len(own), sum(was.right for was, _ in own), sum(now.right for _, now in own)))
    return tuple(found)


def _flip(was: Outcome, now: Outcome) -> Flip | None:
    before, after = _answer(was), _answer(now)
    if before == after:
        return None
    good_before, good_after = (was.right, was.verdict_right), (now.right, now.verdict_right)
    lost = any(b and not a for b, a in zip(good_before, good_after, strict=True))
    won = any(a and not b for b, a in zip(good_before, good_after, strict=True))
    became = {(True, False): "worse", (False, True): "better", (True, True): "mixed", (False, False): "other"}[lost, won]
    return Flip(now.id, now.expected_category, before, after, became)


def _answer(case: Outcome) -> str:
    return f"{case.got_category} / {case.got_verdict or 'none'}"
