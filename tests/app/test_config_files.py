"""The files as they are, and what is said of wrong ones: file, line, column and what to write instead."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.config_files import ConfigInvalid, load_detectors, load_owners, load_sources
from guardrails.facts import Fact, Facts
from guardrails.taxonomy import Category, Team
from tests.app.pictures import CONFIG, DETECTORS, OWNERS, PLACED, SOURCES, at

LOADERS: dict[str, Callable[[str, str], Any]] = {"sources": load_sources, "detectors": load_detectors, "owners": load_owners}


def errors(kind: str, *replacements: tuple[str, str]) -> list[str]:
    text = (CONFIG / f"{kind}.yaml").read_text()
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    with pytest.raises(ConfigInvalid) as caught:
        LOADERS[kind](text, f"{kind}.yaml")
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("detectors", "ordermend/detectors/v1", "ordermend/detectors/v2", "this program reads ordermend/detectors/v1"),
        ("detectors", "rank: 10\n", "rnak: 10\n", "unknown key 'rnak'; did you mean 'rank'?"),
        ("detectors", "category: payment_dispute", "category: payment_dispte", "did you mean 'payment_dispute'?"),
        ("detectors", "payment.review == 'open'", "payment.review == 'opened'", "is never a value of this field"),
        ("detectors", "known(fraud_warning.type)", "known(fraud_warning.tpye)", "there is no field 'fraud_warning.tpye'"),
        ("detectors", "known(fraud_warning.type)", "known(customer.message)", "it is free text from outside"),
        ("detectors", "known(fraud_warning.type)", "case.confidence > 1", "it is only known later"),
        ("detectors", "({fraud_warning.type})", "({fraud_warning.tpye})", "the sentence cannot show 'fraud_warning.tpye'"),
        ("detectors", "then: [hold_fulfilment, notify_owner]", "then: [hold_everything]", "there is no action 'hold_everything'"),
        ("detectors", "id: dispute.early_warning", "id: dispute.open", "there are two lines with the id 'dispute.open'"),
        ("detectors", "confidence: 0.95", "confidence: 95", "a confidence is written like 0.90"),
        ("detectors", "payment_failed: 7d", "payment_failed: week", "a duration is written like 15m, 24h or 30d"),
        ("detectors", "  unknown: 2d\n", "", "category 'unknown' is missing"),
        ("detectors", "delivery_exception: [delivery_late,", "delivery_exception: [delivery_exception,", "does not explain itself"),
        ("sources", 'pattern: "*"', 'pattern: "x*"', 'the last pattern must be "*"'),
        ("sources", 'pattern: "order.total"', 'pattern: "order.*"', "stands here more than once"),
        ("sources", "moves: true", "moves: yes", "is neither true nor false"),
        ("owners", "owner: finance", "owner: finanse", "there is no team 'finanse'; did you mean 'finance'?"),
        ("owners", "before: dispute.due_by", "before: dispute.amount", "there is no time fact 'dispute.amount'"),
        ("owners", "urgent: 30m, ", "", "key 'urgent' is missing"),
    ],
)
def test_a_mistake_is_named_with_its_place(kind: str, old: str, new: str, message: str) -> None:
    found = errors(kind, (old, new))
    assert any(message in error for error in found), found
    assert all(error.startswith(f"{kind}.yaml:") for error in found)


def test_a_condition_that_does_not_compile_is_shown_with_line_and_column() -> None:
    text = (CONFIG / "detectors.yaml").read_text()
    line = next(number for number, found in enumerate(text.splitlines(), 1) if "payment.review == 'open'" in found)
    (found,) = [e for e in errors("detectors", ("payment.review == 'open'", "payment.review = 'open'"))]
    assert found.startswith(f"detectors.yaml:{line}:26: '=' is not part of the language")


def test_all_mistakes_come_at_once() -> None:
    assert len(errors("owners", ("owner: finance", "owner: f"), ("owner: risk", "owner: r"))) == 2


def test_the_owner_follows_from_the_category_as_the_taxonomy_says() -> None:
    expected = {
        Category.PAYMENT_FAILED: Team.FINANCE,
        Category.FRAUD_RISK: Team.RISK,
        Category.ADDRESS_RISK: Team.ECOMMERCE,
        Category.CARRIER_CONFLICT: Team.FULFILMENT,
        Category.UNKNOWN: Team.OPERATIONS,
    }
    assert {category: OWNERS.owner_of(category) for category in expected} == expected
    assert set(OWNERS.by_category) == set(Category)


def test_the_first_action_is_due_after_its_time() -> None:
    assert OWNERS.due_at(Category.PAYMENT_FAILED, True, PLACED) == PLACED + timedelta(minutes=30)
    assert OWNERS.due_at(Category.PAYMENT_FAILED, False, PLACED) == PLACED + timedelta(hours=4)


def test_what_must_happen_before_a_moment_is_due_before_it_and_never_before_now() -> None:
    def due(hours: float) -> object:
        facts = Facts("#1", PLACED, {"dispute.due_by": Fact("dispute.due_by", at(hours), "stripe", PLACED)})
        return OWNERS.due_at(Category.PAYMENT_DISPUTE, False, PLACED, facts)

    assert due(240) == at(240 - 72)
    assert due(10) == PLACED
    assert OWNERS.due_at(Category.PAYMENT_DISPUTE, False, PLACED) == at(2), "the moment is not known"


def test_every_field_has_a_source_rule() -> None:
    assert SOURCES.for_field("whatever.it.is").pattern == "*"


def test_the_sweep_looks_again_in_time_for_the_shortest_absence() -> None:
    assert timedelta(0) < DETECTORS.look_every <= timedelta(hours=4)
