"""What can be proved of a condition, before it ever rules.

*Direction*: whatever makes a field riskier never makes a condition that holds or blocks stop firing, and never makes a permit
begin. Each comparison is looked at by itself, under the `not`s that stand around it; if all of them rise with the risk, so does
the whole. *Taint*: a mandatory condition rests on nothing that the model, the actor or a stranger wrote.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from guardrails.policy.catalogue import CATALOGUE, Field, Writer
from guardrails.policy.language import Condition
from guardrails.policy.risks import RISKS, Direction, Risk
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    Either,
    FieldValue,
    Flag,
    Known,
    LimitOf,
    Literal,
    LiteralValue,
    MemberOf,
    Node,
    Not,
    OneOf,
    Operand,
    UntilOf,
    ValueType,
    leaves_of,
)

_OLDER = Risk(Direction.UP)
_NONE = Risk()


class Objection(NamedTuple):
    """`column` counts from 1 in the condition's text."""

    column: int
    message: str


class _Fault(Enum):
    TURNED = "turned"
    STATED = "stated"
    SAFE = "safe"
    SINGLE = "single"
    UNLISTED = "unlisted"


class _Found(NamedTuple):
    column: int
    fault: _Fault
    about: str


_OF_A_HOLD: Mapping[_Fault, str] = {
    _Fault.TURNED: "{}, and this fires the less for it",
    _Fault.STATED: "{} is the risk, and this would fire for the opposite",
    _Fault.SAFE: "this fires for {}, which is safe, and not for all that is riskier",
    _Fault.SINGLE: "{}, and this fires for some values only; use < or >",
    _Fault.UNLISTED: "some values of {} are riskier than others; compare it with a list of them",
}
_OF_A_PERMIT: Mapping[_Fault, str] = {
    _Fault.TURNED: "{}, and this permits the more for it",
    _Fault.STATED: "{} is the risk, and this would permit because of it",
    _Fault.SAFE: "this refuses {}, which is safe, and permits what is riskier",
    _Fault.SINGLE: "{}, and this permits some values only; use < or >",
    _Fault.UNLISTED: _OF_A_HOLD[_Fault.UNLISTED],
}


def against_the_risk(condition: Condition) -> tuple[Objection, ...]:
    """Every place at which a riskier value could make a condition that holds or blocks stop firing."""
    return _told(condition, _OF_A_HOLD, fires=True)


def permitting_the_risk(condition: Condition) -> tuple[Objection, ...]:
    """Every place at which a riskier value could make a permit fire."""
    return _told(condition, _OF_A_PERMIT, fires=False)


def _told(condition: Condition, words: Mapping[_Fault, str], fires: bool) -> tuple[Objection, ...]:
    found = () if condition.tree is None else _objections(condition.tree, fires)
    return tuple(Objection(item.column, words[item.fault].format(item.about)) for item in found)


def tainted(condition: Condition) -> tuple[str, ...]:
    """Why the condition cannot be mandatory, per field that somebody else than a system of record writes."""
    return tuple(
        f"a mandatory condition may not read {name}: {_taint(CATALOGUE[name])}"
        for name in sorted(condition.fields)
        if _taint(CATALOGUE[name])
    )


def beyond_silence(condition: Condition) -> tuple[Objection, ...]:
    """Why a line cannot be quiet: in a part of it something can be unknown though every field has a value (two currencies, a time
    that nobody gave), and the silence of another part would cover that up."""
    tree = condition.tree
    while isinstance(tree, Not):
        tree = tree.inner
    if tree is None or isinstance(tree, Comparison | OneOf | Flag | MemberOf | Known):
        return ()
    found = [
        leaf.column
        for leaf in leaves_of(tree)
        if isinstance(leaf, AgeOf | UntilOf | LimitOf) or (isinstance(leaf, FieldValue) and leaf.type is ValueType.MONEY)
    ]
    message = "a quiet condition that compares money, ages or times reads nothing else; write a line of its own for each part"
    return (Objection(min(found), message),) if found else ()


def _taint(field: Field) -> str:
    if field.writer in (Writer.MODEL, Writer.ACTOR):
        return f"the {field.writer} writes it"
    return "it is free text from outside" if field.untrusted else ""


def _objections(node: Node, fires: bool) -> Iterator[_Found]:
    """`fires`: the condition fires when the node is true; below an odd number of `not`s, when it is false."""
    match node:
        case Both(parts) | Either(parts):
            for part in parts:
                yield from _objections(part, fires)
        case Not(inner):
            yield from _objections(inner, not fires)
        case Known(name, column):
            if RISKS.get(name, _NONE).bad_news is not fires:
                worse = "that anybody states" if RISKS.get(name, _NONE).bad_news else "that nobody states"
                yield _Found(column, _Fault.STATED, f"{worse} {name}")
        case Flag(operand):
            yield from _moving(operand, fires)
        case OneOf(operand, items):
            yield from _among(operand, items, fires)
        case MemberOf(operand, members):
            yield from _moving(members, fires)
            yield from _still(operand)
        case Comparison():
            yield from _comparison(node, fires)


def _comparison(node: Comparison, fires: bool) -> Iterator[_Found]:
    left, right = (node.right, node.left) if isinstance(node.left, Literal) else (node.left, node.right)
    if node.op in ("==", "!="):
        if isinstance(right, Literal):
            yield from _among(left, (right.value,), fires if node.op == "==" else not fires)
        else:
            yield from [*_still(left), *_still(right)]
        return
    rises = fires if node.op in (">", ">=") else not fires
    yield from [*_moving(node.left, rises), *_moving(node.right, not rises)]


def _among(operand: Operand, items: tuple[LiteralValue, ...], fires: bool) -> Iterator[_Found]:
    """Being one of these values fires, or (`fires` false) being any other."""
    if operand.type is ValueType.BOOL:
        if set(items) in ({True}, {False}):
            yield from _moving(operand, fires is (True in items))
        return
    if operand.type is not ValueType.TEXT or not isinstance(operand, FieldValue):
        yield from _still(operand)
        return
    safe, listed = RISKS.get(operand.name, _NONE).safe, frozenset(item for item in items if isinstance(item, str))
    risky = operand.values - safe
    only_risky = not listed & safe if fires else safe <= listed
    all_risky = bool(risky) and risky <= listed if fires else listed <= safe
    if safe and not only_risky and not all_risky:
        yield _Found(
            operand.column, _Fault.SAFE, " or ".join(repr(value) for value in sorted(safe & listed if fires else safe - listed))
        )


def _moving(operand: Operand, rises: bool) -> Iterator[_Found]:
    """The condition fires more the higher the operand is, or (`rises` false) the lower."""
    wanted = Direction.UP if rises else Direction.DOWN
    for name, risk, column in _read_by(operand):
        if risk.direction is not None and risk.direction is not wanted:
            yield _Found(column, _Fault.TURNED, f"{name} gets riskier {risk.direction}")


def _still(operand: Operand) -> Iterator[_Found]:
    """The condition neither rises nor falls with the operand."""
    for name, risk, column in _read_by(operand):
        if risk.direction is not None:
            yield _Found(column, _Fault.SINGLE, f"{name} gets riskier {risk.direction}")
        elif risk.safe:
            yield _Found(column, _Fault.UNLISTED, name)


def _read_by(operand: Operand) -> Iterator[tuple[str, Risk, int]]:
    for item in leaves_of(operand):
        if isinstance(item, FieldValue):
            yield item.name, RISKS.get(item.name, _NONE), item.column
        elif isinstance(item, AgeOf):
            yield f"age({item.name})", _OLDER, item.column
