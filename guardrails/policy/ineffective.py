"""Lines of a policy that can change nothing: what never fires, always fires, or only where a stricter line fires anyway.

Found by looking at every situation that the conditions can tell apart; where those are too many nothing is said. A remark is no
mistake: the policy rules as it stands.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

from guardrails.facts import Facts
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.situations import Undecided, situations
from guardrails.policy.tables import ActionPolicy, Line, Mode, Policy, Rule
from guardrails.ruling import Outcome
from guardrails.taxonomy import Truth, Verdict

_EITHER = 2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Remark:
    """`at` is the line it is about, as `file:line`."""

    at: str
    message: str

    def __str__(self) -> str:
        return f"{self.at}: remark: {self.message}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A line with its name and the actions it is asked about."""

    name: str
    line: Line
    effect: Verdict
    actions: tuple[ActionPolicy, ...]

    def fires(self, facts: Facts) -> bool:
        if self.effect is Verdict.AUTOMATE:
            return self.line.condition.evaluate(facts) is Truth.TRUE
        return outcome_of(self.line, facts) is not Outcome.NOT_FIRED


def remarks_on(policy: Policy) -> tuple[Remark, ...]:
    """Every line that can change nothing, as far as that can be decided, in the order of the file."""
    every_action = tuple(policy.actions.values())
    found: list[Remark] = []
    for reason, entry in policy.mandatory.items():
        lines = [
            _Asked(f"mandatory.{reason}.{number}", line, Verdict.REVIEW, every_action) for number, line in enumerate(entry.lines, 1)
        ]
        found += [*_alone(lines), *_beside(lines, lambda _inner, _outer: True)]
    rules = [rule for rule in policy.rules if rule.mode is Mode.ENFORCE]
    asked = {rule.id: _asked(rule, every_action) for rule in policy.rules}
    found += _alone(list(asked.values()))
    by_id = {rule.id: rule for rule in policy.rules}
    found += _beside([asked[rule.id] for rule in rules], lambda inner, outer: _covers(by_id[outer.name], by_id[inner.name]))
    found += _idle_trials(policy, asked)
    return tuple(sorted(dict.fromkeys(found), key=_place))


def _place(remark: Remark) -> tuple[str, int, str]:
    file, _, line = remark.at.rpartition(":")
    return file, int(line) if line.isdigit() else 0, remark.message


def _asked(rule: Rule, actions: Sequence[ActionPolicy]) -> _Asked:
    return _Asked(rule.id, rule.line, rule.effect, tuple(entry for entry in actions if entry.risk_class in rule.classes))


def _covers(outer: Rule, inner: Rule) -> bool:
    """Where both fire, the outer one leaves nothing for the inner one to do."""
    if (outer.effect is Verdict.AUTOMATE) != (inner.effect is Verdict.AUTOMATE) or outer.about_case != inner.about_case:
        return False
    same_reason = inner.reason is None or inner.reason == outer.reason
    return same_reason and outer.effect.strictness >= inner.effect.strictness and inner.classes <= outer.classes


def _alone(lines: Sequence[_Asked]) -> Iterator[Remark]:
    for asked in lines:
        answers = _answers([asked], asked.fires)
        if answers is None or len(answers) == _EITHER:
            continue
        if True in answers:
            yield Remark(asked.line.at, f"{asked.name} fires whatever is the case")
        elif asked.effect is Verdict.AUTOMATE:
            yield Remark(asked.line.at, f"{asked.name} is never certainly true, so it permits nothing")
        else:
            yield Remark(asked.line.at, f"{asked.name} never fires")


def _beside(lines: Sequence[_Asked], covers: Callable[[_Asked, _Asked], bool]) -> Iterator[Remark]:
    """Lines that fire only where another does. Of two that say the same, the later one."""
    told: set[str] = set()
    for inner, outer in permutations(lines[::-1], 2):
        shared = inner.line.condition.fields & outer.line.condition.fields
        if not shared or {inner.name, outer.name} & told or not covers(inner, outer):
            continue
        if _implies(inner, outer):
            told.add(inner.name)
            yield Remark(inner.line.at, f"{inner.name} fires only where {outer.name} fires too, so it changes nothing")


def _idle_trials(policy: Policy, asked: dict[str, _Asked]) -> Iterator[Remark]:
    """Rules in shadow that say what a rule in force says already."""
    for trial in (rule for rule in policy.rules if rule.mode is Mode.SHADOW):
        for rule in policy.rules:
            same_kind = rule.effect is trial.effect and rule.classes == trial.classes and rule.about_case == trial.about_case
            if rule.mode is Mode.SHADOW or not same_kind or rule.line.condition.fields != trial.line.condition.fields:
                continue
            if _implies(asked[trial.id], asked[rule.id]) and _implies(asked[rule.id], asked[trial.id]):
                yield Remark(trial.line.at, f"{trial.id} is in shadow and says what {rule.id} does already")


def _implies(inner: _Asked, outer: _Asked) -> bool:
    """Certainly, and not only because the inner one never fires."""
    answers = _answers([inner, outer], lambda facts: (inner.fires(facts), outer.fires(facts)))
    return answers is not None and (True, False) not in answers and (True, True) in answers and (False, False) in answers


def _answers(lines: Sequence[_Asked], ask: Callable[[Facts], _T]) -> set[_T] | None:
    """What the question comes to over all situations; None where they cannot be listed."""
    try:
        return {ask(facts) for facts in situations([one.line.condition for one in lines], lines[0].actions)}
    except Undecided:
        return None
