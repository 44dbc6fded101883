"""What a permit must be before it may lift a review: about named actions that can bear it, and resting on what was recorded.

Its direction is proved in `proofs.py`; here it is held against the tables. The gate counts it only when it is certainly true.
"""

from collections.abc import Mapping, Sequence

from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import Condition
from guardrails.policy.lines import ReadRule
from guardrails.policy.reader import Reader
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    Either,
    FieldValue,
    Known,
    Literal,
    Node,
    Not,
    OneOf,
    UntilOf,
    leaves_of,
)
from guardrails.policy.tables import ActionPolicy, Permissions
from guardrails.taxonomy import Action, PrincipalKind, RiskClass, Verdict

_CAN_BEAR_IT = (RiskClass.R1, RiskClass.R2)
_ABOUT_THE_REQUEST = ("action.", "actor.", "case.")
_FOUND_BY_FACTS = frozenset(["case.detected"])


def check_permits(
    rules: Sequence[ReadRule], actions: Mapping[Action, ActionPolicy], permissions: Permissions, reader: Reader
) -> None:
    """Note at its condition whatever a permit may not be."""
    for rule, entry in rules:
        if rule.effect is Verdict.AUTOMATE and "when" in entry.values:
            for message in objections_to(rule.line.condition, actions, permissions):
                reader.say(entry.values["when"], message)


def objections_to(condition: Condition, actions: Mapping[Action, ActionPolicy], permissions: Permissions) -> list[str]:
    """Why the condition can be no permit."""
    if condition.tree is None or not condition.fields:
        return [] if condition.text == "false" else ["a permit names its actions: begin with action.name == '…' and"]
    untrusted = [name for name in sorted(condition.fields) if CATALOGUE[name].untrusted]
    found = [f"a permit may not read {name}: it is free text from outside" for name in untrusted]
    if not rests_on_records(condition.tree, True):
        found.append("a permit may not rest on what the model, the actor or the request says alone; add what a system recorded")
    pinned = pinned_actions(condition.tree)
    if pinned is None:
        return [*found, "a permit names its actions: begin with action.name == '…' and"]
    for action in sorted(pinned):
        found += _against_action(action, actions.get(action), permissions)
    return found


def _against_action(action: Action, entry: ActionPolicy | None, permissions: Permissions) -> list[str]:
    if entry is None:
        return []
    if entry.risk_class not in _CAN_BEAR_IT:
        why = "money or irreversible: a person decides" if entry.risk_class is RiskClass.R3 else "permitted anyway"
        return [f"{action} is {entry.risk_class}, {why}; a permit is about R1 and R2 actions"]
    found = []
    if entry.default is not Verdict.REVIEW:
        found.append(f"the default of {action} is {entry.default}; a permit lifts a review and nothing else")
    if entry.evidence < 1:
        found.append(f"{action} needs no cited fact; an action that runs by itself needs at least one")
    if action not in permissions.actions.get(PrincipalKind.AGENT, frozenset()):
        found.append(f"the agent may not ask for {action}: list it under `permissions` before it is permitted")
    return found


def pinned_actions(tree: Node) -> frozenset[Action] | None:
    """The actions that the condition can be true of, by what stands beside each other at its top; None where it is any."""
    parts = tree.parts if isinstance(tree, Both) else (tree,)
    pins = [pin for pin in map(_pin, parts) if pin is not None]
    return frozenset.intersection(*pins) if pins else None


def _pin(node: Node) -> frozenset[Action] | None:
    match node:
        case Comparison(FieldValue("action.name"), "==", Literal(_, str(name))):
            return frozenset([Action(name)])
        case Comparison(Literal(_, str(name)), "==", FieldValue("action.name")):
            return frozenset([Action(name)])
        case OneOf(FieldValue("action.name"), items):
            return frozenset(Action(item) for item in items if isinstance(item, str))
    return None


def rests_on_records(node: Node, wanted: bool) -> bool:
    """Whether the node can come out as `wanted` only with the help of something that a system recorded."""
    match node:
        case Not(inner):
            return rests_on_records(inner, not wanted)
        case Both(parts):
            found = [rests_on_records(part, wanted) for part in parts]
            return any(found) if wanted else all(found)
        case Either(parts):
            found = [rests_on_records(part, wanted) for part in parts]
            return all(found) if wanted else any(found)
    names = [leaf.name for leaf in leaves_of(node) if isinstance(leaf, FieldValue | AgeOf | UntilOf | Known)]
    return any(_is_record(name) for name in names)


def _is_record(name: str) -> bool:
    if name.startswith(_ABOUT_THE_REQUEST):
        return name in _FOUND_BY_FACTS
    field = CATALOGUE[name]
    return field.writer in (Writer.RECORD, Writer.DERIVED, Writer.CLOCK) and not field.untrusted
