"""Closures, generated code and columns mean the same by a condition, also where facts are missing, odd or in other currencies.

ORDERMEND_CASES says how many facts are drawn per comparison; a long run takes 1000000.
"""

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.facts import Fact, Facts
from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.generated import generate_outcomes, generate_truths
from guardrails.policy.language import Condition, compile_condition
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.tables import Line
from guardrails.replay.asking import ask, ask_line
from guardrails.replay.columns import Needs, encode, needs_of
from guardrails.ruling import Outcome
from guardrails.taxonomy import Truth
from tests.guardrails.clean_case import NOW, policy
from tests.guardrails.generated_cases import SCOPE, decisive_values, random_condition, random_facts, types_of

CASES = int(os.environ.get("ORDERMEND_CASES", "6000"))
BATCH = 5_000
PER_CONDITION = 100


@cache
def lines() -> tuple[Line, ...]:
    return (*(line for entry in policy().mandatory.values() for line in entry.lines), *(rule.line for rule in policy().rules))


def needs_of_all(conditions: Sequence[Condition]) -> Needs:
    return needs_of([condition.tree for condition in conditions if condition.tree is not None])


def assert_same(conditions: Sequence[Condition], rulings: Sequence[Facts]) -> Counter[Truth]:
    """All three agree on every condition in every case; how often each truth was reached."""
    masks = generate_truths(conditions)
    columns = encode(rulings, needs_of_all(conditions))
    assert len(rulings) < PER_CONDITION or len(columns.whole) < len(rulings) / 2, "too few cases are judged by columns at all"
    by_columns = np.array([ask(condition, columns) for condition in conditions]).T.tolist()
    reached: Counter[Truth] = Counter()
    for facts, row in zip(rulings, by_columns, strict=True):
        expected = [condition.evaluate(facts) for condition in conditions]
        certain, unknown = masks(facts)
        certain &= ~unknown
        assert certain == sum(1 << at for at, truth in enumerate(expected) if truth is Truth.TRUE), _first(conditions, facts)
        assert unknown == sum(1 << at for at, truth in enumerate(expected) if truth is Truth.UNKNOWN), _first(conditions, facts)
        assert row == expected, facts
        reached.update(expected)
    return reached


def _first(conditions: Sequence[Condition], facts: Facts) -> str:
    """The first condition about which generated code says something else."""
    for condition in conditions:
        certain, unknown = generate_truths([condition])(facts)
        if (certain, unknown) != {Truth.TRUE: (1, 0), Truth.UNKNOWN: (1, 1), Truth.FALSE: (0, 0)}[condition.evaluate(facts)]:
            return f"{condition.text}: {facts}"
    return "only together"


def assert_reach(reached: Counter[Truth]) -> None:
    assert set(reached) == set(Truth)
    assert min(reached.values()) >= 0.2 * sum(reached.values()), reached


def test_the_shipped_policy_means_the_same_to_all_three() -> None:
    conditions = [line.condition for line in lines()]
    draw, types, near = Random(20261123), types_of(conditions, FIELD_TYPES), decisive_values(conditions)
    reached: Counter[Truth] = Counter()
    for start in range(0, CASES, BATCH):
        size = min(BATCH, CASES - start)
        reached += assert_same(conditions, [random_facts(draw, types, near, unknown=0.16) for _ in range(size)])
    assert_reach(reached)


def test_drawn_conditions_mean_the_same_to_all_three() -> None:
    draw, types = Random(7), {name: declared.type for name, declared in SCOPE.fields.items()}
    reached: Counter[Truth] = Counter()
    for _ in range(0, 10 * CASES, 10 * PER_CONDITION):
        conditions = [compile_condition(random_condition(draw), SCOPE) for _ in range(10)]
        near = decisive_values(conditions)
        reached += assert_same(conditions, [random_facts(draw, types, near, unknown=0.08) for _ in range(PER_CONDITION)])
    assert_reach(reached)


def test_a_lines_outcome_is_the_same_as_in_a_ruling() -> None:
    conditions = [line.condition for line in lines()]
    draw, types, near = Random(5), types_of(conditions, FIELD_TYPES), decisive_values(conditions)
    rulings = [random_facts(draw, types, near, unknown=0.2) for _ in range(min(CASES, 500))]
    outcomes, columns = generate_outcomes(lines()), encode(rulings, needs_of_all(conditions))
    asked = [ask_line(line, columns) for line in lines()]
    reached: Counter[Outcome] = Counter()
    for row, facts in enumerate(rulings):
        expected = [outcome_of(line, facts) for line in lines()]
        fired, unknown = outcomes(facts)
        for at, outcome in enumerate(expected):
            said = (outcome is not Outcome.NOT_FIRED, outcome is Outcome.FIRED_UNKNOWN)
            assert (bool(fired >> at & 1), bool(unknown >> at & 1)) == said, (lines()[at].condition.text, facts)
            assert (asked[at][0][row], asked[at][1][row]) == said, (lines()[at].condition.text, facts)
        reached.update(expected)
    assert set(reached) == {Outcome.FIRED, Outcome.FIRED_UNKNOWN, Outcome.NOT_FIRED}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**64), st.integers(0, 4))
def test_any_shape_of_condition_means_the_same_to_all_three(seed: int, depth: int) -> None:
    draw = Random(seed)
    conditions = [compile_condition(random_condition(draw, depth), SCOPE)]
    types = {name: declared.type for name, declared in SCOPE.fields.items()}
    assert_same(conditions, [random_facts(draw, types, decisive_values(conditions), unknown=0.1) for _ in range(12)])


@pytest.mark.parametrize("text", ["not " * 400 + "p", "p and (q or (" * 30 + "p" + "))" * 30, "p and " * 300 + "q"])
def test_a_deep_condition_means_the_same_to_all_three(text: str) -> None:
    draw, condition = Random(3), compile_condition(text, SCOPE)
    types = {name: SCOPE.fields[name].type for name in ("p", "q")}
    assert_same([condition], [random_facts(draw, types, {}, unknown=0.3) for _ in range(40)])


@pytest.mark.parametrize("number", [2**50, 2**50 + 1, 2**58, -(2**60), 2**63])
def test_a_long_sum_of_large_numbers_is_exact(number: int) -> None:
    condition = compile_condition(" + ".join(["n"] * 480) + " > 0", SCOPE)
    facts = Facts("#1", NOW, {"n": Fact("n", number, "shopify", NOW)})
    assert condition.evaluate(facts) is (Truth.TRUE if number > 0 else Truth.FALSE)
    assert_same([condition], [facts])
