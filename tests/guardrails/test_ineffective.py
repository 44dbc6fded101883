"""Lines that can change nothing are remarked on, and no line that can is."""

from random import Random

import pytest

from guardrails.policy.ineffective import remarks_on
from guardrails.policy.language import compile_condition
from guardrails.policy.load import Policy, load_policy
from guardrails.policy.situations import Undecided, situations
from guardrails.taxonomy import Truth
from tests.guardrails.clean_case import policy, policy_text
from tests.guardrails.generated_cases import decisive_values, random_facts
from tests.guardrails.test_proofs import scope

BARE = policy_text().split("\n# Cases that")[0]


def with_rule(when: str, **more: str) -> Policy:
    rest = {"id": "review.new", "effect": "review", "because": "x", "owner": "risk", **more}
    told = ", ".join(f"{key}: {value}" for key, value in rest.items())
    return load_policy(BARE.replace("\nrules:\n", f'\nrules:\n  - {{when: "{when}", {told}}}\n', 1), "policy.yaml")


def with_mandatory(when: str) -> Policy:
    first = "  high_value_order:\n    owner: finance\n    conditions:\n"
    return load_policy(BARE.replace(first, f'{first}      - {{when: "{when}", because: x}}\n', 1), "policy.yaml")


def messages(of: Policy) -> list[str]:
    return [remark.message for remark in remarks_on(of)]


def test_no_line_of_the_shipped_policy_is_idle() -> None:
    assert messages(policy()) == []


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("known(dispute.status) and dispute.status in []", "review.new never fires"),
        ("'R1' in actor.roles and action.class == 'R0'", "review.new never fires"),
        ("check.paid == false or not check.paid", None),
        ("not (case.category in [])", "review.new fires whatever is the case"),
        ("action.name == 'snooze_case' or action.name != 'snooze_case'", "review.new fires whatever is the case"),
        ("fulfilment.attempts > 3", None),
        ("order.total + refund.amount > 5.00 USD", None),
        ("order.ship_to_country == order.billing_country", None),
        (
            "basis.outdated == true and order.line_count > 3",
            None,
        ),  # an unreadable count fires where silence about the basis does not
        ("not known(order.total) and order.line_count > 3", "review.new fires only where block.no-order-total fires too"),
        ("not known(order.total)", "review.new fires only where block.no-order-total fires too"),
    ],
)
def test_a_rule_is_remarked_on_exactly_when_it_can_change_nothing(when: str, message: str | None) -> None:
    found = messages(with_rule(when, when_unknown="quiet"))
    assert (message is None and not found) or any(message in told for told in found if message), found


def test_a_rule_about_actions_that_it_is_never_asked_about_never_fires() -> None:
    assert messages(with_rule("action.name == 'snooze_case'", classes="[R3]")) == ["review.new never fires"]
    assert messages(with_rule("action.name == 'snooze_case'", classes="[R1]")) == []


def test_a_mandatory_line_implied_by_another_of_its_reason_is_remarked_on() -> None:
    assert messages(with_mandatory("order.total >= 900.00 USD and order.total >= limit(high_value)")) == [
        "mandatory.high_value_order.1 fires only where mandatory.high_value_order.2 fires too, so it changes nothing"
    ]
    assert messages(with_mandatory("order.total >= 900.00 USD")) == []
    assert messages(with_mandatory("order.total >= 100.00 USD")) == [  # other currencies cannot be compared with it, and so fire
        "mandatory.high_value_order.2 fires only where mandatory.high_value_order.1 fires too, so it changes nothing"
    ]


def test_a_line_that_says_the_same_twice_is_remarked_on_once_and_the_later_one() -> None:
    doubled = with_mandatory("order.total >= limit(high_value)")
    assert messages(doubled) == [
        "mandatory.high_value_order.2 fires only where mandatory.high_value_order.1 fires too, so it changes nothing"
    ]
    (remark,) = remarks_on(doubled)
    assert remark.at == doubled.mandatory[next(iter(doubled.mandatory))].lines[1].at
    assert str(remark).startswith("policy.yaml:")


def test_a_rule_in_shadow_that_says_what_is_in_force_is_remarked_on() -> None:
    same = "action.name == 'resubmit_fulfilment' and fulfilment.attempts > 1"
    assert messages(with_rule(same, when_unknown="quiet", mode="shadow")) == [
        "review.new is in shadow and says what review.resubmitted-before does already"
    ]
    assert messages(with_rule(same, mode="shadow")) == []


def test_a_permit_that_is_never_certain_permits_nothing() -> None:
    never = "action.name == 'void_label' and order.total < 1.00 USD and order.total < 1.00 EUR"
    permit = {"id": "permit.new", "effect": "automate"}
    assert messages(with_rule(never, **permit)) == ["permit.new is never certainly true, so it permits nothing"]
    assert messages(with_rule("action.name == 'void_label' and order.total < 1.00 USD", **permit)) == []


def test_too_many_situations_are_left_undecided() -> None:
    many = " and ".join(
        f"{name} == 'a'" for name in ("order.ref", "order.id", "order.channel", "order.customer", "parcel.carrier") * 2
    )
    one = compile_condition(f"{many} and tracking.zip == 'a' and product.sku == 'b' and integration.system == 'c'", scope())
    with pytest.raises(Undecided):
        list(situations([one], policy().actions.values()))
    assert messages(with_rule(one.text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "order.total >= limit(high_value) and risk.level != 'low'",
        "age(payment.status) > 6h or not known(payment.status)",
        "until(payment.capture_before) < 24h",
        "'fraud_risk' in case.detected and not check.paid",
        "fulfilment.attempts in [2, 5] or fulfilment.attempts > 7",
        "dispute.amount > 5.00 USD and dispute.amount > 7.00 EUR",
    ],
)
def test_the_situations_show_every_truth_that_drawn_facts_do(text: str) -> None:
    condition = compile_condition(text, scope())
    listed = {condition.evaluate(facts) for facts in situations([condition], policy().actions.values())}
    draw, types = Random(3), {name: scope().fields[name].type for name in condition.fields}
    near = decisive_values([condition])
    drawn = {condition.evaluate(random_facts(draw, types, near, unknown=0.2)) for _ in range(400)}
    assert drawn <= listed
    assert listed <= set(Truth)
