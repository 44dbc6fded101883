"""What each finding says, names and asks for, to the letter. Each test is red for a change of the guard that no other test noticed."""

from dataclasses import replace
from typing import Any

import pytest

from guardrails.budgets import Claim, lacking_in
from guardrails.facts import UNKNOWN, Facts
from guardrails.money import Money
from guardrails.policy.tables import Budget, CasePolicy
from guardrails.proposal import ProposedAction
from guardrails.ruling import Outcome
from guardrails.taxonomy import Action, Category, Reason, RiskClass, Verdict
from tests.guardrails.clean_case import (
    EVIDENCE,
    LEAD,
    NOW,
    REVIEWER,
    SENIOR,
    SERVICE,
    asking,
    clean_facts,
    clean_proposal,
    edited,
    fact,
    finding,
    policy,
    rule,
)
from tests.guardrails.near_clean import changed, permitting, rule_of


def refund(amount: int, currency: str = "USD") -> ProposedAction:
    return ProposedAction(Action.REFUND_PAYMENT, {"amount": {"amount": amount, "currency": currency}})


# --- what a finding says to do ---


def test_an_action_that_no_line_allows_says_what_would_be_allowed() -> None:
    fewer = {name: entry for name, entry in policy().actions.items() if name is not Action.SNOOZE_CASE}
    ruling = rule(proposal=clean_proposal(Action.SNOOZE_CASE), by=changed(policy(), actions=fewer))
    assert ruling.verdict is Verdict.BLOCK
    assert ruling.sentence == "Blocked: no line of the policy allows snooze_case."
    assert ruling.lift == ("an action that the policy knows",)


def test_an_action_that_moves_no_money_does_not_hide_the_money_of_the_next() -> None:
    budget = Budget("finance", 9, {"USD": Money(10, "USD")})
    lacking = lacking_in(budget, [Claim("finance", None), Claim("finance", Money(11, "USD"))], {})
    assert lacking is not None
    assert lacking[0] is Outcome.FIRED


def test_a_permit_that_lifts_a_review_is_in_the_ruling_with_what_it_rests_on() -> None:
    ruling = rule(proposal=clean_proposal(Action.MESSAGE_CUSTOMER), by=permitting())
    assert ruling.verdict is Verdict.AUTOMATE, ruling.sentence
    permit = finding(ruling.actions[0], "permit.expected-delay")
    assert (permit.outcome, permit.effect) == (Outcome.FIRED, Verdict.AUTOMATE)
    assert permit.facts == ("action.name", "fulfilment.state", "order.total")
    assert "permit.expected-delay" not in ruling.actions[0].passed


def test_a_permit_counts_where_the_policy_has_no_other_rule() -> None:
    only = changed(permitting(), rules=tuple(item for item in permitting().rules if item.effect is Verdict.AUTOMATE))
    assert rule(proposal=clean_proposal(Action.MESSAGE_CUSTOMER), by=only).verdict is Verdict.AUTOMATE


def test_fields_in_dispute_are_named_in_order() -> None:
    disputed = [fact(name, "x", conflict=True) for name in ("hold.reason", "hold.ours", "hold.by")]
    facts = Facts("#1001", NOW, {**clean_facts(hold__ours=None).by_name, **{item.name: item for item in disputed}})
    conflict = finding(rule(facts, clean_proposal(Action.RELEASE_OWN_HOLD)).actions[0], "action.conflict.hold")
    assert conflict.facts == ("hold.by", "hold.ours", "hold.reason")


def test_a_low_confidence_names_the_field_it_was_read_from() -> None:
    ruling = rule(proposal=clean_proposal(Action.RESUBMIT_FULFILMENT, confidence=6_500))
    assert finding(ruling.actions[0], "action.confidence").facts == ("case.confidence",)


def test_money_above_the_limit_of_one_person_counts_as_irreversible() -> None:
    found = finding(rule(proposal=clean_proposal(refund(100_001)), actor=SENIOR).actions[0], "action.four-eyes")
    assert (found.outcome, found.reason) == (Outcome.FIRED, Reason.IRREVERSIBLE_ACTION)


def test_an_r0_action_that_the_policy_gives_to_people_says_why() -> None:
    note = "expected_outcome: the next reader knows what was found, default: "
    ruling = rule(proposal=clean_proposal(Action.ADD_NOTE), by=edited(f"{note}automate", f"{note}review"))
    assert ruling.sentence == "Held for a person: add_note only reads or annotates, so a person decides."


def test_who_may_not_ask_is_named_and_told_whom_to_ask() -> None:
    ruling = rule(proposal=clean_proposal(refund(1)), actor=REVIEWER)
    assert "the policy does not allow rosa (reviewer) to ask for refund_payment (R3)" in ruling.sentence
    by_service = rule(proposal=clean_proposal(Action.SNOOZE_CASE), actor=SERVICE)
    assert "the policy does not allow the service to ask for snooze_case (R1)" in by_service.sentence
    assert "ask a senior reviewer or lead" in ruling.lift
    nobody = replace(policy().permissions, classes={"reviewer": frozenset([RiskClass.R0])})
    ruling = rule(proposal=clean_proposal(refund(1)), actor=REVIEWER, by=changed(policy(), permissions=nobody))
    assert "nobody's role allows it" in ruling.lift


@pytest.mark.parametrize(("wrong", "ending"), [(1, "."), (2, " (and 1 more finding)."), (3, " (and 2 more findings).")])
def test_the_sentence_counts_the_findings_that_it_leaves_out(wrong: int, ending: str) -> None:
    all_wrong: dict[str, Any] = {"fulfilment__attempts": 5, "order__total": Money(60_000, "USD"), "risk__level": "high"}
    ruling = rule(clean_facts(**dict(list(all_wrong.items())[:wrong])))
    assert ruling.verdict is Verdict.REVIEW
    assert ruling.sentence.endswith(ending)
    assert (" more finding" in ruling.sentence) is (wrong > 1)


def test_a_finding_about_the_same_action_twice_is_told_once() -> None:
    ruling = rule(clean_facts(fulfilment__attempts=5), clean_proposal(*[Action.RESUBMIT_FULFILMENT] * 2))
    assert [len(item.findings) for item in ruling.actions] == [1, 1]
    assert " more finding" not in ruling.sentence


def test_a_finding_about_two_actions_is_told_of_each() -> None:
    ruling = rule(proposal=clean_proposal(Action.MESSAGE_CUSTOMER, Action.REROUTE_FULFILMENT))
    assert ruling.sentence.endswith("(and 1 more finding).")
    assert len(ruling.lift) == 2


def test_what_systems_disagree_about_is_shown_as_they_said_it() -> None:
    disputed = fact("hold.ours", True, conflict=True)
    ruling = rule(clean_facts(hold__ours=disputed), clean_proposal(Action.RELEASE_OWN_HOLD))
    conflict = finding(ruling.actions[0], "action.conflict.hold")
    assert conflict.facts == ("hold.ours",)
    assert conflict.sentence.endswith("(hold.ours true from shopify, 4 minutes old, other systems disagree).")
    assert ruling.lift == ("settle which system is right about hold.ours",)


@pytest.mark.parametrize("needs", [CasePolicy(9_900, 1), CasePolicy(6_000, 3)], ids=["confidence", "evidence"])
@pytest.mark.parametrize("action", [Action.HOLD_FULFILMENT, Action.RESUBMIT_FULFILMENT])
def test_a_doubtful_interpretation_holds_the_case_and_not_the_actions_that_are_sure_enough(
    action: Action, needs: CasePolicy
) -> None:
    strict = changed(policy(), case=needs)
    ruling = rule(proposal=clean_proposal(action), by=strict)
    assert (ruling.verdict, ruling.actions[0].verdict) == (Verdict.REVIEW, Verdict.AUTOMATE)
    assert ruling.actions[0].held_by == ()


def test_reasons_are_listed_in_the_order_of_the_taxonomy() -> None:
    ruling = rule(clean_facts(order__total=Money(60_000, "USD"), risk__level="high"))
    assert set(ruling.mandatory) >= {Reason.HIGH_VALUE_ORDER, Reason.FRAUD_REVIEW}
    assert list(ruling.mandatory) == [reason for reason in Reason if reason in ruling.mandatory]


# --- findings about the case, in full ---


@pytest.mark.parametrize(
    ("total", "outcome", "clause", "lift"),
    [
        (
            Money(60_000, "USD"),
            Outcome.FIRED,
            "The order is worth 600.00 USD, at or above the 500.00 USD limit (order.total 600.00 USD from shopify, 4 minutes old).",
            "a person decides about high_value_order",
        ),
        (
            Money(600, "CHF"),
            Outcome.FIRED_UNKNOWN,
            "We could not compare order.total is 6.00 CHF with the high_value limit"
            " (order.total 6.00 CHF from shopify, 4 minutes old).",
            "refresh the facts for high_value_order: we could not compare order.total is 6.00 CHF with the high_value limit",
        ),
        (
            UNKNOWN,
            Outcome.FIRED_UNKNOWN,
            "We could not see order.total (shopify answered without a usable value).",
            "refresh the facts for high_value_order: we could not see order.total (shopify answered without a usable value)",
        ),
    ],
    ids=["certain", "without a limit to compare with", "unreadable"],
)
def test_a_mandatory_line_says_what_it_saw_and_what_lifts_it(total: Any, outcome: Outcome, clause: str, lift: str) -> None:
    ruling = rule(clean_facts(order__total=total))
    found = finding(ruling, "mandatory.high_value_order.1")
    assert (found.outcome, found.effect, found.reason) == (outcome, Verdict.REVIEW, Reason.HIGH_VALUE_ORDER)
    assert (found.sentence, found.facts) == (clause, ("order.total",))
    assert lift in ruling.lift


def test_a_condition_without_limits_says_what_it_could_not_compare() -> None:
    more = changed(policy(), rules=(rule_of("review.sum", Verdict.REVIEW, "order.total + refund.amount > 1.00 USD"),))
    ruling = rule(clean_facts(refund__amount=Money(1, "EUR")), by=more)
    expected = "We could not compare: order.total is 89.50 USD, refund.amount is 0.01 EUR"
    assert expected in finding(ruling, "review.sum").sentence


def test_a_rule_of_the_policy_says_what_it_saw_or_could_not_see() -> None:
    certain = finding(rule(clean_facts(fulfilment__attempts=5)).actions[0], "review.resubmitted-before")
    assert (certain.outcome, certain.effect, certain.facts) == (
        Outcome.FIRED,
        Verdict.REVIEW,
        ("action.name", "fulfilment.attempts"),
    )
    assert "(fulfilment.attempts 5 from shopify, 4 minutes old)" in certain.sentence
    unsure = finding(rule(clean_facts(fulfilment__attempts=UNKNOWN)).actions[0], "review.resubmitted-before")
    assert unsure.outcome is Outcome.FIRED_UNKNOWN
    assert unsure.sentence == "We could not see fulfilment.attempts (shopify answered without a usable value)."


def test_the_reason_that_detectors_bring_names_all_that_they_found_in_order() -> None:
    listed = sorted(Category)[:6]
    fraud = policy().mandatory[Reason.FRAUD_REVIEW]
    wider = changed(policy(), mandatory={Reason.FRAUD_REVIEW: replace(fraud, categories=frozenset(listed))})
    ruling = rule(clean_facts(case__detected=frozenset(sorted(category.value for category in Category)[:7])), by=wider)
    found = finding(ruling, "mandatory.fraud_review.category")
    assert (found.sentence, found.outcome, found.effect) == (
        f"The facts show {', '.join(listed)}.",
        Outcome.FIRED,
        Verdict.REVIEW,
    )
    assert (found.reason, found.facts) == (Reason.FRAUD_REVIEW, ("case.category", "case.detected"))
    assert ruling.lift == ("a person decides about fraud_review",)


def test_the_reason_that_the_category_brings_says_so() -> None:
    ruling = rule(proposal=clean_proposal(Action.ADD_NOTE, category=Category.FRAUD_RISK))
    assert ruling.sentence == "Held for a person: the case is classified as fraud_risk."
    assert ruling.lift == ("a person decides about fraud_review",)
    assert ruling.mandatory == (Reason.FRAUD_REVIEW,)


def test_without_detectors_the_case_says_what_to_run() -> None:
    ruling = rule(clean_facts(case__detected=None))
    found = finding(ruling, "case.detectors")
    assert (found.outcome, found.reason, found.sentence) == (
        Outcome.FIRED_UNKNOWN,
        None,
        "We could not see what the detectors found.",
    )
    assert (ruling.lift, ruling.actions[0].held_by) == (("run the detectors",), ("case.detectors",))


def test_a_doubtful_interpretation_says_how_sure_and_grounded_it_must_be() -> None:
    ruling = rule(proposal=clean_proposal(Action.ADD_NOTE, confidence=5_000, evidence=()))
    assert [(item.rule, item.outcome, item.sentence) for item in ruling.findings] == [
        ("case.confidence", Outcome.FIRED, "The confidence is 0.50, and the interpretation needs 0.60."),
        ("case.evidence", Outcome.FIRED, "The interpretation cites no structured facts that hold and needs 1."),
    ]
    assert ruling.lift == ("a confidence of at least 0.60", "cite at least 1 structured fact that holds")
    assert ruling.mandatory == (Reason.LOW_CONFIDENCE, Reason.UNGROUNDED_EVIDENCE)
    unsure = rule(proposal=clean_proposal(Action.ADD_NOTE, confidence=None)).findings[0]
    assert unsure.sentence == "We could not see how sure the classifier is; the interpretation needs 0.60."
    assert unsure.outcome is Outcome.FIRED_UNKNOWN


def test_nothing_proposed_is_a_finding_of_the_case() -> None:
    ruling = rule(proposal=clean_proposal())
    assert ruling.sentence == "Held for a person: nothing was proposed, so a person must say what is to be done."
    assert ruling.lift == ("propose an action",)


@pytest.mark.parametrize(("count", "words"), [(0, "no structured facts that hold"), (1, "1 structured fact that holds")])
def test_facts_are_counted_in_words(count: int, words: str) -> None:
    asked = clean_proposal(asking(Action.REFUND_PAYMENT), evidence=EVIDENCE[:count])
    needs = finding(rule(proposal=asked).actions[0], "action.evidence")
    assert (needs.sentence, needs.reason) == (f"refund_payment rests on {words} and needs 2.", Reason.UNGROUNDED_EVIDENCE)


def test_a_finding_that_a_person_has_answered_holds_nothing() -> None:
    dear = clean_facts(order__total=Money(60_000, "USD"))
    assert rule(dear).actions[0].held_by == ("mandatory.high_value_order.1",)
    assert rule(dear, actor=LEAD).actions[0].held_by == ()


def test_a_protective_hold_runs_whatever_the_case_is_classified_as() -> None:
    ruling = rule(proposal=clean_proposal(Action.HOLD_FULFILMENT, category=Category.FRAUD_RISK))
    assert (ruling.verdict, ruling.actions[0].verdict) == (Verdict.REVIEW, Verdict.AUTOMATE)
