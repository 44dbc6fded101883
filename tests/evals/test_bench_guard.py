"""The yardstick is only one while it says what the policy says."""

from dataclasses import replace

import pytest

from evals.bench import guard
from evals.bench.by_hand import BY_HAND
from guardrails.policy.load import load_policy


def test_the_functions_written_by_hand_say_what_the_shipped_policy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (("CASES", 1_500), ("ROUNDS", 2)):
        monkeypatch.setattr(guard, name, few)
    policy = load_policy(guard.POLICY.read_text(), guard.POLICY.name)
    figures = guard.measure(policy)
    assert len(guard.lines_of(policy)) == len(BY_HAND)
    assert [figure.name for figure in figures] == ["guard.mask_p50", "guard.closures_p50", "guard.full_record"]
    assert all(figure.ratio > 0 for figure in figures)


def test_the_cases_that_are_measured_on_are_ruled_in_every_way() -> None:
    policy = load_policy(guard.POLICY.read_text(), guard.POLICY.name)
    shares = guard.verdict_shares(guard.draw_cases(guard.lines_of(policy), 800), policy)
    assert min(shares["automate"], shares["review"]) >= 0.2, shares
    assert shares["block"] > 0


def test_a_policy_that_says_something_else_gets_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CASES", 200)
    policy = load_policy(guard.POLICY.read_text(), guard.POLICY.name)
    reordered = replace(policy, rules=tuple(reversed(policy.rules)))
    with pytest.raises(guard.Disagreement):
        guard.measure(reordered)
