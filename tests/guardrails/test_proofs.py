"""What the policy's conditions are refused for before they ever rule: the wrong direction, and what strangers wrote."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

import guardrails.policy.proofs
from guardrails.facts import UNKNOWN, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, FIELD_TYPES
from guardrails.policy.language import Condition, Scope, ValueType, compile_condition
from guardrails.policy.load import PolicyInvalid, load_policy
from guardrails.policy.proofs import against_the_risk, beyond_silence, tainted
from guardrails.policy.risks import RISKS, Direction, Risk
from tests.guardrails.clean_case import policy, policy_text
from tests.guardrails.generated_cases import SCOPE, decisive_values, random_condition, random_facts


def scope() -> Scope:
    return Scope(FIELD_TYPES, policy().limits, {kind: item.max_age for kind, item in policy().freshness.items()})


def mandatory() -> list[Condition]:
    return [line.condition for entry in policy().mandatory.values() for line in entry.lines]


def shipped() -> list[Condition]:
    return [*mandatory(), *(rule.line.condition for rule in policy().rules)]


OPPOSITE = {">=": "<", "<=": ">", ">": "<=", "<": ">=", "==": "!=", "!=": "==", " not in [": " in [", " in [": " not in ["}
OPPOSITE |= {"true": "false", "false": "true", "not known(": "known(", "known(": "not known("}
TURNED = re.compile("|".join(re.escape(text) for text in sorted(OPPOSITE, key=len, reverse=True)))


def turned(text: str) -> Iterator[str]:
    """The condition with one comparison turned round, for each of its comparisons, and turned as a whole."""
    for match in TURNED.finditer(text):
        yield text[: match.start()] + OPPOSITE[match[0]] + text[match.end() :]
    yield f"not ({text})"


def test_every_turned_condition_of_the_shipped_policy_is_refused() -> None:
    mutants = [mutant for condition in shipped() for mutant in turned(condition.text)]
    passed = [mutant for mutant in mutants if not against_the_risk(compile_condition(mutant, scope()))]
    assert len(mutants) > 80
    # Which action is asked for is no risk of its own: a rule may be about any of them.
    assert passed == ["action.name != 'resubmit_fulfilment' and fulfilment.attempts >= 2"]


@pytest.mark.parametrize(
    "added", ["case.confidence < 5000", "case.category == 'fraud_risk'", "action.name == 'reship'", "customer.message == 'stop'"]
)
def test_no_mandatory_condition_may_read_what_model_actor_or_stranger_writes(added: str) -> None:
    for condition in mandatory():
        assert not tainted(condition)
        assert tainted(compile_condition(f"({condition.text}) or {added}", scope()))


def test_a_turned_limit_is_refused_with_its_place_in_the_file() -> None:
    text = policy_text().replace("order.total >= limit(high_value)", "order.total < limit(high_value)", 1)
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "order.total < limit(high_value)" in row)
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(text, "policy.yaml")
    column = text.splitlines()[line - 1].index("order.total") + 1
    expected = f"policy.yaml:{line}:{column}: order.total gets riskier upwards, and this fires the less for it"
    assert [str(error) for error in caught.value.errors] == [expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("order.total == 5.00 USD", "use < or >"),
        ("not (not (case.confidence > 9000))", "case.confidence gets riskier downwards"),
        ("check.oversold == check.paid", "use < or >"),
        ("'fraud_risk' not in case.detected", "case.detected gets riskier upwards"),
        ("age(payment.status) < 1h", "age(payment.status) gets riskier upwards"),
        ("dispute.status in ['won']", "fires for 'won', which is safe"),
        ("payment.status == fulfilment.state", "compare it with a list"),
        ("payment.status in case.detected", "compare it with a list"),
        ("not known(fraud_warning.type)", "that anybody states fraud_warning.type is the risk"),
        ("known(order.total)", "that nobody states order.total is the risk"),
        ("order.total + refund.amount < 5.00 USD", "refund.amount gets riskier upwards"),
    ],
)
def test_a_condition_that_a_risk_would_silence_is_refused(text: str, words: str) -> None:
    assert words in " ".join(message for _, message in against_the_risk(compile_condition(text, scope())))


@pytest.mark.parametrize(
    "text",
    [
        "not (payment.status in ['succeeded', 'requires_capture'])",
        "order.ship_to_country == 'US'",
        "not (address.deliverable == true)",
        "500.00 USD <= order.total",
        "check.paid == false or not check.still_promised",
    ],
)
def test_a_condition_that_rises_with_the_risk_is_accepted(text: str) -> None:
    assert against_the_risk(compile_condition(text, scope())) == ()


DRAWN = {
    "p": Risk(Direction.UP),
    "q": Risk(Direction.DOWN),
    "n": Risk(Direction.UP),
    "x": Risk(Direction.DOWN),
    "s": Risk(safe=frozenset("a")),
    "g": Risk(Direction.UP),
    "t": Risk(bad_news=True),
}


def riskier(facts: Facts, name: str) -> Facts | None:
    """The facts with this one moved towards its risk, and None where it cannot be."""
    fact = facts.by_name.get(name)
    value: Any = UNKNOWN if fact is None else fact.value
    step = 1 if DRAWN[name].direction is Direction.UP else -1
    if fact is None or fact.observed_at is None or fact.observed_at.tzinfo is None or value is UNKNOWN:
        return None
    moved: Any = None
    if type(value) is bool:
        moved = step == 1
    elif type(value) is int:
        moved = value + step
    elif isinstance(value, Money):
        moved = Money(value.amount + step, value.currency)
    elif isinstance(value, frozenset):
        moved = value | {"a"}
    elif value in DRAWN[name].safe:
        moved = "b"
    older = replace(fact, value=value if moved is None else moved, observed_at=fact.observed_at - timedelta(hours=1))
    return Facts(facts.order_ref, facts.as_of, {**facts.by_name, name: older})


def test_an_accepted_condition_never_stops_firing_for_a_riskier_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardrails.policy.proofs, "RISKS", DRAWN)
    draw, types = Random(11), {name: declared.type for name, declared in SCOPE.fields.items()}
    reached: Counter[str] = Counter()
    for _ in range(600):
        condition = compile_condition(random_condition(draw, depth=2), SCOPE)
        accepted = not against_the_risk(condition)
        near = decisive_values([condition])
        names = sorted(condition.fields & DRAWN.keys())
        for name in [name for name in names for _ in range(10)]:
            facts = random_facts(draw, types, near, unknown=0.05)
            worse = riskier(facts, name) if fits(facts.get(name), types[name]) else None
            if worse is None:
                continue
            before, after = condition.evaluate(facts), condition.evaluate(worse)
            assert not accepted or after >= before, (condition.text, name, facts.get(name), worse.get(name))
            reached[f"{'accepted' if accepted else 'refused'} {(after > before) - (after < before)}"] += 1
    assert reached["accepted 1"] > 50, reached
    assert reached["refused -1"] > 50, reached


def fits(value: Any, kind: ValueType) -> bool:
    return type(value) is {
        ValueType.BOOL: bool,
        ValueType.INT: int,
        ValueType.MONEY: Money,
        ValueType.SET: frozenset,
        ValueType.TEXT: str,
    }.get(kind)


def test_every_risk_is_about_a_field_and_of_its_kind() -> None:
    for name, risk in RISKS.items():
        declared = CATALOGUE[name]
        assert (risk.direction is None) == (declared.type is ValueType.TEXT), name
        assert not declared.values or risk.safe < declared.values, name


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("order.total >= limit(high_value)", False),
        ("not (order.total < limit(high_value))", False),
        ("risk.level == 'high' and check.oversold == true", False),
        ("risk.level == 'high' and order.total >= limit(high_value)", True),
        ("risk.level == 'high' or order.total != payment.amount", True),
        ("check.oversold == true or age(payment.status) > 4h", True),
        ("check.oversold == true or until(payment.capture_before) < 4h", True),
    ],
)
def test_a_quiet_line_may_not_cover_up_what_cannot_be_compared(text: str, refused: bool) -> None:
    assert bool(beyond_silence(compile_condition(text, scope()))) is refused


def test_a_quiet_line_that_would_cover_something_up_is_refused_where_it_stands() -> None:
    line = "when: risk.level == 'high'\n"
    text = policy_text().replace(line, "when: risk.level == 'high' or order.total >= limit(high_value)\n", 1)
    with pytest.raises(PolicyInvalid, match=r"policy.yaml:\d+:\d+: a quiet condition that compares money"):
        load_policy(text, "policy.yaml")
