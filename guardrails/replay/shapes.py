"""What a replay reports: plain values, and their JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from guardrails.facts import rfc3339
from guardrails.taxonomy import Verdict

CAUTION: Final = (
    "What a blocked or held case would have led to had it run is not known, and neither is what would have followed from a case that "
    "ran and would now be held: only the rulings are compared. Every ruling is asked with its facts as they were then, although under "
    "the other policy later facts might have been different. Budgets that are counted again begin with the first ruling of the range."
)

Matrix = Mapping[Verdict, Mapping[Verdict, int]]


@dataclass(frozen=True, slots=True)
class Flip:
    """A ruling whose verdict changes: the `segment`th of those that were read, its row, and the rules that say something else."""

    segment: int
    row: int
    decision: str
    old: Verdict
    new: Verdict
    newly_fired: tuple[str, ...]
    no_longer_fired: tuple[str, ...]
    other_effect: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """`fired_*` count rulings for a rule about the case, and actions for a rule about the action; the others count flipped rulings."""

    rule: str
    fired_old: int
    fired_new: int
    newly_fired: int
    no_longer_fired: int
    other_effect: int


@dataclass(frozen=True, slots=True)
class BudgetMode:
    """`held_*`: of an action's budgets `recorded` counts all actions that they hold, `resimulated` the rulings in which nothing
    else holds an action."""

    matrix: Matrix
    held_old: int
    held_new: int


@dataclass(frozen=True, slots=True)
class Report:
    """`matrix` and everything else rests on budgets as they were recorded, unless it says otherwise. Money is in minor units by
    currency."""

    old: str
    new: str
    since: datetime | None
    until: datetime | None
    first_at: datetime | None
    last_at: datetime | None
    rulings: int
    not_replayed: int
    """A value could not be kept when they were recorded; they are in no other figure."""
    by_the_gate: int
    """Of the rulings, those that columns cannot hold; the gate itself ruled again."""
    matrix: Matrix
    recorded_to_new: Matrix
    recorded_differs: int
    """Rulings recorded with another verdict than the old policy comes to now."""
    actions: Matrix
    loosened: int
    tightened: int
    not_covered: int
    """Rulings of which no mandatory line, no rule and no permit of the new policy said anything: its tables alone decided."""
    budgets: Mapping[str, BudgetMode]
    """`recorded`: spent as it was then. `resimulated`: counted again, for each policy by itself, from the first ruling on."""
    rules: tuple[RuleChange, ...]
    never_fired: tuple[str, ...]
    order_totals: Mapping[str, Mapping[str, int]]
    """What the flipped rulings' orders are worth, under `loosened` and `tightened`."""
    action_amounts: Mapping[str, Mapping[str, int]]
    """The own amounts of the actions whose verdict changes, likewise."""
    flips: tuple[Flip, ...]
    """The first of them; `loosened` and `tightened` count all."""
    seconds: float | None
    caution: str = CAUTION

    def plain(self) -> dict[str, Any]:
        """As JSON takes it: verdicts and times as texts."""
        flips = self.loosened + self.tightened
        said = {name: getattr(self, name) for name in self.__slots__}
        moments = {name: None if said[name] is None else rfc3339(said[name]) for name in ("since", "until", "first_at", "last_at")}
        return {
            **said,
            **moments,
            **{name: _plain_matrix(said[name]) for name in ("matrix", "recorded_to_new", "actions")},
            "budgets": {
                name: {"matrix": _plain_matrix(mode.matrix), "held_old": mode.held_old, "held_new": mode.held_new}
                for name, mode in self.budgets.items()
            },
            "not_covered_share": self.not_covered / self.rulings if self.rulings else 0.0,
            "rules": [{name: getattr(item, name) for name in RuleChange.__slots__} for item in self.rules],
            "never_fired": list(self.never_fired),
            "order_totals": {side: dict(amounts) for side, amounts in self.order_totals.items()},
            "action_amounts": {side: dict(amounts) for side, amounts in self.action_amounts.items()},
            "flips_in_all": flips,
            "flips": [_plain_flip(item) for item in self.flips],
        }


def _plain_matrix(matrix: Matrix) -> dict[str, dict[str, int]]:
    return {old.value: {new.value: count for new, count in row.items()} for old, row in matrix.items()}


def _plain_flip(item: Flip) -> dict[str, Any]:
    plain = {name: getattr(item, name) for name in Flip.__slots__}
    rules = {name: list(plain[name]) for name in ("newly_fired", "no_longer_fired", "other_effect")}
    return {**plain, "old": item.old.value, "new": item.new.value, **rules}
