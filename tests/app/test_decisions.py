"""Judgements: one immutable row each, none lost, none made twice, and each rebuilt from the trail alone."""

import json
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app import decisions, pipeline, queue, reader, review, store, trail
from app.answers import revive
from app.cases import settle_cases
from app.classify import Diagnosis, ModelCall, Question
from app.decisions import Warrant, action_key
from app.governing import governing
from app.judge import judge, look
from app.models.rules import RulesClassifier
from app.review import ReviewDecision, ReviewRequest
from app.tables import ActionRow, CaseState, Decision
from app.trail import Event
from app.world import World
from guardrails import gate
from guardrails.facts import sha256_of
from guardrails.proposal import ProposedAction
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, Team
from tests.builders import (
    actions,
    all_cases,
    event_arrives,
    order_arrives,
    orders,
    person,
    signals,
    the_case,
    trail_of,
    warehouse_busy,
)
from tests.conftest import Clock
from tests.fakes import Broken, Peer, with_peers
from tests.steps import work

REJECT = ReviewRequest(ReviewDecision.REJECT, "Seen to by hand.")


@pytest.fixture
def calm(world: World) -> World:
    return with_peers(world, {Action.RESUBMIT_FULFILMENT: Peer(), Action.MESSAGE_CUSTOMER: Peer()})


async def rows_of(world: World) -> list[Decision]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Decision).order_by(Decision.at, Decision.id))).scalars())


async def test_the_same_facts_are_judged_once(calm: World) -> None:
    await order_arrives(calm)
    await warehouse_busy(calm)
    await work(calm)
    (order,) = await orders(calm)
    for _ in range(3):
        await pipeline.look_at(calm, order.id)
    assert len(await rows_of(calm)) == 1


async def test_a_case_that_the_classifier_could_not_read_is_asked_about_again(calm: World) -> None:
    class Failing(RulesClassifier):
        async def classify(self, question: Question) -> Diagnosis:
            return replace(await super().classify(question), failure="the endpoint is away", confidence=None, actions=())

    failing = replace(calm, classifier=Failing(calm.owners))
    await order_arrives(failing)
    await warehouse_busy(failing)
    await work(failing)
    case = await the_case(failing)
    assert (case.state, "classifier_unavailable" in case.mandatory) == (CaseState.REVIEW, True)
    assert case.category == "warehouse_exception"  # what the detectors saw stays
    await pipeline.look_at(calm, case.order_id)
    assert (await the_case(calm)).state == CaseState.AUTOMATED


async def test_a_ruling_that_failed_inside_blocks_and_nothing_runs(calm: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the guard is broken")

    monkeypatch.setattr(gate, "_rule", broken)
    await order_arrives(calm)
    await warehouse_busy(calm)
    await work(calm)
    case = await the_case(calm)
    assert (case.state, case.verdict, await actions(calm)) == (CaseState.BLOCKED, "block", [])
    ((_, body),) = [entry for entry in await trail_of(calm) if entry[0] == Event.DECISION_MADE]
    assert "the guard is broken" in body["ruling"]["error"]


async def test_an_older_judgement_does_not_replace_a_newer_one(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    await warehouse_busy(calm)
    (order_id,) = await reader.read_signals(calm)
    news = await store.newest_change(calm, order_id)
    assert news is not None
    old = look(await store.gather(calm, order_id, calm.clock()), calm.detectors)
    (case_id,) = await settle_cases(calm, order_id, old, news)
    from_before = await the_case(calm)
    slow = await judge(old, calm.classifier, calm.policy, NOTHING_SPENT)
    clock.forward(minutes=1)
    await event_arrives(calm, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 0})
    await work(calm)
    newest = (await the_case(calm)).decision_id
    recorded = await decisions.record(calm, from_before, old, slow.diagnosis, slow.ruling, await governing(calm))
    assert (recorded.decision_id, recorded.allowed) == (None, ())
    assert ((await the_case(calm)).id, (await the_case(calm)).decision_id) == (case_id, newest)


async def test_the_classifiers_wish_for_an_owner_does_not_route_the_case(calm: World) -> None:
    class Insistent(RulesClassifier):
        async def classify(self, question: Question) -> Diagnosis:
            return replace(await super().classify(question), owner=Team.FINANCE)

    insistent = replace(calm, classifier=Insistent(calm.owners))
    await order_arrives(insistent)
    await warehouse_busy(insistent)
    await work(insistent)
    assert (await the_case(insistent)).owner == Team.FULFILMENT
    assert (await rows_of(insistent))[0].diagnosis["owner"] == Team.FINANCE


# --- what keeps failing ---


async def test_an_order_that_cannot_be_judged_reaches_a_person_after_five_tries_and_others_go_on(
    calm: World, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(calm, classifier=Broken(calm.owners))
    await order_arrives(calm)
    await warehouse_busy(calm)
    (order_id,) = await reader.read_signals(calm)
    for tries in range(queue.LOOK_MAX_FAILURES):
        assert (await the_case_or_none(calm)) in (None, CaseState.JUDGING), tries
        await queue.look_safely(broken, order_id)
    case = await the_case(calm)
    assert (case.state, case.verdict, "a defect" in case.sentence) == (CaseState.REVIEW, "review", True)
    assert [body["why"] for _, body in await trail_of(calm, Event.CASE_UNJUDGED)] == [case.sentence]
    await order_arrives(calm, "#2", 4_000_000_000_002)
    await warehouse_busy(calm, "#2")
    await work(calm)
    assert sorted(found.state for found in await all_cases(calm)) == [CaseState.AUTOMATED, CaseState.REVIEW]


async def the_case_or_none(world: World) -> str | None:
    found = await all_cases(world)
    return found[0].state if found else None


async def test_a_person_can_close_a_case_that_could_not_be_judged(calm: World) -> None:
    await order_arrives(calm)
    await reader.read_signals(calm)
    (order,) = await orders(calm)
    await decisions.give_up(calm, order.id, RuntimeError("a defect"))
    case = await the_case(calm)
    assert (case.category, case.decision_id, case.state) == ("integration_failure", None, CaseState.REVIEW)
    assert (await review.decide(calm, person(), case.id, case.version, REJECT)).state == CaseState.RESOLVED
    assert [body["reason"] for _, body in await trail_of(calm, Event.REVIEW_REJECTED)] == [REJECT.reason]


async def test_giving_up_again_and_again_makes_one_case_and_no_endless_work(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    await reader.read_signals(calm)
    (order,) = await orders(calm)
    for _ in range(3):
        await decisions.give_up(calm, order.id, RuntimeError("a defect"))
    await the_case(calm)
    async with calm.database.sessions() as session:
        assert list((await session.execute(store.orders_due(clock.now, 10))).scalars()) == []
    assert len(await trail_of(calm, Event.CASE_UNJUDGED)) == 1


async def test_failures_are_counted_in_a_row(calm: World) -> None:
    broken = replace(calm, classifier=Broken(calm.owners))
    await order_arrives(calm)
    await warehouse_busy(calm)
    (order_id,) = await reader.read_signals(calm)
    for _ in range(queue.LOOK_MAX_FAILURES - 1):
        await queue.look_safely(broken, order_id)
    assert (await orders(calm))[0].failures == queue.LOOK_MAX_FAILURES - 1
    await queue.look_safely(calm, order_id)
    assert (await orders(calm))[0].failures == 0


# --- idempotency keys ---


def test_wording_alone_makes_no_other_action() -> None:
    warrant = Warrant("agent", "episode:1")
    ticket = [ProposedAction(Action.OPEN_TICKET, {"owner": "risk", "text": f"{n} hours late"}) for n in (1, 2)]
    assert action_key("case_1", ticket[0], warrant, 0) == action_key("case_1", ticket[1], warrant, 0)


@pytest.mark.parametrize(
    ("case_id", "action", "sequence", "nth"),
    [
        ("case_2", ProposedAction(Action.OPEN_TICKET, {"owner": "risk"}), "episode:1", 0),
        ("case_1", ProposedAction(Action.NOTIFY_OWNER, {"owner": "risk"}), "episode:1", 0),
        ("case_1", ProposedAction(Action.OPEN_TICKET, {"owner": "finance"}), "episode:1", 0),
        ("case_1", ProposedAction(Action.OPEN_TICKET, {"owner": "risk"}), "episode:2", 0),
        ("case_1", ProposedAction(Action.OPEN_TICKET, {"owner": "risk"}), "episode:1", 1),
    ],
)
def test_anything_else_does(case_id: str, action: ProposedAction, sequence: str, nth: int) -> None:
    first = action_key("case_1", ProposedAction(Action.OPEN_TICKET, {"owner": "risk"}), Warrant("agent", "episode:1"), 0)
    assert action_key(case_id, action, Warrant("agent", sequence), nth) != first


async def test_two_notes_of_one_decision_are_two_notes_and_the_same_note_twice_is_one(calm: World) -> None:
    class Talkative(RulesClassifier):
        async def classify(self, question: Question) -> Diagnosis:
            notes = tuple(ProposedAction(Action.ADD_NOTE, {"text": text}) for text in ("one", "two", "one"))
            return replace(await super().classify(question), actions=notes)

    await order_arrives(calm)
    await warehouse_busy(calm)
    await work(replace(calm, classifier=Talkative(calm.owners)))
    assert sorted(row.arguments["text"] for row in await actions(calm, Action.ADD_NOTE)) == ["one", "two"]


# --- the trail alone ---


@dataclass(frozen=True, slots=True)
class Rebuilt:
    verdict: str
    reasons: list[str]
    evidence: list[tuple[str, str]]
    rules: list[tuple[str, str]]
    prompt_sha256: str | None
    raw_answer: str | None
    actions: dict[str, tuple[str, str, Any]]
    """(action, how it ended, receipt) by id."""


def rebuilt(entries: list[dict[str, Any]], decision_id: str) -> Rebuilt:
    """A decision out of nothing but the entries that the trail shows."""
    (made,) = (e["body"] for e in entries if e["event"] == "decision.made" and e["body"]["decision_id"] == decision_id)
    ended: dict[str, tuple[str, str, Any]] = {}
    for entry in entries:
        if entry["event"] == "action.intended" and entry["body"]["decision_id"] == decision_id:
            ended[entry["body"]["action_id"]] = (entry["body"]["action"], "intended", None)
    for entry in entries:
        subject, _, how = entry["event"].partition(".")
        action_id = entry["body"].get("action_id")
        if subject == "action" and how not in ("intended", "started") and action_id in ended:
            ended[action_id] = (entry["body"]["action"], how, entry["body"].get("receipt") or None)
    ruling, call = made["ruling"], made["diagnosis"]["call"] or {}
    findings = [*ruling["findings"], *(finding for item in ruling["actions"] for finding in item["findings"])]
    return Rebuilt(
        made["verdict"],
        ruling["mandatory"],
        [(item["evidence"]["pointer"], item["evidence"]["quote"]) for item in ruling["evidence"]],
        [(finding["rule"], finding["outcome"]) for finding in findings],
        call.get("prompt_sha256"),
        call.get("raw_answer"),
        ended,
    )


async def test_a_decision_is_rebuilt_from_the_trail_alone(calm: World, client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    await order_arrives(calm, total_price="900.00")
    await warehouse_busy(calm)
    await event_arrives(calm, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(calm)
    case = await the_case(calm)
    await review.decide(calm, person(), case.id, case.version, ReviewRequest(ReviewDecision.APPROVE, "Yes."))
    answer = await client.get(f"/api/v1/cases/{case.id}/trail?limit=100", headers=admin)
    entries = answer.json()["data"]
    assert case.decision_id is not None
    found = rebuilt(entries, case.decision_id)
    async with calm.database.sessions() as session:
        decision = await store.get_decision(session, case.decision_id)
        stored = (await session.execute(select(ActionRow).where(ActionRow.decision_id == decision.id))).scalars().all()
    diagnosis = revive({k: v for k, v in decision.diagnosis.items() if k not in ("detections", "unseen")})
    assert (found.verdict, found.reasons) == (decision.verdict, case.mandatory)
    assert {"high_value_order", "unavailable_inventory"} <= set(found.reasons)
    assert found.evidence == [(item.pointer, item.quote) for item in diagnosis.evidence]
    assert found.rules
    assert found.actions == {row.id: (row.action, row.state, row.receipt) for row in stored}
    assert len(found.actions) >= 2
    made = next(e["body"] for e in entries if e["event"] == "decision.made")
    assert made["facts_sha256"] == decision.facts_sha256
    assert made["policy_sha256"] == calm.policy.sha256
    assert [s["id"] for s in made["snapshot"]["signals"]] == [s.id for s in await signals(calm)]
    approved = next(e["body"] for e in entries if e["event"] == "review.approved")
    assert (approved["decision_id"], approved["policy_sha256"]) == (decision.id, decision.policy_sha256)
    async with calm.database.sessions() as session:
        assert (await trail.verify(session)).valid


async def test_the_prompt_and_the_raw_answer_of_a_model_stand_in_the_trail(calm: World) -> None:
    call = ModelCall("m-1", "classify", "3", sha256_of("prompt"), ({"role": "user", "content": "?"},), '{"a": 1}', 9, 0, 3, 1, 12)

    class Recorded(RulesClassifier):
        async def classify(self, question: Question) -> Diagnosis:
            return replace(await super().classify(question), call=call)

    await order_arrives(calm)
    await warehouse_busy(calm)
    await work(replace(calm, classifier=Recorded(calm.owners)))
    ((_, body),) = [entry for entry in await trail_of(calm) if entry[0] == Event.DECISION_MADE]
    told = body["diagnosis"]["call"]
    assert (told["model"], told["prompt_sha256"], told["raw_answer"]) == ("m-1", call.prompt_sha256, '{"a": 1}')
    assert told["messages"] == [{"role": "user", "content": "?"}]


async def test_every_change_of_a_cases_version_left_an_entry(calm: World, clock: Clock) -> None:
    await order_arrives(calm)
    await warehouse_busy(calm)
    await work(calm)
    clock.forward(minutes=1)
    await event_arrives(calm, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(calm)
    case = await the_case(calm)
    await review.claim(calm, person(), case.id)
    await review.assign(calm, person(), case.id, Team.RISK, None)
    case = await the_case(calm)
    await review.decide(calm, person(), case.id, case.version, ReviewRequest(ReviewDecision.APPROVE, "Yes."))
    told = json.dumps([body for _, body in await trail_of(calm)])
    final = (await the_case(calm)).version
    changes = [event for event, _ in await trail_of(calm) if event.split(".")[0] in ("case", "decision", "review")]
    assert final <= len(changes) + 1, (final, changes, told[:200])
