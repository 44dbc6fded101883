"""Asking the classifier, and remembering: a question that was answered is never paid for twice."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from app.classify import Diagnosis, ModelCall, Question
from app.database import write
from app.judge import Sighting
from app.models.switching import in_use
from app.tables import Case, ModelAnswer
from app.world import World
from guardrails.facts import sha256_of, to_plain
from guardrails.money import Money
from guardrails.proposal import Evidence, ProposedAction
from guardrails.taxonomy import Action, Category, Team

FREE = "rules"


async def ask(world: World, case: Case, sighting: Sighting, limits: Mapping[str, Mapping[str, Money]]) -> Diagnosis:
    """The classifier's answer about this case, asked under these limits of the policy. A failure is not remembered, so that it is asked again next time."""
    question = Question(sighting.context, sighting.snapshot, sighting.facts, sighting.detections, limits)
    classifier = in_use(world.classifier)  # the same one to the end: it may be switched meanwhile
    if classifier.name == FREE:
        return await classifier.classify(question)
    key = question_key(classifier.fingerprint, question)
    async with write(world.database.sessions) as session:
        known = (await session.execute(select(ModelAnswer).where(ModelAnswer.question_sha256 == key))).scalar_one_or_none()
        if known is not None and known.diagnosis is not None:
            return revive(known.diagnosis)
        asked = {"question_sha256": key, "case_id": case.id, "asked_at": world.clock()}
        await session.execute(insert(ModelAnswer).values(asked).on_conflict_do_nothing())
    diagnosis = await classifier.classify(question)
    if diagnosis.failure is None:
        async with write(world.database.sessions) as session:
            answered = {"answered_at": world.clock(), "diagnosis": plain_diagnosis(diagnosis)}
            await session.execute(update(ModelAnswer).where(ModelAnswer.question_sha256 == key).values(answered))
    return diagnosis


def question_key(fingerprint: str, question: Question) -> str:
    """sha256 over the classifier and what it is shown, without the time of asking."""
    fields = {key: {n: v for n, v in item.items() if n != "age_s"} for key, item in question.snapshot["fields"].items()}
    shown = {
        "order": question.context.order_ref,
        "fields": fields,
        "related": question.snapshot["related"],
        "facts": question.facts.digest(),
        "detections": [[d.detector, d.category] for d in question.detections.found],
        "limits": question.limits,
    }
    return sha256_of({"classifier": fingerprint, **shown})


def plain_diagnosis(diagnosis: Diagnosis) -> dict[str, Any]:
    """The stored form; `revive` reads it back."""
    call = diagnosis.call
    return {
        "summary": diagnosis.summary,
        "category": diagnosis.category.value,
        "owner": diagnosis.owner.value,
        "confidence": diagnosis.confidence,
        "evidence": [{"pointer": e.pointer, "quote": e.quote} for e in diagnosis.evidence],
        "actions": [{"action": a.action.value, "arguments": to_plain(a.arguments)} for a in diagnosis.actions],
        "classifier": diagnosis.classifier,
        "failure": diagnosis.failure,
        "untrusted_instructions": diagnosis.untrusted_instructions,
        "call": None if call is None else {name: to_plain(getattr(call, name)) for name in call.__slots__},
    }


def revive(stored: dict[str, Any]) -> Diagnosis:
    call = stored["call"]
    return Diagnosis(
        summary=stored["summary"],
        category=Category(stored["category"]),
        owner=Team(stored["owner"]),
        confidence=stored["confidence"],
        evidence=tuple(Evidence(e["pointer"], e["quote"]) for e in stored["evidence"]),
        actions=tuple(ProposedAction(Action(a["action"]), a["arguments"]) for a in stored["actions"]),
        classifier=stored["classifier"],
        failure=stored["failure"],
        untrusted_instructions=stored["untrusted_instructions"],
        call=None if call is None else ModelCall(**{**call, "messages": tuple(call["messages"])}),
    )
