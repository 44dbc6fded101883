"""The text that is kept of a ruling is the canonical JSON of it, whatever stands in it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.facts import canonical_json, sha256_of_text
from guardrails.proposal import Evidence, ProposedAction
from guardrails.record import plain_ruling, sealed
from guardrails.ruling import ActionRuling, Finding, GroundedEvidence, Outcome, Ruling
from guardrails.taxonomy import Action, Reason, Verdict
from tests.guardrails.clean_case import clean_facts, clean_proposal, edited, rule

TEXTS = st.one_of(
    st.sampled_from(["", "a", 'say "no"', "back\\slash", "Zürich\n", "\u2028", "<b>", "\x00\x1f", "😀"]), st.text(max_size=8)
)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)
FINDINGS = st.builds(
    Finding, TEXTS, st.sampled_from(Outcome), st.sampled_from(Verdict), TEXTS, st.one_of(st.none(), st.sampled_from(Reason)), NAMES
)
ASKED = st.builds(ProposedAction, st.sampled_from(Action), st.dictionaries(TEXTS, VALUES, max_size=2))
ACTIONS = st.builds(ActionRuling, ASKED, st.sampled_from(Verdict), st.lists(FINDINGS, max_size=2).map(tuple), NAMES, NAMES)
EVIDENCE = st.builds(
    GroundedEvidence, st.builds(Evidence, TEXTS, TEXTS), st.one_of(st.none(), TEXTS), st.booleans(), st.one_of(st.none(), TEXTS)
)
RULINGS = st.builds(
    Ruling,
    verdict=st.sampled_from(Verdict),
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    actions=st.lists(ACTIONS, max_size=2).map(tuple),
    evidence=st.lists(EVIDENCE, max_size=2).map(tuple),
    mandatory=st.lists(st.sampled_from(Reason), unique=True, max_size=3).map(tuple),
    sentence=TEXTS,
    lift=NAMES,
    policy_version=TEXTS,
    policy_sha256=st.just("a" * 64),
    facts_sha256=st.just("b" * 64),
    passed=NAMES,
    error=st.one_of(st.none(), TEXTS),
)


@settings(max_examples=150, deadline=None)
@given(RULINGS)
def test_the_sealed_text_is_the_canonical_json_of_the_ruling(ruling: Ruling) -> None:
    text, sha256 = sealed(ruling)
    assert text == canonical_json(plain_ruling(ruling))
    assert sha256 == sha256_of_text(text)
    assert json.loads(text) == plain_ruling(ruling)


def test_every_rule_stands_in_the_record_with_what_it_said() -> None:
    shadow = edited("mode: enforce", "mode: shadow")
    ruling = rule(clean_facts(order__total=None, fulfilment__attempts=4), clean_proposal(Action.RESUBMIT_FULFILMENT), by=shadow)
    record = json.loads(sealed(ruling)[0])
    outcomes = {item["rule"]: item["outcome"] for item in (*record["findings"], *record["actions"][0]["findings"])}
    assert outcomes["mandatory.high_value_order.1"] == "fired_unknown"
    assert outcomes["block.no-order-total"] == "fired"
    assert outcomes["review.resubmitted-before"] == "shadow"
    assert {"mandatory.fraud_review.1", "case.confidence"} <= set(record["passed"])
    assert "action.permission" in record["actions"][0]["passed"]
    assert "block.no-order-total" in record["actions"][0]["held_by"]


@pytest.mark.parametrize("changed", [{"order__total": None}, {"risk__level": "high"}, {}])
def test_the_same_ruling_has_the_same_seal(changed: dict[str, Any]) -> None:
    assert sealed(rule(clean_facts(**changed))) == sealed(rule(clean_facts(**changed)))
    assert sealed(rule(clean_facts(**changed))) != sealed(rule(clean_facts(hold__ours=False, **changed)))
