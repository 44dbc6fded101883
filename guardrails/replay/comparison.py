"""The whole gate over a segment of recorded rulings, for two policies at once: what `guard` would have said to the agent.

Bits of one byte say what holds a ruling: the low four for the old policy, the high four for the new (`questions.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from guardrails.facts import UNKNOWN
from guardrails.policy.tables import ActionPolicy, Policy
from guardrails.proposal import AGENT
from guardrails.ready import NO_ACTION
from guardrails.replay.answers import Bits, Fired, Plan, plan_of
from guardrails.replay.columns import State
from guardrails.replay.gate import (
    BITS_OF,
    Budgets,
    amounts_of,
    ask_action_findings,
    ask_action_rules,
    ask_case_findings,
    ask_case_lines,
    ask_permits,
    liftable,
)
from guardrails.replay.questions import BLOCK, CASE, NEW, OLD, PAUSE, SIDES, STOP, Questions
from guardrails.replay.segment_shapes import ActionRows, Numbers
from guardrails.replay.segments import Segment
from guardrails.replay.view import Flags, Rows, View
from guardrails.taxonomy import Action, RiskClass

_OF_SIDE: Final = {OLD: 0x0F, NEW: 0xF0}


def _strictness(bits: int) -> int:
    return 2 if bits & BLOCK else 1 if bits & (CASE | PAUSE | STOP) else 0


PAIR: Final = np.array([3 * _strictness(bits & 15) + _strictness(bits >> 4) for bits in range(256)], np.uint8)
"""Three times the old verdict's strictness and the new one's, by the bits that hold a ruling."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What each action of one group comes to. `rows` are the rulings' rows; `bits` hold it, `free` without budgets."""

    group: ActionRows
    places: Rows | None
    """Which of the group's actions, None for all."""
    rows: Rows
    bits: Bits
    free: Bits

    @property
    def chosen(self) -> Rows:
        return np.arange(len(self.rows)) if self.places is None else self.places


@dataclass(frozen=True, slots=True)
class Result:
    """Of the rulings in `rows` (None: all rows of the segment): the bits that hold each, also without budgets, and whether any
    line, rule or permit said anything of it. Arrays are over all rows of the segment."""

    segment: Segment
    rows: Rows | None
    bits: Bits
    free: Bits
    said: Bits
    actions: tuple[ActionResult, ...]


@dataclass(slots=True)
class _Variant:
    """One action as one policy has it, or both where class and money are the same in both."""

    action: Action
    sides: tuple[int, ...]
    risk_class: RiskClass | None
    money: str | None
    mask: int
    rules: Plan
    permits: Plan
    findings: Plan
    defaults: Mapping[int, int]
    """The bits of the action's default, by side."""
    budgets: Plan


@dataclass(slots=True)
class Comparison:
    """Two policies, prepared to be asked about segments. `fired` counts, by side and rule id, rulings that a rule about the case
    held, and actions that a rule about the action held."""

    old: Policy
    new: Policy
    fired: Fired = field(default_factory=dict, init=False)
    lines: Plan = field(init=False)
    findings: Plan = field(init=False)
    _variants: dict[Action, tuple[_Variant, ...]] = field(default_factory=dict, init=False)
    _budgets: Mapping[int, Budgets] = field(init=False)

    def __post_init__(self) -> None:
        lines, findings = Questions(), Questions()
        for side in SIDES:
            ask_case_lines(lines, side, self.policy(side))
            ask_case_findings(findings, side, self.policy(side))
        self.lines, self.findings = plan_of(lines), plan_of(findings)
        self._budgets = {side: Budgets(self.policy(side)) for side in SIDES}

    def policy(self, side: int) -> Policy:
        return self.old if side == OLD else self.new

    # --- one segment ---

    def of(self, segment: Segment, kept: Flags | None = None) -> Result:
        """The segment's rulings, or those that are `kept`."""
        rows = None if kept is None else np.flatnonzero(kept)
        view = View(segment, rows)
        lines = self.lines.bits(view, self.fired)
        held = _spread(lines | self.findings.bits(view, self.fired), segment.size, rows)
        bits, said = held.copy(), _spread(lines, segment.size, rows)
        bits[self._without_action(segment, kept)] |= CASE << OLD | CASE << NEW
        free = bits.copy()
        actions = []
        for group in segment.actions:
            result = self._weigh(segment, group, kept, held, said)
            bits[result.rows] |= result.bits
            free[result.rows] |= result.free
            actions.append(self._reached(result, held))
        return Result(segment, rows, bits, free, said, tuple(actions))

    def _without_action(self, segment: Segment, kept: Flags | None) -> Flags:
        nothing = np.ones(segment.size, bool) if kept is None else kept.copy()
        for group in segment.actions:
            nothing[group.rows] = False
        for side in SIDES:
            self._count(side, NO_ACTION, nothing)
        return nothing

    def _weigh(self, segment: Segment, group: ActionRows, kept: Flags | None, held: Bits, said: Bits) -> ActionResult:
        """The action's own findings."""
        rows = group.rows.astype(np.intp)
        places = None if kept is None else np.flatnonzero(kept[rows])
        rows = rows if places is None else rows[places]
        bits, free = np.zeros(len(rows), np.uint8), np.zeros(len(rows), np.uint8)
        for variant in self.variants(group.action):
            view = action_view(segment, group, places, variant.risk_class, variant.money)
            rules = variant.rules.bits(view, self.fired)
            permits = np.zeros(len(rows), np.uint8)
            own = rules | variant.findings.bits(view, self.fired) | self._default(variant, view, permits)
            said[rows] |= rules | permits
            free |= own
            bits |= own | variant.budgets.bits(view, self.fired)
        return ActionResult(group, places, rows, bits, free)

    def _default(self, variant: _Variant, view: View, permits: Bits) -> Bits:
        """What the class makes of it, lifted where a permit is certainly true; `permits` notes where one is."""
        bits = np.zeros(view.size, np.uint8)
        for side, default in variant.defaults.items():
            given = self._given(variant, side, view)
            permits |= given.view(np.uint8) * np.uint8(CASE << side)
            if not default:
                continue
            held = self._unlifted(variant.action, side, given)
            bits |= held.view(np.uint8) * np.uint8(default << side)
            self._count(side, "action.default", held)
        return bits

    def _unlifted(self, action: Action, side: int, given: Flags) -> Flags:
        return ~given if liftable(self.policy(side).actions[action]) else np.ones(len(given), bool)

    def default_of(self, action: Action, side: int, views: Mapping[int, View]) -> tuple[int, Flags]:
        """What the action's class makes of it under one policy, and where no permit lifts that. Nothing is counted."""
        variant, view = next((item, views[at]) for at, item in enumerate(self.variants(action)) if side in item.sides)
        given = np.zeros(view.size, bool)
        for asked in variant.permits.questions:
            if any(of == side for of, _ in asked.rules):
                given |= variant.permits.rows_of(asked, view)
        bits = variant.defaults.get(side, 0)
        return bits, self._unlifted(action, side, given) if bits else np.zeros(view.size, bool)

    def _given(self, variant: _Variant, side: int, view: View) -> Flags:
        """Where some permit of this side is certainly true."""
        given = np.zeros(view.size, bool)
        for asked in variant.permits.questions:
            ids = [rule for of, rule in asked.rules if of == side]
            if ids:
                true = variant.permits.rows_of(asked, view)
                given |= true
                for rule in ids:
                    self._count(side, rule, true)
        return given

    def _count(self, side: int, rule: str, rows: Flags) -> None:
        self.fired[side, rule] = self.fired.get((side, rule), 0) + int(np.count_nonzero(rows))

    def _reached(self, result: ActionResult, held: Bits) -> ActionResult:
        """With the findings about the case that stop the action too."""
        mask = 0
        for variant in self.variants(result.group.action):
            mask |= variant.mask
        reaching = held[result.rows] & np.uint8(mask)
        return ActionResult(result.group, result.places, result.rows, result.bits | reaching, result.free | reaching)

    # --- actions as the policies have them ---

    def variants(self, action: Action) -> tuple[_Variant, ...]:
        if action not in self._variants:
            old, new = (_shape(self.policy(side).actions.get(action)) for side in SIDES)
            groups = [SIDES] if old == new else [(OLD,), (NEW,)]
            self._variants[action] = tuple(self._variant(action, sides) for sides in groups)
        return self._variants[action]

    def _variant(self, action: Action, sides: tuple[int, ...]) -> _Variant:
        rules, permits, findings, budgets = Questions(), Questions(), Questions(), Questions()
        defaults, mask = {}, 0
        for side in sides:
            policy = self.policy(side)
            entry = policy.actions.get(action)
            mask |= _reach(entry) << side
            ask_action_findings(findings, side, policy, action)
            if entry is None:
                continue
            ask_action_rules(rules, side, policy, entry)
            ask_permits(permits, side, policy, entry)
            defaults[side] = BITS_OF[entry.default]
            self._ask_budgets(budgets, side, entry)
        risk_class, money = _shape(self.policy(sides[0]).actions.get(action))
        plans = [plan_of(item) for item in (rules, permits, findings, budgets)]
        return _Variant(action, sides, risk_class, money, mask, plans[0], plans[1], plans[2], defaults, plans[3])

    def _ask_budgets(self, questions: Questions, side: int, entry: ActionPolicy) -> None:
        budgets = self._budgets[side]
        key = budgets.key_for(entry)
        if key is not None:
            questions.rows(side, "action.budget", STOP, key, lambda view: budgets.exhausted(view, entry))


def _shape(entry: ActionPolicy | None) -> tuple[RiskClass | None, str | None]:
    return (None, None) if entry is None else (entry.risk_class, entry.money)


def _reach(entry: ActionPolicy | None) -> int:
    """Which findings about the case stop the action too."""
    if entry is not None and entry.risk_class is RiskClass.R0:
        return 0
    return STOP | BLOCK if entry is not None and entry.protective else PAUSE | STOP | BLOCK


def _spread(bits: Bits, size: int, rows: Rows | None) -> Bits:
    if rows is None:
        return bits
    spread = np.zeros(size, np.uint8)
    spread[rows] = bits
    return spread


# --- what an action says ---


def action_view(segment: Segment, group: ActionRows, places: Rows | None, risk_class: RiskClass | None, money: str | None) -> View:
    """These actions of the group, with `action.*` and `actor.*`."""
    said: dict[str, Any] = {
        "action.name": group.action.value,
        "action.class": UNKNOWN if risk_class is None else risk_class.value,
        "actor.kind": AGENT.kind.value,
        "actor.roles": frozenset(AGENT.roles),
    }
    amounts = amounts_of(segment, group, money)
    if amounts is None:
        said["action.amount"] = UNKNOWN
    view = View(segment, group.rows.astype(np.intp), said, amounts, _together(segment, group, money, amounts))
    return view if places is None else view.only(places)


def _together(segment: Segment, group: ActionRows, money: str | None, amounts: Numbers | None) -> Numbers | None:
    """The amounts of all actions of this name in each ruling; unknown where one is, or where they are of several currencies."""
    alike = [item for item in segment.actions if item.action is group.action]
    if amounts is None or len(alike) == 1:
        return amounts
    total = np.zeros(segment.size, np.int64)
    currency = np.zeros(segment.size, np.int64)
    certain = np.ones(segment.size, bool)
    for item in alike:
        part = amounts if item is group else amounts_of(segment, item, money)
        if part is None:
            return None
        if item.nth == 0:
            currency[item.rows] = part.currencies
        certain[item.rows] &= (part.states == State.USABLE) & (currency[item.rows] == part.currencies)
        total[item.rows] += part.numbers
    rows = group.rows
    states = np.where(certain[rows], np.uint8(State.USABLE), np.uint8(State.EMPTY))
    return Numbers(states, total[rows], currency[rows], amounts.listed)
