"""A policy file is taken as a whole or refused with every mistake in its place."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.facts import canonical_json
from guardrails.policy.load import Policy, PolicyInvalid, Problem, load_policy
from guardrails.policy.reader import decoded
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
    assert load_policy(changed("EUR: 450.00", "EUR: 450.01"), "x.yaml").sha256 != policy().sha256


def test_the_order_of_rules_does_not_count() -> None:
    head, tail = policy_text().split("\nrules:\n")
    own, after = tail.split("\n\n#", 1)
    rules = [rule.rstrip() for rule in own.split("  - id: ")[1:]]
    swapped = f"{head}\nrules:\n" + "".join(f"  - id: {rule}\n" for rule in reversed(rules)) + f"\n#{after}"
    assert load_policy(swapped, "x.yaml").sha256 == policy().sha256


def test_every_budget_is_counted_for_the_team_that_owns_the_action() -> None:
    for entry in policy().actions.values():
        keys = [budget.key for budget in policy().budgets_of(entry)]
        assert (entry.risk_class is RiskClass.R0) == (not keys), entry.action
        assert all(key.split("/")[0] == entry.team for key in keys)
    assert {key for key in policy().budgets if "/" in key} == {
        "fulfilment/hold_fulfilment",
        "fulfilment/release_own_hold",
        "fulfilment/resubmit_fulfilment",
    }


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
    ("  snooze_case:\n    class: R1", "  snooze_case:\n    class: R0", "R0\n    team: operations\n    reversible: true\n    undo: wake", "snooze_case is R1; a policy may raise a risk class and not lower it"),
    ("owner: fulfilment\n    mode: enforce", "owner: fulfillment\n    mode: enforce", "fulfillment\n", "there is no team 'fulfillment'; did you mean 'fulfilment'?"),
    ("mode: enforce", "mode: ignore", "ignore", "there is no mode 'ignore'"),
    ("effect: block", "effect: permit", "permit\n    when", "there is no effect 'permit'"),
    ("    team: operations\n", "", "class: R1\n    reversible: true\n    undo: wake", "key 'team' is missing"),
    ("team: operations", "team: operation", "operation\n", "there is no team 'operation'; did you mean 'operations'?"),
    ("  operations: {count: 600}\n", "", "finance: {count: 60,", "team 'operations' has no budget, and snooze_case takes from it"),
    ("  operations: {count: 600}", "  operation: {count: 600}", "operation: {count", "unknown team 'operation'; did you mean 'operations'?"),
    ("hold_fulfilment: {count: 300}", "hold_fulfillment: {count: 300}", "hold_fulfillment: {", "unknown action 'hold_fulfillment'; did you mean 'hold_fulfilment'?"),
    ("hold_fulfilment: {count: 300}", "snooze_case: {count: 300}", "snooze_case: {", "snooze_case belongs to operations; its budget stands there"),
    ("hold_fulfilment: {count: 300}", "add_note: {count: 300}", "add_note: {", "add_note is R0: it only reads or annotates, and no budget counts it"),
    ("finance: {count: 60,", "finance: {count: 6.5,", "6.5", "a whole number is expected here, not '6.5'"),
    ("finance: {count: 60, spend: {USD: 5000.00", "finance: {count: 60, spend: {USD: 5000.001", "5000.001", "'5000.001' has more digits than USD has minor units"),
    ("limits:\n", "limits:\n  High Value: {USD: 1.00}\n", "High Value", "the name of a limit is written like limit_name, not 'High Value'"),
    ("  payment: {covers", "  <<: {covers", "<<: ", "the name of a freshness kind is written like freshness_name, not '<<'"),
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
        ("[" * 5_000, "policy.yaml:1:41: not YAML: nested too deeply"),
        ("- " * 30_000 + "a", "policy.yaml:1:81: not YAML: nested too deeply"),
        ("a" * 1_000_001, "policy.yaml:1:1: a policy has at most"),
    ],
    ids=["empty", "list", "open", "alias", "two documents", "control", "deep", "deep in blocks", "long"],
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


# --- how a mistake is shown ---


def problem_of(text: str) -> Problem:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(text, "policy.yaml")
    return caught.value.errors[0]


def test_a_mistake_is_shown_with_its_line_and_a_caret_under_it() -> None:
    problem = problem_of(changed("order.total >= limit(high_value)", "order.totl >= limit(high_value)"))
    told, line, caret = problem.shown().splitlines()
    assert told == str(problem)
    assert told.endswith(": there is no field 'order.totl'; did you mean 'order.total'?")
    assert line[caret.index("^") :].startswith("order.totl")
    assert problem.hint == "order.total"
    assert problem.excerpt == "      - when: order.totl >= limit(high_value)"


def test_the_caret_stands_right_behind_wide_letters_and_in_long_lines() -> None:
    wide = Problem("policy.yaml", 1, 8, "wrong", "{'注文': x}").shown().splitlines()
    assert wide[2] == "    " + " " * len("{'....': ") + "^"
    long = Problem("policy.yaml", 1, 301, "wrong", "a" * 300 + "b" + "a" * 300).shown().splitlines()
    assert len(long[1]) < 130
    assert long[1][long[2].index("^")] == "b"


def test_a_mistake_without_a_suggestion_has_no_hint() -> None:
    assert problem_of(changed("mode: enforce", "mode: later")).hint is None


def test_bytes_that_are_no_text_are_refused_in_their_place() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        decoded(b"schema: x\nversion: \xff\xfe\n", "policy.yaml")
    assert str(caught.value) == "policy.yaml:2:10: not text: a policy is written in UTF-8"


def test_a_mark_at_the_beginning_of_the_file_is_no_mistake() -> None:
    assert load_policy("\ufeff" + policy_text(), "x.yaml").sha256 == policy().sha256


# --- nasty files ---

NASTY = {
    "billion laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, *b]\n",
    "an alias of itself": "a: &a [*a]\n",
    "merge key": "limits:\n  <<: {high_value: {USD: 1.00}}\n",
    "merge key at the top": "<<: {schema: ordermend/policy/v1}\n",
    "tag that makes objects": "!!python/object/apply:os.system ['true']\n",
    "tag on a table": "limits: !!omap\n- a: 1\n",
    "binary": "version: !!binary aGVsbG8=\n",
    "set": "? a\n? b\n",
    "complex key": "? [a, b]\n: c\n",
    "null everywhere": "schema:\nversion:\nlimits:\nfreshness:\ncase:\nbudgets:\nactions:\npermissions:\nmandatory:\nrules:\ncases:\nexamples:\n",
    "lists everywhere": "schema: []\nversion: []\nlimits: []\nfreshness: []\ncase: []\nbudgets: []\nactions: []\npermissions: []\nmandatory: []\nrules: {}\ncases: []\nexamples: {}\n",
    "surrogate": "version: \ud800\n",
    "escaped surrogate": 'version: "\\ud800"\n',
    "escaped null": 'version: "\\0"\n',
    "escape sequence of a terminal": 'version: "\\e[2J"\n',
    "half a byte order mark": "\ufffe",
    "carriage returns": "a: b\rc: [\r",
    "odd line ends": "a: b\u2028c: [\x85",
    "version of YAML": "%YAML 9.9\n---\na: b\n",
    "directive": "%TAG ! tag:x,2000:\n---\n!x a: b\n",
    "only a comment": "# nothing\n",
    "only an end": "...\n",
    "tabs": "a:\n\t- b\n",
    "open quote": "a: 'b\nc: d\n",
    "open flow": "{a: [b, {c: d\n",
    "braces": "{" * 100_000,
    "question marks": "? " * 100_000,
    "block scalar": "a: |\n" + "  x\n" * 50_000,
    "one long key": "a" * 400_000 + ": b\n",
    "many keys": "".join(f"key{n}: {{a: b}}\n" for n in range(30_000)),
    "many same keys": "limits: {a: 1}\n" * 30_000,
    "one long number": "case: {min_confidence: " + "9" * 300_000 + "}\n",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_a_nasty_file_is_refused_with_places_and_nothing_worse(text: str) -> None:
    found = mistakes(text)
    assert found
    assert len(found) <= 201
    assert all(re.match(r"policy\.yaml:[1-9][0-9]*:[1-9][0-9]*: \S", line) for line in found), found


NASTY_PARTS = [
    ("order.total >= limit(high_value)", "(" * 900 + "order.total >= limit(high_value)" + ")" * 900),
    ("order.total >= limit(high_value)", "order.total >= " + "9" * 1_900 + " USD"),
    ("order.total >= limit(high_value)", "fulfilment.attempts >= " + "9" * 1_900),
    ("order.total >= limit(high_value)", "age(order.total) > 99999999999999999999d"),
    ("order.total >= limit(high_value)", "order.total >= \u0663.00 USD"),
    ("order.total >= limit(high_value)", "fulfilment.attempts >= \u0663"),
    ("order.total >= limit(high_value)", "''"),
    ("because: the order is worth {order.total}", "because: '{' # "),
    ("because: the order is worth {order.total}", "because: " + "{" * 5_000 + " # "),
    ("max_age: 30d", "max_age: " + "9" * 5_000 + "d"),
    ("max_age: 30d", "max_age: \u0663\u0660d"),
    ("USD: 500.00", "USD: " + "9" * 5_000),
    ("finance: {count: 60,", "finance: {count: 9999999,"),
]


@pytest.mark.parametrize(("old", "new"), NASTY_PARTS)
def test_a_nasty_value_is_refused_where_it_stands(old: str, new: str) -> None:
    line = policy_text()[: policy_text().index(old)].count("\n") + 1
    assert any(found.startswith(f"policy.yaml:{line}:") for found in mistakes(changed(old, new)))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"%@`#, \n\t\\0~<\ud800\u2028\x00é"), max_size=80))
def test_any_text_at_all_is_refused_and_never_crashes(text: str) -> None:
    outcome = loaded_or_refused(text)
    assert isinstance(outcome, PolicyInvalid)
    assert outcome.errors
