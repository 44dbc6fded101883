"""What may run by itself, what waits for a person, and what may not happen: both sides of each limit, and unknown."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts, FactValue
from guardrails.gate import guard
from guardrails.grounding import speaking_in
from guardrails.money import Money
from guardrails.policy.load import load_policy
from guardrails.policy.tables import LEAST_CLASS
from guardrails.proposal import AGENT, Actor, Evidence, ProposedAction
from guardrails.ruling import Outcome
from guardrails.standing import NOTHING_SPENT, Standing
from guardrails.taxonomy import Action, Category, PrincipalKind, Reason, RiskClass, Verdict
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
    fired,
    looked_at,
    policy,
    policy_text,
    rule,
    snapshot_of,
)

R0 = [action for action in Action if LEAST_CLASS[action] is RiskClass.R0]
R1 = [action for action in Action if LEAST_CLASS[action] is RiskClass.R1]
R2 = [action for action in Action if LEAST_CLASS[action] is RiskClass.R2]
R3 = [action for action in Action if LEAST_CLASS[action] is RiskClass.R3]


# --- the clean case, by class ---


@pytest.mark.parametrize("action", [*R0, *R1])
def test_a_clean_r0_or_r1_action_runs_without_a_person(action: Action) -> None:
    ruling = rule(proposal=clean_proposal(action))
    assert ruling.verdict is Verdict.AUTOMATE, ruling.sentence
    assert ruling.allows(asking(action))
    assert not ruling.allows(ProposedAction(action, {"something": "else"}))
    assert ruling.sentence == f"May run without a person: {action}."
    assert ruling.lift == ()


@pytest.mark.parametrize("action", [*R2, *R3])
def test_a_clean_r2_or_r3_action_waits_for_a_person(action: Action) -> None:
    ruling = rule(proposal=clean_proposal(action))
    assert ruling.verdict is Verdict.REVIEW, ruling.sentence
    assert not ruling.allows(asking(action))
    assert (Reason.IRREVERSIBLE_ACTION in ruling.mandatory) is (action in R3)


def test_a_case_has_the_strictest_verdict_of_its_actions() -> None:
    ruling = rule(proposal=clean_proposal(Action.ADD_NOTE, Action.RESUBMIT_FULFILMENT, Action.MESSAGE_CUSTOMER))
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.AUTOMATE, Verdict.REVIEW]
    assert ruling.verdict is Verdict.REVIEW


def test_a_case_for_which_nothing_was_proposed_waits_for_a_person() -> None:
    assert rule(proposal=clean_proposal()).verdict is Verdict.REVIEW
    assert (
        rule(proposal=clean_proposal(category=Category.UNKNOWN), facts=clean_facts(case__detected=frozenset())).verdict
        is Verdict.REVIEW
    )
    assert rule(proposal=clean_proposal(), actor=SENIOR).verdict is Verdict.REVIEW


def test_a_healthy_case_with_a_note_is_settled() -> None:
    healthy = clean_proposal(Action.ADD_NOTE, category=Category.UNKNOWN)
    assert rule(clean_facts(case__detected=frozenset()), healthy).verdict is Verdict.AUTOMATE


def test_the_ruling_carries_the_policy_and_the_digest_of_the_facts() -> None:
    ruling = rule()
    assert (ruling.policy_version, ruling.policy_sha256) == (policy().version, policy().sha256)
    assert ruling.facts_sha256 == clean_facts().digest()
    assert ruling.error is None


# --- high value ---

LIMITS = [("USD", 50_000), ("EUR", 45_000), ("GBP", 40_000), ("JPY", 70_000), ("KWD", 150_000)]


@pytest.mark.parametrize(("currency", "limit"), LIMITS)
def test_an_order_at_or_above_the_limit_goes_to_review_and_one_step_below_does_not(currency: str, limit: int) -> None:
    below, at, above = (rule(clean_facts(order__total=Money(limit + step, currency))) for step in (-1, 0, 1))
    assert below.verdict is Verdict.AUTOMATE
    assert Reason.HIGH_VALUE_ORDER not in below.mandatory
    for ruling in (at, above):
        assert ruling.verdict is Verdict.REVIEW
        assert ruling.mandatory == (Reason.HIGH_VALUE_ORDER,)


def test_the_sentence_about_a_high_value_says_the_value_and_the_limit() -> None:
    ruling = rule(clean_facts(order__total=Money(61_200, "USD")))
    expected = "the order is worth 612.00 USD, at or above the 500.00 USD limit"
    assert ruling.sentence == f"Held for a person: {expected}."
    found = finding(ruling, "mandatory.high_value_order.1")
    assert found.sentence == f"T{expected[1:]} (order.total 612.00 USD from shopify, 4 minutes old)."
    assert found.facts == ("order.total",)


def test_a_currency_without_limit_counts_as_high_value_because_it_is_unknown() -> None:
    ruling = rule(clean_facts(order__total=Money(100, "CHF")))
    assert ruling.verdict is Verdict.REVIEW
    assert finding(ruling, "mandatory.high_value_order.1").outcome is Outcome.FIRED_UNKNOWN
    assert Reason.HIGH_VALUE_ORDER in ruling.mandatory
    assert "we could not compare order.total is 1.00 CHF with the high_value limit" in ruling.sentence


@pytest.mark.parametrize("total", [None, UNKNOWN])
@pytest.mark.parametrize("action", [*R1, *R2, *R3])
def test_without_an_order_total_nothing_beyond_r0_may_run(total: Any, action: Action) -> None:
    ruling = rule(clean_facts(order__total=total), clean_proposal(Action.ADD_NOTE, action))
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.BLOCK]
    assert ruling.verdict is Verdict.BLOCK
    assert "refresh the order from its storefront" in ruling.lift
    assert finding(ruling, "mandatory.high_value_order.1").outcome is Outcome.FIRED_UNKNOWN


def test_a_case_without_an_order_total_is_blocked_even_if_only_a_note_is_proposed() -> None:
    ruling = rule(clean_facts(order__total=None), clean_proposal(Action.ADD_NOTE))
    assert ruling.verdict is Verdict.BLOCK
    assert ruling.allows(asking(Action.ADD_NOTE))


# --- mandatory reasons ---

BY_FACT: list[tuple[Reason, str, FactValue]] = [
    (Reason.FRAUD_REVIEW, "risk.recommendation", "investigate"),
    (Reason.FRAUD_REVIEW, "risk.recommendation", "cancel"),
    (Reason.FRAUD_REVIEW, "risk.level", "high"),
    (Reason.FRAUD_REVIEW, "payment.review", "open"),
    (Reason.FRAUD_REVIEW, "payment.outcome", "manual_review"),
    (Reason.FRAUD_REVIEW, "payment.risk_level", "elevated"),
    (Reason.FRAUD_REVIEW, "hold.reason", "high_risk_of_fraud"),
    (Reason.FAILED_PAYMENT_CAPTURE, "payment.status", "failed"),
    (Reason.FAILED_PAYMENT_CAPTURE, "payment.status", "expired"),
    (Reason.FAILED_PAYMENT_CAPTURE, "check.capture_failed", True),
    (Reason.FAILED_PAYMENT_CAPTURE, "order.financial_status", "expired"),
    (Reason.FAILED_PAYMENT_CAPTURE, "hold.reason", "awaiting_payment"),
    (Reason.UNAVAILABLE_INVENTORY, "check.oversold", True),
    (Reason.UNAVAILABLE_INVENTORY, "inventory.available", -1),
    (Reason.UNAVAILABLE_INVENTORY, "check.picked_short", True),
    (Reason.UNAVAILABLE_INVENTORY, "check.work_reason", "stock"),
    (Reason.UNAVAILABLE_INVENTORY, "hold.reason", "inventory_out_of_stock"),
    (Reason.ADDRESS_RISK, "address.deliverable", False),
    (Reason.ADDRESS_RISK, "check.address_changed_after_payment", True),
    (Reason.ADDRESS_RISK, "check.label_address_differs", True),
    (Reason.ADDRESS_RISK, "check.work_reason", "address"),
    (Reason.ADDRESS_RISK, "check.work_reason", "uncoded"),
    (Reason.UNAVAILABLE_INVENTORY, "check.work_reason", "uncoded"),
    (Reason.CARRIER_CONFLICT, "check.carrier_conflict", True),
    (Reason.PAYMENT_DISPUTE, "dispute.status", "needs_response"),
    (Reason.PAYMENT_DISPUTE, "fraud_warning.type", "made_with_stolen_card"),
    (Reason.SOURCE_CONFLICT, "check.source_conflict", True),
    (Reason.SOURCE_CONFLICT, "check.payment_conflict", True),
    (Reason.SOURCE_CONFLICT, "check.refund_conflict", True),
    (Reason.SOURCE_CONFLICT, "check.stock_conflict", True),
    (Reason.SOURCE_CONFLICT, "check.risk_conflict", True),
]
BY_CATEGORY = [
    (Reason.FRAUD_REVIEW, Category.FRAUD_RISK),
    (Reason.FAILED_PAYMENT_CAPTURE, Category.PAYMENT_FAILED),
    (Reason.UNAVAILABLE_INVENTORY, Category.INVENTORY_UNAVAILABLE),
    (Reason.ADDRESS_RISK, Category.ADDRESS_RISK),
    (Reason.CARRIER_CONFLICT, Category.CARRIER_CONFLICT),
    (Reason.PAYMENT_DISPUTE, Category.PAYMENT_DISPUTE),
]


@pytest.mark.parametrize(("reason", "name", "value"), BY_FACT)
def test_a_recorded_fact_brings_its_reason_whatever_the_model_says(reason: Reason, name: str, value: FactValue) -> None:
    """The model is sure that nothing is wrong, and proposes a harmless thing."""
    sure = clean_proposal(Action.RESUBMIT_FULFILMENT, category=Category.UNKNOWN, confidence=10_000)
    ruling = rule(clean_facts(**{name.replace(".", "__"): value}), sure)
    assert reason in ruling.mandatory
    assert ruling.verdict is Verdict.REVIEW


@pytest.mark.parametrize(("reason", "category"), BY_CATEGORY)
def test_the_classified_category_alone_brings_its_reason(reason: Reason, category: Category) -> None:
    assert rule(proposal=clean_proposal(Action.SNOOZE_CASE, category=category)).mandatory == (reason,)


@pytest.mark.parametrize(("reason", "category"), BY_CATEGORY)
def test_a_detected_category_brings_its_reason_against_the_model(reason: Reason, category: Category) -> None:
    facts = clean_facts(case__detected=frozenset([category.value]))
    ruling = rule(facts, clean_proposal(Action.SNOOZE_CASE, category=Category.DELIVERY_LATE, confidence=10_000))
    assert ruling.mandatory == (reason,)
    assert ruling.verdict is Verdict.REVIEW


@pytest.mark.parametrize("name", ["payment.review", "risk.level", "dispute.status", "hold.reason", "address.deliverable"])
def test_silence_about_a_matter_is_quiet_and_an_unreadable_answer_is_not(name: str) -> None:
    silent = rule(clean_facts(**{name.replace(".", "__"): None}), clean_proposal(Action.SNOOZE_CASE))
    unreadable = rule(clean_facts(**{name.replace(".", "__"): UNKNOWN}), clean_proposal(Action.SNOOZE_CASE))
    assert silent.verdict is Verdict.AUTOMATE
    assert unreadable.verdict is Verdict.REVIEW
    assert f"{name} (shopify answered without a usable value)" in unreadable.sentence


def test_the_name_of_an_action_keeps_its_spelling_at_the_beginning_of_a_sentence() -> None:
    (ruled,) = rule(proposal=clean_proposal(Action.MESSAGE_CUSTOMER)).actions
    assert any(finding.sentence.startswith("message_customer is seen by the customer") for finding in ruled.findings)


def test_a_value_outside_the_closed_list_is_unreadable() -> None:
    ruling = rule(clean_facts(risk__level="enormous"), clean_proposal(Action.SNOOZE_CASE))
    assert ruling.verdict is Verdict.REVIEW
    assert Reason.FRAUD_REVIEW in ruling.mandatory


def test_a_settled_dispute_is_no_reason() -> None:
    assert rule(clean_facts(dispute__status="won")).verdict is Verdict.AUTOMATE


def test_without_the_detectors_word_nothing_above_r0_runs_by_itself() -> None:
    for detected in (None, UNKNOWN, "fraud_risk"):
        ruling = rule(clean_facts(case__detected=detected), clean_proposal(Action.ADD_NOTE, Action.HOLD_FULFILMENT))
        assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.REVIEW]


def test_a_quiet_line_still_fires_for_amounts_that_cannot_be_compared() -> None:
    line = "at or above the {limit.high_value} limit\n"
    quiet = edited(line, f"{line}        when_unknown: quiet\n")
    assert Reason.HIGH_VALUE_ORDER in rule(clean_facts(order__total=Money(1, "CHF")), by=quiet).mandatory
    assert Reason.HIGH_VALUE_ORDER not in rule(clean_facts(order__total=None), by=quiet).mandatory


# --- the pause ---


@pytest.mark.parametrize("reason", [Reason.HIGH_VALUE_ORDER, Reason.FRAUD_REVIEW, Reason.SOURCE_CONFLICT])
def test_a_paused_case_still_runs_r0_and_the_protective_hold(reason: Reason) -> None:
    change: dict[str, FactValue] = {
        "order__total": Money(50_000, "USD"),
        "risk__level": "high",
        "check__source_conflict": True,
    }
    key = {Reason.HIGH_VALUE_ORDER: "order__total", Reason.FRAUD_REVIEW: "risk__level"}.get(reason, "check__source_conflict")
    ruling = rule(
        clean_facts(**{key: change[key]}),
        clean_proposal(Action.ADD_NOTE, Action.HOLD_FULFILMENT, *[a for a in R1 if a != Action.HOLD_FULFILMENT]),
    )
    verdicts = {item.action.action: item.verdict for item in ruling.actions}
    assert verdicts.pop(Action.ADD_NOTE) is Verdict.AUTOMATE
    assert verdicts.pop(Action.HOLD_FULFILMENT) is Verdict.AUTOMATE
    assert set(verdicts.values()) == {Verdict.REVIEW}
    assert ruling.verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    "changed", [{"untrusted_instructions": True}, {"untrusted_instructions": None}, {"failure": "timed out", "confidence": None}]
)
def test_an_attack_or_a_failed_classifier_stops_even_the_protective_hold(changed: dict[str, Any]) -> None:
    ruling = rule(proposal=clean_proposal(Action.NOTIFY_OWNER, Action.HOLD_FULFILMENT, **changed))
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.REVIEW]
    assert ruling.verdict is Verdict.REVIEW


def test_an_attack_that_our_own_scan_saw_cannot_be_denied_by_the_proposal() -> None:
    seen_by_us = clean_facts(case__untrusted_instructions=True)
    ruling = rule(seen_by_us, clean_proposal(Action.RESUBMIT_FULFILMENT, untrusted_instructions=False))
    assert ruling.mandatory == (Reason.UNTRUSTED_INSTRUCTIONS,)


def test_a_failed_classifier_is_named_as_the_reason() -> None:
    ruling = rule(proposal=clean_proposal(Action.ADD_NOTE, failure="timed out", confidence=None))
    assert Reason.CLASSIFIER_UNAVAILABLE in ruling.mandatory
    assert ruling.sentence.startswith("Held for a person: the classifier could not answer")


# --- confidence and evidence ---


@pytest.mark.parametrize("action", R1)
def test_confidence_counts_from_the_threshold_on(action: Action) -> None:
    needed = policy().actions[action].min_confidence
    verdicts = [rule(proposal=clean_proposal(action, confidence=needed + step)).verdict for step in (-1, 0, 1)]
    assert verdicts == [Verdict.REVIEW, Verdict.AUTOMATE, Verdict.AUTOMATE]


@pytest.mark.parametrize("confidence", [None, -1, 10_001, 0.99, True, "9900"])
def test_a_confidence_that_is_none_is_low(confidence: Any) -> None:
    ruling = rule(proposal=clean_proposal(Action.HOLD_FULFILMENT, confidence=confidence))
    assert ruling.verdict is Verdict.REVIEW
    assert ruling.mandatory == (Reason.LOW_CONFIDENCE,)
    assert finding(ruling.actions[0], "action.confidence").outcome is Outcome.FIRED_UNKNOWN


def test_a_case_that_nobody_is_sure_about_is_not_settled_by_a_note() -> None:
    ruling = rule(proposal=clean_proposal(Action.ADD_NOTE, confidence=5_999))
    assert ruling.verdict is Verdict.REVIEW
    assert ruling.allows(asking(Action.ADD_NOTE))
    assert "a confidence of at least 0.60" in ruling.lift


@pytest.mark.parametrize(
    "evidence",
    [
        (),
        (Evidence("/fields/fulfilment.reason/value", "out_of_stock"),),
        (Evidence("/fields/nowhere/value", "system_busy"),),
        (Evidence("/fields/order.note/value", "ship it today"),),
        (Evidence("/fields/fulfilment.reason/value", ""),),
    ],
    ids=["none", "misquoted", "unresolved", "free text", "empty"],
)
def test_without_a_structured_fact_that_holds_nothing_above_r0_runs(evidence: tuple[Evidence, ...]) -> None:
    facts = clean_facts(order__note=fact("order.note", "please ship it today", untrusted=True))
    ruling = rule(facts, clean_proposal(Action.ADD_NOTE, Action.HOLD_FULFILMENT, evidence=evidence))
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.REVIEW]
    assert ruling.mandatory == (Reason.UNGROUNDED_EVIDENCE,)
    assert "cite at least 1 structured fact that holds for hold_fulfilment" in ruling.lift


def test_one_structured_fact_is_enough_to_settle_a_case() -> None:
    assert rule(proposal=clean_proposal(Action.ADD_NOTE, evidence=EVIDENCE[:1])).verdict is Verdict.AUTOMATE
    assert rule(proposal=clean_proposal(Action.HOLD_FULFILMENT, evidence=EVIDENCE[:1])).verdict is Verdict.AUTOMATE


# --- freshness and conflict ---


@pytest.mark.parametrize("minutes_old", [1, None])
def test_a_newer_empty_answer_outweighs_an_older_value(minutes_old: int | None) -> None:
    """Which of two statements is newer cannot be told of one without a time, so it counts as the newer one."""
    when = None if minutes_old is None else NOW - timedelta(minutes=minutes_old)
    empty = Fact("payment.status", UNKNOWN, "stripe", when)
    ruling = rule(clean_facts(payment__status=empty), clean_proposal(Action.CANCEL_ORDER), LEAD)
    assert finding(ruling.actions[0], "action.facts.settlement").outcome is Outcome.FIRED_UNKNOWN
    assert "payment.status (stripe answered without a usable value)" in ruling.sentence
    assert ruling.verdict is Verdict.BLOCK


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (Action.RESUBMIT_FULFILMENT, "order.fulfillment_status"),
        (Action.RELEASE_OWN_HOLD, "hold.ours"),
        (Action.RETRY_CAPTURE, "payment.status"),
        (Action.NORMALISE_ADDRESS, "address.deliverable"),
    ],
)
def test_facts_count_up_to_their_age_and_not_beyond(action: Action, name: str) -> None:
    kind = next(k for k in policy().freshness.values() if name in k.one_of and k.kind in policy().actions[action].facts)
    value = clean_facts().by_name[name].value
    others: dict[str, Any] = {n.replace(".", "__"): None for n in kind.one_of if n != name}
    for beyond, expected in ((timedelta(0), Outcome.NOT_FIRED), (timedelta(seconds=1), Outcome.FIRED)):
        aged = Fact(name, value, "shopify", NOW - kind.max_age - beyond)
        ruling = rule(clean_facts(**others, **{name.replace(".", "__"): aged}), clean_proposal(action))
        assert finding(ruling.actions[0], f"action.facts.{kind.kind}").outcome is expected


@pytest.mark.parametrize(
    ("action", "kind", "expected"),
    [
        (Action.RELEASE_OWN_HOLD, "hold", Verdict.REVIEW),
        (Action.NORMALISE_ADDRESS, "address", Verdict.BLOCK),
        (Action.RETRY_CAPTURE, "payment", Verdict.BLOCK),
        (Action.RESHIP, "carrier", Verdict.BLOCK),
    ],
)
@pytest.mark.parametrize("how", ["silent", "unreadable", "old", "stale", "undated"])
def test_what_an_action_rests_on_must_be_there_and_fresh(action: Action, kind: str, expected: Verdict, how: str) -> None:
    changed: dict[str, Any] = {}
    for name in policy().freshness[kind].one_of:
        value = clean_facts().by_name[name].value
        changed[name.replace(".", "__")] = {
            "silent": None,
            "unreadable": UNKNOWN,
            "old": fact(name, value, minutes_old=60 * 24 * 40),
            "stale": fact(name, value, stale=True),
            "undated": Fact(name, value, "shopify", None),
        }[how]
    ruling = rule(clean_facts(**changed), clean_proposal(Action.ADD_NOTE, action))
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, expected]
    assert f"action.facts.{kind}" in fired(ruling.actions[1])
    assert Reason.STALE_FACTS in ruling.mandatory
    assert any(line.startswith(f"refresh the {kind} facts") for line in ruling.lift)


def test_a_stale_fact_is_named_with_its_age_and_what_is_allowed() -> None:
    old = fact("payment.status", "requires_capture", minutes_old=39 * 60)
    ruling = rule(clean_facts(payment__status=old), clean_proposal(Action.RETRY_CAPTURE))
    assert (
        ruling.sentence == "Blocked: retry_capture needs payment facts: payment.status is 39 hours old and may be 6 hours at most."
    )


def test_systems_that_disagree_about_what_an_action_rests_on_send_it_to_a_person() -> None:
    disputed = fact("hold.ours", True, conflict=True)
    ruling = rule(clean_facts(hold__ours=disputed), clean_proposal(Action.RELEASE_OWN_HOLD, Action.RESUBMIT_FULFILMENT))
    assert [item.verdict for item in ruling.actions] == [Verdict.REVIEW, Verdict.AUTOMATE]
    assert ruling.mandatory == (Reason.SOURCE_CONFLICT,)


# --- permission, by principal and role ---

MAY = {"reviewer": [*R0, *R1, *R2], "senior_reviewer": [*Action], "lead": [*Action], "operations": [*R0, *R1], "admin": R0}


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", list(MAY))
def test_a_person_may_do_what_a_role_allows_and_nothing_else(role: str, action: Action) -> None:
    person = Actor(PrincipalKind.PERSON, "p", frozenset([role]))
    verdict = rule(proposal=clean_proposal(action), actor=person).verdict
    assert verdict is (Verdict.AUTOMATE if action in MAY[role] else Verdict.BLOCK)


@pytest.mark.parametrize("action", list(Action))
def test_a_service_may_only_annotate(action: Action) -> None:
    verdict = rule(proposal=clean_proposal(action), actor=SERVICE).verdict
    assert verdict is (Verdict.AUTOMATE if action in R0 else Verdict.BLOCK)


@pytest.mark.parametrize("roles", [frozenset(), frozenset(["owner"]), frozenset(["agent"])])
def test_a_person_without_a_role_that_counts_may_do_nothing(roles: frozenset[str]) -> None:
    person = Actor(PrincipalKind.PERSON, "p", roles)
    assert rule(proposal=clean_proposal(Action.ADD_NOTE), actor=person).verdict is Verdict.BLOCK


def test_an_agent_cannot_take_a_role() -> None:
    disguised = replace(AGENT, roles=frozenset(["lead"]))
    assert rule(proposal=clean_proposal(Action.REFUND_PAYMENT), actor=disguised).verdict is Verdict.REVIEW
    without = load_policy(policy_text().replace("      - snooze_case\n", "", 1), "policy.yaml")
    assert rule(proposal=clean_proposal(Action.SNOOZE_CASE), actor=disguised, by=without).verdict is Verdict.BLOCK


def test_an_action_that_no_line_allows_is_blocked() -> None:
    without = load_policy(policy_text().replace("      - snooze_case\n", "", 1), "policy.yaml")
    ruling = rule(proposal=clean_proposal(Action.SNOOZE_CASE), by=without)
    assert ruling.verdict is Verdict.BLOCK
    assert "does not allow the agent to ask for snooze_case (R1)" in ruling.sentence


def test_an_action_that_is_not_in_the_policy_at_all_is_blocked() -> None:
    smaller = replace(policy(), actions={})
    assert rule(proposal=clean_proposal(Action.ADD_NOTE), by=smaller).verdict is Verdict.BLOCK


# --- a person's approval ---


@pytest.mark.parametrize("actor", [REVIEWER, SENIOR, LEAD])
def test_approving_answers_review_findings_and_keeps_them_in_sight(actor: Actor) -> None:
    facts = clean_facts(order__total=Money(61_200, "USD"), risk__level="high")
    ruling = rule(facts, clean_proposal(Action.MESSAGE_CUSTOMER, confidence=2_000), actor)
    assert ruling.verdict is Verdict.AUTOMATE
    assert ruling.allows(asking(Action.MESSAGE_CUSTOMER))
    assert {Reason.HIGH_VALUE_ORDER, Reason.FRAUD_REVIEW, Reason.LOW_CONFIDENCE} <= set(ruling.mandatory)
    assert {"action.default", "action.confidence"} <= fired(ruling.actions[0])
    assert "mandatory.high_value_order.1" in fired(ruling)
    assert ruling.sentence == f"Approved by {actor.id}: message_customer."


def test_approving_never_answers_a_block() -> None:
    ruling = rule(clean_facts(payment__status=None), clean_proposal(Action.RETRY_CAPTURE), LEAD, (SENIOR,))
    assert ruling.verdict is Verdict.BLOCK


def test_approvals_by_people_do_not_let_the_agent_act() -> None:
    assert rule(proposal=clean_proposal(Action.REFUND_PAYMENT), actor=AGENT, approvals=(LEAD, SENIOR)).verdict is Verdict.REVIEW


@pytest.mark.parametrize("machine", [AGENT, SERVICE])
def test_a_machine_among_the_approvers_is_a_forgery_and_blocks(machine: Actor) -> None:
    ruling = rule(proposal=clean_proposal(Action.REFUND_PAYMENT), actor=LEAD, approvals=(SENIOR, machine))
    assert ruling.verdict is Verdict.BLOCK
    assert "only people can" in ruling.sentence


# --- four eyes ---


def refund(amount: object) -> ProposedAction:
    return ProposedAction(Action.REFUND_PAYMENT, {"amount": amount})


@pytest.mark.parametrize(
    ("currency", "limit"), [("USD", 100_000), ("EUR", 90_000), ("GBP", 80_000), ("JPY", 140_000), ("KWD", 300_000)]
)
def test_above_the_limit_money_needs_two_people(currency: str, limit: int) -> None:
    at, above = (clean_proposal(refund({"amount": limit + step, "currency": currency})) for step in (0, 1))
    assert rule(proposal=at, actor=SENIOR).verdict is Verdict.AUTOMATE
    assert rule(proposal=above, actor=SENIOR).verdict is Verdict.REVIEW
    assert rule(proposal=above, actor=SENIOR, approvals=(LEAD,)).verdict is Verdict.AUTOMATE


@pytest.mark.parametrize(
    "approvals",
    [(), (SENIOR,), (SENIOR, SENIOR), (REVIEWER,), (Actor(PrincipalKind.PERSON, "ola", frozenset()),)],
    ids=["nobody", "oneself", "oneself twice", "somebody without permission", "somebody without role"],
)
def test_the_second_person_is_another_one_who_may_decide_this(approvals: tuple[Actor, ...]) -> None:
    large = clean_proposal(refund({"amount": 100_001, "currency": "USD"}))
    ruling = rule(proposal=large, actor=SENIOR, approvals=approvals)
    assert ruling.verdict is Verdict.REVIEW
    assert "the approval of a second person" in ruling.lift
    assert "refund_payment is about 1000.01 USD, above the 1000.00 USD" in ruling.sentence


@pytest.mark.parametrize(
    "amount",
    [
        None,
        5,
        "5.00 USD",
        {"amount": 5},
        {"amount": 5.0, "currency": "USD"},
        {"amount": True, "currency": "USD"},
        {"amount": -5, "currency": "USD"},
        {"amount": 5, "currency": "CHF"},
        {"amount": 5, "currency": "usd"},
        Money(-5, "USD"),
    ],
)
def test_an_amount_that_cannot_be_compared_needs_two_people(amount: object) -> None:
    asked = clean_proposal(refund(amount))
    alone, together = (rule(proposal=asked, actor=SENIOR, approvals=approvals) for approvals in ((), (LEAD,)))
    assert alone.verdict is Verdict.REVIEW
    assert finding(alone.actions[0], "action.four-eyes").outcome is Outcome.FIRED_UNKNOWN
    assert together.verdict is Verdict.AUTOMATE


def test_a_large_refund_in_small_parts_needs_two_people_all_the_same() -> None:
    parts = clean_proposal(*(refund({"amount": amount, "currency": "USD"}) for amount in (60_000, 40_001)))
    alone = rule(proposal=parts, actor=SENIOR)
    assert [item.verdict for item in alone.actions] == [Verdict.REVIEW, Verdict.REVIEW]
    assert "refund_payment is about 1000.01 USD, above the 1000.00 USD" in alone.sentence
    assert rule(proposal=parts, actor=SENIOR, approvals=(LEAD,)).verdict is Verdict.AUTOMATE
    within = clean_proposal(*(refund({"amount": amount, "currency": "USD"}) for amount in (60_000, 40_000)))
    assert rule(proposal=within, actor=SENIOR).verdict is Verdict.AUTOMATE


def test_parts_in_different_currencies_cannot_be_added_and_need_two_people() -> None:
    parts = clean_proposal(refund({"amount": 1, "currency": "USD"}), refund({"amount": 1, "currency": "EUR"}))
    assert rule(proposal=parts, actor=SENIOR).verdict is Verdict.REVIEW


def test_what_an_edited_argument_says_does_not_make_a_large_order_small() -> None:
    """Cancelling is about the whole order, whatever amount somebody writes into the arguments."""
    facts = clean_facts(order__total=Money(250_000, "USD"))
    small = clean_proposal(asking(Action.CANCEL_ORDER, amount={"amount": 1, "currency": "USD"}))
    assert rule(facts, small, LEAD).verdict is Verdict.REVIEW
    assert rule(facts, small, LEAD, (SENIOR,)).verdict is Verdict.AUTOMATE


# --- free rules ---


def test_a_reading_that_is_outdated_blocks_everything_beyond_r0() -> None:
    line = next(item.line for item in policy().rules if item.id == "block.outdated-reading")
    (name,) = (field.replace(".", "__") for field in line.condition.fields)
    ruling = rule(clean_facts(**{name: True}), clean_proposal(Action.ADD_NOTE, Action.HOLD_FULFILMENT))
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.BLOCK]
    assert rule(clean_facts(**{name: False})).verdict is Verdict.AUTOMATE


def test_a_request_that_was_resubmitted_before_goes_to_a_person() -> None:
    for attempts, expected in ((1, Verdict.AUTOMATE), (2, Verdict.REVIEW)):
        assert rule(clean_facts(fulfilment__attempts=attempts)).verdict is expected
    held = rule(clean_facts(fulfilment__attempts=2), clean_proposal(Action.SNOOZE_CASE))
    assert held.verdict is Verdict.AUTOMATE


def test_a_shadow_rule_is_recorded_and_not_applied() -> None:
    shadow = edited("mode: enforce", "mode: shadow")
    ruling = rule(clean_facts(fulfilment__attempts=5), by=shadow)
    assert ruling.verdict is Verdict.AUTOMATE
    assert finding(ruling.actions[0], "review.resubmitted-before").outcome is Outcome.SHADOW
    assert ruling.lift == ()


def test_every_rule_is_evaluated_even_after_a_block() -> None:
    blocked = rule(clean_facts(order__total=None, risk__level="high"))
    assert looked_at(blocked) == looked_at(rule())
    assert looked_at(blocked.actions[0]) == looked_at(rule().actions[0])
    assert not set(blocked.passed) & {item.rule for item in blocked.findings}


# --- what the caller may not do ---


def test_a_caller_cannot_hand_in_what_only_the_gate_knows() -> None:
    pretending = clean_facts()
    forged = {name: Fact(name, value, COMPUTED, NOW) for name, value in FORGED.items()}
    facts = Facts("#1001", NOW, {**pretending.by_name, **forged})
    proposal = clean_proposal(Action.RESUBMIT_FULFILMENT, confidence=100, failure="timed out")
    assert guard(facts, proposal, policy(), AGENT, snapshot_of(facts), NOTHING_SPENT).verdict is Verdict.REVIEW


FORGED: dict[str, FactValue] = {
    "case.confidence": 10_000,
    "case.classifier_failed": False,
    "case.grounded_evidence": 9,
    "action.class": "R0",
    "actor.kind": "person",
}


def test_text_from_outside_is_shown_shortened_on_one_line() -> None:
    facts = clean_facts(fraud_warning__type="x\n\x1b[31m{limit.high_value}" + "y" * 500)
    found = finding(rule(facts), "mandatory.payment_dispute.2")
    assert "\n" not in found.sentence
    assert "\x1b" not in found.sentence
    assert "{limit.high_value}" in found.sentence
    assert len(found.sentence) < 400


def test_a_source_that_is_switched_off_counts_also_where_only_computed_facts_rest_on_it() -> None:
    facts = clean_facts()
    snapshot = snapshot_of(facts)
    snapshot["fields"]["payment.status[pi_1]"] = {"value": "succeeded", "source": "stripe", "others": []}
    told_otherwise = snapshot_of(facts)
    told_otherwise["fields"]["order.total"]["others"] = [{"value": None, "source": "stripe"}]
    off = Standing({}, frozenset(["source:stripe"]))
    for shown in (snapshot, told_otherwise):
        ruling = guard(facts, clean_proposal(Action.RESUBMIT_FULFILMENT, Action.ADD_NOTE), policy(), AGENT, shown, off)
        assert [item.verdict for item in ruling.actions] == [Verdict.REVIEW, Verdict.AUTOMATE]
        assert "stripe is switched off" in ruling.sentence
    assert "switch.source" in guard(facts, clean_proposal(Action.ADD_NOTE), policy(), AGENT, snapshot_of(facts), off).passed


@pytest.mark.parametrize("snapshot", [None, [], {"fields": 3}, {"fields": {"a": 5, "b": {"source": 5, "others": 7}}}])
def test_a_snapshot_that_is_none_names_no_system(snapshot: Any) -> None:
    assert speaking_in(snapshot) == frozenset()
