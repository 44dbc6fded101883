"""A permit lifts the review of an action that can bear it, resting on records; anything more is refused where it stands."""

import pytest

from guardrails.policy.load import Policy, PolicyInvalid, load_policy
from guardrails.policy.tables import Mode
from guardrails.taxonomy import Action, Verdict
from tests.guardrails.clean_case import SERVICE, clean_facts, clean_proposal, policy_text, rule

GOOD = "action.name == 'message_customer' and check.still_promised == true and order.total < limit(high_value)"


def with_permit(when: str, more: str = "", name: str = "permit.expected-delay", text: str | None = None) -> str:
    permit = (
        f'  - id: {name}\n    effect: automate\n    when: "{when}"\n    because: it is on its way\n    owner: ecommerce\n{more}'
    )
    return (text or policy_text()).replace("\nrules:\n", f"\nrules:\n{permit}", 1)


def loaded(when: str, more: str = "") -> Policy:
    return load_policy(with_permit(when, more), "policy.yaml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(text, "policy.yaml")
    return [str(error) for error in caught.value.errors]


def test_a_permit_that_is_certainly_true_lifts_the_review_of_its_action() -> None:
    permitted = clean_facts(check__still_promised=True)
    message = clean_proposal(Action.MESSAGE_CUSTOMER)
    assert rule(permitted, message).verdict is Verdict.REVIEW
    assert rule(permitted, message, by=loaded(GOOD)).verdict is Verdict.AUTOMATE
    assert rule(clean_facts(check__still_promised=False), message, by=loaded(GOOD)).verdict is Verdict.REVIEW
    assert rule(clean_facts(check__still_promised=None), message, by=loaded(GOOD)).verdict is Verdict.REVIEW


def test_a_permit_in_shadow_permits_nothing() -> None:
    trial = loaded(GOOD, "    mode: shadow\n")
    assert trial.rules[0].mode is Mode.SHADOW
    ruling = rule(clean_facts(check__still_promised=True), clean_proposal(Action.MESSAGE_CUSTOMER), by=trial)
    assert ruling.verdict is Verdict.REVIEW


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("check.still_promised == true", "a permit names its actions"),
        ("action.name == 'message_customer' or check.still_promised == true", "a permit names its actions"),
        ("not (action.name != 'message_customer') and check.still_promised == true", "a permit names its actions"),
        (
            "action.name in ['message_customer', 'refund_payment'] and check.still_promised == true",
            "refund_payment is R3, money or",
        ),
        ("action.name in ['add_note'] and check.still_promised == true", "add_note is R0, permitted anyway"),
        ("action.name == 'hold_fulfilment' and check.still_promised == true", "the default of hold_fulfilment is automate"),
        ("action.name == 'message_customer'", "a permit may not rest on what the model, the actor or the request says alone"),
        ("action.name == 'message_customer' and case.confidence >= 9900", "a permit may not rest on what the model"),
        (
            "action.name == 'message_customer' and (case.confidence >= 9900 or check.still_promised == true)",
            "a permit may not rest on what the model",
        ),
        (
            "action.name == 'message_customer' and not (case.confidence < 9900 and check.paid == false)",
            "may not rest on what the model",
        ),
        (
            "action.name == 'message_customer' and customer.message == 'ok'",
            "a permit may not read customer.message: it is free text",
        ),
        (
            "action.name == 'message_customer' and order.total >= 5.00 USD",
            "order.total gets riskier upwards, and this permits the more",
        ),
        (
            "action.name == 'message_customer' and check.paid == false",
            "check.paid gets riskier downwards, and this permits the more",
        ),
        ("action.name == 'message_customer' and age(order.total) > 1h", "age(order.total) gets riskier upwards"),
        ("action.name == 'message_customer' and payment.status != 'succeeded'", "this refuses 'succeeded', which is safe"),
        ("action.name == 'message_customer' and known(dispute.status)", "this would permit because of it"),
        ("action.name == 'message_customer' and order.total == 5.00 USD", "this permits some values only; use < or >"),
        ("true", "a permit names its actions"),
    ],
)
def test_a_permit_that_reaches_too_far_is_refused_at_its_condition(when: str, message: str) -> None:
    text = with_permit(when)
    line = next(number for number, row in enumerate(text.splitlines(), 1) if row == f'    when: "{when}"')
    found = [told for told in mistakes(text) if message in told]
    assert found, mistakes(text)
    assert all(told.startswith(f"policy.yaml:{line}:") for told in found)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("    until: x\n", "a permit holds nothing that could be lifted; leave out 'until'"),
        ("    reason: fraud_review\n", "a permit is no reason to look; leave out 'reason'"),
        ("    when_unknown: quiet\n", "a permit counts only when it is certainly true; leave out 'when_unknown'"),
        ("    classes: [R3]\n", "a permit names its actions in the condition; leave out 'classes'"),
    ],
)
def test_a_permit_may_not_carry_what_only_a_hold_means(more: str, message: str) -> None:
    assert any(message in told for told in mistakes(with_permit(GOOD, more)))


@pytest.mark.parametrize("name", ["review.expected-delay", "permit.ExpectedDelay", "permit.", "expected-delay"])
def test_a_permit_is_called_one(name: str) -> None:
    assert any("such as permit.old-stock" in told for told in mistakes(with_permit(GOOD, name=name)))


def test_an_action_is_permitted_only_when_the_agent_may_ask_for_it() -> None:
    text = with_permit(GOOD, text=policy_text().replace("      - message_customer\n", "", 1))
    assert any("the agent may not ask for message_customer" in told for told in mistakes(text))


def test_every_turned_comparison_of_a_permit_is_refused() -> None:
    for turned in (
        GOOD.replace("== true", "== false"),
        GOOD.replace("order.total <", "order.total >="),
        GOOD.replace("action.name ==", "action.name !="),
        f"not ({GOOD})",
    ):
        assert mistakes(with_permit(turned)), turned


def test_a_permit_never_helps_who_may_not_ask() -> None:
    ruling = rule(clean_facts(check__still_promised=True), clean_proposal(Action.MESSAGE_CUSTOMER), SERVICE, by=loaded(GOOD))
    assert ruling.verdict is Verdict.BLOCK
