"""The conditions of the policy file: mandatory reasons and free rules, each compiled and each mistake put in its place."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import yaml

from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import Condition, ConditionError, Scope, compile_condition
from guardrails.policy.proofs import Objection, against_the_risk, beyond_silence, permitting_the_risk, tainted
from guardrails.policy.reader import Reader, Table, suggest
from guardrails.policy.tables import RAISED_BY_GATE, RECORD_BASED, Line, MandatoryPolicy, Mode, Protective, Rule, WhenUnknown
from guardrails.taxonomy import Category, Reason, RiskClass, Team, Verdict

_NO_LINE = compile_condition("false", Scope({}, {}, {}))
_RULE_ID = re.compile(r"(review|block|permit)\.[a-z0-9]+(-[a-z0-9]+)*")
_PREFIX = {Verdict.AUTOMATE: "permit.", Verdict.REVIEW: "review.", Verdict.BLOCK: "block."}
_LONGEST_SENTENCE = 1_000
"""Characters of a `because`: it is filled in at every ruling, and a person reads it."""

_MOST_RULES, _MOST_CONDITIONS = 1_000, 200
"""Rules in one file, and conditions of one mandatory reason. All are asked at every ruling."""

_SLOT = re.compile(r"\{([^{}]*)\}")
_ABOVE_R0 = frozenset([RiskClass.R1, RiskClass.R2, RiskClass.R3])


@dataclass(frozen=True, slots=True)
class LineReader:
    """Compiles conditions and maps a mistake inside one to its place in the file."""

    reader: Reader
    scope: Scope

    def read(self, entry: Table, objections: Callable[[Condition], tuple[Objection, ...]] = against_the_risk) -> Line:
        condition = entry.get("when", lambda node: self._compile(node, objections), _NO_LINE)
        because = entry.get("because", lambda node: self._because(node, condition), "")
        when_unknown = entry.member("when_unknown", WhenUnknown, "answer", WhenUnknown.FIRE)
        if when_unknown is WhenUnknown.QUIET and condition is not _NO_LINE:
            for column, message in beyond_silence(condition):
                self.reader.say(entry.values["when"], message, column_in_file(entry.values["when"], column))
        return Line(condition, because, when_unknown, f"{self.reader.file}:{entry.node.start_mark.line + 1}")

    def _compile(self, node: yaml.Node, objections: Callable[[Condition], tuple[Objection, ...]]) -> Condition:
        text = self.reader.text(node)
        try:
            condition = compile_condition(text, self.scope)
        except ConditionError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self.reader.say(node, f"{error.message}{hint}", column_in_file(node, error.column))
            return _NO_LINE
        for column, message in objections(condition):
            self.reader.say(node, message, column_in_file(node, column))
        return condition

    def _because(self, node: yaml.Node, condition: Condition) -> str:
        text = self.reader.text(node)
        if len(text) > _LONGEST_SENTENCE:
            self.reader.say(node, f"a sentence has at most {_LONGEST_SENTENCE} characters; this one has {len(text)}")
            return ""
        known = [*FIELD_TYPES, *(f"limit.{name}" for name in self.scope.limits)]
        for match in _SLOT.finditer(text):
            slot = match[1]
            if slot not in known:
                self.reader.say(node, f"the sentence cannot show {slot!r}{suggest(slot, known)}", match.start() + _quote(node))
            elif condition is not _NO_LINE and slot not in condition.fields and slot.removeprefix("limit.") not in condition.limits:
                self.reader.say(node, f"the condition does not read {slot!r}", match.start() + _quote(node))
        if "{" in _SLOT.sub("", text) or "}" in _SLOT.sub("", text):
            self.reader.say(node, "a slot is written {field}")
        return text


def _quote(node: yaml.Node) -> int:
    return 1 if isinstance(node, yaml.ScalarNode) and node.style in ("'", '"') else 0


def column_in_file(node: yaml.Node, column: int) -> int:
    """How far behind the node's beginning the condition's column stands; a condition over several lines has only a beginning."""
    if node.start_mark.line != node.end_mark.line:
        return 0
    return column - 1 + _quote(node)


def read_mandatory(table: Table, lines: LineReader) -> Mapping[Reason, MandatoryPolicy]:
    table.expect([r.value for r in RECORD_BASED], [r.value for r in Reason if r not in RECORD_BASED], "mandatory reason")
    reasons = {Reason(name): node for name, node in table.values.items() if name in set(Reason)}
    for reason in reasons:
        if reason in RAISED_BY_GATE:
            table.reader.say(table.keys[reason.value], f"{reason} follows from the tables; it has no lines of its own")
    return MappingProxyType({reason: read_reason(reason, table.reader.table(node), lines) for reason, node in reasons.items()})


def read_reason(reason: Reason, entry: Table, lines: LineReader) -> MandatoryPolicy:
    """One reason in full."""
    entry.expect(["owner", "conditions"], ["categories", "protective"])
    conditions = read_lines(entry, lines)
    if not conditions:
        where = entry.values.get("conditions", entry.node)
        entry.reader.say(where, f"{reason} needs at least one condition over recorded facts")
    return MandatoryPolicy(
        reason=reason,
        owner=entry.member("owner", Team, "team", Team.OPERATIONS),
        categories=entry.members("categories", Category, "category"),
        lines=conditions,
        protective=entry.member("protective", Protective, "answer", Protective.RUN),
    )


def read_lines(entry: Table, lines: LineReader) -> tuple[Line, ...]:
    """The mandatory conditions under `conditions`."""
    nodes = entry.items("conditions")
    if len(nodes) > _MOST_CONDITIONS:
        entry.reader.say(nodes[_MOST_CONDITIONS], f"a reason has at most {_MOST_CONDITIONS} conditions, and here are {len(nodes)}")
    return tuple(_mandatory_line(node, lines) for node in nodes[:_MOST_CONDITIONS])


def _mandatory_line(node: yaml.Node, lines: LineReader) -> Line:
    entry = lines.reader.table(node).expect(["when", "because"], ["when_unknown"])
    line = lines.read(entry)
    for message in tainted(line.condition):
        lines.reader.say(entry.values.get("when", node), message)
    if line.condition is not _NO_LINE and not line.condition.fields:
        told = "a mandatory condition reads what was recorded, and this one reads nothing, so it could never change"
        lines.reader.say(entry.values.get("when", node), told)
    return line


class ReadRule(NamedTuple):
    """A rule and the table of the file that it was read from."""

    rule: Rule
    entry: Table


def read_rules(reader: Reader, nodes: list[yaml.Node], lines: LineReader) -> tuple[ReadRule, ...]:
    rules: dict[str, ReadRule] = {}
    if len(nodes) > _MOST_RULES:
        reader.say(nodes[_MOST_RULES], f"a file holds at most {_MOST_RULES} rules, and here are {len(nodes)}")
    for node in nodes[:_MOST_RULES]:
        entry = reader.table(node)
        rule = _rule(entry, lines)
        if rule.id in rules:
            reader.say(entry.values.get("id", node), f"there are two rules {rule.id!r}")
        rules[rule.id] = ReadRule(rule, entry)
    return tuple(rules.values())


def _rule(entry: Table, lines: LineReader) -> Rule:
    reader = entry.reader
    effect = entry.member("effect", Verdict, "effect", Verdict.BLOCK)
    permits = effect is Verdict.AUTOMATE
    required = ["id", "effect", "when", "because", "owner"]
    if permits:
        _refuse_in_permits(entry)
    entry.expect(required, ["until", "reason", "mode", "when_unknown", "classes"])
    name = entry.text("id")
    if "id" in entry.values and (not _RULE_ID.fullmatch(name) or not name.startswith(_PREFIX[effect])):
        reader.say(entry.values["id"], f"a rule's id is its effect, a dot and a name, such as {_PREFIX[effect]}old-stock")
    if effect is Verdict.BLOCK and "until" not in entry.values:
        reader.say(entry.node, "a block says under `until` what would lift it")
    return Rule(
        id=name,
        effect=effect,
        line=lines.read(entry, permitting_the_risk if permits else against_the_risk),
        owner=entry.member("owner", Team, "team", Team.OPERATIONS),
        until=entry.text("until") or None,
        reason=entry.get("reason", lambda node: reader.member(node, Reason, "reason"), None),
        mode=entry.member("mode", Mode, "mode", Mode.ENFORCE),
        classes=entry.members("classes", RiskClass, "risk class") if "classes" in entry.values else _ABOVE_R0,
    )


def _refuse_in_permits(entry: Table) -> None:
    """What only a rule that holds or blocks can mean."""
    told = {
        "until": "a permit holds nothing that could be lifted",
        "reason": "a permit is no reason to look",
        "when_unknown": "a permit counts only when it is certainly true",
        "classes": "a permit names its actions in the condition",
    }
    for key, why in told.items():
        if key in entry.keys:
            entry.reader.say(entry.keys[key], f"{why}; leave out {key!r}")
