"""Replay over columns says what the gate says: verdicts of cases and of actions, and which rules fired.

ORDERMEND_CASES says how many rulings are drawn; a long run takes 1000000.
"""

import os
from collections import Counter
from random import Random

import numpy as np
import pytest

from guardrails.grounding import speaking_in
from guardrails.policy.load import Policy
from guardrails.replay.comparison import Comparison
from guardrails.replay.questions import BLOCK, NEW, OLD
from guardrails.replay.recorded import recorded, rule_again
from guardrails.replay.segment_shapes import RowKind
from guardrails.replay.segment_writing import encode_segment
from guardrails.replay.segments import Segment
from guardrails.ruling import Ruling
from tests.guardrails.clean_case import NOW, policy
from tests.guardrails.recorded_cases import draw_case, looser, ruled, shown, stricter

CASES = int(os.environ.get("ORDERMEND_CASES", "21000"))
BATCH = 3_500

PAIRS = {"shipped to stricter": (policy, stricter), "shipped to looser": (policy, looser), "looser to stricter": (looser, stricter)}


def strictness(bits: int) -> int:
    return 2 if bits & BLOCK else 1 if bits else 0


def fired_in(ruling: Ruling) -> Counter[str]:
    """Rules about the case once, rules about actions once per action."""
    about_actions = [item.rule for action in ruling.actions for item in action.findings if item.fired]
    return Counter([item.rule for item in ruling.findings if item.fired] + about_actions)


@pytest.mark.parametrize("pair", PAIRS)
def test_columns_rule_as_the_gate_does(pair: str) -> None:
    draw, policies = Random(pair), [make() for make in PAIRS[pair]]
    reached = {side: Counter[int]() for side in (OLD, NEW)}
    for _ in range(0, CASES, BATCH * len(PAIRS)):
        assert_batch(draw, policies, reached)
    for counted in reached.values():
        assert set(counted) == {0, 1, 2}
        assert min(counted.values()) >= 0.2 * sum(counted.values()), reached


def assert_batch(draw: Random, policies: list[Policy], reached: dict[int, Counter[int]]) -> None:
    cases = [draw_case(draw) for _ in range(BATCH)]
    rulings = {side: [ruled(case, by) for case in cases] for side, by in zip((OLD, NEW), policies, strict=True)}
    segment = Segment(
        encode_segment(
            [
                recorded(f"dec_{at:06}", NOW, facts, proposal, rulings[OLD][at], standing, speaking_in(shown(facts)))
                for at, (facts, proposal, standing) in enumerate(cases)
            ]
        )
    )
    comparison = Comparison(policies[0], policies[1])
    by_columns = segment.kinds == RowKind.COLUMNS
    assert np.count_nonzero(by_columns) > 0.9 * BATCH, "too few cases are judged by columns at all"
    result = comparison.of(segment, by_columns)
    actions = {
        (int(row), int(item.group.positions[place])): int(bits)
        for item in result.actions
        for row, place, bits in zip(item.rows, item.chosen, item.bits, strict=True)
    }
    for side, by in zip((OLD, NEW), policies, strict=True):
        fired: Counter[str] = Counter()
        for row, case in enumerate(cases):
            expected = rulings[side][row]
            if not by_columns[row]:
                assert_kept_otherwise(segment, row, expected, by)
                continue
            assert expected.error is None
            said = strictness(int(result.bits[row]) >> side & 15)
            assert said == expected.verdict.strictness, (case, expected.sentence)
            for position, item in enumerate(expected.actions):
                assert strictness(actions[row, position] >> side & 15) == item.verdict.strictness, (case, item)
            fired += fired_in(expected)
            reached[side][said] += 1
        assert {rule: count for (of, rule), count in comparison.fired.items() if of == side and count} == dict(fired)


def assert_kept_otherwise(segment: Segment, row: int, expected: Ruling, by: Policy) -> None:
    """What columns cannot hold is blocked by the gate, or answered by the gate itself."""
    match RowKind(int(segment.kinds[row])):
        case RowKind.BROKEN:
            assert expected.error is not None
        case RowKind.WHOLE:
            kept = segment.ruling(row)
            assert kept is not None
            again = rule_again(kept, by)
            assert again.verdict is expected.verdict
            assert [item.verdict for item in again.actions] == [item.verdict for item in expected.actions]
