"""What changed code got past the other tests of the guard: each test here is red for a mutant that nothing else noticed."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

import guardrails.gate
from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.grounding import ground, justifying
from guardrails.policy.generated import generate_outcomes
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.tables import WhenUnknown
from guardrails.proposal import AGENT, Actor, Evidence, ProposedAction
from guardrails.ruling import ActionRuling, GroundedEvidence, Outcome, Ruling
from guardrails.taxonomy import Action, Verdict
from tests.guardrails.clean_case import (
    EVIDENCE,
    LEAD,
    NOW,
    SENIOR,
    SERVICE,
    asking,
    clean_facts,
    clean_proposal,
    fact,
    finding,
    policy,
    rule,
)
from tests.guardrails.near_clean import line_of


def refund(amount: int, currency: str = "USD") -> ProposedAction:
    return ProposedAction(Action.REFUND_PAYMENT, {"amount": {"amount": amount, "currency": currency}})


# --- which of several facts counts ---


def resubmitting(**stated: Any) -> ActionRuling:
    """A resubmission rests on warehouse facts: `fulfilment.state`, `fulfilment.request` or `order.fulfillment_status`."""
    others: dict[str, Any] = {"fulfilment__state": None, "fulfilment__request": None, "order__fulfillment_status": None}
    return rule(clean_facts(**(others | stated))).actions[0]


@pytest.mark.parametrize(("state_hours", "status_hours"), [(5, 1), (1, 5)])
def test_the_newest_of_several_facts_decides_how_old_they_are(state_hours: int, status_hours: int) -> None:
    found = resubmitting(
        fulfilment__state=fact("fulfilment.state", "rejected", state_hours * 60),
        order__fulfillment_status=fact("order.fulfillment_status", "unfulfilled", status_hours * 60),
    )
    assert finding(found, "action.facts.warehouse").outcome is Outcome.NOT_FIRED


def test_the_age_that_is_told_is_that_of_the_newest_of_several_old_facts() -> None:
    found = resubmitting(
        fulfilment__state=fact("fulfilment.state", "rejected", 9 * 60),
        order__fulfillment_status=fact("order.fulfillment_status", "unfulfilled", 5 * 60),
    )
    old = finding(found, "action.facts.warehouse")
    assert old.outcome is Outcome.FIRED
    assert "order.fulfillment_status is 5 hours old and may be 4 hours at most" in old.sentence


@pytest.mark.parametrize("unreadable", ["fulfilment.state", "order.fulfillment_status"])
def test_the_newest_of_several_facts_counts_even_when_it_cannot_be_read(unreadable: str) -> None:
    values = {"fulfilment.state": "rejected", "order.fulfillment_status": "unfulfilled"}
    stated = {
        name.replace(".", "__"): fact(name, UNKNOWN, 1) if name == unreadable else fact(name, value, 10)
        for name, value in values.items()
    }
    unseen = finding(resubmitting(**stated), "action.facts.warehouse")
    assert unseen.outcome is Outcome.FIRED_UNKNOWN
    assert f"{unreadable} (shopify answered without a usable value)" in unseen.sentence


def test_an_older_answer_that_cannot_be_read_does_not_outweigh_a_newer_one() -> None:
    found = resubmitting(
        fulfilment__state=fact("fulfilment.state", UNKNOWN, 10),
        order__fulfillment_status=fact("order.fulfillment_status", "unfulfilled", 1),
    )
    assert finding(found, "action.facts.warehouse").outcome is Outcome.NOT_FIRED


def test_one_fact_that_may_still_be_trusted_is_enough() -> None:
    stale, trusted = (fact("fulfilment.state", "rejected", 4, stale=marked) for marked in (True, False))
    status = fact("order.fulfillment_status", "unfulfilled", 5, stale=True)
    both = resubmitting(fulfilment__state=stale, order__fulfillment_status=status)
    assert "longer than its source may be trusted for" in finding(both, "action.facts.warehouse").sentence
    one = resubmitting(fulfilment__state=trusted, order__fulfillment_status=status)
    assert finding(one, "action.facts.warehouse").outcome is Outcome.NOT_FIRED


def test_an_older_answer_that_cannot_be_read_does_not_make_stale_facts_fresh() -> None:
    found = resubmitting(
        fulfilment__state=fact("fulfilment.state", UNKNOWN, 10),
        order__fulfillment_status=fact("order.fulfillment_status", "unfulfilled", 1, stale=True),
    )
    assert finding(found, "action.facts.warehouse").outcome is Outcome.FIRED


def test_all_that_could_have_told_is_named_where_nothing_is_known() -> None:
    found = resubmitting(fulfilment__state=fact("fulfilment.state", UNKNOWN, 1))
    unseen = finding(found, "action.facts.warehouse")
    assert unseen.outcome is Outcome.FIRED_UNKNOWN
    for name in ("fulfilment.state", "fulfilment.request", "order.fulfillment_status"):
        assert name in unseen.sentence


# --- four eyes ---


def four_eyes(*asked: ProposedAction, actor: Actor = SENIOR, approvals: tuple[Actor, ...] = ()) -> Outcome:
    """What the rule says of the first action."""
    return finding(rule(None, clean_proposal(*asked), actor, approvals).actions[0], "action.four-eyes").outcome


def test_a_machine_that_may_ask_is_no_second_person() -> None:
    assert four_eyes(refund(100_001), actor=AGENT, approvals=(LEAD,)) is Outcome.FIRED
    assert four_eyes(refund(100_001), approvals=(AGENT,)) is Outcome.FIRED
    assert four_eyes(refund(100_001), approvals=(LEAD,)) is Outcome.NOT_FIRED


def test_one_refund_without_an_amount_makes_all_of_them_unknown() -> None:
    assert four_eyes(refund(1), ProposedAction(Action.REFUND_PAYMENT, {})) is Outcome.FIRED_UNKNOWN


def test_only_actions_of_the_same_kind_are_added_up() -> None:
    others = [asking(Action.ADD_NOTE), asking(Action.RETRY_CAPTURE), asking(Action.CANCEL_ORDER)]
    assert four_eyes(refund(100_000), *others) is Outcome.NOT_FIRED
    assert four_eyes(refund(50_000), refund(50_000), *others) is Outcome.NOT_FIRED
    assert four_eyes(refund(50_000), refund(50_001), *others) is Outcome.FIRED


def test_nobody_is_counted_as_nobody() -> None:
    found = finding(rule(proposal=clean_proposal(refund(100_001))).actions[0], "action.four-eyes")
    assert found.sentence.endswith("two people must agree, and nobody has.")


def test_every_kind_of_machine_among_the_approvers_is_named_in_order() -> None:
    for approvals in ((AGENT, SERVICE), (SERVICE, AGENT), (SERVICE, LEAD, AGENT)):
        found = finding(rule(None, clean_proposal(refund(1)), SENIOR, approvals).actions[0], "action.approvers")
        assert found.sentence == "Agent, service cannot approve: only people can."


# --- when silence is quiet ---


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, Outcome.NOT_FIRED),
        ({"hold.ours": True}, Outcome.NOT_FIRED),
        ({"check.oversold": UNKNOWN}, Outcome.NOT_FIRED),
        ({"check.oversold": UNKNOWN, "hold.ours": True}, Outcome.NOT_FIRED),
        ({"hold.ours": UNKNOWN}, Outcome.FIRED_UNKNOWN),
        ({"hold.ours": UNKNOWN, "check.oversold": UNKNOWN}, Outcome.FIRED_UNKNOWN),
        ({"hold.ours": UNKNOWN, "check.oversold": True}, Outcome.FIRED_UNKNOWN),
        ({"hold.ours": False}, Outcome.NOT_FIRED),
        ({"hold.ours": True, "check.oversold": True}, Outcome.FIRED),
    ],
)
def test_silence_is_quiet_only_where_nobody_answered_without_a_value(stated: dict[str, Any], expected: Outcome) -> None:
    """By the closures and by the generated code: a check that had nothing to compute from is silence, an unreadable answer is not."""
    quiet = replace(line_of("hold.ours == true and check.oversold == true"), when_unknown=WhenUnknown.QUIET)
    facts = Facts("#1", NOW, {name: fact(name, value) for name, value in stated.items()})
    fires, unknown = expected is not Outcome.NOT_FIRED, expected is Outcome.FIRED_UNKNOWN
    assert outcome_of(quiet, facts) is expected
    assert generate_outcomes([quiet])(facts) == (int(fires), int(unknown))


def test_a_clock_that_could_not_be_read_is_silence_too() -> None:
    quiet = replace(line_of("check.hours_since_paid > 4 and hold.ours == true"), when_unknown=WhenUnknown.QUIET)
    for value, expected in ((UNKNOWN, Outcome.NOT_FIRED), (5, Outcome.FIRED)):
        by_name = {"check.hours_since_paid": fact("check.hours_since_paid", value), "hold.ours": fact("hold.ours", True)}
        assert outcome_of(quiet, Facts("#1", NOW, by_name)) is expected
        assert generate_outcomes([quiet])(Facts("#1", NOW, by_name))[0] == int(expected is Outcome.FIRED)


# --- evidence ---


def cited(*pointers: str, snapshot: Mapping[str, Any] | None = None) -> tuple[GroundedEvidence, ...]:
    """Each pointer with the very text that stands there."""
    others = [{"value": "succeeded", "source": "stripe", "observed_at": "2026-11-23T09:00:00Z"}]
    total = {
        "value": {"amount": 8_950, "currency": "USD"},
        "source": "shopify",
        "observed_at": "2026-11-23T09:56:00Z",
        "others": [],
    }
    status = {"value": "paid", "source": "shopify", "observed_at": "2026-11-23T09:56:00Z", "others": others}
    shown = snapshot or {"fields": {"order.total": total, "order.financial_status": status}, "related": [], "signals": []}
    quotes = {"amount": "8950", "currency": "USD", "observed_at": "2026-11-23T09:56:00Z"}
    return ground([Evidence(pointer, quotes.get(pointer.rpartition("/")[2], "paid")) for pointer in pointers], shown)


def test_the_parts_of_one_statement_are_one_fact() -> None:
    parts = cited("/fields/order.total/value/amount", "/fields/order.total/value/currency", "/fields/order.total/observed_at")
    assert [item.struck for item in parts] == [None, None, None]
    assert justifying(parts) == 1


def test_what_another_system_says_about_the_field_is_a_fact_of_its_own() -> None:
    snapshot = {
        "fields": {
            "order.financial_status": {
                "value": "paid",
                "source": "shopify",
                "others": [{"value": "paid", "source": "stripe"}, {"value": "paid", "source": "easypost"}],
            }
        }
    }
    name = "/fields/order.financial_status"
    all_three = cited(f"{name}/value", f"{name}/others/0/value", f"{name}/others/1/value", snapshot=snapshot)
    assert [(item.struck, item.source) for item in all_three] == [(None, "shopify"), (None, "stripe"), (None, "easypost")]
    assert justifying(all_three) == 3


@pytest.mark.parametrize("pointer", ["/fields", "/related", "/signals"])
def test_a_pointer_to_a_whole_part_of_the_snapshot_is_struck_and_fails_nothing(pointer: str) -> None:
    (item,) = cited(pointer)
    assert item.struck is not None
    assert justifying([item]) == 0


def test_a_snapshot_that_cannot_be_written_to_is_read_like_any_other() -> None:
    status = MappingProxyType({"value": "paid", "source": "shopify"})
    snapshot = MappingProxyType({"fields": MappingProxyType({"order.financial_status": status})})
    (item,) = cited("/fields/order.financial_status/value", snapshot=snapshot)
    assert (item.struck, item.source, item.untrusted) == (None, "shopify", False)


# --- failure ---


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Ruling:
    def fail(*_: object) -> Any:
        raise error

    by = policy()  # read before the guard fails: its examples are put to the guard
    monkeypatch.setattr(guardrails.gate, "weigh_case", fail)
    return rule(by=by)


def test_what_a_failed_guard_could_not_check_is_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    ruling = failing(ValueError("odd"), monkeypatch)
    assert ruling.error == "ValueError: odd"
    assert (ruling.policy_version, ruling.policy_sha256) == (policy().version, policy().sha256)
    assert [(item.evidence, item.source, item.untrusted) for item in ruling.evidence] == [(item, None, True) for item in EVIDENCE]
    assert {item.struck for item in ruling.evidence} == {"the guard failed before it was checked"}
    assert [(item.verdict, item.findings) for item in ruling.actions] == [(Verdict.BLOCK, ruling.findings)]
    assert [(item.rule, item.outcome, item.effect) for item in ruling.findings] == [
        ("gate.evaluator", Outcome.FIRED, Verdict.BLOCK)
    ]


def test_facts_that_have_no_digest_are_kept_without_one() -> None:
    naive = Fact("fulfilment.state", "rejected", "shopify", NOW.replace(tzinfo=None))
    ruling = rule(clean_facts(fulfilment__state=naive))
    assert (ruling.verdict, ruling.facts_sha256) == (Verdict.BLOCK, "")
    assert ruling.error is not None
    assert "a time without a zone" in ruling.error


def test_a_long_failure_is_told_in_300_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failing(ValueError("x" * 1_000), monkeypatch).error
    assert error == "ValueError: " + "x" * 288


def test_a_generator_that_is_closed_is_no_failure_of_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GeneratorExit):
        failing(GeneratorExit(), monkeypatch)


def test_a_proposal_whose_actions_are_no_list_is_blocked() -> None:
    broken: Any = None
    ruling = rule(proposal=replace(clean_proposal(), actions=broken, evidence=broken))
    assert (ruling.verdict, ruling.actions, ruling.evidence) == (Verdict.BLOCK, (), ())
    assert ruling.error is not None
