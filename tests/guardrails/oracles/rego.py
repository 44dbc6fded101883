"""Conditions as Rego, asked of regorus: what is missing is undefined there, which is not Kleene's unknown.

So every part of a condition becomes two rules, certainly true and certainly false; what is neither is unknown. An engine stays in
the thread that made it: from another it panics, and that panic is a BaseException.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import regorus

from guardrails.money import Money
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

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class RegoOracle:
    """Some conditions in one module."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        writer = _Writer()
        for number, node in enumerate(nodes):
            at = writer.write(node)
            writer.rules += [f"certain contains {number} if {{ t{at} }}", f"never contains {number} if {{ f{at} }}"]
        self._count = len(nodes)
        self._engine = regorus.Engine()
        self._engine.add_policy("conditions.rego", "\n".join(["package conditions", *writer.rules, "answer := [certain, never]"]))

    def truths(self, given: Mapping[str, Any]) -> list[Truth]:
        """What each condition is of the facts as `stated` gives them."""
        self._engine.set_input(dict(given))
        certain, never = self._engine.eval_rule("data.conditions.answer")
        if certain & never:
            raise AssertionError(f"true and false at once: {certain & never}")
        return [Truth.TRUE if at in certain else Truth.FALSE if at in never else Truth.UNKNOWN for at in range(self._count)]


class _Writer:
    def __init__(self) -> None:
        self.rules: list[str] = []
        self.parts = 0

    def write(self, node: Node) -> int:
        """Adds the rules `t<n>` and `f<n>` of the node, and returns n."""
        match node:
            case Both(parts):
                numbers = [self.write(part) for part in parts]
                return self._pair(["; ".join(f"t{at}" for at in numbers)], [f"f{at}" for at in numbers])
            case Either(parts):
                numbers = [self.write(part) for part in parts]
                return self._pair([f"t{at}" for at in numbers], ["; ".join(f"f{at}" for at in numbers)])
            case Not(inner):
                at = self.write(inner)
                return self._pair([f"f{at}"], [f"t{at}"])
            case OneOf(_, ()):
                return self._pair([], ["true"])
            case OneOf(operand, items):
                return self.write(Either(tuple(Comparison(operand, "==", Literal(operand.type, item, 0), 0) for item in items)))
            case Known(name):
                return self._bool(_read("k", name))
            case Flag(operand):
                return self._bool(_value(operand))
            case MemberOf(operand, members):
                seen = f"e := {_value(operand)}; s := {_value(members)}"
                return self._pair([f"{seen}; e in s"], [f"{seen}; not e in s"])
            case Comparison():
                return self._comparison(node)

    def _pair(self, true: Iterable[str], false: Iterable[str]) -> int:
        """Each text is one body; a rule without any is never so."""
        at, self.parts = self.parts, self.parts + 1
        self.rules += [f"t{at} if {{ {body} }}" for body in true or ["false"]]
        self.rules += [f"f{at} if {{ {body} }}" for body in false or ["false"]]
        return at

    def _bool(self, value: str) -> int:
        return self._pair([f"{value} == true"], [f"{value} == false"])

    def _comparison(self, node: Comparison) -> int:
        left, right = node.left, node.right
        if left.type is ValueType.SET:
            return self._sets(_value(left), node.op, _value(right))
        if left.type is not ValueType.MONEY:
            given = f"a := {_value(left)}; b := {_value(right)}"
        else:
            (a, currencies), (b, others) = _money(left, right), _money(right, left)
            first, *more = [*currencies, *others]
            same = "; ".join(f"{first} == {other}" for other in more)
            given = f"{same}; a := {a}; b := {b}"
        return self._pair([f"{given}; a {node.op} b"], [f"{given}; a {_OPPOSITE[node.op]} b"])

    def _sets(self, a: str, op: str, b: str) -> int:
        given = f"a := {{m | some m in {a}}}; b := {{m | some m in {b}}}; is_array({a}); is_array({b})"
        true, false = {
            "<=": ("count(a - b) == 0", "count(a - b) > 0"),
            "==": ("a == b", "a != b"),
            "!=": ("a != b", "a == b"),
        }[op]
        return self._pair([f"{given}; {true}"], [f"{given}; {false}"])


def _read(part: str, field: str) -> str:
    return f'input["{name_of(part, field)}"]'


def _money(operand: Operand, other: Operand) -> tuple[str, list[str]]:
    match operand:
        case FieldValue(name):
            return _read("v", name), [_read("c", name)]
        case Literal(_, Money(amount, currency)):
            return str(amount), [json.dumps(currency)]
        case LimitOf(_, table):
            currency = _money(other, other)[1][0]
            amounts = json.dumps({code: money.amount for code, money in table.items()})
            codes = json.dumps({code: money.currency for code, money in table.items()})
            return f"{amounts}[{currency}]", [f"{codes}[{currency}]"]
        case Sum(terms):
            parts = [_money(term, term) for term in terms]
            return _added(amount for amount, _ in parts), [code for _, codes in parts for code in codes]
    raise TypeError(f"{operand} is no money")


def _added(terms: Iterable[str]) -> str:
    return f"({' + '.join(terms)})"


def _value(operand: Operand) -> str:
    match operand:
        case FieldValue(name):
            return _read("v", name)
        case Literal(_, value):
            return json.dumps(plain(value))
        case AgeOf(name):
            return _read("a", name)
        case UntilOf(name):
            return f"({_read('v', name)} - input.{NOW})"
        case Sum(terms):
            return _added(map(_value, terms))
    raise TypeError(f"{operand} has no value by itself")
