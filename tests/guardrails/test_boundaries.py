"""Every number of the policy decides exactly where it says, one below, at and one above; a changed policy gets its own cases."""

from collections import Counter

import pytest

from guardrails.facts import UNKNOWN
from guardrails.gate import guard
from guardrails.policy.load import load_policy
from guardrails.policy.tables import Policy
from guardrails.ruling import Ruling
from guardrails.taxonomy import Action, Verdict
from tests.guardrails.boundary_cases import Boundary, boundaries
from tests.guardrails.clean_case import clean_facts, clean_proposal, fired, policy, policy_text, snapshot_of
from tests.guardrails.condition_boundaries import condition_boundaries
from tests.guardrails.near_clean import Asked, full_facts, permitting, with_values, without
from tests.guardrails.near_clean import ruled as ask_gate

MORE_RULES = """
  - {id: review.much-in-all, effect: review, when: order.total + refund.amount > 700.00 USD, because: much, owner: finance}
  - {id: review.twice-the-limit, effect: review, when: order.total + dispute.amount >= limit(two_people), because: much, owner: finance}
  - {id: block.short, effect: block, when: inventory.available + pick.available < pick.requested + 2, because: short, until: more, owner: operations}
  - {id: review.old-status, effect: review, when: age(payment.status) > freshness(payment), because: old, owner: finance}
  - {id: review.due, effect: review, when: until(dispute.due_by) < 36h, because: due, owner: risk}
  - {id: block.many, effect: block, when: action.name == 'reship' and not (fulfilment.attempts < 5 or item.damaged <= 3), because: many, until: less, owner: operations}
"""


def ruled(case: Boundary, by: Policy) -> Ruling:
    return guard(case.facts, case.proposal, by, case.actor, snapshot_of(clean_facts()), case.standing)


def assert_each_fires_on_its_side(cases: list[Boundary], by: Policy) -> None:
    for case in cases:
        ruling = ruled(case, by)
        assert ruling.error is None, (case.about, ruling.error)
        for of in ruling.actions if case.of_action else (ruling,):
            assert (case.rule in fired(of)) is case.fires, f"{case.rule} should {'' if case.fires else 'not '}fire: {case.about}"


def assert_both_sides(cases: list[Boundary]) -> None:
    sides = Counter((case.rule, case.fires) for case in cases)
    for rule in {case.rule for case in cases}:
        assert sides[rule, True], f"{rule} never has to fire"
        assert sides[rule, False], f"{rule} always has to fire"


def test_every_number_of_the_tables_decides_where_it_says() -> None:
    cases = boundaries(policy())
    assert_both_sides(cases)
    assert_each_fires_on_its_side(cases, policy())


def test_every_part_of_a_condition_decides_where_it_says() -> None:
    cases = condition_boundaries(policy())
    assert_both_sides(cases)
    assert_each_fires_on_its_side(cases, policy())


def test_sums_ages_durations_and_nots_get_their_own_cases() -> None:
    more = load_policy(with_rules(MORE_RULES), "more.yaml")
    added = {rule.id for rule in more.rules} - {rule.id for rule in policy().rules}
    cases = [case for case in condition_boundaries(more) if case.rule in added]
    assert {case.rule for case in cases} == added
    assert_both_sides(cases)
    assert_each_fires_on_its_side(cases, more)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("two_people: {USD: 1000.00", "two_people: {USD: 1000.01"),
        ("KWD: 150.000}", "KWD: 150.001}"),
        ("one_of: [payment.status], max_age: 6h", "one_of: [payment.status], max_age: 5h"),
        ("finance: {count: 60", "finance: {count: 61"),
        ("fulfilment.attempts >= 2", "fulfilment.attempts > 2"),
        ("inventory.available < 0", "inventory.available < 1"),
    ],
)
def test_a_changed_number_is_seen_by_the_cases_of_the_policy_before(old: str, new: str) -> None:
    assert old in policy_text()
    changed = load_policy(without_examples(policy_text()).replace(old, new), "changed.yaml")
    assert_each_fires_on_its_side([*boundaries(changed), *condition_boundaries(changed)], changed)
    with pytest.raises(AssertionError, match="should"):
        assert_each_fires_on_its_side([*boundaries(policy()), *condition_boundaries(policy())], changed)


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (Action.MESSAGE_CUSTOMER, ("order.total", "fulfilment.state")),
        (Action.NORMALISE_ADDRESS, ("address.deliverable",)),
    ],
)
def test_a_permit_that_cannot_be_seen_to_hold_permits_nothing(action: Action, names: tuple[str, ...]) -> None:
    seen = Asked(full_facts(), clean_proposal(action))
    assert ask_gate(seen, permitting()).verdict is Verdict.AUTOMATE
    for name in names:
        for facts in (without(seen.facts, name), with_values(seen.facts, {name: UNKNOWN})):
            ruling = ask_gate(Asked(facts, seen.proposal), permitting()).actions[0]
            assert "action.default" in fired(ruling)


def without_examples(text: str) -> str:
    """The policy without the cases at its end, which would refuse a changed number before any other test sees it."""
    return text.partition("\ncases:\n")[0] + "\n"


def with_rules(rules: str) -> str:
    return without_examples(policy_text()).rstrip() + rules
