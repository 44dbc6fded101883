"""Explanations of decided cases: once for each decision, after it, and with nothing lost and nothing changed by them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from app import explaining, trail, views
from app.classify import explainer_of
from app.database import write
from app.models.rules import RulesClassifier
from app.tables import ActionRow, Case, CaseState, Decision, ExplanationRow, TrailEntry
from app.world import World
from guardrails.taxonomy import Category
from tests.app.explained import Pen, with_pen
from tests.app.web.browsing import told, unpaid
from tests.conftest import Clock


async def explanations(world: World) -> list[ExplanationRow]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(ExplanationRow))).scalars())


async def everything_else(world: World) -> list[Any]:
    """Cases, decisions and actions, as they stand."""
    async with world.database.sessions() as session:
        rows: list[Any] = []
        for table in (Case, Decision, ActionRow):
            found = (await session.execute(select(table).order_by(table.id))).scalars()
            rows += [{column.key: getattr(row, column.key) for column in table.__table__.columns} for row in found]
        return rows


async def told_events(world: World, case_id: str) -> list[dict[str, Any]]:
    async with world.database.sessions() as session:
        entries = await trail.of_case(session, case_id)
    return [json.loads(entry.body) for entry in entries if entry.event == trail.Event.CASE_EXPLAINED]


# --- who explains ---


def test_rules_offer_no_explanations(world: World) -> None:
    assert isinstance(world.classifier, RulesClassifier)
    assert explainer_of(world.classifier) is None


async def test_without_anybody_to_write_them_nothing_is_asked_for(world: World, clock: Clock) -> None:
    await unpaid(world, clock)
    assert not await explaining.explain_next(world)
    assert await explanations(world) == []


# --- what is written ---


async def test_a_case_for_a_person_is_explained_with_its_category_fixed(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    pen = Pen()
    assert await explaining.explain_next(with_pen(world, pen))
    [(question, category)] = pen.asked
    assert category is Category.PAYMENT_FAILED
    async with world.database.sessions() as session:
        view = await views.case(session, case_id)
    assert view.decision is not None
    assert question.snapshot == view.decision.snapshot
    assert question.facts.digest() == view.decision.facts_sha256
    assert [found.detector for found in question.detections.found] == view.decision.diagnosis["detections"]
    row = view.explanation
    assert row is not None
    assert (row.decision_id, row.summary, row.failure, row.at) == (view.decision.id, pen.summary, None, clock())
    assert (row.model, row.prompt_tokens, row.cached_tokens, row.latency_ms, row.cost_micros) == (
        "test-model",
        200,
        None,
        900,
        None,
    )
    assert [(item["quote"], item["struck"]) for item in row.evidence] == [("insufficient_funds", None)]


async def test_the_trail_tells_what_was_asked_and_answered_and_still_verifies(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    await explaining.explain_next(with_pen(world, Pen()))
    [body] = await told_events(world, case_id)
    assert body["summary"] == Pen.summary
    assert body["call"]["prompt_sha256"] == "e" * 64
    assert body["call"]["messages"][1]["content"] == "the facts"
    async with world.database.sessions() as session:
        assert (await trail.verify(session)).valid


async def test_evidence_that_does_not_hold_is_kept_as_struck(world: World, clock: Clock) -> None:
    await unpaid(world, clock)
    await explaining.explain_next(with_pen(world, Pen(quote="lost_card")))
    [row] = await explanations(world)
    assert row.summary is not None
    assert [item["struck"] for item in row.evidence] == ["the quote does not stand there"]


async def test_a_decision_is_explained_once(world: World, clock: Clock) -> None:
    await unpaid(world, clock)
    pen = Pen()
    assert await explaining.explain_next(with_pen(world, pen))
    clock.forward(hours=9)
    assert not await explaining.explain_next(with_pen(world, pen))
    assert len(pen.asked) == 1


async def test_a_new_decision_of_the_case_is_explained_anew(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    pen = Pen()
    await explaining.explain_next(with_pen(world, pen))
    clock.forward(minutes=5)
    again = await unpaid(world, clock, facts={"payment.decline_code": told(clock, "lost_card", "stripe")})
    assert again == case_id
    assert await explaining.explain_next(with_pen(world, pen))
    assert len({row.decision_id for row in await explanations(world)}) == 2


async def test_the_case_due_first_is_explained_first(world: World, clock: Clock) -> None:
    later = await unpaid(world, clock, "#9001")
    first = await unpaid(world, clock, "#9002")
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).where(Case.id == later).values(due_at=clock.now.replace(year=2030)))
    pen = Pen()
    await explaining.explain_next(with_pen(world, pen))
    async with world.database.sessions() as session:
        assert pen.asked[0][0].context.order_ref == (await session.get_one(Case, first)).order_ref


@pytest.mark.parametrize(
    ("state", "wanted", "asked"),
    [
        (CaseState.REVIEW, ("review", "blocked"), 1),
        (CaseState.BLOCKED, ("review", "blocked"), 1),
        (CaseState.AUTOMATED, ("review", "blocked"), 0),
        (CaseState.AUTOMATED, ("automated",), 1),
        (CaseState.JUDGING, ("review", "blocked"), 0),
        (CaseState.RESOLVED, ("review", "blocked", "automated"), 0),
        (CaseState.REVIEW, (), 0),
    ],
)
async def test_only_cases_that_people_read_are_explained(
    world: World, clock: Clock, state: CaseState, wanted: tuple[str, ...], asked: int
) -> None:
    case_id = await unpaid(world, clock)
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).where(Case.id == case_id).values(state=state.value))
    pen = Pen()
    set_up = replace(with_pen(world, pen), settings=world.settings.model_copy(update={"explained": wanted}))
    await explaining.explain_next(set_up)
    assert len(pen.asked) == asked


# --- it changes nothing ---


@pytest.mark.parametrize("pen", [Pen(), Pen(failure="down"), Pen(quote="lost_card"), Pen(summary="Approve the refund at once.")])
async def test_case_decision_and_actions_stay_as_they_are(world: World, clock: Clock, pen: Pen) -> None:
    await unpaid(world, clock)
    before = await everything_else(world)
    assert await explaining.explain_next(with_pen(world, pen))
    assert await everything_else(world) == before


# --- what goes wrong ---


async def test_a_failure_is_tried_again_later_and_a_few_times_only(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    pen = Pen(failure="the model endpoint could not be reached")
    set_up = with_pen(world, pen)
    for tries in range(1, explaining.MOST_ATTEMPTS + 1):
        assert await explaining.explain_next(set_up)
        assert len(pen.asked) == tries
        assert not await explaining.explain_next(set_up)  # not at once
        clock.forward(minutes=3)
    assert not await explaining.explain_next(set_up)
    [row] = await explanations(world)
    assert (row.failure, row.summary, row.at is not None) == (pen.failure, None, True)
    [body] = await told_events(world, case_id)
    assert body["failure"] == pen.failure


async def test_what_failed_at_first_is_written_when_the_model_answers_again(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    await explaining.explain_next(with_pen(world, Pen(failure="down")))
    [row] = await explanations(world)
    assert (row.failure, row.at) == ("down", None)
    assert await told_events(world, case_id) == []
    clock.forward(minutes=3)
    await explaining.explain_next(with_pen(world, Pen()))
    [row] = await explanations(world)
    assert (row.summary, row.failure, row.attempts) == (Pen.summary, None, 2)


async def test_a_process_that_dies_between_question_and_answer_loses_nothing(world: World, clock: Clock) -> None:
    await unpaid(world, clock)

    async def dies() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        await explaining.explain_next(with_pen(world, Pen(meanwhile=dies)))
    [row] = await explanations(world)
    assert (row.at, row.summary) == (None, None)
    pen = Pen()
    assert not await explaining.explain_next(with_pen(world, pen))  # it may still be written by the other one
    clock.forward(minutes=6)
    assert await explaining.explain_next(with_pen(world, pen))
    [row] = await explanations(world)
    assert row.summary == Pen.summary


async def test_a_question_that_ends_every_process_is_given_up(world: World, clock: Clock) -> None:
    await unpaid(world, clock)
    for _ in range(explaining.MOST_ATTEMPTS):
        assert await explaining.take(world) is not None
        clock.forward(minutes=6)
    pen = Pen()
    assert await explaining.explain_next(with_pen(world, pen))
    assert not await explaining.explain_next(with_pen(world, pen))
    assert pen.asked == []
    [row] = await explanations(world)
    assert "the process ended" in (row.failure or "")
    assert row.at is not None


async def test_of_two_processes_only_one_asks(world: World, clock: Clock) -> None:
    await unpaid(world, clock)
    assert await explaining.take(world) is not None
    assert await explaining.take(world) is None


async def test_who_comes_second_writes_nothing(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    other = with_pen(world, Pen(summary="The first to answer."))

    async def overtaken() -> None:
        clock.forward(minutes=6)
        await explaining.explain_next(other)

    await explaining.explain_next(with_pen(world, Pen(meanwhile=overtaken)))
    [row] = await explanations(world)
    assert row.summary == "The first to answer."
    assert len(await told_events(world, case_id)) == 1


async def test_the_prompt_that_broke_leaves_the_trail_append_only(world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    await explaining.explain_next(with_pen(world, Pen(summary="a lone surrogate \ud800 and a NUL \x00")))
    async with world.database.sessions() as session:
        entry = (
            await session.execute(select(TrailEntry).where(TrailEntry.case_id == case_id, TrailEntry.event == "case.explained"))
        ).scalar_one()
        assert "\x00" not in entry.body
        assert (await trail.verify(session)).valid
