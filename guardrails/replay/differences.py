"""Which rules make the difference between two policies, for the rulings whose verdict changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails.replay.comparison import Comparison, Result, action_view
from guardrails.replay.questions import NEW, OLD, SIDES, Asked
from guardrails.replay.segment_shapes import ActionRows
from guardrails.replay.segments import Segment
from guardrails.replay.view import Flags, Rows, View


@dataclass(slots=True)
class Difference:
    """Where a rule fires under each policy, and where it fires under both and does something else."""

    old: Flags
    new: Flags
    effect: Flags


def differing(comparison: Comparison, result: Result, rows: Rows) -> Mapping[str, Difference]:
    """The rules that are not the same in both policies, asked of these rows (which rise), by id."""
    found: dict[str, Difference] = {}
    view = View(result.segment, rows)
    for plan in (comparison.lines, comparison.findings):
        for asked in _uneven(plan.questions):
            _note(found, asked, plan.rows_of(asked, view), np.arange(len(rows)), len(rows))
    places = np.full(result.segment.size, -1, np.intp)
    places[rows] = np.arange(len(rows))
    for item in result.segment.actions:
        chosen = np.flatnonzero(places[item.rows] >= 0)
        if len(chosen):
            _differing_actions(comparison, result.segment, item, (chosen, places[item.rows[chosen]], len(rows)), found)
    return dict(sorted(found.items()))


def _differing_actions(
    comparison: Comparison, segment: Segment, group: ActionRows, where: tuple[Rows, Rows, int], found: dict[str, Difference]
) -> None:
    """`where`: which actions of the group, in which places of how many the result notes them."""
    chosen, at, size = where
    views = {}
    for number, variant in enumerate(comparison.variants(group.action)):
        view = views[number] = action_view(segment, group, chosen, variant.risk_class, variant.money)
        for plan in (variant.rules, variant.permits, variant.findings, variant.budgets):
            for asked in _uneven(plan.questions):
                _note(found, asked, plan.rows_of(asked, view), at, size)
    (old, held_old), (new, held_new) = (comparison.default_of(group.action, side, views) for side in SIDES)
    item = _difference(found, "action.default", size)
    item.old[at] |= held_old
    item.new[at] |= held_new
    item.effect[at] |= held_old & held_new & (old != new)


def _uneven(questions: Sequence[Asked]) -> Iterator[Asked]:
    """Those that do not stand for the same rules on both sides."""
    for asked in questions:
        of = [{rule for side, rule in asked.rules if side == wanted} for wanted in SIDES]
        if of[0] != of[1] or asked.bits & 15 != asked.bits >> 4:
            yield asked


def _note(found: dict[str, Difference], asked: Asked, fires: Flags, at: Rows, size: int) -> None:
    for side, rule in asked.rules:
        item = _difference(found, rule, size)
        (item.old if side == OLD else item.new)[at] |= fires
        if {(OLD, rule), (NEW, rule)} <= set(asked.rules):
            item.effect[at] |= fires


def _difference(found: dict[str, Difference], rule: str, size: int) -> Difference:
    if rule not in found:
        found[rule] = Difference(*(np.zeros(size, bool) for _ in range(3)))
    return found[rule]
