"""What a changed policy tightens and loosens, value by value."""

import pytest

from guardrails.policy.diff import Change, Effect, diff_of
from guardrails.policy.load import Policy, load_policy
from tests.guardrails.clean_case import policy_text

PERMIT = """  - id: permit.delay
    effect: automate
    when: action.name == 'message_customer' and check.still_promised == true
    because: it is on its way
    owner: ecommerce
"""
TEXT = policy_text().split("\n# Cases that")[0].replace("\nrules:\n", f"\nrules:\n{PERMIT}", 1)


def loaded(text: str) -> Policy:
    return load_policy(text, "policy.yaml")


def changes(*edits: tuple[str, str]) -> tuple[Change, ...]:
    text = TEXT
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return diff_of(loaded(TEXT), loaded(text))


def test_layout_comments_order_and_version_are_no_difference() -> None:
    assert (
        changes(
            ("schema: ordermend/policy/v1", "# a word\nschema: ordermend/policy/v1"),
            ("USD: 500.00, EUR: 450.00", "EUR: 450.00,   USD: 500.0"),
            ("23.2", "23.9"),
        )
        == ()
    )


ONE_CHANGE = [
    ("USD: 500.00", "USD: 400.00", "limits.high_value.USD", "500.00 USD", "400.00 USD", Effect.TIGHTENS),
    ("USD: 500.00", "USD: 600.00", "limits.high_value.USD", "500.00 USD", "600.00 USD", Effect.LOOSENS),
    ("USD: 500.00, ", "", "limits.high_value.USD", "500.00 USD", None, Effect.TIGHTENS),
    ("USD: 500.00", "USD: 500.00, CHF: 1.00", "limits.high_value.CHF", None, "1.00 CHF", Effect.LOOSENS),
    ("max_age: 30d", "max_age: 20d", "freshness.order.max_age", "30 days", "20 days", Effect.TIGHTENS),
    ("covers: [order.]", "covers: [order., payment.]", "freshness.order.covers", "order.", "order., payment.", Effect.TIGHTENS),
    ("case: {min_confidence: 0.60", "case: {min_confidence: 0.50", "case.min_confidence", "0.60", "0.50", Effect.LOOSENS),
    ("finance: {count: 60", "finance: {count: 61", "budgets.finance.count", "60", "61", Effect.LOOSENS),
    ("hold_fulfilment: {count: 300}, ", "", "budgets.fulfilment/hold_fulfilment", "300 actions", None, Effect.LOOSENS),
    ("operations: {count: 600}", "operations: {count: 600, spend: {USD: 1.00}}", "budgets.operations.spend", None, "1.00 USD", Effect.TIGHTENS),
    ("protective: true", "protective: false", "actions.hold_fulfilment.protective", "true", "false", Effect.TIGHTENS),
    ("undo: release the hold", "undo: let it go", "actions.hold_fulfilment.undo", "release the hold", "let it go", Effect.NEITHER),
    ("facts: [order, hold]", "facts: [hold]", "actions.release_own_hold.facts", "hold, order", "hold", Effect.LOOSENS),
    ("facts: [order, hold]", "facts: [hold, risk]", "actions.release_own_hold.facts", "hold, order", "hold, risk", Effect.EITHER),
    ("  reviewer: {classes: [R0, R1, R2]}", "  reviewer: {classes: [R0, R1]}", "permissions.reviewer.classes", "R0, R1, R2", "R0, R1", Effect.TIGHTENS),
    ("protective: wait", "protective: run", "mandatory.untrusted_instructions.protective", "wait", "run", Effect.LOOSENS),
    ("categories: [fraud_risk]", "categories: []", "mandatory.fraud_review.categories", "fraud_risk", "", Effect.LOOSENS),
    ("risk.level == 'high'\n        because: the storefront rates the risk {risk.level}\n        when_unknown: quiet", "risk.level == 'high'\n        because: the storefront rates the risk {risk.level}\n        when_unknown: fire", "mandatory.fraud_review.conditions[risk.level == 'high'].when_unknown", "quiet", "fire", Effect.TIGHTENS),
    ("mode: enforce", "mode: shadow", "rules.review.resubmitted-before.mode", "enforce", "shadow", Effect.LOOSENS),
    ("fulfilment.attempts >= 2", "fulfilment.attempts >= 3", "rules.review.resubmitted-before.when", "action.name == 'resubmit_fulfilment' and fulfilment.attempts >= 2", "action.name == 'resubmit_fulfilment' and fulfilment.attempts >= 3", Effect.EITHER),
    ("id: block.no-order-total\n    effect: block", "id: block.no-order-total\n    classes: [R1]\n    effect: block", "rules.block.no-order-total.classes", "R1, R2, R3", "R1", Effect.LOOSENS),
    (PERMIT, "", "rules.permit.delay", "action.name == 'message_customer' and check.still_promised == true", None, Effect.TIGHTENS),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "was", "now", "effect"), ONE_CHANGE)
def test_one_change_is_told_with_what_it_does(
    old: str, new: str, path: str, was: str | None, now: str | None, effect: Effect
) -> None:
    assert changes((old, new)) == (Change(path, was, now, effect),)


def test_the_way_back_has_the_opposite_effect() -> None:
    opposite = {Effect.TIGHTENS: Effect.LOOSENS, Effect.LOOSENS: Effect.TIGHTENS}
    for old, new, *_, effect in ONE_CHANGE:
        (back,) = diff_of(loaded(TEXT.replace(old, new, 1)), loaded(TEXT))
        assert back.effect is opposite.get(effect, effect)


def test_a_condition_added_to_a_reason_tightens_and_one_taken_away_loosens() -> None:
    found = changes(("when: risk.level == 'high'", "when: risk.level in ['high', 'medium']"))
    assert {(change.was is None, change.effect) for change in found} == {(True, Effect.TIGHTENS), (False, Effect.LOOSENS)}


def test_a_limit_that_something_reads_as_a_lower_bound_may_do_either() -> None:
    rule = "  - {id: review.small, effect: review, when: payment.amount < limit(high_value), because: x, owner: risk}\n"
    text = TEXT.replace("\nrules:\n", f"\nrules:\n{rule}", 1)
    (change,) = diff_of(loaded(text), loaded(text.replace("USD: 500.00", "USD: 400.00", 1)))
    assert change.effect is Effect.EITHER


def test_every_change_is_told() -> None:
    found = changes(("USD: 500.00", "USD: 1.00"), ("finance: {count: 60", "finance: {count: 1"), ("owner: risk", "owner: finance"))
    assert [change.path for change in found] == ["limits.high_value.USD", "budgets.finance.count", "mandatory.fraud_review.owner"]
