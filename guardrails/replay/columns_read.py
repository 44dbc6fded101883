"""Which columns of a segment a replay of two policies reads, for callers that must fetch them beforehand."""

from guardrails.augment import DETECTED
from guardrails.policy.catalogue import CATALOGUE
from guardrails.policy.syntax import AgeOf, leaves_of
from guardrails.policy.tables import Policy
from guardrails.replay.segment_shapes import FROM_PROPOSAL

_ALWAYS = ("segment", "rows", "at", "as_of", "decision", "sources", "conflicts", "standing", "actions", "whole")


def columns_read(*policies: Policy) -> frozenset[str]:
    """Names as in a segment; one that a segment does not have is a field that none of its rows states."""
    values, times = {DETECTED, "order.total", *FROM_PROPOSAL}, set[str]()
    for policy in policies:
        lines = [line for entry in policy.mandatory.values() for line in entry.lines] + [rule.line for rule in policy.rules]
        for line in lines:
            values |= line.condition.fields
            leaves = leaves_of(line.condition.tree) if line.condition.tree is not None else ()
            times |= {leaf.name for leaf in leaves if isinstance(leaf, AgeOf)}
        times |= {name for kind in policy.freshness.values() for name in kind.one_of}
        values |= {entry.money for entry in policy.actions.values() if entry.money is not None and entry.money in CATALOGUE}
    return frozenset(
        [
            *_ALWAYS,
            *(f"field:{name}" for name in values | times),
            *(f"{part}:{name}" for name in times for part in ("marks", "seen")),
        ]
    )
