"""A policy file is taken as a whole or refused with every mistake in its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.facts import canonical_json
from guardrails.policy.load import Policy, PolicyInvalid, load_policy
from guardrails.policy.tables import LEAST_CLASS, RECORD_BASED
from guardrails.taxonomy import Action, PrincipalKind, Reason, RiskClass, Verdict
from tests.guardrails.clean_case import policy, policy_text


def mistakes(text: str) -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(text, "policy.yaml")
    return [str(error) for error in caught.value.errors]


def changed(old: str, new: str) -> str:
    assert policy_text().count(old) >= 1, f"{old!r} is not in the policy any more"
    return policy_text().replace(old, new, 1)


def place(text: str, part: str) -> str:
    """`policy.yaml:LINE:COLUMN` of the first occurrence."""
    before = text[: text.index(part)]
    return f"policy.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_the_shipped_policy_has_the_limits_of_the_taxonomy() -> None:
    limits = {code: str(money) for code, money in policy().limits["high_value"].items()}
    assert limits == {"USD": "500.00 USD", "EUR": "450.00 EUR", "GBP": "400.00 GBP", "JPY": "70000 JPY", "KWD": "150.000 KWD"}


def test_the_shipped_policy_knows_every_action_in_its_class_and_automates_no_r2_or_r3() -> None:
    assert {action: item.risk_class for action, item in policy().actions.items()} == dict(LEAST_CLASS)
    for item in policy().actions.values():
        high = item.risk_class in (RiskClass.R2, RiskClass.R3)
        assert item.default is (Verdict.REVIEW if high else Verdict.AUTOMATE)
        assert item.undo
        assert item.scopes
        assert item.expected_outcome
    assert {action for action, item in policy().actions.items() if item.protective} == {Action.HOLD_FULFILMENT}


def test_the_shipped_policy_keeps_every_mandatory_reason() -> None:
    assert set(policy().mandatory) == {*RECORD_BASED, Reason.CLASSIFIER_UNAVAILABLE}


def test_only_senior_people_decide_about_r3_and_services_only_annotate() -> None:
    permissions = policy().permissions
    assert {role for role, classes in permissions.classes.items() if RiskClass.R3 in classes} == {"senior_reviewer", "lead"}
    assert all(LEAST_CLASS[action] is RiskClass.R0 for action in permissions.actions[PrincipalKind.SERVICE])


def test_confidence_is_read_as_basis_points() -> None:
    assert policy().actions[Action.RETRY_CAPTURE].min_confidence == 9_500


def test_the_document_is_plain_json_and_its_digest_ignores_comments_and_layout() -> None:
    same = load_policy("# another comment\n" + policy_text().replace("{min_confidence: 0.60,", "{min_confidence:   0.6,"), "x.yaml")
    assert same.sha256 == policy().sha256
    assert canonical_json(same.document()) == canonical_json(policy().document())
    assert load_policy(changed("USD: 500.00", "USD: 500.01"), "x.yaml").sha256 != policy().sha256


def test_the_order_of_rules_does_not_count() -> None:
    head, tail = policy_text().split("\nrules:\n")
    rules = [rule.rstrip() for rule in tail.split("  - id: ")[1:]]
    swapped = f"{head}\nrules:\n" + "".join(f"  - id: {rule}\n" for rule in reversed(rules))
    assert load_policy(swapped, "x.yaml").sha256 == policy().sha256


# --- mistakes, each in its place ---

GOLDEN = [
    ("min_confidence: 0.60,", "min_confidense: 0.60,", "min_confidense", "unknown key 'min_confidense'; did you mean 'min_confidence'?"),
    ("  resubmit_fulfilment:\n", "  resubmit_fulfillment:\n", "resubmit_fulfillment:", "unknown action 'resubmit_fulfillment'; did you mean 'resubmit_fulfilment'?"),
    ("      - refund_payment\n", "      - refund_paymnt\n", "refund_paymnt", "there is no action 'refund_paymnt'; did you mean 'refund_payment'?"),
    ("  senior_reviewer:", "  senior_reviwer:", "senior_reviwer", "unknown principal or role 'senior_reviwer'; did you mean 'senior_reviewer'?"),
    ("order.total >= limit(high_value)", "order.totl >= limit(high_value)", "order.totl", "there is no field 'order.totl'; did you mean 'order.total'?"),
    ("order.total >= limit(high_value)", "order.total >= limit(high_valeu)", "high_valeu)", "there is no limit 'high_valeu'; did you mean 'high_value'?"),
    ("risk.level == 'high'", "risk.level == 'hihg'", "'hihg'", "'hihg' is never a value of this field; did you mean 'high'?"),
    ("because: the order is worth {order.total}", "because: the order is worth {order.totl}", "{order.totl}", "the sentence cannot show 'order.totl'; did you mean 'order.total'?"),
    ("because: the order is worth {order.total}", "because: the order is worth {order.ref}", "{order.ref}", "the condition does not read 'order.ref'"),
    ("facts: [order, hold]", "facts: [order, hodl]", "hodl", "there is no freshness kind 'hodl'; did you mean 'hold'?"),
    ("four_eyes_above: two_people", "four_eyes_above: two_peple", "two_peple", "there is no limit 'two_peple'; did you mean 'two_people'?"),
    ("max_age: 30d", "max_age: 30", "30}", "a duration is written like 15m, 24h or 30d, not '30'"),
    ("min_confidence: 0.85", "min_confidence: 1.5", "1.5", "a confidence is written like 0.90, from 0 to 1 with at most four digits, not '1.5'"),
    ("min_confidence: 0.85", "min_confidence: 8e-1", "8e-1", "a confidence is written like 0.90, from 0 to 1 with at most four digits, not '8e-1'"),
    ("min_confidence: 0.85", "min_confidence: .nan", ".nan", "a confidence is written like 0.90, from 0 to 1 with at most four digits, not '.nan'"),
    ("{count: 1}", "{count: 1.0}", "1.0}", "a whole number is expected here, not '1.0'"),
    ("USD: 500.00", "USD: 500.001", "500.001", "'500.001' has more digits than USD has minor units; a limit is written like USD: 500.00"),
    ("USD: 500.00", "usd: 500.00", "usd:", "a currency is written in capitals: USD"),
    ("USD: 500.00", "USD: 0", "0, EUR", "a limit is more than nothing"),
    ("reversible: true", "reversible: YES", "YES", "'YES' is neither true nor false"),
    ("reversible: true", "reversible: 'true'", "'true'", "'true' is neither true nor false"),
    ("undo: strike the note", "undo: NO", "NO, scopes", "NO means something else to YAML; write 'NO' in quotes if it is a text"),
    ("undo: strike the note", "undo: [strike]", "[strike]", "a single value is expected here, not a list"),
    ("undo: strike the note", "undo: !!python/name:os.system x", "!!python", "tags are not part of a policy; write the value as it is"),
    ("scopes: [case:write]", "scopes: case", "case, expected", "a list is expected here, not 'case'"),
    ("protective: true", "protective: true\n    protective: true", None, "duplicate key 'protective'; it already stands in line"),
    ("  snooze_case:\n    class: R1", "  snooze_case:\n    class: R0", "R0\n    reversible: true\n    undo: wake", "snooze_case is R1; a policy may raise a risk class and not lower it"),
    ("owner: fulfilment\n    mode: enforce", "owner: fulfillment\n    mode: enforce", "fulfillment\n", "there is no team 'fulfillment'; did you mean 'fulfilment'?"),
    ("mode: enforce", "mode: ignore", "ignore", "there is no mode 'ignore'"),
    ("effect: block", "effect: automate", "automate\n    when", "a rule holds or blocks; what may run by itself stands under `actions`"),
    ("id: block.no-order-total", "id: no-order-total", "no-order-total", "a rule's id is its effect, a dot and a name, such as block.old-stock"),
    ("id: block.no-order-total", "id: review.no-order-total", "review.no-order-total", "a rule's id is its effect, a dot and a name, such as block.old-stock"),
    ("    until: refresh the order from its storefront\n", "", "id: block.no-order-total", "a block says under `until` what would lift it"),
    ("schema: ordermend/policy/v1", "schema: ordermend/policy/v2", "ordermend/policy/v2", "this program reads ordermend/policy/v1"),
    ("covers: [order.]", "covers: [ordr.]", "ordr.", "no field begins with 'ordr.'; did you mean 'order.'?"),
    ("check.oversold == true", "case.confidence < 5000", "case.confidence < 5000", "a mandatory condition may not read case.confidence: the model writes it"),
    ("check.oversold == true", "case.category == 'fraud_risk'", "case.category ==", "a mandatory condition may not read case.category: the model writes it"),
    ("check.oversold == true", "action.class == 'R3'", "action.class ==", "a mandatory condition may not read action.class: the actor writes it"),
    ("check.oversold == true", "order.note == 'help'", "order.note", "a mandatory condition may not read order.note: it is free text from outside"),
    ("categories: [fraud_risk]", "categories: [fraud_rsk]", "fraud_rsk", "there is no category 'fraud_rsk'; did you mean 'fraud_risk'?"),
    ("when_unknown: quiet", "when_unknown: quite", "quite", "there is no answer 'quite'; did you mean 'quiet'?"),
    ("money: order.total", "money: order.ref", "order.ref\n", "there is no money field 'order.ref'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "message"), GOLDEN)
def test_a_mistake_is_named_where_it_stands(old: str, new: str, at: str | None, message: str) -> None:
    text = changed(old, new)
    found = mistakes(text)
    expected = message if at is None else f"{place(text, at)}: {message}"
    assert any(expected in line for line in found), found


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = policy_text()
    for old, new in (("USD: 500.00", "USD: x"), ("protective: true", "protective: on"), ("owner: risk", "owner: rsk")):
        text = text.replace(old, new, 1)
    found = mistakes(text)
    assert len(found) == 3
    assert found == sorted(found, key=lambda line: int(line.split(":")[1]))


@pytest.mark.parametrize("reason", RECORD_BASED)
def test_no_file_may_drop_a_mandatory_reason(reason: Reason) -> None:
    head, tail = policy_text().split(f"\n  {reason.value}:\n", 1)
    rest = tail.split("\n\n", 1)[1]
    assert any(f"mandatory reason '{reason.value}' is missing" in line for line in mistakes(f"{head}\n{rest}"))


@pytest.mark.parametrize("action", list(Action))
def test_no_file_may_forget_an_action(action: Action) -> None:
    text = changed(f"\n  {action.value}:\n", f"\n  {action.value}_x:\n")
    assert any(f"action '{action.value}' is missing" in line for line in mistakes(text))


@pytest.mark.parametrize("action", [action for action in Action if LEAST_CLASS[action] is RiskClass.R3])
def test_no_file_may_automate_money(action: Action) -> None:
    head, tail = policy_text().split(f"\n  {action.value}:\n", 1)
    text = f"{head}\n  {action.value}:\n{tail.replace('default: review', 'default: automate', 1)}"
    assert any("R3 is money or irreversible" in line for line in mistakes(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "policy.yaml:1:1: the file is empty"),
        ("- a\n", "policy.yaml:1:1: a table of `key: value` is expected here, not a list"),
        ("a: [1", "policy.yaml:1:6: not YAML"),
        ("a: &x [1]\nb: *x\n", "policy.yaml:1:4: anchors and aliases"),
        ("a: b\n---\nc: d\n", "policy.yaml:2:1: not YAML"),
        ("a: \x00", "policy.yaml:1:4: not YAML"),
        ("[" * 5_000, "policy.yaml:1:1: not YAML: nested too deeply"),
        ("a" * 1_000_001, "policy.yaml:1:1: a policy has at most"),
    ],
    ids=["empty", "list", "open", "alias", "two documents", "control", "deep", "long"],
)
def test_what_is_no_policy_at_all_is_refused_in_its_place(text: str, message: str) -> None:
    assert any(message in line for line in mistakes(text)), mistakes(text)


def loaded_or_refused(text: str) -> Policy | PolicyInvalid:
    try:
        return load_policy(text, "policy.yaml")
    except PolicyInvalid as error:
        return error


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_broken_policy_is_refused_with_places_and_never_with_a_crash(data: st.DataObject) -> None:
    text = policy_text()
    start = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    broken = text[:start] + data.draw(st.text(max_size=12)) + text[start + length :]
    outcome = loaded_or_refused(broken)
    if isinstance(outcome, Policy):
        assert set(outcome.mandatory) >= set(RECORD_BASED)
        return
    lines = len(broken.splitlines()) + 1
    assert outcome.errors
    assert all(1 <= problem.line <= lines and problem.column >= 1 and problem.message for problem in outcome.errors)
