"""What an overlay says of actions: a higher class, a stricter default, more confidence, evidence and facts, no protection."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from guardrails.policy.overlaid_tables import overlay_confidence, overlay_evidence
from guardrails.policy.reader import Table
from guardrails.policy.sections import MONEY_FIELDS, check_action
from guardrails.policy.tables import OWN_ARGUMENT, ActionPolicy, Policy, Rule
from guardrails.taxonomy import Action, RiskClass, Team, Verdict

_KEYS = ["class", "default", "min_confidence", "evidence", "facts", "protective", "team", "money", "four_eyes_above"]
_ONLY_ADDED = ("team", "money", "four_eyes_above")


def overlay_actions(table: Table, policy: Policy) -> Mapping[Action, ActionPolicy]:
    table.expect([], [action.value for action in policy.actions], "action")
    changed = dict(policy.actions)
    for action, base in policy.actions.items():
        if action.value in table.values:
            entry = table.table(action.value).expect([], _KEYS)
            changed[action] = _stricter(entry, base, policy)
            check_action(changed[action], entry)
    return MappingProxyType(changed)


def _stricter(entry: Table, base: ActionPolicy, policy: Policy) -> ActionPolicy:
    reader = entry.reader
    _check_added(entry, base, policy)
    return replace(
        base,
        risk_class=_class(entry, base, policy),
        default=_default(entry, base.default),
        min_confidence=overlay_confidence(entry, base.min_confidence),
        evidence=overlay_evidence(entry, base.evidence),
        facts=_facts(entry, base.facts, policy),
        protective=_protective(entry, base.protective),
        team=base.team or entry.get("team", lambda node: reader.member(node, Team, "team"), None),
        money=base.money
        or entry.get("money", lambda node: reader.one_of(node, [OWN_ARGUMENT, *MONEY_FIELDS], "money field"), None),
        four_eyes_above=base.four_eyes_above
        or entry.get("four_eyes_above", lambda node: reader.one_of(node, policy.limits, "limit"), None),
    )


def _check_added(entry: Table, base: ActionPolicy, policy: Policy) -> None:
    """What an action has it keeps: another team's budget or another limit could hold less."""
    there = {"team": base.team, "money": base.money, "four_eyes_above": base.four_eyes_above}
    for key in _ONLY_ADDED:
        if key in entry.values and there[key] is not None:
            entry.reader.say(entry.values[key], f"the base has {there[key]}, and an overlay cannot change it")
    readers = [rule.id for rule in policy.rules if "action.amount" in rule.line.condition.fields]
    if "money" in entry.values and base.money is None and readers:
        entry.reader.say(entry.values["money"], f"an amount that is known could silence {', '.join(readers)}")
    if "money" in entry.values and base.money is None and base.four_eyes_above is not None:
        told = "the base asks for two people whatever the amount, and an amount that is known could let one decide"
        entry.reader.say(entry.values["money"], told)


def _class(entry: Table, base: ActionPolicy, policy: Policy) -> RiskClass:
    wanted = entry.member("class", RiskClass, "risk class", base.risk_class)
    if wanted == base.risk_class:
        return wanted
    node, say = entry.values["class"], entry.reader.say
    if wanted < base.risk_class:
        say(node, f"the base has {base.risk_class}; an overlay may only raise it")
        return base.risk_class
    for rule in policy.rules:
        if _loses(rule, base.risk_class, wanted):
            say(node, f"{rule.id} is about {base.risk_class} actions and would no longer hold {base.action}")
        if "action.class" in rule.line.condition.fields:
            say(node, f"{rule.id} reads the class, so raising it could loosen the policy")
    for role, classes in policy.permissions.classes.items():
        if wanted in classes and base.risk_class not in classes:
            say(node, f"{role} may decide about {wanted} and not about {base.risk_class}, and would win {base.action}")
    return wanted


def _loses(rule: Rule, old: RiskClass, new: RiskClass) -> bool:
    """A rule that holds would not follow the action into its new class, or a permit would."""
    if rule.about_case:
        return False
    if rule.effect is Verdict.AUTOMATE:
        return new in rule.classes and old not in rule.classes
    return old in rule.classes and new not in rule.classes


def _default(entry: Table, base: Verdict) -> Verdict:
    wanted = entry.member("default", Verdict, "verdict", base)
    if wanted.strictness < base.strictness:
        entry.reader.say(entry.values["default"], f"the base has {base}; an overlay may only make it stricter")
        return base
    return wanted


def _facts(entry: Table, base: tuple[str, ...], policy: Policy) -> tuple[str, ...]:
    if "facts" not in entry.values:
        return base
    named = [entry.reader.one_of(item, policy.freshness, "freshness kind") for item in entry.items("facts")]
    missing = [kind for kind in base if kind not in named]
    if missing:
        told = f"the base has [{', '.join(base)}], and {', '.join(missing)} is missing; an overlay may only add kinds"
        entry.reader.say(entry.values["facts"], told)
    return tuple(dict.fromkeys([*base, *(kind for kind in named if kind is not None)]))


def _protective(entry: Table, base: bool) -> bool:
    wanted = entry.get("protective", entry.reader.flag, base)
    if wanted and not base:
        entry.reader.say(entry.values["protective"], "the base has false; an overlay may only take protection away")
    return wanted and base
