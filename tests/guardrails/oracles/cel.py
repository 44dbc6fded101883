"""Conditions as CEL, asked of Google's implementation: our three-valued logic is CEL's own, with an error for unknown.

A variable without a value is an error, and `&&` and `||` pass an error on only where the other side does not decide. Errors come
back as values whose `.value()` is a truthy text, so it is their type that counts.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cel_expr_python import cel

from guardrails.money import Money
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    Either,
    FieldType,
    FieldValue,
    Flag,
    Known,
    LimitOf,
    Literal,
    MemberOf,
    Node,
    Not,
    OneOf,
    Operand,
    Sum,
    UntilOf,
    ValueType,
)
from guardrails.taxonomy import Truth
from tests.guardrails.oracles.stated import NOW, name_of, plain

_NEVER_GIVEN = "unseen"
_TYPES: Mapping[ValueType, Any] = {
    ValueType.BOOL: cel.Type.BOOL,
    ValueType.TEXT: cel.Type.STRING,
    ValueType.SET: cel.Type.List(cel.Type.STRING),
}


class CelOracle:
    """Some conditions, each compiled once with the declared types."""

    def __init__(self, nodes: Sequence[Node], fields: Mapping[str, FieldType]) -> None:
        variables = {NOW: cel.Type.INT, _NEVER_GIVEN: cel.Type.BOOL}
        for name, declared in fields.items():
            variables[name_of("v", name)] = _TYPES.get(declared.type, cel.Type.INT)
            variables |= {name_of("c", name): cel.Type.STRING, name_of("a", name): cel.Type.INT, name_of("k", name): cel.Type.BOOL}
        self._env = cel.NewEnv(variables=variables)
        self._compiled = [self._env.compile(text_of(node)) for node in nodes]

    def truths(self, given: Mapping[str, Any]) -> list[Truth]:
        """What each condition is of the facts as `stated` gives them."""
        activation = self._env.Activation(given)
        return [_truth(expression.eval(activation)) for expression in self._compiled]


def _truth(answer: Any) -> Truth:
    if answer.type() == cel.Type.ERROR:
        return Truth.UNKNOWN
    if answer.type() != cel.Type.BOOL:
        raise TypeError(f"a condition answered {answer.value()!r}")
    return Truth.TRUE if answer.value() else Truth.FALSE


def text_of(node: Node) -> str:
    """The condition in CEL."""
    match node:
        case Both(parts):
            return f"({' && '.join(map(text_of, parts))})"
        case Either(parts):
            return f"({' || '.join(map(text_of, parts))})"
        case Not(inner):
            return f"!{text_of(inner)}"
        case Flag(operand):
            return f"({_value(operand)})"
        case Known(name):
            return name_of("k", name)
        case MemberOf(operand, members):
            return f"({_value(operand)} in {_value(members)})"
        case OneOf(operand, items):
            listed = [Comparison(operand, "==", Literal(operand.type, item, 0), 0) for item in items]
            return f"({' || '.join(map(text_of, listed)) or 'false'})"
        case Comparison():
            return _comparison(node)


def _comparison(node: Comparison) -> str:
    left, right = node.left, node.right
    if left.type is ValueType.SET:
        return _sets(_value(left), node.op, _value(right))
    if left.type is not ValueType.MONEY:
        return f"({_value(left)} {node.op} {_value(right)})"
    (a, currencies), (b, others) = _money(left, right), _money(right, left)
    first, *more = [*currencies, *others]
    same = " && ".join(f"{first} == {other}" for other in more)
    return f"({same} ? {a} {node.op} {b} : {_NEVER_GIVEN})"


def _sets(a: str, op: str, b: str) -> str:
    """`size` first, so that an unseen set is unknown whatever the other holds."""
    within, around = f"{a}.all(m, m in {b})", f"{b}.all(m, m in {a})"
    asked = {"<=": within, "==": f"({within} && {around})", "!=": f"!({within} && {around})"}[op]
    return f"(size({a}) + size({b}) >= 0 ? {asked} : {_NEVER_GIVEN})"


def _money(operand: Operand, other: Operand) -> tuple[str, list[str]]:
    """Amount and currencies; those of a limit are found by the currency of what it is compared with."""
    match operand:
        case FieldValue(name):
            return name_of("v", name), [name_of("c", name)]
        case Literal(_, Money(amount, currency)):
            return str(amount), [json.dumps(currency)]
        case LimitOf(_, table):
            currency = _money(other, other)[1][0]
            amounts = ", ".join(f"{json.dumps(code)}: {money.amount}" for code, money in table.items())
            codes = ", ".join(f"{json.dumps(code)}: {json.dumps(money.currency)}" for code, money in table.items())
            return f"{{{amounts}}}[{currency}]", [f"{{{codes}}}[{currency}]"]
        case Sum(terms):
            parts = [_money(term, term) for term in terms]
            return f"({' + '.join(amount for amount, _ in parts)})", [code for _, codes in parts for code in codes]
    raise TypeError(f"{operand} is no money")


def _value(operand: Operand) -> str:
    match operand:
        case FieldValue(name):
            return name_of("v", name)
        case Literal(_, value):
            return json.dumps(plain(value))
        case AgeOf(name):
            return name_of("a", name)
        case UntilOf(name):
            return f"({name_of('v', name)} - {NOW})"
        case Sum(terms):
            return f"({' + '.join(map(_value, terms))})"
    raise TypeError(f"{operand} has no value by itself")
