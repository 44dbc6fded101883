"""An overlay tightens a policy, and whatever would loosen it is refused with what the base has."""

from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.facts import UNKNOWN, Facts
from guardrails.gate import guard
from guardrails.money import Money
from guardrails.policy.load import Policy, PolicyInvalid, load_policy
from guardrails.policy.tables import Mode, Protective
from guardrails.proposal import AGENT
from guardrails.standing import Spent, Standing
from guardrails.taxonomy import Action, Category, PrincipalKind, Reason, RiskClass, Verdict
from tests.guardrails.clean_case import LEAD, REVIEWER, SENIOR, clean_facts, clean_proposal, policy_text, rule, snapshot_of

HEAD = "schema: ordermend/policy-overlay/v1\nversion: shop.3\ntightens: 2026-11-23.2\n"
PERMIT = """  - id: permit.expected-delay
    effect: automate
    when: action.name == 'message_customer' and check.still_promised == true and order.total < limit(high_value)
    because: it is on its way
    owner: ecommerce
"""


@cache
def base_text() -> str:
    """The shipped policy with a permit."""
    return policy_text().replace("\nrules:\n", f"\nrules:\n{PERMIT}", 1)


@cache
def base() -> Policy:
    return load_policy(base_text(), "policy.yaml")


def tightened(overlay: str, text: str | None = None) -> Policy:
    return load_policy(text or base_text(), "policy.yaml", (HEAD + overlay, "shop.yaml"))


def mistakes(overlay: str, text: str | None = None) -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        tightened(overlay, text)
    return [str(error) for error in caught.value.errors]


def test_an_empty_overlay_changes_the_version_and_no_ruling() -> None:
    merged = tightened("")
    assert merged.version == "2026-11-23.2+shop.3"
    assert merged.sha256 != base().sha256
    assert {**merged.document(), "version": ""} == {**base().document(), "version": ""}


def test_the_digest_is_that_of_the_merged_policy() -> None:
    assert tightened("case: {min_confidence: 0.7}\n").sha256 != tightened("").sha256
    assert tightened("case: {min_confidence: 0.6}\n").sha256 == tightened("").sha256


def test_every_kind_of_tightening_is_taken() -> None:
    merged = tightened("""
limits: {high_value: {USD: 300.00, KWD: none}}
freshness: {payment: 1h}
case: {min_confidence: 0.70, evidence: {count: 2}}
actions:
  resubmit_fulfilment: {default: review, min_confidence: 0.90, evidence: {count: 2}, facts: [order, warehouse, inventory]}
  hold_fulfilment: {protective: false}
permissions: {service: {actions: [add_note]}, reviewer: {classes: [R0, R1]}}
budgets:
  finance: {count: 10, spend: {USD: 100.00, KWD: none}}
  operations: {actions: {snooze_case: {count: 5}}}
  fulfilment: {actions: {hold_fulfilment: {count: 3}}}
mandatory:
  high_value_order: {categories: [duplicate_order], protective: wait, conditions: [{when: order.line_count >= 40, because: it is long}]}
rules:
  - {id: review.many-orders, effect: review, when: customer.orders_last_24h >= 5, because: many orders, owner: risk}
shadow: [permit.expected-delay]
""")
    assert merged.limits["high_value"]["USD"] == Money(30_000, "USD")
    assert "KWD" not in merged.limits["high_value"]
    assert merged.limits["high_value"]["EUR"] == base().limits["high_value"]["EUR"]
    assert merged.freshness["payment"].max_age.total_seconds() == 3_600
    assert (merged.case.min_confidence, merged.case.evidence) == (7_000, 2)
    resubmit = merged.actions[Action.RESUBMIT_FULFILMENT]
    assert (resubmit.default, resubmit.min_confidence, resubmit.evidence) == (Verdict.REVIEW, 9_000, 2)
    assert resubmit.facts == ("order", "warehouse", "inventory")
    assert not merged.actions[Action.HOLD_FULFILMENT].protective
    assert merged.permissions.actions[PrincipalKind.SERVICE] == {Action.ADD_NOTE}
    assert merged.permissions.classes["reviewer"] == {RiskClass.R0, RiskClass.R1}
    assert merged.budgets["finance"].count == 10
    assert merged.budgets["finance"].spend["USD"] == Money(10_000, "USD")
    assert "KWD" not in merged.budgets["finance"].spend
    assert merged.budgets["operations/snooze_case"].count == 5
    assert merged.budgets["fulfilment/hold_fulfilment"].count == 3
    entry = merged.mandatory[Reason.HIGH_VALUE_ORDER]
    assert entry.categories == {Category.DUPLICATE_ORDER}
    assert len(entry.lines) == 2
    assert entry.lines[1].at.startswith("shop.yaml:")
    assert entry.protective is Protective.WAIT
    assert {item.id: item.mode for item in merged.rules}["permit.expected-delay"] is Mode.SHADOW
    assert "review.many-orders" in {item.id for item in merged.rules}


def test_a_lowered_limit_holds_what_the_base_lets_through() -> None:
    facts = clean_facts(order__total=Money(30_000, "USD"))
    assert rule(facts, by=base()).verdict is Verdict.AUTOMATE
    assert rule(facts, by=tightened("limits: {high_value: {USD: 300.00}}\n")).verdict is Verdict.REVIEW
    assert rule(facts, by=tightened("limits: {high_value: {USD: none}}\n")).verdict is Verdict.REVIEW


def test_a_permit_can_be_removed() -> None:
    facts, message = clean_facts(check__still_promised=True), clean_proposal(Action.MESSAGE_CUSTOMER)
    assert rule(facts, message, by=base()).verdict is Verdict.AUTOMATE
    assert rule(facts, message, by=tightened("remove: [permit.expected-delay]\n")).verdict is Verdict.REVIEW


def test_a_raised_class_takes_what_the_class_demands() -> None:
    merged = tightened("actions:\n  resubmit_fulfilment: {class: R2, default: review}\n")
    assert merged.actions[Action.RESUBMIT_FULFILMENT].risk_class is RiskClass.R2
    assert any("its default is review" in told for told in mistakes("actions:\n  resubmit_fulfilment: {class: R2}\n"))
    assert any("needs `money` and `four_eyes_above`" in told for told in mistakes("actions:\n  void_label: {class: R3}\n"))
    assert any("only an R1 action can be protective" in told for told in mistakes("actions:\n  hold_fulfilment: {class: R2}\n"))


LOOSENING = [
    ("limits: {high_value: {USD: 600.00}}", "600.00", "the base has 500.00 USD; an overlay may only lower it"),
    ("limits: {high_value: {CHF: 1.00}}", "CHF", "the base has no CHF"),
    ("limits: {other: {USD: 1.00}}", "other", "unknown limit 'other'"),
    ("freshness: {payment: 7h}", "7h", "the base has 6 hours; an overlay may only shorten it"),
    ("freshness: {paymnt: 1h}", "paymnt", "unknown freshness kind 'paymnt'; did you mean 'payment'?"),
    ("case: {min_confidence: 0.5}", "0.5", "the base has 0.60; an overlay may only raise it"),
    ("case: {evidence: {count: 0}}", "0}", "the base has 1; an overlay may only raise it"),
    ("actions: {retry_capture: {class: R2}}", "R2", "the base has R3; an overlay may only raise it"),
    ("actions: {reship: {default: automate}}", "automate", "the base has review; an overlay may only make it stricter"),
    ("actions: {reship: {min_confidence: 0.5}}", "0.5", "the base has 0.95; an overlay may only raise it"),
    ("actions: {reship: {evidence: {count: 1}}}", "1}", "the base has 2; an overlay may only raise it"),
    ("actions: {reship: {facts: [order]}}", "[order]", "carrier is missing; an overlay may only add kinds"),
    ("actions: {snooze_case: {protective: true}}", "true", "the base has false; an overlay may only take protection away"),
    ("actions: {reship: {team: risk}}", "risk", "the base has fulfilment, and an overlay cannot change it"),
    ("actions: {reship: {four_eyes_above: high_value}}", "high_value", "the base has two_people, and an overlay cannot change it"),
    ("actions: {reship: {undo: nothing}}", "undo", "unknown key 'undo'"),
    ("permissions: {service: {actions: [add_note, reship]}}", "reship", "the base does not let service ask for reship"),
    ("permissions: {operations: {classes: [R2]}}", "R2", "the base does not let operations ask for R2"),
    ("budgets: {finance: {count: 61}}", "61", "the base has 60; an overlay may only lower it"),
    ("budgets: {finance: {spend: {USD: 5000.01}}}", "5000.01", "the base has 5000.00 USD; an overlay may only lower it"),
    ("budgets: {risk: {spend: {USD: none, EUR: none, GBP: none, JPY: none, KWD: none}}}", "{USD: none", "keep one currency"),
    ("budgets: {fulfilment: {actions: {hold_fulfilment: {count: 301}}}}", "301", "the base has 300; an overlay may only lower it"),
    ("budgets: {risk: {actions: {reship: {count: 1}}}}", "reship", "reship belongs to fulfilment"),
    ("mandatory: {untrusted_instructions: {protective: run}}", "run", "the base has wait"),
    ("mandatory: {high_value_order: {owner: risk}}", "owner", "unknown key 'owner'"),
    ("mandatory: {fraud_review: {conditions: [{when: case.confidence < 5, because: x}]}}", "case.conf", "the model writes it"),
    ("remove: [block.no-order-total]", "block.no", "which holds or blocks; an overlay may remove permits only"),
    ("shadow: [review.resubmitted-before]", "review.re", "which holds or blocks; an overlay may shadow permits only"),
    ("remove: [permit.expected-dely]", "permit.exp", "did you mean 'permit.expected-delay'?"),
    ("remove: [mandatory.high_value_order.1]", "mandatory.h", "there is no permit 'mandatory.high_value_order.1'"),
    (f"rules:\n{PERMIT}", "automate", "an overlay permits nothing; a permit stands in the base"),
    ("rules: [{id: block.no-order-total, effect: block, when: 'false', because: x, until: x, owner: risk}]", "block.no", "the base has a rule"),
    ("rules: [{id: review.x, effect: review, when: order.total < limit(high_value), because: x, owner: risk}]", "order.total", "riskier upwards"),
    ("limts: {}", "limts", "unknown key 'limts'; did you mean 'limits'?"),
    ("examples: [{given: clean_rejection, expect: block}]", "block}", "the policy rules automate here, not block"),
]  # fmt: skip


@pytest.mark.parametrize(("overlay", "at", "message"), LOOSENING)
def test_what_would_loosen_is_refused_where_it_stands(overlay: str, at: str, message: str) -> None:
    text = HEAD + overlay
    before = text[: text.index(at, len(HEAD))]
    place = f"shop.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "
    found = mistakes(overlay)
    assert any(told.startswith(place) and message in told for told in found), found


def test_an_overlay_names_the_base_it_was_written_for() -> None:
    with pytest.raises(PolicyInvalid, match=r"the base has version 2026-11-23\.2"):
        load_policy(base_text(), "policy.yaml", (HEAD.replace("23.2", "23.1"), "shop.yaml"))


def test_a_base_that_is_broken_is_told_of_first() -> None:
    with pytest.raises(PolicyInvalid, match=r"policy\.yaml:"):
        tightened("", base_text().replace("USD: 500.00", "USD: x", 1))


def test_a_limit_that_a_lower_amount_would_loosen_cannot_be_lowered() -> None:
    strange = (
        "{id: review.small, effect: review, when: payment.amount < limit(high_value), because: x, owner: risk, when_unknown: quiet}"
    )
    text = base_text().replace("\nrules:\n", f"\nrules:\n  - {strange}\n", 1)
    found = mistakes("limits: {high_value: {USD: 400.00}}\n", text)
    assert any("with these numbers review.small would let more through" in told for told in found)
    assert any("is quiet about what it cannot compare" in told for told in mistakes("limits: {high_value: {USD: none}}\n", text))
    assert tightened("", text).version == "2026-11-23.2+shop.3"


def test_a_class_is_not_raised_away_from_the_rules_that_hold_it() -> None:
    own = "  - {id: review.r1, effect: review, when: \"action.name == 'snooze_case'\", because: x, owner: risk, classes: [R1]}\n"
    text = base_text().replace("\nrules:\n", f"\nrules:\n{own}", 1)
    found = mistakes("actions: {snooze_case: {class: R2}}\n", text)
    assert any("review.r1 is about R1 actions and would no longer hold snooze_case" in told for told in found)


# --- whatever an overlay says, nothing becomes more permissive ---

AMOUNTS = ["1.00", "300.00", "499.99", "500.00", "600.00", "none"]
EDITS = [
    st.sampled_from(AMOUNTS).map(lambda amount: f"limits: {{high_value: {{USD: {amount}}}}}"),
    st.sampled_from(AMOUNTS).map(lambda amount: f"limits: {{two_people: {{USD: {amount}}}}}"),
    st.tuples(st.sampled_from(["payment", "order", "warehouse", "carrier"]), st.sampled_from(["1m", "1h", "5h", "40d"])).map(
        lambda pair: f"freshness: {{{pair[0]}: {pair[1]}}}"
    ),
    st.sampled_from(["0.1", "0.6", "0.9", "0.98"]).map(lambda points: f"case: {{min_confidence: {points}}}"),
    st.tuples(
        st.sampled_from(["resubmit_fulfilment", "message_customer", "refund_payment", "hold_fulfilment"]),
        st.sampled_from(
            ["default: automate", "default: review", "default: block", "class: R1", "class: R2", "class: R3", "min_confidence: 0.5",
             "min_confidence: 0.99", "evidence: {count: 0}", "evidence: {count: 3}", "protective: true", "protective: false",
             "facts: [order]", "facts: [order, warehouse, payment, carrier]", "four_eyes_above: high_value", "team: risk"]
        ),
    ).map(lambda pair: f"actions: {{{pair[0]}: {{{pair[1]}}}}}"),
    st.sampled_from(["add_note", "resubmit_fulfilment", "message_customer, refund_payment"]).map(
        lambda names: f"permissions: {{agent: {{actions: [{names}]}}}}"
    ),
    st.sampled_from(["R0", "R0, R1", "R0, R1, R2, R3"]).map(lambda names: f"permissions: {{reviewer: {{classes: [{names}]}}}}"),
    st.tuples(st.sampled_from(["finance", "fulfilment", "ecommerce"]), st.sampled_from(["count: 1", "count: 900", "spend: {USD: 1.00}"])).map(
        lambda pair: f"budgets: {{{pair[0]}: {{{pair[1]}}}}}"
    ),
    st.sampled_from(["remove", "shadow"]).flatmap(
        lambda key: st.sampled_from(["permit.expected-delay", "block.no-order-total", "review.resubmitted-before"]).map(
            lambda name: f"{key}: [{name}]"
        )
    ),
    st.sampled_from(["order.total > 5.00 USD", "order.line_count > 3", "risk.level == 'medium'", "case.confidence < 9000"]).map(
        lambda when: f"mandatory: {{fraud_review: {{conditions: [{{when: \"{when}\", because: x}}]}}}}"
    ),
    st.tuples(
        st.sampled_from(["review", "block", "automate"]),
        st.sampled_from(["order.total > limit(two_people)", "action.name == 'reship'", "tracking.status == 'failure'"]),
    ).map(lambda pair: f"rules: [{{id: {pair[0]}.new, effect: {pair[0]}, when: \"{pair[1]}\", because: x, until: x, owner: risk}}]"),
]  # fmt: skip


def disturbed(draw: Random) -> Facts:
    changes: dict[str, list[Any]] = {
        "order__total": [
            Money(8_950, "USD"),
            Money(30_000, "USD"),
            Money(49_999, "USD"),
            Money(50_000, "USD"),
            Money(1, "CHF"),
            UNKNOWN,
        ],
        "check__still_promised": [True, False, UNKNOWN, None],
        "fulfilment__attempts": [1, 2, UNKNOWN],
        "risk__level": ["low", "medium", "high", UNKNOWN, None],
        "payment__status": ["succeeded", "failed", UNKNOWN],
        "tracking__status": ["in_transit", "failure", None],
    }
    chosen = draw.sample(sorted(changes), k=draw.choice([0, 1, 1, 2]))
    return clean_facts(**{name: draw.choice(changes[name]) for name in chosen})


def test_no_overlay_that_is_taken_makes_a_ruling_more_permissive() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(
        st.lists(st.sampled_from(EDITS).flatmap(lambda edit: edit), max_size=3, unique_by=lambda line: line.split(":")[0]),
        st.integers(),
    )
    def holds(edits: list[str], seed: int) -> None:
        try:
            merged = tightened("\n".join(edits) + "\n")
        except PolicyInvalid:
            reached["refused"] += 1
            return
        reached["taken"] += 1
        draw = Random(seed)
        for _ in range(12):
            facts, spent = disturbed(draw), Standing({"ecommerce": Spent(draw.choice([0, 0, 1, 199])), "fulfilment": Spent(1)})
            action = draw.choice(
                [Action.RESUBMIT_FULFILMENT, Action.MESSAGE_CUSTOMER, Action.REFUND_PAYMENT, Action.HOLD_FULFILMENT]
            )
            asked = clean_proposal(action, confidence=draw.choice([9_700, 9_700, 8_900, 5_000]))
            actor = draw.choice([AGENT, AGENT, REVIEWER, SENIOR])
            before = guard(facts, asked, base(), actor, snapshot_of(facts), spent, (LEAD,))
            after = guard(facts, asked, merged, actor, snapshot_of(facts), spent, (LEAD,))
            assert after.error is None
            pairs = [(before.verdict, after.verdict)]
            pairs += [(old.verdict, new.verdict) for old, new in zip(before.actions, after.actions, strict=True)]
            assert all(new.strictness >= old.strictness for old, new in pairs), (edits, before.sentence, after.sentence)
            reached[f"{before.verdict} to {after.verdict}"] += 1

    holds()
    assert reached["taken"] >= 30, reached
    assert reached["refused"] >= 30, reached
    assert reached["automate to automate"] >= 50, reached
    assert reached["automate to review"] + reached["automate to block"] >= 20, reached
