"""The conditions of the policy file: mandatory reasons and free rules, each compiled and each mistake put in its place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import Condition, ConditionError, Scope, compile_condition
from guardrails.policy.proofs import against_the_risk, tainted
from guardrails.policy.reader import Reader, Table, suggest
from guardrails.policy.tables import RAISED_BY_GATE, RECORD_BASED, Line, MandatoryPolicy, Mode, Protective, Rule, WhenUnknown
from guardrails.taxonomy import Category, Reason, RiskClass, Team, Verdict

_NO_LINE = compile_condition("false", Scope({}, {}, {}))
_RULE_ID = re.compile(r"(review|block)\.[a-z0-9]+(-[a-z0-9]+)*")
_SLOT = re.compile(r"\{([^{}]*)\}")
_ABOVE_R0 = frozenset([RiskClass.R1, RiskClass.R2, RiskClass.R3])


@dataclass(frozen=True, slots=True)
class LineReader:
    """Compiles conditions and maps a mistake inside one to its place in the file."""

    reader: Reader
    scope: Scope

    def read(self, entry: Table) -> Line:
        condition = entry.get("when", self._compile, _NO_LINE)
        because = entry.get("because", lambda node: self._because(node, condition), "")
        when_unknown = entry.member("when_unknown", WhenUnknown, "answer", WhenUnknown.FIRE)
        return Line(condition, because, when_unknown, f"{self.reader.file}:{entry.node.start_mark.line + 1}")

    def _compile(self, node: yaml.Node) -> Condition:
        text = self.reader.text(node)
        try:
            condition = compile_condition(text, self.scope)
        except ConditionError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self.reader.say(node, f"{error.message}{hint}", _column_in_file(node, error.column))
            return _NO_LINE
        for column, message in against_the_risk(condition):
            self.reader.say(node, message, _column_in_file(node, column))
        return condition

    def _because(self, node: yaml.Node, condition: Condition) -> str:
        text = self.reader.text(node)
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


def _column_in_file(node: yaml.Node, column: int) -> int:
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
    return MappingProxyType(
        {reason: _mandatory_reason(reason, table.reader.table(node), lines) for reason, node in reasons.items()}
    )


def _mandatory_reason(reason: Reason, entry: Table, lines: LineReader) -> MandatoryPolicy:
    reader = entry.reader
    entry.expect(["owner", "conditions"], ["categories", "protective"])
    nodes = entry.items("conditions")
    if not nodes:
        reader.say(entry.values.get("conditions", entry.node), f"{reason} needs at least one condition over recorded facts")
    return MandatoryPolicy(
        reason=reason,
        owner=entry.member("owner", Team, "team", Team.OPERATIONS),
        categories=entry.members("categories", Category, "category"),
        lines=tuple(_mandatory_line(node, lines) for node in nodes),
        protective=entry.member("protective", Protective, "answer", Protective.RUN),
    )


def _mandatory_line(node: yaml.Node, lines: LineReader) -> Line:
    entry = lines.reader.table(node).expect(["when", "because"], ["when_unknown"])
    line = lines.read(entry)
    for message in tainted(line.condition):
        lines.reader.say(entry.values["when"], message)
    return line


def read_rules(reader: Reader, nodes: list[yaml.Node], lines: LineReader) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for node in nodes:
        entry = reader.table(node)
        rule = _rule(entry, lines)
        if rule.id in rules:
            reader.say(entry.values.get("id", node), f"there are two rules {rule.id!r}")
        rules[rule.id] = rule
    return tuple(rules.values())


def _rule(entry: Table, lines: LineReader) -> Rule:
    reader = entry.reader
    entry.expect(["id", "effect", "when", "because", "owner"], ["until", "reason", "mode", "when_unknown", "classes"])
    effect = entry.member("effect", Verdict, "effect", Verdict.BLOCK)
    name = entry.text("id")
    if effect is Verdict.AUTOMATE:
        reader.say(entry.values["effect"], "a rule holds or blocks; what may run by itself stands under `actions`")
    if "id" in entry.values and (not _RULE_ID.fullmatch(name) or not name.startswith(effect.value)):
        reader.say(entry.values["id"], f"a rule's id is its effect, a dot and a name, such as {effect.value}.old-stock")
    if effect is Verdict.BLOCK and "until" not in entry.values:
        reader.say(entry.node, "a block says under `until` what would lift it")
    return Rule(
        id=name,
        effect=effect,
        line=lines.read(entry),
        owner=entry.member("owner", Team, "team", Team.OPERATIONS),
        until=entry.text("until") or None,
        reason=entry.get("reason", lambda node: reader.member(node, Reason, "reason"), None),
        mode=entry.member("mode", Mode, "mode", Mode.ENFORCE),
        classes=entry.members("classes", RiskClass, "risk class") if "classes" in entry.values else _ABOVE_R0,
    )
