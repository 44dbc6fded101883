"""The policy file, checked as a whole: all its mistakes at once as `file:line:col: message`, or a policy to rule by."""

from dataclasses import replace
from typing import NamedTuple

from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.examples import GivenCase, read_cases, run_examples
from guardrails.policy.hourly import read_budgets
from guardrails.policy.language import Scope
from guardrails.policy.lines import LineReader, read_mandatory, read_rules
from guardrails.policy.overlay import read_overlay
from guardrails.policy.permits import check_permits
from guardrails.policy.reader import PolicyInvalid, Problem, Reader, Table
from guardrails.policy.sections import read_actions, read_case, read_freshness, read_limits, read_permissions
from guardrails.policy.tables import SCHEMA, Policy, digest_of

__all__ = ["Policy", "PolicyInvalid", "Problem", "load_policy"]


class _Base(NamedTuple):
    """A policy file that was read: what it rules, and the cases that its examples begin from."""

    policy: Policy
    cases: dict[str, GivenCase]


def load_policy(text: str, name: str, overlay: tuple[str, str] | None = None) -> Policy:
    """The policy that `text` says, tightened by the overlay (its text and name) where there is one. Names stand for the files
    in messages. The examples of each file are run. Raises PolicyInvalid with every mistake."""
    base = _loaded(text, name)
    return base.policy if overlay is None else _tightened(base, *overlay)


def _loaded(text: str, name: str) -> _Base:
    reader = Reader(name)
    try:
        root = _root(reader, text)
        policy = _read(reader, root)
        _stop_at_problems(reader)
        policy = replace(policy, sha256=digest_of(policy))
        cases = read_cases(root.table("cases"), {})
        run_examples(root, cases, policy)
    except RecursionError as error:
        raise PolicyInvalid([*reader.problems, Problem(name, 1, 1, "the policy is nested too deeply")]) from error
    _stop_at_problems(reader)
    return _Base(policy, cases)


def _tightened(base: _Base, text: str, name: str) -> Policy:
    reader = Reader(name)
    try:
        root = reader.root(text)
        policy = read_overlay(reader, root, base.policy)
        _stop_at_problems(reader)
        policy = replace(policy, sha256=digest_of(policy))
        run_examples(root, base.cases | read_cases(root.table("cases"), base.cases), policy)
    except RecursionError as error:
        raise PolicyInvalid([*reader.problems, Problem(name, 1, 1, "the overlay is nested too deeply")]) from error
    _stop_at_problems(reader)
    return policy


def _stop_at_problems(reader: Reader) -> None:
    if reader.problems:
        raise PolicyInvalid(reader.problems)


def _root(reader: Reader, text: str) -> Table:
    root = reader.root(text).expect(
        ["schema", "version", "limits", "freshness", "case", "budgets", "actions", "permissions", "mandatory"],
        ["rules", "cases", "examples"],
    )
    if "schema" in root.values and root.text("schema") != SCHEMA:
        reader.say(root.values["schema"], f"this program reads {SCHEMA}")
    return root


def _read(reader: Reader, root: Table) -> Policy:
    limits = read_limits(root.table("limits"))
    freshness = read_freshness(root.table("freshness"))
    actions = read_actions(root.table("actions"), limits, freshness)
    lines = LineReader(reader, Scope(FIELD_TYPES, limits, {kind: item.max_age for kind, item in freshness.items()}))
    permissions = read_permissions(root.table("permissions"))
    rules = read_rules(reader, root.items("rules"), lines)
    check_permits(rules, actions, permissions, reader)
    return Policy(
        name=reader.file,
        version=root.text("version"),
        limits=limits,
        freshness=freshness,
        case=read_case(root.table("case")),
        actions=actions,
        permissions=permissions,
        budgets=read_budgets(root.table("budgets"), actions),
        mandatory=read_mandatory(root.table("mandatory"), lines),
        rules=tuple(item.rule for item in rules),
    )
