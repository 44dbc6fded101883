"""A policy made ready to rule by: its lines as one function per reach, and what each line is called when it fires."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from guardrails.augment import ABOUT_ACTION
from guardrails.facts import Facts
from guardrails.policy.generated import Masks, generate_outcomes
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.tables import ActionPolicy, Budget, Line, MandatoryPolicy, Policy, Rule
from guardrails.ruling import Outcome
from guardrails.taxonomy import Action, Reason, RiskClass, Verdict

NO_ACTION = "case.action-proposed"
FOUR_EYES = "action.four-eyes"
CASE_RULES = ("switch.source", "case.detectors", "case.confidence", "case.evidence", NO_ACTION)
ACTION_RULES = ("action.switch", "action.permission", "action.default")
ABOVE_R0_RULES = ("action.confidence", "action.evidence", "action.budget", "action.approvers")
"""What the tables ask by themselves."""

_POLICIES = 8
"""How many policies are kept ready: the one in force, one in shadow, and those that somebody simulates."""


@dataclass(frozen=True, slots=True)
class MandatoryLine:
    """One condition of a mandatory reason. `bit` is its place among the lines about the case."""

    bit: int
    name: str
    line: Line
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadyRule:
    bit: int
    rule: Rule
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that are asked together. `wanted` are the fields about the action and the actor that they read."""

    outcomes: Callable[[Facts], Masks]
    rules: tuple[ReadyRule, ...]
    wanted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReadyReason:
    """One mandatory reason: `bits` are those of its lines, `category` what its rule about categories is called."""

    reason: Reason
    entry: MandatoryPolicy
    category: str
    categories: frozenset[str]
    bits: int
    lines: tuple[MandatoryLine, ...]


@dataclass(frozen=True, slots=True)
class ReadyPolicy:
    """`case` holds the mandatory lines, by reason, and the rules about the case; `actions` the other rules, by risk class; `permits`
    what lifts a default review. `about_case` and `about_action` name every rule that is looked at."""

    mandatory: tuple[ReadyReason, ...]
    case: Lines
    actions: Mapping[RiskClass, Lines]
    permits: Mapping[RiskClass, tuple[ReadyRule, ...]]
    about_case: tuple[str, ...]
    about_action: Mapping[Action, tuple[str, ...]]
    budgets: Mapping[Action, tuple[Budget, ...]]


@lru_cache(maxsize=_POLICIES)
def ready(policy: Policy) -> ReadyPolicy:
    """The policy, compiled once. Two policies are never the same one, whatever they say."""
    lines: list[Line] = []
    mandatory = tuple(_reason(reason, entry, lines) for reason, entry in policy.mandatory.items())
    rules = [rule for rule in policy.rules if rule.about_case]
    case = Lines(_asking([*lines, *(rule.line for rule in rules)]), _numbered(rules, len(lines)))
    others = {level: [rule for rule in policy.rules if not rule.about_case and level in rule.classes] for level in RiskClass}
    by_reason = [
        name for item in mandatory for name in ([item.category] * bool(item.categories) + [line.name for line in item.lines])
    ]
    return ReadyPolicy(
        mandatory=mandatory,
        case=case,
        actions=_about_actions(others),
        permits={
            level: _numbered([rule for rule in rules if rule.effect is Verdict.AUTOMATE], 0) for level, rules in others.items()
        },
        about_case=(*by_reason, *(rule.id for rule in rules), *CASE_RULES),
        about_action={
            action: (*ACTION_RULES, *(rule.id for rule in others[entry.risk_class]), *_rules_above_r0(entry))
            for action, entry in policy.actions.items()
        },
        budgets={action: policy.budgets_of(entry) for action, entry in policy.actions.items()},
    )


def _reason(reason: Reason, entry: MandatoryPolicy, lines: list[Line]) -> ReadyReason:
    named = []
    for number, line in enumerate(entry.lines, start=1):
        named.append(MandatoryLine(1 << len(lines), f"mandatory.{reason}.{number}", line, tuple(sorted(line.condition.fields))))
        lines.append(line)
    bits = sum(line.bit for line in named)
    categories = frozenset(category.value for category in entry.categories)
    return ReadyReason(reason, entry, f"mandatory.{reason}.category", categories, bits, tuple(named))


def _rules_above_r0(entry: ActionPolicy) -> tuple[str, ...]:
    if entry.risk_class is RiskClass.R0:
        return ()
    kinds = [name for kind in entry.facts for name in (f"action.facts.{kind}", f"action.conflict.{kind}")]
    return (*ABOVE_R0_RULES, *kinds, *([FOUR_EYES] if entry.four_eyes_above is not None else []))


def _about_actions(by_class: Mapping[RiskClass, Sequence[Rule]]) -> Mapping[RiskClass, Lines]:
    """Classes with the same rules, as most have, share what is made of them."""
    made: dict[tuple[str, ...], Lines] = {}
    for rules in by_class.values():
        ids = tuple(rule.id for rule in rules)
        made[ids] = made.get(ids) or _about_action(rules)
    return {level: made[tuple(rule.id for rule in rules)] for level, rules in by_class.items()}


def _about_action(rules: Sequence[Rule]) -> Lines:
    held = [rule for rule in rules if rule.effect is not Verdict.AUTOMATE]
    wanted = ABOUT_ACTION.intersection(name for rule in rules for name in rule.line.condition.fields)
    return Lines(_asking([rule.line for rule in held]), _numbered(held, 0), wanted)


def _numbered(rules: Sequence[Rule], first: int) -> tuple[ReadyRule, ...]:
    return tuple(ReadyRule(1 << at, rule, tuple(sorted(rule.line.condition.fields))) for at, rule in enumerate(rules, start=first))


def _asking(lines: Sequence[Line]) -> Callable[[Facts], Masks]:
    """Generated code; closures where a condition was not written in the language."""
    if all(line.condition.tree is not None for line in lines):
        return generate_outcomes(lines)
    return lambda facts: _by_closures(lines, facts)


def _by_closures(lines: Sequence[Line], facts: Facts) -> Masks:
    outcomes = [outcome_of(line, facts) for line in lines]
    fired = sum(1 << at for at, outcome in enumerate(outcomes) if outcome is not Outcome.NOT_FIRED)
    return fired, sum(1 << at for at, outcome in enumerate(outcomes) if outcome is Outcome.FIRED_UNKNOWN)
