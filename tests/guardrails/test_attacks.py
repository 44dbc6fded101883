"""What an adversarial reader tried: ways in which the guard could be talked into less than it should ask for, or into taking for ever."""

from random import Random

import pytest

from guardrails.facts import Fact
from guardrails.gate import guard
from guardrails.grounding import ground, justifying
from guardrails.policy.generated import generate_outcomes
from guardrails.policy.load import PolicyInvalid, load_policy
from guardrails.policy.lookups import lookups_of
from guardrails.policy.outcomes import outcome_of
from guardrails.policy.tables import Line, WhenUnknown
from guardrails.proposal import AGENT, Evidence
from guardrails.ruling import Outcome
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Verdict
from tests.guardrails.clean_case import NOW, clean_facts, clean_proposal, edited, policy, policy_text, rule, snapshot_of
from tests.guardrails.near_clean import line_of

OVERLAY = "schema: ordermend/policy-overlay/v1\nversion: shop.3\ntightens: 2026-11-23.2\n"


# --- an overlay that would loosen ---


def test_an_overlay_cannot_name_an_amount_where_the_base_always_asks_for_two_people() -> None:
    was = "    min_confidence: 0.80\n    evidence: {count: 1}\n    facts: [order, warehouse]\n"
    text = policy_text().partition("\nexamples:")[0]
    assert was in text
    text = text.replace(was, f"{was}    four_eyes_above: two_people\n")
    assert rule(by=load_policy(text, "policy.yaml")).verdict is Verdict.REVIEW
    with pytest.raises(PolicyInvalid, match="two people whatever the amount"):
        load_policy(text, "policy.yaml", (f"{OVERLAY}actions: {{resubmit_fulfilment: {{money: order.total}}}}\n", "shop.yaml"))


# --- a permit for an action that rests on nothing ---

PERMIT = """
  - id: permit.small-order
    effect: automate
    when: action.name == 'message_customer' and order.total < 200.00 USD
    because: it is a small order
    owner: ecommerce
"""


def test_no_permit_is_about_an_action_that_needs_no_evidence() -> None:
    was = "    default: review\n    min_confidence: 0.85\n    evidence: {count: 1}\n"
    text = policy_text().partition("\ncases:\n")[0].rstrip() + PERMIT
    assert load_policy(text, "policy.yaml").rules[-1].effect is Verdict.AUTOMATE
    with pytest.raises(PolicyInvalid, match="message_customer needs no cited fact"):
        load_policy(text.replace(was, was.replace("count: 1", "count: 0"), 1), "policy.yaml")


# --- a mandatory reason in name only ---


@pytest.mark.parametrize("nothing", ["'false'", "5.00 USD > 6.00 USD"])
def test_a_mandatory_reason_cannot_be_emptied_by_a_condition_that_reads_nothing(nothing: str) -> None:
    shipped = "order.total >= limit(high_value)\n        because: the order is worth {order.total}, at or above the {limit.high_value} limit"
    with pytest.raises(PolicyInvalid, match="a mandatory condition reads what was recorded"):
        edited(shipped, f"{nothing}\n        because: it is worth a look")


# --- evidence counted twice ---


@pytest.mark.parametrize(
    ("cited", "facts"),
    [
        ([("value", "89.50 USD"), ("value/amount", "8950"), ("value/currency", "USD")], 1),
        ([("value", "89.50 USD"), ("others/0/value", "90.00 USD"), ("others/0/value/amount", "9000")], 2),
    ],
)
def test_parts_of_one_fact_are_one_cited_fact(cited: list[tuple[str, str]], facts: int) -> None:
    other = {"value": {"amount": 9_000, "currency": "USD"}, "source": "stripe"}
    total = {"value": {"amount": 8_950, "currency": "USD"}, "source": "shopify", "others": [other]}
    evidence = [Evidence(f"/fields/order.total/{where}", quote) for where, quote in cited]
    found = ground(evidence, {"fields": {"order.total": total}})
    assert [item.struck for item in found] == [None] * len(cited)
    assert justifying(found) == facts


def test_an_action_that_needs_two_facts_is_not_content_with_two_parts_of_one() -> None:
    parts = (Evidence("/fields/order.total/value", "89.50 USD"), Evidence("/fields/order.total/value/amount", "8950"))
    asked = clean_proposal(Action.REROUTE_FULFILMENT, evidence=parts)
    assert "action.evidence" in {item.rule for item in rule(clean_facts(), asked).actions[0].findings}


# --- facts that are not what they say ---


def test_a_value_is_held_against_the_field_it_is_read_as_whatever_the_fact_calls_itself() -> None:
    unheard_of = Fact("no.such", "HIGH", "shopify", NOW)
    assert rule(clean_facts(risk__level=unheard_of)).verdict is Verdict.REVIEW


# --- budgets ---


@pytest.mark.parametrize("spent", [Spent(-1), Spent(True), Spent(0, {"USD": -10_000}), Spent(0, {"USD": True})])
def test_what_an_hour_cannot_have_spent_leaves_no_budget(spent: Spent) -> None:
    facts = clean_facts()
    asked = clean_proposal(Action.RESUBMIT_FULFILMENT)
    ruling = guard(facts, asked, policy(), AGENT, snapshot_of(facts), Standing({"fulfilment": spent}))
    assert ruling.error is None
    assert ruling.verdict is Verdict.REVIEW
    assert "action.budget" in {item.rule for item in ruling.actions[0].findings if item.outcome is Outcome.FIRED_UNKNOWN}


# --- generated code and closures ---


def test_a_value_that_leaves_a_line_unknown_is_reported_as_unknown_by_the_generated_code_too() -> None:
    line = line_of("risk.level == 'high' and 5.00 USD >= 7 JPY")
    facts = clean_facts(risk__level="high")
    assert outcome_of(line, facts) is Outcome.FIRED_UNKNOWN
    assert generate_outcomes([line])(facts) == (1, 1)


def test_lines_of_one_field_that_name_very_many_values_are_asked_one_by_one_and_mean_the_same() -> None:
    draw = Random(7)
    names = [f"channel-{number}" for number in range(400)]
    lines = [
        Line(line_of(f"order.channel in {draw.sample(names, 40)}").condition, "because", WhenUnknown.FIRE, "drawn.yaml:1")
        for _ in range(100)
    ]
    assert lookups_of(lines) == ()
    masks = generate_outcomes(lines)
    for name in [*names[:40], "elsewhere"]:
        facts = clean_facts(order__channel=name)
        fired = sum(1 << at for at, line in enumerate(lines) if outcome_of(line, facts) is Outcome.FIRED)
        assert masks(facts) == (fired, 0)


# --- files made to take for ever ---


def rules_about_one_field(count: int) -> str:
    numbered = (
        f"  - {{id: review.a{number}, effect: review, when: order.channel == 'a{number}', because: x, owner: risk}}\n"
        for number in range(count)
    )
    return f"\nrules:\n{''.join(numbered)}"


def test_a_policy_of_as_many_rules_as_a_file_may_hold_rules() -> None:
    large = edited("\nrules:\n", rules_about_one_field(900))
    assert rule(clean_facts(order__channel="elsewhere"), by=large).verdict is Verdict.AUTOMATE
    held = rule(clean_facts(order__channel="a899"), by=large)
    assert [item.rule for item in held.findings if item.fired] == ["review.a899"]


def test_a_file_of_more_rules_than_that_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="at most 1000 rules"):
        edited("\nrules:\n", rules_about_one_field(1_001))


def test_a_reason_with_very_many_conditions_is_refused() -> None:
    line = "      - {when: order.line_count >= 40, because: it is long}\n"
    with pytest.raises(PolicyInvalid, match="at most 200 conditions"):
        edited("    owner: finance\n    conditions:\n", f"    owner: finance\n    conditions:\n{line * 201}")


def test_a_sentence_that_nobody_would_read_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="a sentence has at most 1000 characters"):
        edited("because: no system has stated the order total", f"because: {'a very long tale ' * 60}")


def test_what_a_list_names_again_counts_once() -> None:
    again = edited("facts: [order, warehouse]", f"facts: [{', '.join(['order', 'warehouse'] * 50)}]")
    assert again.actions[Action.RESUBMIT_FULFILMENT].facts == ("order", "warehouse")
    again = edited("one_of: [order.total]", f"one_of: [{', '.join(['order.total'] * 50)}]")
    assert again.freshness["order"].one_of == ("order.total",)


@pytest.mark.parametrize(("count", "hint"), [(100, "limit_1"), (600, None)])
def test_a_misspelt_name_is_compared_with_others_only_while_these_are_few(count: int, hint: str | None) -> None:
    limits = "".join(f"  limit_{number}: {{USD: 1.00}}\n" for number in range(count))
    misspelt = policy_text().replace("limit(high_value)", "limit(limit_1x)", 1)
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(misspelt.replace("\nlimits:\n", f"\nlimits:\n{limits}", 1), "policy.yaml")
    (error,) = [item for item in caught.value.errors if "limit_1x" in item.message]
    assert error.hint == hint
