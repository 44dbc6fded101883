"""What the benchmarks write down, and that no figure is given where the engines differ."""

import json
from pathlib import Path

import pytest

from evals.bench.figures import Figure, write
from evals.bench.guard import POLICY, Disagreement, draw_cases, lines_of
from evals.bench.rivals import Untranslatable, compare, judges_of
from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import Scope, compile_condition
from guardrails.policy.load import load_policy
from guardrails.policy.tables import Line, WhenUnknown
from guardrails.taxonomy import Verdict

FIGURE = Figure("guard.vs_cel", 3.5, "microseconds a case, p50", "cel-expr-python", 42.0, 12.0)


def test_the_results_hold_the_figures_and_what_they_were_measured_on(tmp_path: Path) -> None:
    write([FIGURE], tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"machine", "at", "figures"}
    assert set(results["figures"][0]) == {"name", "value", "unit", "yardstick", "yardstick_value", "ratio"}
    assert results["figures"][0]["ratio"] == 12.0
    assert set(results["machine"]) == {"system", "architecture", "cpus", "python", "implementation"}


def test_a_figure_is_written_once_and_only_as_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"guard\.vs_cel"):
        write([FIGURE, FIGURE], tmp_path / "results.json")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write([Figure("a", float("nan"), "s", "b", 1.0, 1.0)], tmp_path / "results.json")
    assert not (tmp_path / "results.json").exists()


def test_cedar_and_cel_rule_as_we_do_on_every_case_of_the_benchmark() -> None:
    lines = lines_of(load_policy(POLICY.read_text(), POLICY.name))
    cases, judges = draw_cases(lines, 300), judges_of(lines, 1 << (len(lines) - 1))
    compare(judges, cases)
    assert len({judges["ours"](facts)[0] for facts in cases}) > 40


def test_engines_that_differ_give_no_figure() -> None:
    lines = lines_of(load_policy(POLICY.read_text(), POLICY.name))
    judges = judges_of(lines, 0)
    judges["cel"] = lambda facts: (1, Verdict.REVIEW)
    with pytest.raises(Disagreement):
        compare(judges, draw_cases(lines, 50))


def test_a_line_that_the_rivals_cannot_be_told_is_named() -> None:
    condition = compile_condition("age(order.total) > 1h", Scope(FIELD_TYPES, {}, {}))
    with pytest.raises(Untranslatable, match="AgeOf"):
        judges_of([Line(condition, "old", WhenUnknown.FIRE, "x:1")], 0)
