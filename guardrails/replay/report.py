"""What a changed policy would have done to past rulings: verdicts then and now, which rules make the difference, and whose money."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guardrails.money import Money
from guardrails.policy.tables import Mode, Policy
from guardrails.replay.budgets import Recount
from guardrails.replay.columns import State, microseconds
from guardrails.replay.comparison import PAIR, Comparison, Result
from guardrails.replay.differences import differing
from guardrails.replay.questions import NEW, OLD, SIDES
from guardrails.replay.recorded import RecordedRuling, rule_again
from guardrails.replay.segment_shapes import EPOCH, VERDICTS, RowKind
from guardrails.replay.segments import Segment
from guardrails.replay.shapes import BudgetMode, Flip, Matrix, Report, RuleChange
from guardrails.replay.view import Flags, Rows, View
from guardrails.ruling import Ruling

__all__ = ["Report", "replay"]


def replay(
    segments: Iterable[Segment],
    old: Policy,
    new: Policy,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    most_flips: int = 1_000,
    stopwatch: Callable[[], float] | None = None,
) -> Report:
    """Ask both policies about every ruling from `since` on and before `until`. `stopwatch` tells seconds from any beginning.
    Raises SegmentDamaged where bytes are not as they were written."""
    began = stopwatch() if stopwatch else 0.0
    tally = _Tally(Comparison(old, new), most_flips)
    for number, segment in enumerate(segments):
        kept = _in_range(segment, since, until)
        if kept is None or kept.any():
            tally.add(number, segment, kept)
    return tally.report(since, until, stopwatch() - began if stopwatch else None)


def _in_range(segment: Segment, since: datetime | None, until: datetime | None) -> Flags | None:
    """None where all rulings of the segment are."""
    if (since is None or since <= segment.first_at) and (until is None or segment.last_at < until):
        return None
    kept = np.ones(segment.size, bool)
    if since is not None:
        kept &= segment.at >= microseconds(since - EPOCH)
    if until is not None:
        kept &= segment.at < microseconds(until - EPOCH)
    return kept


# --- counting ---

_DIRECTIONS: Final = np.sign(np.arange(9) % 3 - np.arange(9) // 3)
"""Of each pair of verdicts: -1 where the new policy is looser, 1 where it is stricter."""
_FLIPPED: Final = _DIRECTIONS != 0


@dataclass(slots=True)
class _Tally:
    comparison: Comparison
    most_flips: int
    pairs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(9, np.int64))
    recorded: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 9), np.int64))
    """Of recorded and old, and of recorded and new verdicts."""
    actions: NDArray[np.int64] = field(default_factory=lambda: np.zeros(9, np.int64))
    free: list[NDArray[np.uint8]] = field(default_factory=list)
    """The pairs of all rows without budgets, 255 for a row that is not asked about."""
    recounts: dict[int, Recount] = field(init=False)
    not_covered: int = 0
    lost: int = 0
    by_the_gate: int = 0
    size: int = 0
    moments: list[int] = field(default_factory=list)
    changes: dict[str, Counter[str]] = field(default_factory=dict)
    flips: list[Flip] = field(default_factory=list)
    totals: dict[int, Counter[str]] = field(default_factory=lambda: {-1: Counter(), 1: Counter()})
    amounts: dict[int, Counter[str]] = field(default_factory=lambda: {-1: Counter(), 1: Counter()})

    def __post_init__(self) -> None:
        self.recounts = {side: Recount(self.comparison.policy(side), side) for side in SIDES}

    def add(self, number: int, segment: Segment, kept: Flags | None) -> None:
        kinds = segment.kinds
        plain = kept if not kinds.any() else (kinds == RowKind.COLUMNS) & (True if kept is None else kept)
        result = self.comparison.of(segment, plain)
        pairs, free = PAIR.take(result.bits, mode="clip"), PAIR.take(result.free, mode="clip")
        if plain is not None:
            free[~plain] = 255
            self._add_others(number, segment, kept, free)
        rows = np.arange(segment.size) if result.rows is None else result.rows
        chosen = pairs if result.rows is None else pairs[rows]
        self._count(chosen, segment.verdicts if result.rows is None else segment.verdicts[rows])
        said = result.said if result.rows is None else result.said[rows]
        self.not_covered += int(np.count_nonzero(said < 1 << NEW))
        if len(rows):
            self.moments += [int(segment.at[rows].min()), int(segment.at[rows].max())]
        for recount in self.recounts.values():
            recount.add(result, self.size)
        self._add_flips(number, result, pairs, rows[_FLIPPED.take(chosen, mode="clip")])
        self._add_actions(result)
        self.free.append(free)
        self.size += segment.size

    def _count(self, pairs: NDArray[np.uint8], recorded: NDArray[np.uint8]) -> None:
        self.pairs += np.bincount(pairs, minlength=9)
        self.recorded[0] += np.bincount(recorded * np.uint8(3) + pairs // np.uint8(3), minlength=9)
        self.recorded[1] += np.bincount(recorded * np.uint8(3) + pairs % np.uint8(3), minlength=9)

    # --- flips ---

    def _add_flips(self, number: int, result: Result, pairs: NDArray[np.uint8], rows: Rows) -> None:
        if not len(rows):
            return
        found = differing(self.comparison, result, rows)
        newly = {rule: item.new & ~item.old for rule, item in found.items()}
        no_longer = {rule: item.old & ~item.new for rule, item in found.items()}
        other = {rule: item.effect for rule, item in found.items()}
        for what, by_rule in (("newly_fired", newly), ("no_longer_fired", no_longer), ("other_effect", other)):
            for rule, flags in by_rule.items():
                self.changes.setdefault(rule, Counter())[what] += int(np.count_nonzero(flags))
        for at, row in enumerate(rows[: max(0, self.most_flips - len(self.flips))].tolist()):
            names = (tuple(rule for rule, flags in by_rule.items() if flags[at]) for by_rule in (newly, no_longer, other))
            before, after = divmod(int(pairs[row]), 3)
            self.flips.append(Flip(number, row, result.segment.decision(row), VERDICTS[before], VERDICTS[after], *names))
        totals = View(result.segment, rows).numbers("order.total")
        _add_money(
            self.totals, _DIRECTIONS[pairs[rows]], totals.states == State.USABLE, totals.numbers, totals.currencies, totals.listed
        )

    def _add_actions(self, result: Result) -> None:
        for item in result.actions:
            pairs = PAIR.take(item.bits, mode="clip")
            self.actions += np.bincount(pairs, minlength=9)
            group, chosen = item.group, item.chosen
            if group.stated.any():
                stated = group.stated[chosen] == 1
                _add_money(self.amounts, _DIRECTIONS[pairs], stated, group.amounts[chosen], group.currencies[chosen], group.listed)

    # --- rulings that columns do not hold ---

    def _add_others(self, number: int, segment: Segment, kept: Flags | None, free: NDArray[np.uint8]) -> None:
        rows = segment.kinds != RowKind.COLUMNS
        for row in np.flatnonzero(rows if kept is None else rows & kept).tolist():
            kind = RowKind(int(segment.kinds[row]))
            if kind is RowKind.LOST:
                self.lost += 1
                continue
            self.moments.append(int(segment.at[row]))
            pair = 8 if kind is RowKind.BROKEN else self._again(number, segment, row)
            free[row] = pair
            self._count(np.array([pair], np.uint8), segment.verdicts[row : row + 1])
            if kind is RowKind.BROKEN:
                for side in SIDES:
                    self._fire(side, "gate.evaluator")

    def _again(self, number: int, segment: Segment, row: int) -> int:
        """The pair of verdicts by the gate itself."""
        self.by_the_gate += 1
        kept = segment.whole[row]
        rulings = {side: rule_again(kept, self.comparison.policy(side)) for side in SIDES}
        fired = {side: _fired(ruling) for side, ruling in rulings.items()}
        for side in SIDES:
            for rule, count in fired[side].items():
                self._fire(side, rule, count)
        old, new = rulings[OLD].verdict, rulings[NEW].verdict
        self.not_covered += int(not any(_is_line(rule) for rule in fired[NEW]))
        for before, after in zip(rulings[OLD].actions, rulings[NEW].actions, strict=True):
            self.actions[3 * before.verdict.strictness + after.verdict.strictness] += 1
        if old is not new:
            self._flip_whole(Flip(number, row, kept.decision, old, new, *_apart(fired[OLD], fired[NEW]), ()), kept)
        return 3 * old.strictness + new.strictness

    def _flip_whole(self, flip: Flip, kept: RecordedRuling) -> None:
        for what, rules in (("newly_fired", flip.newly_fired), ("no_longer_fired", flip.no_longer_fired)):
            for rule in rules:
                self.changes.setdefault(rule, Counter())[what] += 1
        if len(self.flips) < self.most_flips:
            self.flips.append(flip)
        total = kept.facts.get("order.total")
        if isinstance(total, Money):
            self.totals[1 if flip.new.strictness > flip.old.strictness else -1][total.currency] += total.amount

    def _fire(self, side: int, rule: str, count: int = 1) -> None:
        self.comparison.fired[side, rule] = self.comparison.fired.get((side, rule), 0) + count

    # --- the report ---

    def report(self, since: datetime | None, until: datetime | None, seconds: float | None) -> Report:
        fired, directions = self.comparison.fired, _DIRECTIONS
        rules = sorted({rule for _, rule in fired} | set(self.changes))
        return Report(
            old=self.comparison.old.sha256,
            new=self.comparison.new.sha256,
            since=since,
            until=until,
            first_at=_moment(min(self.moments)) if self.moments else None,
            last_at=_moment(max(self.moments)) if self.moments else None,
            rulings=int(self.pairs.sum()),
            not_replayed=self.lost,
            by_the_gate=self.by_the_gate,
            matrix=_matrix(self.pairs),
            recorded_to_new=_matrix(self.recorded[1]),
            recorded_differs=int(self.recorded[0].sum() - self.recorded[0][[0, 4, 8]].sum()),
            actions=_matrix(self.actions),
            loosened=int(self.pairs[directions < 0].sum()),
            tightened=int(self.pairs[directions > 0].sum()),
            not_covered=self.not_covered,
            budgets=self._budgets(),
            rules=tuple(self._change(rule) for rule in rules),
            never_fired=tuple(rule for rule in _rules_of(self.comparison.new) if not fired.get((NEW, rule))),
            order_totals={"loosened": dict(self.totals[-1]), "tightened": dict(self.totals[1])},
            action_amounts={"loosened": dict(self.amounts[-1]), "tightened": dict(self.amounts[1])},
            flips=tuple(self.flips),
            seconds=seconds,
        )

    def _change(self, rule: str) -> RuleChange:
        fired, of = self.comparison.fired, self.changes.get(rule, Counter())
        counts = (of["newly_fired"], of["no_longer_fired"], of["other_effect"])
        return RuleChange(rule, fired.get((OLD, rule), 0), fired.get((NEW, rule), 0), *counts)

    def _budgets(self) -> Mapping[str, BudgetMode]:
        fired = self.comparison.fired
        recorded = [fired.get((side, "action.budget"), 0) for side in SIDES]
        free = np.concatenate(self.free) if self.free else np.zeros(0, np.uint8)
        asked = free < 9
        verdicts, held = [], []
        for side, plain in ((OLD, free // np.uint8(3)), (NEW, free % np.uint8(3))):
            by_budget = self.recounts[side].held(self.size)
            held.append(int(np.count_nonzero(by_budget)))
            verdicts.append(np.maximum(plain, by_budget.view(np.uint8)))
        pairs = np.bincount((verdicts[0] * np.uint8(3) + verdicts[1])[asked], minlength=9)
        return {"recorded": BudgetMode(_matrix(self.pairs), *recorded), "resimulated": BudgetMode(_matrix(pairs), *held)}


def _add_money(
    into: Mapping[int, Counter[str]],
    directions: NDArray[Any],
    known: Flags,
    amounts: NDArray[np.int64],
    currencies: NDArray[Any],
    listed: tuple[str, ...],
) -> None:
    for direction, counted in into.items():
        here = known & (directions == direction)
        for code, currency in enumerate(listed):
            mine = here & (currencies == code)
            if mine.any():
                counted[currency] += int(amounts[mine].sum())


def _fired(ruling: Ruling) -> Counter[str]:
    about_actions = [item.rule for action in ruling.actions for item in action.findings if item.fired]
    return Counter([item.rule for item in ruling.findings if item.fired] + about_actions)


def _is_line(rule: str) -> bool:
    """Whether it is a mandatory line, a rule or a permit, and no table."""
    return not rule.startswith(("action.", "case.", "switch.", "gate."))


def _apart(old: Counter[str], new: Counter[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(sorted(set(new) - set(old))), tuple(sorted(set(old) - set(new)))


def _rules_of(policy: Policy) -> list[str]:
    lines = [f"mandatory.{reason}.{at}" for reason, entry in policy.mandatory.items() for at in range(1, len(entry.lines) + 1)]
    categories = [f"mandatory.{reason}.category" for reason, entry in policy.mandatory.items() if entry.categories]
    return sorted([*lines, *categories, *(rule.id for rule in policy.rules if rule.mode is Mode.ENFORCE)])


def _matrix(pairs: NDArray[np.int64]) -> Matrix:
    return {old: {new: int(pairs[3 * old.strictness + new.strictness]) for new in VERDICTS} for old in VERDICTS}


def _moment(since: int) -> datetime:
    return EPOCH + timedelta(microseconds=since)
