"""The examples that a policy file carries, put to the real gate when it is loaded: a policy that does not rule as its own
examples say is no policy.

    - {given: clean_order, with: {order.total: 500.00 USD}, expect: review, fired: [mandatory.high_value_order.1]}
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from guardrails.facts import Facts, Unknown, to_plain
from guardrails.gate import guard
from guardrails.policy.cases import CASE_KEYS, SOURCE, GivenCase, case_from, read_cases, read_facts
from guardrails.policy.hourly import read_budget
from guardrails.policy.reader import Reader, Table, suggest
from guardrails.policy.tables import ROLES, Policy
from guardrails.proposal import AGENT, Actor, Evidence, Proposal, ProposedAction
from guardrails.ruling import Finding, Ruling
from guardrails.standing import EVERYTHING, Spent, Standing
from guardrails.taxonomy import Action, PrincipalKind, Team, Verdict

__all__ = ["GivenCase", "read_cases", "run_examples"]

_MOST_EXAMPLES = 500
_UNSEEN = "unknown"
_NOTHING: dict[str, Spent] | None = {}
_SWITCHES = (EVERYTHING, *(f"action:{action}" for action in Action), f"source:{SOURCE}")
_CATCHES = ("untrusted_instructions", "classifier_failed")


@dataclass(frozen=True, slots=True)
class _Example:
    case: GivenCase
    actor: Actor
    approvals: tuple[Actor, ...]
    standing: Standing
    marks: frozenset[str]
    """What is wrong with the proposal itself: `untrusted_instructions`, `classifier_failed`."""

    def ruling(self, policy: Policy) -> Ruling:
        facts = self.case.as_facts()
        return guard(facts, self._proposal(facts), policy, self.actor, _snapshot(facts), self.standing, self.approvals)

    def _proposal(self, facts: Facts) -> Proposal:
        case = self.case
        amount = {} if case.amount is None else {"amount": to_plain(case.amount)}
        return Proposal(
            category=case.category,
            owner=Team.OPERATIONS,
            confidence=case.confidence,
            evidence=tuple(_cited(name, facts) for name in case.evidence),
            actions=() if case.action is None else (ProposedAction(case.action, amount),),
            classifier="example",
            failure="an example of one that failed" if "classifier_failed" in self.marks else None,
            untrusted_instructions="untrusted_instructions" in self.marks,
        )


def run_examples(root: Table, cases: Mapping[str, GivenCase], policy: Policy) -> None:
    """Put every example under `examples` to the gate, and note each that is ruled on otherwise than it says."""
    nodes = root.items("examples")
    if len(nodes) > _MOST_EXAMPLES:
        root.reader.say(root.keys["examples"], f"a file holds at most {_MOST_EXAMPLES} examples")
        return
    for node in nodes:
        entry = root.reader.table(node)
        before = len(root.reader.problems)
        example = _read(entry, cases, policy)
        expected = entry.member("expect", Verdict, "verdict", Verdict.BLOCK)
        if len(root.reader.problems) == before:
            _compare(entry, expected, example.ruling(policy))


def _read(entry: Table, cases: Mapping[str, GivenCase], policy: Policy) -> _Example:
    reader = entry.reader
    optional = ["about", "with", "fired", "not_fired", "actor", "approved_by", "spent", "switched_off", "marks", *CASE_KEYS]
    entry.expect(["given", "expect"], optional)
    entry.text("about")
    given = entry.get("given", lambda node: reader.one_of(node, cases, "case"), None)
    base = cases[given] if given is not None else GivenCase()
    changed = replace(base, facts={**base.facts, **read_facts(entry.table("with"))})
    spent: dict[str, Spent] | None = entry.get("spent", lambda node: _spent(reader, node, policy), _NOTHING)
    off = [reader.one_of(item, _SWITCHES, "switch") for item in entry.items("switched_off")]
    marks = [reader.one_of(item, _CATCHES, "mark") for item in entry.items("marks")]
    return _Example(
        case=case_from(entry, changed),
        actor=entry.get("actor", lambda node: _someone(reader, node, 0), AGENT),
        approvals=tuple(_someone(reader, item, number) for number, item in enumerate(entry.items("approved_by"), 1)),
        standing=Standing(spent, frozenset(name for name in off if name)),
        marks=frozenset(name for name in marks if name),
    )


def _someone(reader: Reader, node: yaml.Node, number: int) -> Actor:
    """`agent`, `service`, or a person's role. Each one named is another person."""
    name = reader.one_of(node, [PrincipalKind.AGENT.value, PrincipalKind.SERVICE.value, *ROLES], "principal or role")
    if name in ROLES:
        return Actor(PrincipalKind.PERSON, f"{name} {number}", frozenset([name]))
    return Actor(PrincipalKind(name), name) if name else AGENT


def _spent(reader: Reader, node: yaml.Node, policy: Policy) -> dict[str, Spent] | None:
    """What this hour has used of each budget; None for `unknown`."""
    if isinstance(node, yaml.ScalarNode) and node.value == _UNSEEN:
        return None
    spent = {}
    for key, inner in reader.table(node).expect([], policy.budgets, "budget").values.items():
        used = read_budget(key, reader.table(inner).expect(["count"], ["spend"]))
        spent[key] = Spent(used.count, {code: money.amount for code, money in used.spend.items()})
    return spent


def _compare(entry: Table, expected: Verdict, ruling: Ruling) -> None:
    reader = entry.reader
    findings = [*ruling.findings, *(finding for action in ruling.actions for finding in action.findings)]
    fired = {finding.rule: finding for finding in findings if finding.fired}
    looked_at = {*fired, *ruling.passed, *(name for action in ruling.actions for name in action.passed)}
    looked_at |= {finding.rule for finding in findings}
    if ruling.error is not None:
        reader.say(entry.node, f"the gate failed on this example: {ruling.error}")
        return
    if ruling.verdict is not expected:
        reader.say(entry.values["expect"], f"the policy rules {ruling.verdict} here, not {expected}. {_why(ruling, fired)}")
    for node in entry.items("fired"):
        if (name := _rule(reader, node, looked_at)) and name not in fired:
            reader.say(node, f"{name} does not fire here. {_why(ruling, fired)}")
    for node in entry.items("not_fired"):
        if (name := _rule(reader, node, looked_at)) and name in fired:
            reader.say(node, f"{name} fires here. {fired[name].sentence}")


def _rule(reader: Reader, node: yaml.Node, looked_at: set[str]) -> str | None:
    name = reader.text(node)
    if name in looked_at:
        return name
    reader.say(node, f"no rule {name!r} is looked at for this example{suggest(name, looked_at)}")
    return None


def _why(ruling: Ruling, fired: Mapping[str, Finding]) -> str:
    names = f" Fired: {', '.join(fired)}." if fired else ""
    return f"{ruling.sentence}{names}"


# --- what the classifier would have been shown ---


def _cited(name: str, facts: Facts) -> Evidence:
    """The field, quoted as it stands in the snapshot."""
    value = facts.get(name)
    quote = "null" if isinstance(value, Unknown) else _quoted(to_plain(value))
    return Evidence(f"/fields/{name}/value", quote)


def _quoted(plain: Any) -> str:
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return f"{plain['amount']} {plain['currency']}" if isinstance(plain, dict) else str(plain)


def _snapshot(facts: Facts) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: {"value": None if isinstance(fact.value, Unknown) else to_plain(fact.value), "source": fact.source, "others": []}
        for name, fact in facts.by_name.items()
    }
    return {"version": 1, "order_ref": facts.order_ref, "fields": fields, "signals": [], "related": []}
