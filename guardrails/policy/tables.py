"""The policy once it is loaded: frozen tables and compiled conditions. Numbers come from the file; here are only shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from guardrails.facts import sha256_of
from guardrails.money import Money
from guardrails.policy.language import Condition
from guardrails.taxonomy import Action, Category, PrincipalKind, Reason, RiskClass, Team, Verdict

SCHEMA = "ordermend/policy/v1"

ROLES = ("reviewer", "senior_reviewer", "lead", "operations", "admin")

RECORD_BASED = (
    Reason.HIGH_VALUE_ORDER,
    Reason.FRAUD_REVIEW,
    Reason.FAILED_PAYMENT_CAPTURE,
    Reason.UNAVAILABLE_INVENTORY,
    Reason.ADDRESS_RISK,
    Reason.CARRIER_CONFLICT,
    Reason.PAYMENT_DISPUTE,
    Reason.SOURCE_CONFLICT,
    Reason.UNTRUSTED_INSTRUCTIONS,
)
"""The reasons that every policy must keep: they are judged from records, and no file may drop them."""

RAISED_BY_GATE = (
    Reason.STALE_FACTS,
    Reason.LOW_CONFIDENCE,
    Reason.UNGROUNDED_EVIDENCE,
    Reason.IRREVERSIBLE_ACTION,
    Reason.BUDGET_EXHAUSTED,
)
"""The reasons that follow from the action tables; they have no lines of their own under `mandatory`."""

_R0 = "refetch_facts add_note add_tag link_cases assign_owner notify_owner open_ticket"
_R1 = "hold_fulfilment release_own_hold snooze_case resubmit_fulfilment"
_R2 = "message_customer send_payment_link normalise_address reroute_fulfilment void_label approve_payment_review"

LEAST_CLASS: Mapping[Action, RiskClass] = MappingProxyType(
    {action: RiskClass.R3 for action in Action}
    | {Action(name): RiskClass.R0 for name in _R0.split()}
    | {Action(name): RiskClass.R1 for name in _R1.split()}
    | {Action(name): RiskClass.R2 for name in _R2.split()}
)
"""The taxonomy's risk class of each action. A file may raise it and never lower it."""

OWN_ARGUMENT = "argument"
"""`money: argument`: the amount at stake is the action's own `amount` argument."""


class WhenUnknown(StrEnum):
    """What a condition's UNKNOWN means: a finding, or (for what nobody ever mentioned) silence."""

    FIRE = "fire"
    QUIET = "quiet"


class Mode(StrEnum):
    ENFORCE = "enforce"
    SHADOW = "shadow"
    """Evaluated and recorded, not applied."""


class Protective(StrEnum):
    """Whether protective actions go on while this reason holds the case."""

    RUN = "run"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Freshness:
    """One kind of fact. `covers` are exact names, or prefixes that end in a dot; of `one_of` at least one must be known and
    younger than `max_age`."""

    kind: str
    covers: tuple[str, ...]
    one_of: tuple[str, ...]
    max_age: timedelta

    def covers_field(self, name: str) -> bool:
        return any(name == item or (item.endswith(".") and name.startswith(item)) for item in self.covers)


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """What the policy says of one action. `min_confidence` is in basis points, `evidence` a count of distinct facts,
    `facts` names freshness kinds, `money` is None, `argument` or a field, `four_eyes_above` a limit or None."""

    action: Action
    risk_class: RiskClass
    reversible: bool
    undo: str
    scopes: tuple[str, ...]
    expected_outcome: str
    default: Verdict
    min_confidence: int = 0
    evidence: int = 0
    facts: tuple[str, ...] = ()
    protective: bool = False
    money: str | None = None
    four_eyes_above: str | None = None
    team: Team | None = None
    """Whose budget it takes from; every action above R0 has one."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may happen without a person in one clock hour. `key` is a team, or `team/action`; an empty `spend` counts no money."""

    key: str
    count: int
    spend: Mapping[str, Money] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CasePolicy:
    """When an interpretation is good enough for its case to count as settled."""

    min_confidence: int
    evidence: int


@dataclass(frozen=True, slots=True)
class Line:
    """One condition with the sentence it stands for. `because` holds `{field}` and `{limit.name}` slots; `at` is `file:line`."""

    condition: Condition
    because: str
    when_unknown: WhenUnknown
    at: str


@dataclass(frozen=True, slots=True)
class MandatoryPolicy:
    reason: Reason
    owner: Team
    categories: frozenset[Category]
    lines: tuple[Line, ...]
    protective: Protective


@dataclass(frozen=True, slots=True)
class Rule:
    """A free rule. About the case when it reads nothing of the action or the actor, else about each action of `classes`.

    One whose effect is `automate` is a permit: certainly true, it lifts the review that an R1 or R2 action has by default, and
    nothing else."""

    id: str
    effect: Verdict
    line: Line
    owner: Team
    until: str | None
    reason: Reason | None
    mode: Mode
    classes: frozenset[RiskClass]

    @property
    def about_case(self) -> bool:
        about_action = any(name.startswith(("action.", "actor.")) for name in self.line.condition.fields)
        return self.effect is not Verdict.AUTOMATE and not about_action


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may ask for what: actions by principal kind, risk classes by a person's role."""

    actions: Mapping[PrincipalKind, frozenset[Action]]
    classes: Mapping[str, frozenset[RiskClass]]

    def allows(self, kind: PrincipalKind, roles: frozenset[str], action: Action, risk_class: RiskClass) -> bool:
        if kind is PrincipalKind.PERSON:
            return any(risk_class in self.classes.get(role, frozenset()) for role in roles)
        return action in self.actions.get(kind, frozenset())


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """The policy in force. `sha256` is over the canonical form of what it says, so comments and layout do not count."""

    name: str
    version: str
    limits: Mapping[str, Mapping[str, Money]]
    freshness: Mapping[str, Freshness]
    case: CasePolicy
    actions: Mapping[Action, ActionPolicy]
    permissions: Permissions
    mandatory: Mapping[Reason, MandatoryPolicy]
    rules: tuple[Rule, ...]
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    """By key."""
    sha256: str = ""

    def budgets_of(self, entry: ActionPolicy) -> tuple[Budget, ...]:
        """Those that the action takes from when it runs without a person."""
        if entry.team is None or entry.risk_class is RiskClass.R0:
            return ()
        keys = (str.__str__(entry.team), f"{str.__str__(entry.team)}/{str.__str__(entry.action)}")
        return tuple([self.budgets[key] for key in keys if key in self.budgets])

    def document(self) -> dict[str, Any]:
        """The whole policy as plain JSON: money in minor units, confidence in basis points, ages in seconds."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "limits": {
                name: {code: {"amount": money.amount, "currency": money.currency} for code, money in sorted(table.items())}
                for name, table in self.limits.items()
            },
            "freshness": {
                kind: {"covers": list(f.covers), "one_of": list(f.one_of), "max_age_s": int(f.max_age.total_seconds())}
                for kind, f in self.freshness.items()
            },
            "case": {"min_confidence": self.case.min_confidence, "evidence": {"count": self.case.evidence}},
            "actions": {action.value: _plain_action(item) for action, item in self.actions.items()},
            "permissions": {
                **{kind.value: {"actions": sorted(allowed)} for kind, allowed in self.permissions.actions.items()},
                **{role: {"classes": sorted(allowed)} for role, allowed in self.permissions.classes.items()},
            },
            "budgets": {
                key: {
                    "count": item.count,
                    "spend": {code: {"amount": m.amount, "currency": m.currency} for code, m in sorted(item.spend.items())},
                }
                for key, item in sorted(self.budgets.items())
            },
            "mandatory": {reason.value: _plain_mandatory(item) for reason, item in self.mandatory.items()},
            "rules": [_plain_rule(rule) for rule in sorted(self.rules, key=lambda rule: rule.id)],
        }


def digest_of(policy: Policy) -> str:
    """sha256 of the policy's canonical form."""
    return sha256_of(policy.document())


def _plain_action(item: ActionPolicy) -> dict[str, Any]:
    return {
        "class": item.risk_class.value,
        "reversible": item.reversible,
        "undo": item.undo,
        "scopes": list(item.scopes),
        "expected_outcome": item.expected_outcome,
        "default": item.default.value,
        "min_confidence": item.min_confidence,
        "evidence": {"count": item.evidence},
        "facts": list(item.facts),
        "protective": item.protective,
        "money": item.money,
        "four_eyes_above": item.four_eyes_above,
        "team": item.team.value if item.team else None,
    }


def _plain_line(line: Line) -> dict[str, Any]:
    return {"when": line.condition.text, "because": line.because, "when_unknown": line.when_unknown.value}


def _plain_mandatory(item: MandatoryPolicy) -> dict[str, Any]:
    return {
        "owner": item.owner.value,
        "categories": sorted(item.categories),
        "protective": item.protective.value,
        "conditions": [_plain_line(line) for line in item.lines],
    }


def _plain_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "effect": rule.effect.value,
        "owner": rule.owner.value,
        "until": rule.until,
        "reason": rule.reason.value if rule.reason else None,
        "mode": rule.mode.value,
        "classes": sorted(rule.classes),
        **_plain_line(rule.line),
    }
