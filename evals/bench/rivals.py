"""The guard beside two engines that others use for policies: Cedar by cedarpy, CEL by Google's cel-expr-python.

    python -m evals.bench.rivals --out rivals.json

The same lines, which of them fire and the verdict, on the same cases in one process; everything is parsed once, and turning the
facts into what an engine takes is part of asking it. Both skip or refuse what they cannot see, so each line is written out for them
as *fires*: not certainly false, except for silence where the line is quiet. The answers are compared before anything is timed.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import cedarpy
from cel_expr_python import cel

from evals.bench.figures import Figure, write
from evals.bench.guard import POLICY, Disagreement, draw_cases, lines_of
from guardrails.facts import UNKNOWN, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.generated import generate_outcomes
from guardrails.policy.load import load_policy
from guardrails.policy.syntax import (
    Both,
    Comparison,
    Either,
    FieldValue,
    Known,
    LimitOf,
    Literal,
    Node,
    Not,
    OneOf,
    Operand,
    ValueType,
)
from guardrails.policy.tables import Line, WhenUnknown
from guardrails.taxonomy import Verdict

CASES, ROUNDS = 1_000, 9

Judge = Callable[[Facts], tuple[int, Verdict]]
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class Untranslatable(ValueError):
    """The line uses something that is not written for the rivals yet."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("rivals.json"), help="where to write the figures")
    out = parser.parse_args().out
    write(measure(), out)


def measure() -> list[Figure]:
    """`guard.vs_cedar` and `guard.vs_cel`: the rival's median over ours. Raises Disagreement, Untranslatable."""
    policy = load_policy(POLICY.read_text(), POLICY.name)
    lines = lines_of(policy)
    blocking = {id(rule.line) for rule in policy.rules if rule.effect is Verdict.BLOCK}
    block = sum(1 << at for at, line in enumerate(lines) if id(line) in blocking)
    judges = judges_of(lines, block)
    cases = draw_cases(lines, CASES)
    compare(judges, cases)
    rounds = [{name: _median_of(judge, cases) for name, judge in judges.items()} for _ in range(ROUNDS)]
    microseconds = {name: median(item[name] for item in rounds) / 1000 for name in judges}
    names = {
        "cedar": "cedarpy, policies and entities parsed once",
        "cel": "cel-expr-python, one typed list expression, compiled once",
    }
    return [
        Figure(
            name=f"guard.vs_{rival}",
            value=round(microseconds["ours"], 3),
            unit="microseconds a case, p50",
            yardstick=yardstick,
            yardstick_value=round(microseconds[rival], 3),
            ratio=round(median(item[rival] / item["ours"] for item in rounds), 1),
        )
        for rival, yardstick in names.items()
    ]


def judges_of(lines: Sequence[Line], block: int) -> dict[str, Judge]:
    """By name: which lines fire, and the verdict. `block` holds the bits of the blocking ones. Raises Untranslatable."""
    return {"ours": _ours(lines, block), "cedar": _cedar(lines, block), "cel": _cel(lines, block)}


def compare(judges: dict[str, Judge], cases: Sequence[Facts]) -> None:
    """Raises Disagreement at the first case about which two of them differ."""
    for facts in cases:
        said = {name: judge(facts) for name, judge in judges.items()}
        if len(set(said.values())) > 1:
            raise Disagreement(f"{said} about {facts}")


def _median_of(judge: Judge, cases: Sequence[Facts]) -> float:
    took: list[int] = []
    for facts in cases:
        start = perf_counter_ns()
        judge(facts)
        took.append(perf_counter_ns() - start)
    return median(took)


# --- three ways to judge ---


def _verdict(fired: int, block: int) -> Verdict:
    return Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE


def _ours(lines: Sequence[Line], block: int) -> Judge:
    outcomes = generate_outcomes(lines)

    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired, _ = outcomes(facts)
        return fired, _verdict(fired, block)

    return judge


def _cedar(lines: Sequence[Line], block: int) -> Judge:
    """One `forbid` per line; the ids of those that matched come back."""
    forbids = [f'@id("{at}") forbid(principal, action, resource) when {{ {_CEDAR.fires(line)} }};' for at, line in enumerate(lines)]
    policies = cedarpy.PolicySet.from_str("\n".join(["permit(principal, action, resource);", *forbids]))
    entities = cedarpy.Entities.from_json_str("[]")
    bits = {f"policy{at + 1}": 1 << at for at in range(len(lines))}
    names = sorted({name for line in lines for name in line.condition.fields})
    request = {"principal": 'Agent::"agent"', "action": 'Action::"act"', "resource": 'Order::"1"'}

    def judge(facts: Facts) -> tuple[int, Verdict]:
        answer = cedarpy.is_authorized({**request, "context": _context(facts, names)}, policies, entities)
        if answer.diagnostics.errors:
            raise Disagreement(f"cedar could not judge: {answer.diagnostics.errors}")
        fired = sum(bits[name] for name in answer.diagnostics.reasons) if answer.decision is cedarpy.Decision.Deny else 0
        return fired, _verdict(fired, block)

    return judge


def _context(facts: Facts, names: Sequence[str]) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for name in names:
        fact = facts.by_name.get(name)
        if fact is None:
            continue
        plain = _plain(name)
        value: Any = fact.value
        if value is UNKNOWN:
            context[f"empty_{plain}"] = True
        elif isinstance(value, Money):
            context[plain], context[f"currency_{plain}"] = value.amount, value.currency
        else:
            context[plain] = value
    return context


def _cel(lines: Sequence[Line], block: int) -> Judge:
    """One list of truths. Every variable has a value, and `state_*` says whether it counts: 0 known, 1 empty, 2 not stated."""
    names = sorted({name for line in lines for name in line.condition.fields})
    types = {ValueType.BOOL: cel.Type.BOOL, ValueType.TEXT: cel.Type.STRING}
    neutral: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for name in names:
        kind, plain = CATALOGUE[name].type, _plain(name)
        variables |= {plain: types.get(kind, cel.Type.INT), f"state_{plain}": cel.Type.INT}
        neutral |= {plain: False if kind is ValueType.BOOL else "" if kind is ValueType.TEXT else 0, f"state_{plain}": 2}
        if kind is ValueType.MONEY:
            variables[f"currency_{plain}"], neutral[f"currency_{plain}"] = cel.Type.STRING, ""
    expression = cel.NewEnv(variables=variables).compile(f"[{', '.join(_CEL.fires(line) for line in lines)}]")

    def judge(facts: Facts) -> tuple[int, Verdict]:
        data = dict(neutral)
        for name, fact in facts.by_name.items():
            plain, value = _plain(name), fact.value
            data[f"state_{plain}"] = 1 if value is UNKNOWN else 0
            if isinstance(value, Money):
                data[plain], data[f"currency_{plain}"] = value.amount, value.currency
            elif value is not UNKNOWN:
                data[plain] = value
        answer = expression.eval(data=data)
        if answer.type() == cel.Type.ERROR:
            raise Disagreement(f"CEL could not judge: {answer.value()}")
        fired = 0
        for at, fires in enumerate(answer.plain_value()):
            if fires:
                fired |= 1 << at
        return fired, _verdict(fired, block)

    return judge


def _plain(name: str) -> str:
    return name.replace(".", "_")


# --- the lines in their languages ---


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How an engine writes a value, whether it is known or was answered empty, and whether it is among others."""

    value: str
    known: str
    empty: str
    among: str

    def fires(self, line: Line) -> str:
        """Not certainly false, and not mere silence of a quiet line."""
        tree, fields = line.condition.tree, sorted(line.condition.fields)
        if tree is None:
            raise Untranslatable(line.condition.text)
        if line.when_unknown is WhenUnknown.FIRE:
            return f"!({self.truth(tree, False)})"
        answered = [
            self.empty.format(_plain(name)) for name in fields if CATALOGUE[name].writer not in (Writer.DERIVED, Writer.CLOCK)
        ]
        if len(fields) == 1 and CATALOGUE[fields[0]].type is not ValueType.MONEY:
            return " || ".join([f"({self.truth(tree, True)})", *answered])
        unseen = " || ".join(f"!({self.known.format(_plain(name))})" for name in fields)
        silence = f"({unseen})" + (f" && !({' || '.join(answered)})" if answered else "")
        return f"({self.truth(tree, True)}) || (!({self.truth(tree, False)}) && !({silence}))"

    def truth(self, node: Node, wanted: bool) -> str:
        """Certainly so (`wanted`), or certainly not."""
        match node:
            case Both(parts) | Either(parts):
                joint = " && " if isinstance(node, Both) is wanted else " || "
                return joint.join(f"({self.truth(part, wanted)})" for part in parts)
            case Not(inner):
                return self.truth(inner, not wanted)
            case Known(name):
                known, empty = self.known.format(_plain(name)), self.empty.format(_plain(name))
                return known if wanted else f"!({known}) && !({empty})"
            case OneOf(FieldValue(name), items) if all(isinstance(item, str) for item in items):
                among = self.among.format(self.value.format(_plain(name)), json.dumps(items))
                return f"{self.known.format(_plain(name))} && {'' if wanted else '!'}({among})"
            case Comparison(left, op, right):
                return self._compared(left, op if wanted else _OPPOSITE[op], right)
        raise Untranslatable(f"{node}")

    def _compared(self, left: Operand, op: str, right: Operand) -> str:
        if not isinstance(left, FieldValue):
            raise Untranslatable(f"{left}")
        plain = _plain(left.name)
        known, value = self.known.format(plain), self.value.format(plain)
        match right:
            case LimitOf(_, table):
                currency = self.value.format(f"currency_{plain}")
                each = [f'({currency} == "{code}" && {value} {op} {money.amount})' for code, money in table.items()]
                return f"{known} && ({' || '.join(each)})"
            case Literal(_, bool() | int() | str() as constant):
                return f"{known} && {value} {op} {json.dumps(constant)}"
        raise Untranslatable(f"{right}")


_CEDAR = _Dialect("context.{}", "context has {}", "context has empty_{}", "{1}.contains({0})")
_CEL = _Dialect("{}", "state_{} == 0", "state_{} == 1", "{} in {}")

if __name__ == "__main__":
    main()
