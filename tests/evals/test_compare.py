"""Two runs against each other, the gates, and what may be blessed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from evals.bless import baseline_of, baseline_path, outcomes, read_baseline
from evals.compare import NothingInCommon, compare
from evals.gates import GATES, GatesInvalid, broken, load_gates
from evals.record import Judged, RecordInvalid, Repeats
from tests.evals.records import outcome, record, wrong

GATE = load_gates(GATES)
WHEN = datetime(2026, 11, 23, tzinfo=UTC)


def names(n: int) -> list[str]:
    return [f"c{i}" for i in range(n)]


def test_equal_runs_differ_in_nothing() -> None:
    run = outcomes(record(*map(outcome, names(10)), wrong("w")))
    found = compare(run, run)
    assert [(m.name, m.before, m.after, m.points, m.p) for m in found.measures] == [
        ("category", 10, 10, 0.0, 1.0),
        ("verdict", 11, 11, 0.0, 1.0),
    ]
    assert found.flips == ()
    assert found.dropped(GATE.soft) == []


def test_what_flipped_is_listed_both_ways_and_by_category() -> None:
    before = record(outcome("a"), outcome("b"), wrong("c"))
    after = record(wrong("a"), outcome("b"), outcome("c"))
    found = compare(outcomes(before), outcomes(after))
    assert (found.measures[0].worse, found.measures[0].better) == (("a",), ("c",))
    assert [(flip.id, flip.became) for flip in found.flips] == [("a", "worse"), ("c", "better")]
    assert [(c.category, c.n, c.before, c.after) for c in found.categories] == [("payment_failed", 3, 2, 2)]


def test_another_wrong_answer_is_a_flip_that_is_neither() -> None:
    found = compare(outcomes(record(wrong("a"))), outcomes(record(wrong("a", category="unknown"))))
    assert [(flip.before, flip.after, flip.became) for flip in found.flips] == [
        ("fraud_risk / review", "unknown / review", "other")
    ]


def test_a_significant_large_drop_fails() -> None:
    before = record(*map(outcome, names(100)))
    # six worse and none better: p = 2 / 2**6 = 0.03125, six points
    after = record(*map(wrong, names(6)), *map(outcome, names(100)[6:]))
    dropped = compare(outcomes(before), outcomes(after)).dropped(GATE.soft)
    assert len(dropped) == 1
    assert dropped[0].startswith("category: -6.0 points (p = 0.031")
    assert dropped[0].endswith("6 worse, 0 better)")


def test_a_drop_that_may_be_chance_does_not_fail() -> None:
    # five worse: p = 2 / 2**5 = 0.0625
    after = record(*map(wrong, names(5)), *map(outcome, names(100)[5:]))
    assert compare(outcomes(record(*map(outcome, names(100)))), outcomes(after)).dropped(GATE.soft) == []


def test_a_significant_trifle_does_not_fail() -> None:
    # six of a thousand: significant, but 0.6 points
    after = record(*map(wrong, names(6)), *map(outcome, names(1000)[6:]))
    assert compare(outcomes(record(*map(outcome, names(1000)))), outcomes(after)).dropped(GATE.soft) == []


def test_a_gain_never_fails() -> None:
    before = record(*map(wrong, names(50)))
    assert compare(outcomes(before), outcomes(record(*map(outcome, names(50))))).dropped(GATE.soft) == []


def test_a_drop_of_verdicts_fails_too() -> None:
    loose = Judged(category="payment_failed", owner="finance", verdict="automate", mandatory_review=())
    after = record(*(outcome(name, got=loose, verdict_right=False, passed=False) for name in names(10)))
    dropped = compare(outcomes(record(*map(outcome, names(10)))), outcomes(after)).dropped(GATE.soft)
    assert [told.split(":")[0] for told in dropped] == ["verdict"]


def test_cases_of_only_one_run_are_named_and_count_nowhere() -> None:
    found = compare(outcomes(record(outcome("a"), outcome("b"))), outcomes(record(outcome("b"), wrong("c"))))
    assert (found.common, found.only_before, found.only_after) == (1, ("a",), ("c",))
    with pytest.raises(NothingInCommon, match="same dataset"):
        compare(outcomes(record(outcome("a"))), outcomes(record(outcome("b"))))


# --- hard gates ---


def test_a_clean_run_breaks_no_gate() -> None:
    assert broken(record(outcome("a"), wrong("b")), GATE) == []


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("unsafe_automations", {"unsafe": ("refund_payment",)}),
        ("injections_changing_decision", {"changed": "the verdict became automate instead of review"}),
        ("injections_not_compared", {"compared": False}),
        ("invalid_outputs", {"valid": False}),
        ("ungrounded_evidence", {"ungrounded": 1}),
    ],
)
def test_each_hard_gate_breaks_by_itself_and_names_its_case(gate: str, change: dict[str, object]) -> None:
    told = broken(record(outcome("good"), outcome("bad", **change)), GATE)
    assert told == [f"{gate}: 1, at most 0 allowed: bad"]


def test_many_guilty_cases_are_counted_and_some_named() -> None:
    told = broken(record(*(outcome(name, valid=False) for name in names(9))), GATE)
    assert told == ["invalid_outputs: 9, at most 0 allowed: c0 c1 c2 c3 c4 and 4 more"]


@pytest.mark.parametrize(
    "text", ["[]", "hard: {}", "schema: [", "schema: ordermend/gates/v1\nhard: {unsafe_automations: -1}\nsoft: {p_below: 5}"]
)
def test_wrong_gates_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GatesInvalid, match=r"gates\.yaml"):
        load_gates(path)


# --- baselines ---


def test_a_baseline_is_read_back_and_compares_like_its_run(tmp_path: Path) -> None:
    run = record(outcome("a"), wrong("b"))
    path = baseline_path(tmp_path, run.origin.dataset, run.origin.classifier)
    path.write_text(baseline_of(run, "Ada", WHEN, "it holds").text(), encoding="utf-8")
    read = read_baseline(path)
    assert path.name == "made.rules.json"
    assert (read.blessed.who, read.blessed.when, read.blessed.why) == ("Ada", WHEN, "it holds")
    assert list(read.cases) == outcomes(run)


def test_a_baseline_cannot_be_named_out_of_its_folder(tmp_path: Path) -> None:
    assert baseline_path(tmp_path, "../../etc/x.jsonl", "../y").parent == tmp_path


def test_a_broken_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / "made.rules.json"
    path.write_text('{"schema": "ordermend/eval-baseline/v1"}', encoding="utf-8")
    with pytest.raises(RecordInvalid, match="ordermend eval bless"):
        read_baseline(path)


def test_a_case_that_was_right_in_every_repeat_may_not_fail_in_any_even_where_the_drop_is_a_trifle() -> None:
    steady, shaky = Repeats(n=3, agreeing=3, right=3), Repeats(n=3, agreeing=2, right=2)
    before = record(*(outcome(name, repeats=steady) for name in names(200)))
    after = record(outcome("c0", repeats=shaky), *(outcome(name, repeats=steady) for name in names(200)[1:]))
    found = compare(outcomes(before), outcomes(after))
    assert found.dropped(GATE.soft) == ["stable cases: 1 failing now, at most 0 allowed: c0"]
    assert found.plain()["unsettled"] == [{"id": "c0", "runs": 3}]
    assert compare(outcomes(after), outcomes(before)).dropped(GATE.soft) == []


@pytest.mark.parametrize("before", [Repeats(n=2, agreeing=2, right=2), Repeats(n=3, agreeing=2, right=2)])
def test_a_case_that_was_not_right_in_three_of_three_repeats_was_never_stable(before: Repeats) -> None:
    failing = Repeats(n=3, agreeing=3, right=0)
    found = compare(outcomes(record(outcome("a", repeats=before))), outcomes(record(outcome("a", repeats=failing))))
    assert found.dropped(GATE.soft) == []
