"""The replay benchmark measures what it says: the same rulings in another order come to the same verdicts."""

from collections import Counter
from pathlib import Path

import pytest

from evals.bench.drawn_rulings import draw_rulings
from evals.bench.replay import POLICY, changed, measure, write_segments
from guardrails.policy.load import load_policy
from guardrails.replay.recorded import rule_again
from guardrails.replay.report import replay
from guardrails.replay.segment_writing import encode_segment
from guardrails.replay.segments import Segment
from guardrails.taxonomy import Verdict


def test_the_figures_are_those_of_rulings_read_from_disk() -> None:
    figures = {figure["name"]: figure for figure in measure(600, 300)}
    assert set(figures) == {"replay.rulings_per_s", "replay.rulings_per_cpu_s", "replay.peak_mb", "replay.bytes_per_ruling"}
    assert all(figure["value"] > 0 and figure["yardstick_value"] > 0 for figure in figures.values())


def test_the_drawn_rulings_are_recorded_as_the_gate_rules_and_reach_every_verdict() -> None:
    text = POLICY.read_text()
    old, new = load_policy(text, "policy.yaml"), load_policy(changed(text), "changed.yaml")
    drawn = draw_rulings(400, old)
    report = replay([Segment(encode_segment(drawn))], old, new)
    assert report.recorded_differs == 0
    assert report.loosened + report.tightened > 0
    assert Counter(ruling.verdict for ruling in drawn) == {old: sum(row.values()) for old, row in report.matrix.items()}
    assert {ruling.verdict for ruling in drawn} == set(Verdict)
    assert all(rule_again(ruling, old).verdict is ruling.verdict for ruling in drawn)


def test_as_many_bytes_are_counted_as_are_written(tmp_path: Path) -> None:
    size = write_segments(tmp_path, draw_rulings(50, load_policy(POLICY.read_text(), "policy.yaml")), 120)
    written = list(tmp_path.glob("*.segment"))
    assert len(written) == 3
    assert size == sum(path.stat().st_size for path in written)


def test_a_change_that_the_policy_no_longer_holds_is_named() -> None:
    with pytest.raises(ValueError, match="change something else"):
        changed("limits: {}")
