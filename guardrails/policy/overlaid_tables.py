"""What an overlay says in the tables: limits, freshness, the case, budgets and permissions. Each value may only get stricter."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import yaml

from guardrails.money import Money
from guardrails.policy.hourly import read_action_budgets, read_budget
from guardrails.policy.reader import Table
from guardrails.policy.sections import read_amounts
from guardrails.policy.tables import ROLES, ActionPolicy, Budget, CasePolicy, Freshness, Permissions, Policy
from guardrails.taxonomy import Action, PrincipalKind, RiskClass
from guardrails.wording import confidence_in_words, duration_in_words

Amounts = Mapping[str, Money]


def overlay_limits(table: Table, base: Mapping[str, Amounts]) -> Mapping[str, Amounts]:
    """`{high_value: {USD: 300.00, KWD: none}}`: lower amounts, or no limit any more, which makes the currency unknown."""
    table.expect([], base, "limit")
    changed = {name: _lower(table.table(name), base[name]) for name in table.keys if name in base}
    return MappingProxyType({**base, **changed})


def _lower(table: Table, base: Amounts) -> Amounts:
    dropped = {code for code, node in table.values.items() if _is_none(node)}
    kept = {code: node for code, node in table.values.items() if code not in dropped}
    amounts = read_amounts(Table(table.reader, table.node, table.keys, kept, table.hollow)) if kept else {}
    for code in table.keys:
        if code not in base:
            table.reader.say(table.keys[code], f"the base has no {code}, and so a person decides; an overlay cannot add it")
        elif code in amounts and amounts[code].amount > base[code].amount:
            table.reader.say(table.values[code], f"the base has {base[code]}; an overlay may only lower it")
    return MappingProxyType({code: money for code, money in {**base, **amounts}.items() if code not in dropped})


def _is_none(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value == "none"


def overlay_freshness(table: Table, base: Mapping[str, Freshness]) -> Mapping[str, Freshness]:
    """`{payment: 1h}`: shorter ages."""
    table.expect([], base, "freshness kind")
    changed = dict(base)
    for kind, node in table.values.items():
        if kind not in base:
            continue
        age = table.reader.duration(node)
        if age > base[kind].max_age:
            table.reader.say(node, f"the base has {duration_in_words(base[kind].max_age)}; an overlay may only shorten it")
        changed[kind] = replace(base[kind], max_age=min(age, base[kind].max_age, key=timedelta.total_seconds))
    return MappingProxyType(changed)


def overlay_case(table: Table, base: CasePolicy) -> CasePolicy:
    table.expect([], ["min_confidence", "evidence"])
    return CasePolicy(overlay_confidence(table, base.min_confidence), overlay_evidence(table, base.evidence))


def overlay_confidence(entry: Table, base: int) -> int:
    """The higher confidence in basis points."""
    wanted = entry.get("min_confidence", entry.reader.basis_points, base)
    if wanted < base:
        told = f"the base has {confidence_in_words(base)}; an overlay may only raise it"
        entry.reader.say(entry.values["min_confidence"], told)
    return max(wanted, base)


def overlay_evidence(entry: Table, base: int) -> int:
    """The higher count of cited facts."""
    if "evidence" not in entry.values:
        return base
    inner = entry.table("evidence").expect(["count"])
    wanted = inner.get("count", entry.reader.count, base)
    if wanted < base:
        entry.reader.say(inner.values["count"], f"the base has {base}; an overlay may only raise it")
    return max(wanted, base)


# --- budgets ---


def overlay_budgets(table: Table, policy: Policy, actions: Mapping[Action, ActionPolicy]) -> Mapping[str, Budget]:
    """Smaller budgets, and budgets for single actions that had none."""
    teams = {key.split("/")[0] for key in policy.budgets} | {e.team.value for e in actions.values() if e.team}
    table.expect([], teams, "team")
    budgets = dict(policy.budgets)
    for team, node in table.values.items():
        entry = table.reader.table(node).expect([], ["count", "spend", "actions"])
        if not {"count", "spend"}.isdisjoint(entry.keys):
            budgets[team] = _smaller(team, entry, policy.budgets.get(team))
        inner = entry.table("actions")
        added = {name: item for name, item in inner.values.items() if f"{team}/{name}" not in policy.budgets}
        budgets |= read_action_budgets(team, Table(table.reader, inner.node, inner.keys, added, inner.hollow), actions)
        for name in inner.values.keys() - added.keys():
            key = f"{team}/{name}"
            smaller = table.reader.table(inner.values[name]).expect([], ["count", "spend"])
            budgets[key] = _smaller(key, smaller, policy.budgets[key])
    _check_covered(table, budgets, actions)
    return MappingProxyType(budgets)


def _check_covered(table: Table, budgets: Mapping[str, Budget], actions: Mapping[Action, ActionPolicy]) -> None:
    for action, entry in actions.items():
        if entry.risk_class is not RiskClass.R0 and entry.team is not None and entry.team.value not in budgets:
            table.reader.say(table.node, f"team {entry.team.value!r} has no budget, and {action} takes from it")


def _smaller(key: str, entry: Table, base: Budget | None) -> Budget:
    if base is None:
        return read_budget(key, entry.expect(["count"], ["spend", "actions"]))
    count = entry.get("count", entry.reader.count, base.count)
    if count > base.count:
        entry.reader.say(entry.values["count"], f"the base has {base.count}; an overlay may only lower it")
    if "spend" not in entry.values:
        spend = base.spend
    elif base.spend:
        spend = _lower(entry.table("spend"), base.spend)
        if not spend:
            entry.reader.say(entry.values["spend"], "without any amount money would not be counted; keep one currency")
    else:
        spend = MappingProxyType(read_amounts(entry.table("spend")))
    return Budget(key, min(count, base.count), spend)


# --- permissions ---


def overlay_permissions(table: Table, base: Permissions) -> Permissions:
    """Shorter lists of what each may ask for."""
    kinds = {kind.value: kind for kind in (PrincipalKind.AGENT, PrincipalKind.SERVICE)}
    table.expect([], [*kinds, *ROLES], "principal or role")
    actions, classes = dict(base.actions), dict(base.classes)
    for name in table.values:
        if name in kinds:
            entry = table.table(name).expect(["actions"])
            wider = entry.members("actions", Action, "action") - base.actions[kinds[name]]
            _refuse_wider(entry, "actions", name, wider)
            actions[kinds[name]] = entry.members("actions", Action, "action") & base.actions[kinds[name]]
        elif name in ROLES:
            entry = table.table(name).expect(["classes"])
            more = entry.members("classes", RiskClass, "risk class") - base.classes[name]
            _refuse_wider(entry, "classes", name, more)
            classes[name] = entry.members("classes", RiskClass, "risk class") & base.classes[name]
    return Permissions(MappingProxyType(actions), MappingProxyType(classes))


def _refuse_wider(entry: Table, key: str, name: str, wider: frozenset[Action] | frozenset[RiskClass]) -> None:
    for item in entry.items(key):
        if entry.reader.raw(item) in {str(one) for one in wider}:
            entry.reader.say(item, f"the base does not let {name} ask for {entry.reader.raw(item)}; an overlay may only take away")
