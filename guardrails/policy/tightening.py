"""Whether a changed number can only tighten what a condition decides.

Two trees of the same text differ in their limits and durations alone. They are walked side by side, under the `not`s around each
comparison, as the proofs of direction are.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from guardrails.policy.syntax import Both, Comparison, Either, LimitOf, LimitTable, Literal, Node, Not, Operand, leaves_of

_GROWS_WITH_LOWER_RIGHT = frozenset({">", ">="})


def only_tightens(before: Node | None, after: Node | None, fires: bool) -> bool:
    """`fires`: the second is true (or unknown) wherever the first is, so a rule that holds fires no less. Otherwise the other way
    round, as a permit needs it. Certain only for changed sides of < <= > >=; anything else that changed is refused."""
    if before == after:
        return True
    match before, after:
        case (Both(first), Both(second)) | (Either(first), Either(second)):
            return len(first) == len(second) and all(only_tightens(a, b, fires) for a, b in zip(first, second, strict=True))
        case Not(first_inner), Not(second_inner):
            return only_tightens(first_inner, second_inner, not fires)
        case Comparison(), Comparison():
            return _comparison_tightens(before, after, fires)
    return False


def _comparison_tightens(before: Comparison, after: Comparison, fires: bool) -> bool:
    if before.op != after.op or before.op in ("==", "!="):
        return False
    if before.left == after.left:
        return _falls(before.right, after.right) and (before.op in _GROWS_WITH_LOWER_RIGHT) is fires
    if before.right == after.right:
        return _falls(before.left, after.left) and (before.op not in _GROWS_WITH_LOWER_RIGHT) is fires
    return False


def _falls(before: Operand, after: Operand) -> bool:
    """The same limit, nowhere higher, or a shorter duration."""
    match before, after:
        case LimitOf(name, first), LimitOf(other, second):
            return name == other and _nowhere_higher(first, second)
        case Literal(_, timedelta() as first_age), Literal(_, timedelta() as second_age):
            return second_age <= first_age
    return False


def _nowhere_higher(before: LimitTable, after: LimitTable) -> bool:
    return all(code in before and money.amount <= before[code].amount for code, money in after.items())


def loses_a_currency(tree: Node | None, limits: Mapping[str, LimitTable]) -> Iterator[str]:
    """The limits in the tree that no longer list a currency they listed."""
    for leaf in leaves_of(tree) if tree is not None else ():
        if isinstance(leaf, LimitOf) and not leaf.table.keys() <= limits[leaf.name].keys():
            yield leaf.name
