"""Switches and budgets: what stops an action whatever the case, what an hour may take, and what is said of it. Each test is red
for a change of the guard that no other test noticed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from guardrails.budgets import Claim, claims_of, lacking_in
from guardrails.facts import Fact, Facts
from guardrails.money import Money
from guardrails.policy.tables import Budget
from guardrails.proposal import AGENT, Actor, ProposedAction
from guardrails.ruling import Outcome, Ruling
from guardrails.standing import NOTHING_SPENT, Spent, Standing, hour_of
from guardrails.taxonomy import Action, Reason, Verdict
from tests.guardrails.clean_case import (
    LEAD,
    NOW,
    asking,
    clean_facts,
    clean_proposal,
    edited,
    finding,
    fired,
    policy,
)
from tests.guardrails.near_clean import Asked, changed, ruled


def under(standing: Standing, *actions: Action | ProposedAction, actor: Actor = AGENT, facts: Facts | None = None) -> Ruling:
    """The ruling about the actions while this is spent and that is off."""
    return ruled(Asked(facts or clean_facts(), clean_proposal(*actions), actor, standing), policy())


def refund(amount: int, currency: str = "USD") -> ProposedAction:
    return ProposedAction(Action.REFUND_PAYMENT, {"amount": {"amount": amount, "currency": currency}})


# --- switches ---


@pytest.mark.parametrize("actor", [AGENT, LEAD], ids=["agent", "person"])
@pytest.mark.parametrize("action", [Action.ADD_NOTE, Action.RESUBMIT_FULFILMENT, Action.REFUND_PAYMENT])
def test_the_switch_of_everything_stops_every_action_whoever_asks(action: Action, actor: Actor) -> None:
    ruling = under(Standing({}, frozenset(["everything"])), action, actor=actor)
    switch = finding(ruling.actions[0], "action.switch")
    assert (switch.outcome, switch.effect) == (Outcome.FIRED, Verdict.BLOCK)
    assert switch.sentence == "Every action is switched off."
    assert ruling.verdict is Verdict.BLOCK
    assert "switch everything on again" in ruling.lift


def test_the_switch_of_one_action_stops_that_one_and_no_other() -> None:
    off = Standing({}, frozenset(["action:resubmit_fulfilment"]))
    ruling = under(off, Action.RESUBMIT_FULFILMENT, Action.HOLD_FULFILMENT)
    assert [item.verdict for item in ruling.actions] == [Verdict.BLOCK, Verdict.AUTOMATE]
    assert finding(ruling.actions[0], "action.switch").sentence == "resubmit_fulfilment is switched off."
    assert ruling.lift == ("switch action:resubmit_fulfilment on again",)


def test_facts_of_a_source_that_is_switched_off_hold_everything_above_r0_for_a_person() -> None:
    off = Standing({}, frozenset(["source:shopify"]))
    ruling = under(off, Action.ADD_NOTE, Action.HOLD_FULFILMENT, Action.RESUBMIT_FULFILMENT)
    assert [item.verdict for item in ruling.actions] == [Verdict.AUTOMATE, Verdict.REVIEW, Verdict.REVIEW]
    assert ruling.verdict is Verdict.REVIEW
    assert finding(ruling, "switch.source").sentence == "Shopify is switched off, and facts of this order come from there."
    assert ruling.lift == ("switch shopify on again",)
    assert under(off, Action.RESUBMIT_FULFILMENT, actor=LEAD).verdict is Verdict.AUTOMATE


def test_a_source_that_is_switched_off_matters_only_where_facts_come_from_it() -> None:
    for off in ("source:stripe", "source:everything", "action:refund_payment"):
        ruling = under(Standing({}, frozenset([off])), Action.RESUBMIT_FULFILMENT)
        assert finding(ruling, "switch.source").outcome is Outcome.NOT_FIRED
        assert ruling.verdict is Verdict.AUTOMATE, ruling.sentence


def test_every_source_that_is_switched_off_is_named_once_in_order() -> None:
    shipped = Fact("tracking.status", "in_transit", "easypost", NOW - timedelta(minutes=4))
    off = Standing({}, frozenset(["source:shopify", "source:easypost", "source:stripe"]))
    ruling = under(off, Action.RESUBMIT_FULFILMENT, facts=clean_facts(tracking__status=shipped))
    assert finding(ruling, "switch.source").sentence.startswith("Easypost and shopify is switched off")


# --- budgets ---


def test_a_budget_that_could_not_be_seen_holds_the_agent_and_says_so() -> None:
    unseen = finding(under(Standing(None), Action.RESUBMIT_FULFILMENT).actions[0], "action.budget")
    assert (unseen.outcome, unseen.effect, unseen.reason) == (Outcome.FIRED_UNKNOWN, Verdict.REVIEW, Reason.BUDGET_EXHAUSTED)
    assert unseen.sentence == "We could not see what is left of the fulfilment budget of this hour."


def test_a_budget_is_never_asked_of_a_person() -> None:
    for standing in (Standing(None), Standing({"fulfilment": Spent(100_000)})):
        ruling = under(standing, Action.RESUBMIT_FULFILMENT, actor=LEAD)
        assert "action.budget" not in fired(ruling.actions[0])
        assert ruling.verdict is Verdict.AUTOMATE


def test_an_exhausted_budget_says_how_many_have_run_and_what_lifts_it() -> None:
    ruling = under(Standing({"fulfilment/resubmit_fulfilment": Spent(200)}), Action.RESUBMIT_FULFILMENT)
    spent = finding(ruling.actions[0], "action.budget")
    assert (spent.outcome, ruling.verdict) == (Outcome.FIRED, Verdict.REVIEW)
    assert "200 of the 200 actions that fulfilment/resubmit_fulfilment may have in an hour have run" in ruling.sentence
    assert ruling.lift == ("a person decides about resubmit_fulfilment, or the next hour begins",)


@pytest.mark.parametrize(
    "action",
    [refund(1, "CHF"), ProposedAction(Action.REFUND_PAYMENT, {}), refund(-1)],
    ids=["a currency that is not listed", "no amount", "a negative amount"],
)
def test_money_that_cannot_be_counted_in_a_budget_is_not_there(action: ProposedAction) -> None:
    ruling = under(NOTHING_SPENT, action)
    unseen = finding(ruling.actions[0], "action.budget")
    assert unseen.outcome is Outcome.FIRED_UNKNOWN
    assert unseen.sentence == "We could not see how much of the finance budget it would take."
    assert Reason.BUDGET_EXHAUSTED in ruling.mandatory


@pytest.mark.parametrize(("amount", "expected"), [(500_000, Outcome.NOT_FIRED), (500_001, Outcome.FIRED)])
def test_an_untouched_budget_holds_just_its_own_money(amount: int, expected: Outcome) -> None:
    assert finding(under(NOTHING_SPENT, refund(amount)).actions[0], "action.budget").outcome is expected


@pytest.mark.parametrize(("asked", "fits"), [(2, True), (3, False)])
def test_an_untouched_budget_holds_just_its_own_count(asked: int, fits: bool) -> None:
    budget = Budget("risk", 2)
    assert (lacking_in(budget, [Claim("risk", None)] * asked, {}) is None) is fits


@pytest.mark.parametrize(
    "wrong", [Spent(-1), Spent(True), Spent(0, {"USD": -1}), Spent(0, {"USD": 0, "EUR": -1}), Spent(-1, {"USD": 0})]
)
def test_a_count_that_cannot_be_right_leaves_nothing_of_the_budget(wrong: Spent) -> None:
    budget = Budget("finance", 9, {"USD": Money(10, "USD")})
    lacking = lacking_in(budget, [Claim("finance", None)], {"finance": wrong})
    assert lacking == (Outcome.FIRED_UNKNOWN, "what is recorded of the finance budget of this hour cannot be right")


def test_the_first_currency_that_does_not_fit_is_told_by_its_code() -> None:
    budget = Budget("finance", 9, {code: Money(10, code) for code in ("USD", "EUR")})
    for claims in ([Claim("finance", Money(11, code)) for code in codes] for codes in (("USD", "EUR"), ("EUR", "USD"))):
        lacking = lacking_in(budget, claims, {})
        assert lacking is not None
        assert lacking[1] == "0.00 EUR of the 0.10 EUR that finance may move in an hour is spent, and this needs 0.11 EUR"


def test_a_budget_that_counts_no_money_takes_none() -> None:
    by = edited(
        "finance: {count: 60, spend: {USD: 5000.00, EUR: 4500.00, GBP: 4000.00, JPY: 700000, KWD: 1500.000}}",
        "finance: {count: 60}",
    )
    assert claims_of(refund(700), by, clean_facts()) == (Claim("finance", None),)
    assert claims_of(refund(700), policy(), clean_facts()) == (Claim("finance", Money(700, "USD")),)
    assert lacking_in(by.budgets["finance"], [Claim("finance", Money(700, "USD"))], {}) is None


def test_an_action_that_the_policy_does_not_know_takes_from_no_budget() -> None:
    fewer = {name: entry for name, entry in policy().actions.items() if name is not Action.SNOOZE_CASE}
    assert claims_of(asking(Action.SNOOZE_CASE), changed(policy(), actions=fewer), clean_facts()) == ()


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
def test_a_budget_is_counted_by_the_clock_hour_in_utc(zone: timezone) -> None:
    hour = datetime(2026, 11, 23, 10, tzinfo=UTC)
    for within in (timedelta(0), timedelta(minutes=59, seconds=59, microseconds=999_999)):
        counted = hour_of((hour + within).astimezone(zone))
        assert (counted, counted.tzinfo) == (hour, UTC)
    assert hour_of((hour + timedelta(hours=1)).astimezone(zone)) == hour + timedelta(hours=1)
