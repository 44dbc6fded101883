"""How fast the guard's conditions are, as ratios to functions written by hand, all in one run on the same cases.

    python -m evals.bench.guard --out guard.json

Every case is timed by itself; a round's figure is the ratio of the two medians, and the run's is the median round.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

from evals.bench.by_hand import BY_HAND
from guardrails.asking import ask_line
from guardrails.columns import Column, Columns, encode, needs_of
from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Field
from guardrails.policy.generated import generate_outcomes
from guardrails.policy.language import ValueType
from guardrails.policy.load import load_policy
from guardrails.policy.tables import Line, Policy
from guardrails.ruling import Outcome
from guardrails.taxonomy import Verdict
from guardrails.weighing import outcome_of

POLICY = Path(__file__).parents[2] / "config" / "policy.yaml"
AS_OF = datetime(2026, 11, 23, 10, tzinfo=UTC)
CASES, ROUNDS, COPIES = 2_000, 25, 100

Judge = Callable[[Facts], tuple[int, Verdict]]


class Disagreement(RuntimeError):
    """The functions written by hand do not say what the policy says; a ratio between them would mean nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("guard.json"), help="where to write the figures")
    figures = measure(load_policy(POLICY.read_text(), POLICY.name))
    parser.parse_args().out.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")


def measure(policy: Policy) -> dict[str, Any]:
    """The figures with what they were measured on. Raises Disagreement."""
    lines = lines_of(policy)
    block = sum(
        1 << at for at, line in enumerate(lines) if line in [rule.line for rule in policy.rules if rule.effect is Verdict.BLOCK]
    )
    judges = {"generated": _by_generated(lines, block), "closures": _by_closures(lines, block), "by_hand": _by_hand(block)}
    cases = draw_cases(lines, CASES)
    _compare(judges, cases)
    rounds = [_round(judges, cases) for _ in range(ROUNDS)]
    ratios = {name: median(item[name] / item["by_hand"] for item in rounds) for name in ("generated", "closures")}
    nanoseconds = {name: median(item[name] for item in rounds) for name in judges}
    return {
        "guard.mask_p50": {"value": round(ratios["generated"], 3), "unit": "times the functions written by hand", "goal": "<= 0.5"},
        "guard.closures_p50": {"value": round(ratios["closures"], 3), "unit": "times the functions written by hand"},
        "guard.mask_p50_spread": {"value": [round(q, 3) for q in quantiles(i["generated"] / i["by_hand"] for i in rounds)]},
        "guard.p50_ns": {"value": nanoseconds, "unit": "nanoseconds, the clock's own cost included"},
        "guard.columns": {
            "value": round(_rows_per_second(lines, cases)),
            "unit": "rulings a second, all lines, encoded, in memory",
        },
        "measured_on": {"cases": CASES, "rounds": ROUNDS, "lines": len(lines), "policy": policy.sha256},
    }


def lines_of(policy: Policy) -> tuple[Line, ...]:
    return (*(line for entry in policy.mandatory.values() for line in entry.lines), *(rule.line for rule in policy.rules))


# --- three ways to judge ---


def _by_generated(lines: Sequence[Line], block: int) -> Judge:
    outcomes = generate_outcomes(lines)

    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired, _ = outcomes(facts)
        return fired, (Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE)

    return judge


def _by_closures(lines: Sequence[Line], block: int) -> Judge:
    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired = 0
        for at, line in enumerate(lines):
            if outcome_of(line, facts) is not Outcome.NOT_FIRED:
                fired |= 1 << at
        return fired, (Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE)

    return judge


def _by_hand(block: int) -> Judge:
    bits = [(function, 1 << at) for at, function in enumerate(BY_HAND)]

    def judge(facts: Facts) -> tuple[int, Verdict]:
        fired = 0
        for function, bit in bits:
            if function(facts):
                fired |= bit
        return fired, (Verdict.BLOCK if fired & block else Verdict.REVIEW if fired else Verdict.AUTOMATE)

    return judge


# --- measuring ---


def _compare(judges: dict[str, Judge], cases: Sequence[Facts]) -> None:
    for facts in cases:
        said = {name: judge(facts) for name, judge in judges.items()}
        if len(set(said.values())) > 1:
            raise Disagreement(f"{said} about {facts}")


def _round(judges: dict[str, Judge], cases: Sequence[Facts]) -> dict[str, float]:
    """Each goes through all the cases by itself: whoever came first to a case would fetch it into the cache for the others."""
    return {name: _median_of(judge, cases) for name, judge in judges.items()}


def _median_of(judge: Judge, cases: Sequence[Facts]) -> float:
    took: list[int] = []
    for facts in cases:
        start = perf_counter_ns()
        judge(facts)
        took.append(perf_counter_ns() - start)
    return median(took)


def _rows_per_second(lines: Sequence[Line], cases: Sequence[Facts]) -> float:
    """Best of five: asking many copies of the cases about every line."""
    columns = _repeated(encode(cases, needs_of([line.condition.tree for line in lines if line.condition.tree is not None])))
    best = 0.0
    for _ in range(5):
        start = perf_counter()
        for line in lines:
            ask_line(line, columns)
        best = max(best, columns.size / (perf_counter() - start))
    return best


def _repeated(columns: Columns) -> Columns:
    fields = {
        name: Column(
            np.tile(c.states, COPIES), np.tile(c.values, (COPIES, *[1] * (c.values.ndim - 1))), np.tile(c.currencies, COPIES)
        )
        for name, c in columns.fields.items()
    }
    as_of = np.tile(columns.as_of, COPIES)
    return Columns(columns.size * COPIES, as_of, fields, {}, columns.words, columns.members, {})


# --- cases ---


def draw_cases(lines: Sequence[Line], count: int) -> list[Facts]:
    """Facts as they come: most fields that the lines read are stated, some nobody mentioned, a few answers are empty."""
    draw = Random(20261123)
    fields = [CATALOGUE[name] for name in sorted({name for line in lines for name in line.condition.fields})]
    return [_facts(draw, fields) for _ in range(count)]


def _facts(draw: Random, fields: Sequence[Field]) -> Facts:
    chances = [(field, draw.random()) for field in fields]
    stated = {field.name: UNKNOWN if chance < 0.02 else _value(draw, field) for field, chance in chances if chance < 0.7}
    return Facts("#1", AS_OF, {name: Fact(name, value, "shopify", AS_OF) for name, value in stated.items()})


def _value(draw: Random, field: Field) -> Any:
    match field.type:
        case ValueType.BOOL:
            return draw.random() < (0.9 if field.name == "address.deliverable" else 0.1)
        case ValueType.INT:
            return draw.randint(-1, 6)
        case ValueType.MONEY:
            return Money(draw.randint(100, 60_000), draw.choice(("USD", "USD", "EUR", "CHF")))
    return draw.choice(sorted(field.values) or ["won", "high_risk_of_fraud", "other"])


if __name__ == "__main__":
    main()
