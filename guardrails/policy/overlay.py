"""An overlay: a second file that may tighten a policy and never loosen it.

It states only what it changes, and each value as it will be. What would let more through than the base does is refused where it
stands, with what the base has; so is any line that touches a rule that holds or blocks.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import yaml

from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import Scope, compile_condition
from guardrails.policy.lines import LineReader, read_lines, read_reason, read_rules
from guardrails.policy.overlaid_actions import overlay_actions
from guardrails.policy.overlaid_tables import overlay_budgets, overlay_case, overlay_freshness, overlay_limits, overlay_permissions
from guardrails.policy.reader import Reader, Table
from guardrails.policy.tables import RAISED_BY_GATE, Line, MandatoryPolicy, Mode, Policy, Protective, Rule, WhenUnknown
from guardrails.policy.tightening import loses_a_currency, only_tightens
from guardrails.taxonomy import Category, Reason, Verdict

OVERLAY_SCHEMA = "ordermend/policy-overlay/v1"

_SECTIONS = ["limits", "freshness", "case", "budgets", "actions", "permissions", "mandatory", "rules", "remove", "shadow"]


def read_overlay(reader: Reader, root: Table, base: Policy) -> Policy:
    """The base, tightened; every loosening is noted by the reader. The version names both files'."""
    root.expect(["schema", "version", "tightens"], [*_SECTIONS, "cases", "examples"])
    _check_head(reader, root, base)
    limits = overlay_limits(root.table("limits"), base.limits)
    freshness = overlay_freshness(root.table("freshness"), base.freshness)
    scope = Scope(FIELD_TYPES, limits, {kind: item.max_age for kind, item in freshness.items()})
    actions = overlay_actions(root.table("actions"), base)
    merge = _Merge(root, base, scope)
    return replace(
        base,
        version=f"{base.version}+{root.text('version')}",
        limits=limits,
        freshness=freshness,
        case=overlay_case(root.table("case"), base.case),
        actions=actions,
        permissions=overlay_permissions(root.table("permissions"), base.permissions),
        budgets=overlay_budgets(root.table("budgets"), base, actions),
        mandatory=merge.mandatory(),
        rules=merge.rules(),
    )


def _check_head(reader: Reader, root: Table, base: Policy) -> None:
    if "schema" in root.values and root.text("schema") != OVERLAY_SCHEMA:
        reader.say(root.values["schema"], f"an overlay is written in {OVERLAY_SCHEMA}")
    if "tightens" in root.values and root.text("tightens") != base.version:
        reader.say(root.values["tightens"], f"the base has version {base.version}; look at what changed, then name it here")


class _Merge:
    """Puts the overlay's lines beside the base's, read again under the tightened limits."""

    def __init__(self, root: Table, base: Policy, scope: Scope) -> None:
        self.root, self.base, self.scope = root, base, scope
        self.reader = root.reader
        self.lines = LineReader(root.reader, scope)

    def rules(self) -> tuple[Rule, ...]:
        removed = self._permits_named("remove")
        shadowed = self._permits_named("shadow")
        kept = [self._again(rule) for rule in self.base.rules if rule.id not in removed]
        kept = [replace(rule, mode=Mode.SHADOW) if rule.id in shadowed else rule for rule in kept]
        return (*kept, *self._added())

    def _added(self) -> list[Rule]:
        ids = {rule.id for rule in self.base.rules}
        added = []
        for rule, entry in read_rules(self.reader, self.root.items("rules"), self.lines):
            if rule.effect is Verdict.AUTOMATE:
                self.reader.say(entry.values.get("effect", entry.node), "an overlay permits nothing; a permit stands in the base")
            elif rule.id in ids:
                self.reader.say(entry.values.get("id", entry.node), f"the base has a rule {rule.id!r}; give yours another name")
            added.append(rule)
        return added

    def _permits_named(self, key: str) -> frozenset[str]:
        rules = {rule.id: rule for rule in self.base.rules}
        permits = [name for name, rule in rules.items() if rule.effect is Verdict.AUTOMATE]
        named = set()
        for node in self.root.items(key):
            name = self.reader.raw(node)
            if name in rules and name not in permits:
                self.reader.say(node, f"the base has {name}, which holds or blocks; an overlay may {key} permits only")
            elif name in permits:
                named.add(name)
            else:
                self.reader.one_of(node, permits, "permit")
        return frozenset(named)

    def mandatory(self) -> Mapping[Reason, MandatoryPolicy]:
        table = self.root.table("mandatory")
        table.expect([], [reason.value for reason in Reason if reason not in RAISED_BY_GATE], "mandatory reason")
        merged = {
            reason: replace(entry, lines=tuple(self._line(line, f"mandatory.{reason}", Verdict.REVIEW) for line in entry.lines))
            for reason, entry in self.base.mandatory.items()
        }
        for reason in Reason:
            if reason.value in table.values and reason not in RAISED_BY_GATE:
                merged[reason] = self._reason(reason, table.table(reason.value), merged.get(reason))
        return MappingProxyType(merged)

    def _reason(self, reason: Reason, entry: Table, base: MandatoryPolicy | None) -> MandatoryPolicy:
        if base is None:
            return read_reason(reason, entry, self.lines)
        entry.expect([], ["categories", "conditions", "protective"])
        protective = entry.member("protective", Protective, "answer", base.protective)
        if protective is Protective.RUN and base.protective is Protective.WAIT:
            self.reader.say(entry.values["protective"], "the base has wait; an overlay may not let protective actions run")
            protective = Protective.WAIT
        return replace(
            base,
            categories=base.categories | entry.members("categories", Category, "category"),
            lines=(*base.lines, *read_lines(entry, self.lines)),
            protective=protective,
        )

    def _again(self, rule: Rule) -> Rule:
        return replace(rule, line=self._line(rule.line, rule.id, rule.effect))

    def _line(self, line: Line, rule: str, effect: Verdict) -> Line:
        """The line under the tightened limits and ages, once it is certain that they tighten it."""
        if line.condition.tree is None:
            return line
        condition = compile_condition(line.condition.text, self.scope)
        if not only_tightens(line.condition.tree, condition.tree, effect is not Verdict.AUTOMATE):
            self._say_at_numbers(f"with these numbers {rule} would let more through ({line.condition.text})")
        lost = list(loses_a_currency(line.condition.tree, self.scope.limits))
        if lost and line.when_unknown is WhenUnknown.QUIET:
            self._say_at_numbers(f"{rule} is quiet about what it cannot compare, so {lost[0]} must keep its currencies")
        return replace(line, condition=condition)

    def _say_at_numbers(self, message: str) -> None:
        node: yaml.Node = self.root.values.get("limits", self.root.values.get("freshness", self.root.node))
        self.reader.say(node, message)
