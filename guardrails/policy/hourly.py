"""The budgets of the policy file: how much each team may let happen in one hour without a person."""

from collections.abc import Mapping
from types import MappingProxyType

import yaml

from guardrails.policy.reader import Table
from guardrails.policy.sections import read_amounts
from guardrails.policy.tables import ActionPolicy, Budget
from guardrails.taxonomy import Action, RiskClass, Team


def read_budgets(table: Table, actions: Mapping[Action, ActionPolicy]) -> Mapping[str, Budget]:
    """By key, `team` and `team/action`. Whatever may happen above R0 is counted in its team's budget."""
    budgets: dict[str, Budget] = {}
    table.expect([], [team.value for team in Team], "team")
    for team, node in table.values.items():
        entry = table.reader.table(node).expect(["count"], ["spend", "actions"])
        budgets[team] = read_budget(team, entry)
        budgets |= read_action_budgets(team, entry.table("actions"), actions)
    if not table.hollow:
        _check_teams(table, budgets, actions)
    return MappingProxyType(budgets)


def read_action_budgets(team: str, table: Table, actions: Mapping[Action, ActionPolicy]) -> dict[str, Budget]:
    """The budgets of single actions of one team."""
    table.expect([], [item.value for item in Action], "action")
    budgets = {}
    for name, node in table.values.items():
        _check_owner(team, name, table.keys[name], table, actions)
        budgets[f"{team}/{name}"] = read_budget(f"{team}/{name}", table.reader.table(node).expect(["count"], ["spend"]))
    return budgets


def read_budget(key: str, entry: Table) -> Budget:
    spend = read_amounts(entry.table("spend")) if "spend" in entry.values else {}
    return Budget(key, entry.get("count", entry.reader.count, 0), MappingProxyType(spend))


def _check_owner(team: str, name: str, node: yaml.Node, table: Table, actions: Mapping[Action, ActionPolicy]) -> None:
    entry = actions.get(Action(name)) if name in set(Action) else None
    if entry is None:
        return
    if entry.risk_class is RiskClass.R0:
        table.reader.say(node, f"{name} is R0: it only reads or annotates, and no budget counts it")
    elif entry.team is not None and entry.team != team:
        table.reader.say(node, f"{name} belongs to {entry.team}; its budget stands there")


def _check_teams(table: Table, budgets: Mapping[str, Budget], actions: Mapping[Action, ActionPolicy]) -> None:
    owners = {entry.team: action for action, entry in actions.items() if entry.risk_class is not RiskClass.R0 and entry.team}
    for team in Team:
        if team in owners and team.value not in budgets:
            table.reader.say(table.node, f"team {team.value!r} has no budget, and {owners[team]} takes from it")
