"""The policy file, checked as a whole: all its mistakes at once as `file:line:col: message`, or a policy to rule by."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import yaml

from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE, FIELD_TYPES, Writer
from guardrails.policy.language import Scope, ValueType
from guardrails.policy.lines import LineReader, read_mandatory, read_rules
from guardrails.policy.reader import PolicyInvalid, Problem, Reader, Table, suggest
from guardrails.policy.tables import (
    LEAST_CLASS,
    OWN_ARGUMENT,
    ROLES,
    SCHEMA,
    ActionPolicy,
    CasePolicy,
    Freshness,
    Permissions,
    Policy,
    digest_of,
)
from guardrails.taxonomy import Action, PrincipalKind, RiskClass, Verdict

__all__ = ["Policy", "PolicyInvalid", "Problem", "load_policy"]

_MONEY_FIELDS = tuple(
    name for name, field in CATALOGUE.items() if field.type is ValueType.MONEY and field.writer in (Writer.RECORD, Writer.DERIVED)
)


def load_policy(text: str, name: str) -> Policy:
    """The policy that `text` says. `name` stands for the file in messages. Raises PolicyInvalid with every mistake."""
    reader = Reader(name)
    try:
        policy = _read(reader, text)
    except RecursionError as error:
        raise PolicyInvalid([*reader.problems, Problem(name, 1, 1, "the policy is nested too deeply")]) from error
    if reader.problems:
        raise PolicyInvalid(reader.problems)
    return replace(policy, sha256=digest_of(policy))


def _read(reader: Reader, text: str) -> Policy:
    root = reader.root(text).expect(
        ["schema", "version", "limits", "freshness", "case", "actions", "permissions", "mandatory"], ["rules"]
    )
    if "schema" in root.values and root.text("schema") != SCHEMA:
        reader.say(root.values["schema"], f"this program reads {SCHEMA}")
    limits = _limits(root.table("limits"))
    freshness = _freshness(root.table("freshness"))
    lines = LineReader(reader, Scope(FIELD_TYPES, limits, {kind: item.max_age for kind, item in freshness.items()}))
    return Policy(
        name=reader.file,
        version=root.text("version"),
        limits=limits,
        freshness=freshness,
        case=_case(root.table("case")),
        actions=_actions(root.table("actions"), limits, freshness),
        permissions=_permissions(root.table("permissions")),
        mandatory=read_mandatory(root.table("mandatory"), lines),
        rules=read_rules(reader, root.items("rules"), lines),
    )


# --- tables ---


def _limits(table: Table) -> Mapping[str, Mapping[str, Money]]:
    table.expect(["high_value", "two_people"], table.keys, "limit")
    return MappingProxyType({name: MappingProxyType(_amounts(table.table(name))) for name in table.keys})


def _amounts(table: Table) -> dict[str, Money]:
    amounts: dict[str, Money] = {}
    for code, node in table.values.items():
        written = table.reader.raw(node)
        try:
            money = Money.from_decimal(written or "", code)
        except MoneyError as error:
            table.reader.say(node, f"{error}; a limit is written like USD: 500.00")
            continue
        if money.currency != code:
            table.reader.say(table.keys[code], f"a currency is written in capitals: {money.currency}")
        elif money.amount <= 0:
            table.reader.say(node, "a limit is more than nothing")
        else:
            amounts[code] = money
    if not amounts and not table.values and not table.hollow:
        table.reader.say(table.node, "a limit needs at least one currency, such as {USD: 500.00}")
    return amounts


def _freshness(table: Table) -> Mapping[str, Freshness]:
    kinds = {}
    for kind, node in table.values.items():
        entry = table.reader.table(node).expect(["covers", "one_of", "max_age"])
        for item in entry.items("covers"):
            _check_cover(table.reader, item)
        for item in entry.items("one_of"):
            table.reader.one_of(item, FIELD_TYPES, "field")
        if not entry.texts("one_of"):
            table.reader.say(node, "`one_of` names at least one field")
        kinds[kind] = Freshness(
            kind, entry.texts("covers"), entry.texts("one_of"), entry.get("max_age", table.reader.duration, timedelta(0))
        )
    return MappingProxyType(kinds)


def _check_cover(reader: Reader, node: yaml.Node) -> None:
    name = reader.raw(node) or ""
    if name.endswith("."):
        if not any(known.startswith(name) for known in FIELD_TYPES):
            reader.say(node, f"no field begins with {name!r}{suggest(name, {k.split('.')[0] + '.' for k in FIELD_TYPES})}")
    else:
        reader.one_of(node, FIELD_TYPES, "field")


def _case(table: Table) -> CasePolicy:
    table.expect(["min_confidence", "evidence"])
    return CasePolicy(table.get("min_confidence", table.reader.basis_points, 10_000), _evidence(table))


def _evidence(table: Table) -> int:
    return table.table("evidence").expect(["count"]).get("count", table.reader.count, 0) if "evidence" in table.values else 0


def _actions(
    table: Table, limits: Mapping[str, Mapping[str, Money]], freshness: Mapping[str, Freshness]
) -> Mapping[Action, ActionPolicy]:
    table.expect([action.value for action in Action], what="action")
    return MappingProxyType(
        {action: _action(action, table.table(action.value), limits, freshness) for action in Action if action.value in table.values}
    )


def _action(
    action: Action, entry: Table, limits: Mapping[str, Mapping[str, Money]], freshness: Mapping[str, Freshness]
) -> ActionPolicy:
    reader = entry.reader
    risk_class = entry.member("class", RiskClass, "risk class", LEAST_CLASS[action])
    required = ["class", "reversible", "undo", "scopes", "expected_outcome", "default"]
    above_r0 = ["min_confidence", "evidence"]
    optional = ["facts", "protective", "money", "four_eyes_above"]
    if risk_class is RiskClass.R0:
        entry.expect(required, [*above_r0, *optional])
    else:
        entry.expect([*required, *above_r0], optional)
    facts = [reader.one_of(item, freshness, "freshness kind") for item in entry.items("facts")]
    item = ActionPolicy(
        action=action,
        risk_class=risk_class,
        reversible=entry.get("reversible", reader.flag, False),
        undo=entry.text("undo"),
        scopes=entry.texts("scopes"),
        expected_outcome=entry.text("expected_outcome"),
        default=entry.member("default", Verdict, "verdict", Verdict.REVIEW),
        min_confidence=entry.get("min_confidence", reader.basis_points, 0),
        evidence=_evidence(entry),
        facts=tuple(kind for kind in facts if kind is not None),
        protective=entry.get("protective", reader.flag, False),
        money=entry.get("money", lambda node: reader.one_of(node, [OWN_ARGUMENT, *_MONEY_FIELDS], "money field"), None),
        four_eyes_above=entry.get("four_eyes_above", lambda node: reader.one_of(node, limits, "limit"), None),
    )
    _check_action(item, entry)
    return item


def _check_action(item: ActionPolicy, entry: Table) -> None:
    """What the class demands of its actions."""
    least, node = LEAST_CLASS[item.action], entry.values.get
    say = entry.reader.say
    if item.risk_class < least:
        say(node("class", entry.node), f"{item.action} is {least}; a policy may raise a risk class and not lower it")
    if item.risk_class is RiskClass.R3 and item.default is Verdict.AUTOMATE:
        say(node("default", entry.node), "R3 is money or irreversible: its default is review")
    if item.protective and item.risk_class is not RiskClass.R1:
        say(node("protective", entry.node), "only an R1 action can be protective")
    if item.risk_class in (RiskClass.R1, RiskClass.R2, RiskClass.R3) and item.default is Verdict.AUTOMATE and item.evidence < 1:
        say(node("evidence", entry.node), "an action that runs by itself needs at least one cited fact")
    if item.risk_class is RiskClass.R3 and (item.four_eyes_above is None or item.money is None):
        say(entry.node, f"{item.action} is R3: it needs `money` and `four_eyes_above`")


def _permissions(table: Table) -> Permissions:
    kinds = [PrincipalKind.AGENT, PrincipalKind.SERVICE]
    table.expect([*(kind.value for kind in kinds), *ROLES], what="principal or role")
    actions = {
        kind: table.table(kind.value).expect(["actions"]).members("actions", Action, "action")
        for kind in kinds
        if kind.value in table.values
    }
    classes = {
        role: table.table(role).expect(["classes"]).members("classes", RiskClass, "risk class")
        for role in ROLES
        if role in table.values
    }
    return Permissions(MappingProxyType(actions), MappingProxyType(classes))
