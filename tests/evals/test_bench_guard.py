"""The yardstick is only one while it says what the policy says."""

from dataclasses import replace

import pytest

from evals.bench import guard
from evals.bench.by_hand import BY_HAND
from guardrails.policy.load import load_policy


def test_the_functions_written_by_hand_say_what_the_shipped_policy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (("CASES", 1_500), ("ROUNDS", 2), ("COPIES", 1)):
        monkeypatch.setattr(guard, name, few)
    figures = guard.measure(load_policy(guard.POLICY.read_text(), guard.POLICY.name))
    assert figures["measured_on"]["lines"] == len(BY_HAND)
    assert set(figures["guard.p50_ns"]["value"]) == {"generated", "closures", "by_hand"}


def test_a_policy_that_says_something_else_gets_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CASES", 200)
    policy = load_policy(guard.POLICY.read_text(), guard.POLICY.name)
    reordered = replace(policy, rules=tuple(reversed(policy.rules)))
    with pytest.raises(guard.Disagreement):
        guard.measure(reordered)
