"""The tables of the policy file: limits, freshness, the case, actions and who may ask for them."""

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

import yaml

from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE, FIELD_TYPES, Writer
from guardrails.policy.language import ValueType
from guardrails.policy.reader import Reader, Table, suggest
from guardrails.policy.tables import LEAST_CLASS, OWN_ARGUMENT, ROLES, ActionPolicy, CasePolicy, Freshness, Permissions
from guardrails.taxonomy import Action, PrincipalKind, RiskClass, Team, Verdict

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")

_LARGEST_AMOUNT = 10**15

MONEY_FIELDS = tuple(
    name for name, field in CATALOGUE.items() if field.type is ValueType.MONEY and field.writer in (Writer.RECORD, Writer.DERIVED)
)


def read_limits(table: Table) -> Mapping[str, Mapping[str, Money]]:
    table.expect(["high_value", "two_people"], table.keys, "limit")
    check_names(table, "limit")
    return MappingProxyType({name: MappingProxyType(read_amounts(table.table(name))) for name in table.keys})


def check_names(table: Table, what: str) -> None:
    """Names that the file itself gives are words that a condition can say."""
    for key, node in table.keys.items():
        if not _NAME.fullmatch(key):
            table.reader.say(node, f"the name of a {what} is written like {what.split()[0]}_name, not {key!r}")


def read_amounts(table: Table) -> dict[str, Money]:
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
        elif money.amount > _LARGEST_AMOUNT:
            table.reader.say(node, "no order is that large; an amount has at most 15 digits")
        else:
            amounts[code] = money
    if not amounts and not table.values and not table.hollow:
        table.reader.say(table.node, "a limit needs at least one currency, such as {USD: 500.00}")
    return amounts


def read_freshness(table: Table) -> Mapping[str, Freshness]:
    kinds = {}
    check_names(table, "freshness kind")
    for kind, node in table.values.items():
        entry = table.reader.table(node).expect(["covers", "one_of", "max_age"])
        for item in entry.items("covers"):
            _check_cover(table.reader, item)
        for item in entry.items("one_of"):
            table.reader.one_of(item, FIELD_TYPES, "field")
        if not entry.texts("one_of"):
            table.reader.say(node, "`one_of` names at least one field")
        covers, one_of = (tuple(dict.fromkeys(entry.texts(key))) for key in ("covers", "one_of"))
        kinds[kind] = Freshness(kind, covers, one_of, entry.get("max_age", table.reader.duration, timedelta(0)))
    return MappingProxyType(kinds)


def _check_cover(reader: Reader, node: yaml.Node) -> None:
    name = reader.raw(node) or ""
    if name.endswith("."):
        if not any(known.startswith(name) for known in FIELD_TYPES):
            reader.say(node, f"no field begins with {name!r}{suggest(name, {k.split('.')[0] + '.' for k in FIELD_TYPES})}")
    else:
        reader.one_of(node, FIELD_TYPES, "field")


def read_case(table: Table) -> CasePolicy:
    table.expect(["min_confidence", "evidence"])
    return CasePolicy(table.get("min_confidence", table.reader.basis_points, 10_000), read_evidence(table))


def read_evidence(table: Table) -> int:
    return table.table("evidence").expect(["count"]).get("count", table.reader.count, 0) if "evidence" in table.values else 0


def read_actions(
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
    above_r0 = ["team", "min_confidence", "evidence"]
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
        evidence=read_evidence(entry),
        facts=tuple(dict.fromkeys(kind for kind in facts if kind is not None)),
        protective=entry.get("protective", reader.flag, False),
        money=entry.get("money", lambda node: reader.one_of(node, [OWN_ARGUMENT, *MONEY_FIELDS], "money field"), None),
        four_eyes_above=entry.get("four_eyes_above", lambda node: reader.one_of(node, limits, "limit"), None),
        team=entry.get("team", lambda node: reader.member(node, Team, "team"), None),
    )
    check_action(item, entry)
    return item


def check_action(item: ActionPolicy, entry: Table) -> None:
    """Note what the class demands of its actions and this one has not."""
    least, node = LEAST_CLASS[item.action], entry.values.get
    say = entry.reader.say
    if item.risk_class < least:
        say(node("class", entry.node), f"{item.action} is {least}; a policy may raise a risk class and not lower it")
    if item.risk_class is RiskClass.R3 and item.default is Verdict.AUTOMATE:
        say(node("default", entry.node), "R3 is money or irreversible: its default is review")
    if item.risk_class is RiskClass.R2 and item.default is Verdict.AUTOMATE:
        say(
            node("default", entry.node),
            "R2 is seen by the customer: its default is review, and a permit says when it may run by itself",
        )
    if item.protective and item.risk_class is not RiskClass.R1:
        say(node("protective", entry.node), "only an R1 action can be protective")
    if item.risk_class in (RiskClass.R1, RiskClass.R2, RiskClass.R3) and item.default is Verdict.AUTOMATE and item.evidence < 1:
        say(node("evidence", entry.node), "an action that runs by itself needs at least one cited fact")
    if item.risk_class is RiskClass.R3 and (item.four_eyes_above is None or item.money is None):
        say(entry.node, f"{item.action} is R3: it needs `money` and `four_eyes_above`")


def read_permissions(table: Table) -> Permissions:
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
