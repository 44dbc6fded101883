"""A model that answers in words is one opinion of three, and how sure it says it is decides nothing."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from app.classify import Question
from app.detect import Detection
from app.models.interpreting import InterpretingClassifier
from app.models.rules import RulesClassifier
from guardrails.taxonomy import Category
from tests.app.pictures import OWNERS
from tests.app.questions import DECLINED, question
from tests.app.test_combined import combination, statistics
from tests.app.test_llm import URL, Waits, answer, classifier_with, reply

DISPUTED = Detection("payment.disputed", Category.PAYMENT_DISPUTE, 10, "a dispute is open", ("dispute.status",), False, 9_700)
FAILED = replace(DISPUTED, detector="payment.failed", category=Category.PAYMENT_FAILED)


async def interpreted(asked: Question, said: Any) -> Any:
    with respx.mock() as router:
        router.post(URL).mock(side_effect=[said, said])
        model = classifier_with(Waits())
        classifier = InterpretingClassifier(model, RulesClassifier(OWNERS), statistics(), combination())
        try:
            return await classifier.classify(asked)
        finally:
            await classifier.aclose()


@pytest.mark.parametrize("said_confidence", [51, 99])
async def test_how_sure_the_model_says_it_is_does_not_matter(said_confidence: int) -> None:
    asked = question(DECLINED, found=(FAILED,))
    found = await interpreted(asked, reply(answer(confidence=said_confidence)))
    reference = await interpreted(asked, reply(answer(confidence=75)))
    assert found.confidence == reference.confidence
    assert found.summary == answer()["summary"]


async def test_a_model_alone_against_sure_rules_does_not_win() -> None:
    found = await interpreted(question(DECLINED, found=(DISPUTED,)), reply(answer(confidence=100)))
    assert found.category is Category.PAYMENT_DISPUTE
    assert found.confidence < 9_700
    assert "The model reads it as payment_failed" in found.summary
    assert found.call is not None


async def test_rules_and_model_together_are_surer_than_the_model_alone() -> None:
    both = await interpreted(question(DECLINED, found=(FAILED,)), reply(answer()))
    alone = await interpreted(question(DECLINED), reply(answer()))
    assert both.category is alone.category is Category.PAYMENT_FAILED
    assert both.confidence > alone.confidence


async def test_an_endpoint_that_is_down_leaves_the_rules_and_marks_the_case() -> None:
    found = await interpreted(question(DECLINED, found=(DISPUTED,)), httpx.Response(400, json={"error": {"message": "no"}}))
    assert found.category is Category.PAYMENT_DISPUTE
    assert found.failure is not None
    assert found.classifier == "llm"
