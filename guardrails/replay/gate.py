"""The gate's own findings as questions: categories, confidence, evidence, switches, permissions, freshness, conflicts, money."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guardrails.augment import DETECTED
from guardrails.facts import CLOCK_SKEW
from guardrails.money import Money
from guardrails.policy.tables import OWN_ARGUMENT, ActionPolicy, Budget, Freshness, MandatoryPolicy, Mode, Policy, Protective
from guardrails.proposal import AGENT
from guardrails.ready import FOUR_EYES
from guardrails.replay.columns import State, microseconds
from guardrails.replay.questions import BLOCK, CASE, PAUSE, STOP, Questions
from guardrails.replay.segment_shapes import NO_TIME, ActionRows, Numbers
from guardrails.replay.segments import Segment
from guardrails.replay.view import CONFLICTS, OFF, SOURCES, Flags, View
from guardrails.standing import Standing
from guardrails.taxonomy import Action, RiskClass, Verdict

BITS_OF: Final = {Verdict.AUTOMATE: 0, Verdict.REVIEW: STOP, Verdict.BLOCK: BLOCK}

_SKEW: Final = -microseconds(CLOCK_SKEW)
_NEVER: Final = 2**62


# --- about the case ---


def ask_case_lines(questions: Questions, side: int, policy: Policy) -> None:
    """Mandatory reasons and the rules about the case."""
    for reason, entry in policy.mandatory.items():
        reach = PAUSE if entry.protective is Protective.RUN else STOP
        if entry.categories:
            _ask_category(questions, side, f"mandatory.{reason}.category", reach, entry)
        for number, line in enumerate(entry.lines, start=1):
            questions.line(side, f"mandatory.{reason}.{number}", reach, line)
    for rule in policy.rules:
        if rule.about_case and rule.mode is Mode.ENFORCE:
            questions.line(side, rule.id, BITS_OF[rule.effect], rule.line)


def _ask_category(questions: Questions, side: int, rule: str, reach: int, entry: MandatoryPolicy) -> None:
    names = frozenset(category.value for category in entry.categories)

    def fires(category: Any, detected: Any) -> bool:
        return category in names or (isinstance(detected, frozenset) and bool(detected & names))

    questions.values(side, rule, reach, ("case.category", DETECTED), names, fires)


def ask_case_findings(questions: Questions, side: int, policy: Policy) -> None:
    """What the gate finds beyond the policy's lines, but for a case without actions."""

    def distrusted(off: frozenset[str], sources: frozenset[str]) -> bool:
        standing = Standing({}, off)
        return any(standing.distrusts(source) for source in sources)

    questions.values(side, "switch.source", STOP, (OFF, SOURCES), "distrusted", distrusted)
    questions.values(side, "case.detectors", STOP, (DETECTED,), "seen", lambda detected: not isinstance(detected, frozenset))
    questions.least(side, "case.confidence", CASE, "case.confidence", policy.case.min_confidence)
    questions.least(side, "case.evidence", CASE, "case.grounded_evidence", policy.case.evidence)


# --- about one action ---


def ask_action_rules(questions: Questions, side: int, policy: Policy, entry: ActionPolicy) -> None:
    for rule in policy.rules:
        if (
            not rule.about_case
            and rule.mode is Mode.ENFORCE
            and entry.risk_class in rule.classes
            and rule.effect is not Verdict.AUTOMATE
        ):
            questions.line(side, rule.id, BITS_OF[rule.effect], rule.line)


def ask_permits(questions: Questions, side: int, policy: Policy, entry: ActionPolicy) -> None:
    """The permits for actions of this class."""
    for rule in policy.rules:
        if (
            not rule.about_case
            and rule.mode is Mode.ENFORCE
            and entry.risk_class in rule.classes
            and rule.effect is Verdict.AUTOMATE
        ):
            questions.truth(side, rule.id, rule.line)


def liftable(entry: ActionPolicy) -> bool:
    """Whether a permit lifts the action's default."""
    return entry.default is Verdict.REVIEW and entry.risk_class is not RiskClass.R3


def ask_action_findings(questions: Questions, side: int, policy: Policy, action: Action) -> None:
    """Permission, switch, confidence, evidence, freshness, conflicts and two people; the default and budgets stand apart."""
    entry = policy.actions.get(action)
    if entry is None:
        questions.always(side, "action.permission", BLOCK)
        return
    if not policy.permissions.allows(AGENT.kind, AGENT.roles, action, entry.risk_class):
        questions.always(side, "action.permission", BLOCK)
    questions.values(side, "action.switch", BLOCK, (OFF,), action, lambda off: Standing({}, off).stops(action) is not None)
    if entry.risk_class is RiskClass.R0:
        return
    questions.least(side, "action.confidence", STOP, "case.confidence", entry.min_confidence)
    questions.least(side, "action.evidence", STOP, "case.grounded_evidence", entry.evidence)
    for kind in entry.facts:
        _ask_facts(questions, side, entry, policy.freshness[kind])
    if entry.four_eyes_above is not None:
        limit = policy.limits[entry.four_eyes_above]
        key = (action, entry.money, tuple(sorted((code, money.amount) for code, money in limit.items())))
        questions.rows(side, FOUR_EYES, STOP, key, lambda view: _two_people(view, limit))


def _ask_facts(questions: Questions, side: int, entry: ActionPolicy, kind: Freshness) -> None:
    effect = STOP if entry.risk_class is RiskClass.R1 else BLOCK
    key = (kind.one_of, kind.max_age)
    questions.rows(side, f"action.facts.{kind.kind}", effect, key, lambda view: not_fresh(view, kind))

    def disputed(names: frozenset[str]) -> bool:
        return any(kind.covers_field(name) for name in names)

    questions.values(side, f"action.conflict.{kind.kind}", STOP, (CONFLICTS,), kind.covers, disputed)


def not_fresh(view: View, kind: Freshness) -> Flags:
    """Where none of the kind's facts is known, the newest statement is unknown or too old, or all that are known are stale."""
    known, all_stale = np.zeros(view.size, bool), np.ones(view.size, bool)
    newest = np.full(view.size, _NEVER, np.int64)
    newest_known = np.zeros(view.size, bool)
    for name in kind.one_of:
        states, distances = view.states(name), view.distances(name)
        stated, usable = states != State.ABSENT, states == State.USABLE
        newer = stated & (distances < newest)
        newest = np.where(newer, distances, newest)
        newest_known = np.where(newer, usable, newest_known)
        known |= usable
        stale = view.stale(name)
        all_stale &= ~usable if stale is None else (~usable | stale)
    allowed = microseconds(kind.max_age)
    fires: Flags = ~known | ~newest_known | (newest < _SKEW) | (newest > allowed) | (newest == NO_TIME) | (known & all_stale)
    return fires


# --- money ---


def amounts_of(segment: Segment, group: ActionRows, money: str | None) -> Numbers | None:
    """What each of these actions moves; None where the policy says that it moves nothing."""
    if money is None:
        return None
    if money == OWN_ARGUMENT:
        states = np.where(group.stated == 1, np.uint8(State.USABLE), np.uint8(State.EMPTY))
        return Numbers(states, group.amounts, group.currencies, group.listed)
    kept = View(segment, group.rows.astype(np.intp)).numbers(money)
    usable = (kept.states == State.USABLE) & (kept.numbers >= 0)
    return Numbers(np.where(usable, np.uint8(State.USABLE), np.uint8(State.EMPTY)), kept.numbers, kept.currencies, kept.listed)


def _two_people(view: View, limit: Mapping[str, Money]) -> Flags:
    """The agent alone is nobody who agreed: it fires unless all parts together are certainly within the limit."""
    total = view.together
    if total is None:
        return np.ones(view.size, bool)
    fires: Flags = (total.states != State.USABLE) | (total.numbers > _limits(total.listed, limit)[total.currencies])
    return fires


def _limits(listed: Collection[str], limit: Mapping[str, Money]) -> NDArray[np.int64]:
    """The limit of each currency; below nothing where there is none."""
    found = [limit.get(code) for code in listed]
    return np.array([-1 if item is None else min(item.amount, _NEVER) for item in found] or [-1], np.int64)


@dataclass(slots=True)
class Budgets:
    """Which budgets do not hold what the rulings of a segment claim, with what had been spent when they were recorded."""

    policy: Policy
    _segment: Segment | None = None
    _full: dict[str, Flags] = field(default_factory=dict)

    def key_for(self, entry: ActionPolicy) -> Any:
        """The same for two policies that count this action in the same way; None where they count it nowhere."""
        budgets = self.policy.budgets_of(entry)
        if not budgets:
            return None
        return tuple(
            (b.key, b.count, tuple(sorted((c, m.amount) for c, m in b.spend.items())), self._claimants(b)) for b in budgets
        )

    def _claimants(self, budget: Budget) -> tuple[tuple[Action, str | None], ...]:
        return tuple(
            (action, entry.money)
            for action, entry in sorted(self.policy.actions.items())
            if any(item.key == budget.key for item in self.policy.budgets_of(entry))
        )

    def exhausted(self, view: View, entry: ActionPolicy) -> Flags:
        """Where a budget of this action does not hold all that its proposal claims of it."""
        if self._segment is not view.segment:
            self._segment, self._full = view.segment, {}
        exhausted = np.zeros(view.size, bool)
        for budget in self.policy.budgets_of(entry):
            if budget.key not in self._full:
                self._full[budget.key] = self._not_held(view.segment, budget)
            exhausted |= view.picked(self._full[budget.key])
        return exhausted

    def _not_held(self, segment: Segment, budget: Budget) -> Flags:
        claimants = dict(self._claimants(budget))
        groups = [group for group in segment.actions if group.action in claimants]
        count = np.zeros(segment.size, np.int64)
        for group in groups:
            count[group.rows] += 1
        before = segment.spent(budget.key, "")
        full: Flags = (segment.spent_seen == 0) | (count + (0 if before is None else before) > budget.count)
        for code in budget.spend if any(claimants[group.action] is not None for group in groups) else ():
            full |= self._money_full(segment, budget, groups, claimants, code)
        return full

    def _money_full(
        self,
        segment: Segment,
        budget: Budget,
        groups: Collection[ActionRows],
        claimants: Mapping[Action, str | None],
        code: str,
    ) -> Flags:
        """Where the claims in this currency are too much, or some claim cannot be told or is in no currency of the budget."""
        needed, asked = np.zeros(segment.size, np.int64), np.zeros(segment.size, bool)
        untold = np.zeros(segment.size, bool)
        for group in groups:
            amounts = amounts_of(segment, group, claimants[group.action])
            if amounts is None:
                continue
            of_budget = np.array([item in budget.spend for item in amounts.listed] or [False])[amounts.currencies]
            of_code = np.array([item == code for item in amounts.listed] or [False])[amounts.currencies]
            usable = amounts.states == State.USABLE
            untold[group.rows] |= ~(usable & of_budget)
            needed[group.rows] += np.where(usable & of_code, amounts.numbers, 0)
            asked[group.rows] |= usable & of_code
        gone = segment.spent(budget.key, code)
        too_much: Flags = asked & (needed + (0 if gone is None else gone) > min(budget.spend[code].amount, _NEVER))
        return too_much | untold
