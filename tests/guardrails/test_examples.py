"""A policy is held to its own examples when it is loaded."""

import pytest

from guardrails.facts import UNKNOWN
from guardrails.money import Money
from guardrails.policy.cases import AS_OF, read_cases
from guardrails.policy.load import PolicyInvalid, load_policy
from guardrails.policy.reader import Reader
from tests.guardrails.clean_case import policy, policy_text

HEAD = policy_text().split("\nexamples:\n")[0]


def mistakes(examples: str, head: str = HEAD) -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(f"{head}\nexamples:\n{examples}", "policy.yaml")
    return [str(error) for error in caught.value.errors]


def test_the_shipped_examples_stand_on_both_sides_of_each_kind_of_line() -> None:
    shipped = policy_text().split("\nexamples:\n")[1]
    assert shipped.count("given:") >= 25
    for verdict in ("automate", "review", "block"):
        assert f"expect: {verdict}" in shipped
    for rule in ("high_value_order.1", "action.budget", "action.confidence", "action.four-eyes", "action.facts", "action.switch"):
        assert rule in shipped


def test_examples_are_no_part_of_what_the_policy_says() -> None:
    assert load_policy(policy_text().split("\n# Cases that")[0], "x.yaml").sha256 == policy().sha256


def test_a_raised_limit_is_refused_by_the_example_that_stands_on_it() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(policy_text().replace("USD: 500.00", "USD: 500.01", 1), "policy.yaml")
    told = [str(error) for error in caught.value.errors]
    assert any(
        "the policy rules automate here, not review. May run without a person: resubmit_fulfilment." in line for line in told
    )
    assert any("mandatory.high_value_order.1 does not fire here" in line for line in told)
    assert "order.total: 500.00 USD" in caught.value.errors[0].excerpt


def test_a_failing_example_says_what_was_ruled_and_why() -> None:
    (told,) = mistakes("  - {given: clean_rejection, with: {order.total: 612.00 USD}, expect: automate}\n")
    assert "the policy rules review here, not automate. Held for a person: the order is worth 612.00 USD" in told
    assert "Fired: mandatory.high_value_order.1." in told
    column = len("  - {given: clean_rejection, with: {order.total: 612.00 USD}, expect: ") + 1
    assert f":{column}: " in told


def test_an_example_says_which_rule_must_not_fire() -> None:
    (told,) = mistakes("  - {given: clean_rejection, confidence: 0.10, expect: review, not_fired: [action.confidence]}\n")
    assert "action.confidence fires here. The confidence is 0.10" in told


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ("{given: clean_rejectoin, expect: review}", "there is no case 'clean_rejectoin'; did you mean 'clean_rejection'?"),
        ("{given: clean_rejection}", "key 'expect' is missing"),
        ("{given: clean_rejection, expect: reveiw}", "there is no verdict 'reveiw'; did you mean 'review'?"),
        ("{given: clean_rejection, expct: review}", "unknown key 'expct'; did you mean 'expect'?"),
        (
            "{given: clean_rejection, expect: automate, fired: [mandatory.high_value_ordr.1]}",
            "did you mean 'mandatory.high_value_order.1'?",
        ),
        ("{given: clean_rejection, with: {order.totl: 1.00 USD}, expect: review}", "there is no field 'order.totl'; did you mean"),
        ("{given: clean_rejection, with: {order.total: 500}, expect: review}", "money is written like 500.00 USD, not '500'"),
        ("{given: clean_rejection, with: {order.total: 5.001 USD}, expect: review}", "more digits than USD has minor units"),
        ("{given: clean_rejection, with: {order.total: [1]}, expect: review}", "a single value is expected here, not a list"),
        (
            "{given: clean_rejection, with: {risk.level: hihg}, expect: review}",
            "there is no value of risk.level 'hihg'; did you mean 'high'?",
        ),
        ("{given: clean_rejection, with: {check.paid: yes}, expect: review}", "'yes' is neither true nor false"),
        (
            "{given: clean_rejection, with: {fulfilment.attempts: 2.5}, expect: review}",
            "a whole number is expected here, not '2.5'",
        ),
        ("{given: clean_rejection, with: {tracking.eta: soon}, expect: review}", "a time is written like 5h ago or in 2d"),
        ("{given: clean_rejection, with: {tracking.eta: in soon}, expect: review}", "a duration is written like 15m, 24h or 30d"),
        ("{given: clean_rejection, with: {case.confidence: 5}, expect: review}", "case.confidence is no fact of the order"),
        ("{given: clean_rejection, with: {actor.kind: person}, expect: review}", "actor.kind is no fact of the order"),
        ("{given: clean_rejection, ages: {order.totl: 5h}, expect: review}", "there is no field 'order.totl'"),
        ("{given: clean_rejection, ages: {order.total: long}, expect: review}", "a duration is written like"),
        ("{given: clean_rejection, evidence: [order.totl], expect: review}", "there is no field 'order.totl'"),
        ("{given: clean_rejection, action: reshp, expect: review}", "there is no action 'reshp'; did you mean 'reship'?"),
        ("{given: clean_rejection, category: fraud, expect: review}", "there is no category 'fraud'"),
        ("{given: clean_rejection, confidence: 97, expect: review}", "a confidence is written like 0.90"),
        ("{given: clean_rejection, actor: leed, expect: review}", "there is no principal or role 'leed'; did you mean 'lead'?"),
        (
            "{given: clean_rejection, spent: {finanse: {count: 1}}, expect: review}",
            "unknown budget 'finanse'; did you mean 'finance'?",
        ),
        ("{given: clean_rejection, switched_off: ['action:reshp'], expect: review}", "there is no switch 'action:reshp'"),
        ("{given: clean_rejection, marks: [injection], expect: review}", "there is no mark 'injection'"),
        ("[given]", "a table of `key: value` is expected here, not a list"),
    ],
)
def test_a_mistake_in_an_example_is_named_and_the_example_is_not_run(example: str, message: str) -> None:
    found = mistakes(f"  - {example}\n")
    assert any(message in told for told in found), found
    assert not any("the policy rules" in told for told in found)


def test_a_case_is_declared_once_and_by_a_plain_name() -> None:
    head = HEAD.replace("\ncases:\n", "\ncases:\n  Clean Case: {facts: {}}\n", 1)
    assert any("the name of a case is written like clean_order" in told for told in mistakes("  []\n", head))


def test_there_is_an_end_to_examples() -> None:
    example = "  - {given: clean_rejection, expect: automate}\n"
    assert any("at most 500 examples" in told for told in mistakes(example * 501))


def test_facts_of_a_case_are_typed_by_the_catalogue() -> None:
    good = """
full:
  category: fraud_risk
  confidence: 0.5
  ages: {order.total: 2h}
  facts:
    order.total: 700 JPY
    tracking.eta: in 2d
    label.purchased_at: 5h ago
    case.detected: [fraud_risk, payment_failed]
    tracking.status: 'unknown'
    risk.level: unknown
    order.note: unstated
    check.paid: true
    fulfilment.attempts: -1
"""
    reader = Reader("x.yaml")
    facts = read_cases(reader.root(good), {})["full"].as_facts()
    assert reader.problems == []
    assert facts.get("order.total") == Money(700, "JPY")
    assert (AS_OF - facts.by_name["order.total"].observed_at).total_seconds() == 7_200  # type: ignore[operator]  # it is stated
    assert facts.get("tracking.status") == "unknown"
    assert facts.get("risk.level") is UNKNOWN
    assert "order.note" not in facts.by_name
    assert facts.get("case.detected") == frozenset(["fraud_risk", "payment_failed"])
    assert facts.get("fulfilment.attempts") == -1
    assert str(facts.get("tracking.eta")) == "2026-01-07 10:00:00+00:00"
    assert str(facts.get("label.purchased_at")) == "2026-01-05 05:00:00+00:00"
