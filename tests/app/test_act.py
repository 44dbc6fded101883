"""One allowed action, once: intent before the call, receipt after it, and nothing that may have happened is repeated."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from app import act, pipeline, queue, reader
from app.act import ABANDONED_AFTER, LONGEST_CALL, MOST_ATTEMPTS
from app.classify import Diagnosis, Question
from app.clients.port import Done, Failed, UnknownOutcome
from app.database import write
from app.models.answer import failed
from app.models.rules import RulesClassifier
from app.tables import ActionRow, ActionState, Case, CaseState
from app.trail import Event
from app.world import World
from guardrails.taxonomy import Action
from tests.builders import actions, event_arrives, order_arrives, orders, the_case, trail_of, warehouse_busy
from tests.conftest import Clock
from tests.fakes import Nudges, Peer, with_other_policy, with_peers
from tests.steps import work

RESUBMIT = Action.RESUBMIT_FULFILMENT


@pytest.fixture
def peer() -> Peer:
    return Peer(repeatable=False)


@pytest.fixture
def acting(world: World, peer: Peer) -> World:
    return with_peers(world, {RESUBMIT: peer})


async def judged(world: World) -> World:
    """An order about which the guard lets one action run by itself."""
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    return world


async def intended(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with the process gone after the decision was recorded and before anything was carried out."""

    async def gone(world: World, action_id: str) -> None:
        raise ConnectionError("the process has ended")

    with monkeypatch.context() as patch:
        patch.setattr(act, "carry_out", gone)
        await order_arrives(world)
        await warehouse_busy(world)
        (order_id,) = await reader.read_signals(world)
        with pytest.raises(ConnectionError):
            await pipeline.look_at(world, order_id)
    (row,) = await actions(world, RESUBMIT)
    assert row.state == ActionState.INTENDED
    return row.id


async def resubmission(world: World) -> ActionRow:
    (row,) = await actions(world, RESUBMIT)
    return row


async def happened(world: World) -> list[str]:
    """The trail's entries about the resubmission."""
    return [event for event, body in await trail_of(world) if body.get("action") == RESUBMIT]


async def test_an_intent_is_committed_before_the_call_and_a_receipt_after_it(acting: World, peer: Peer) -> None:
    seen: list[tuple[str, list[str]]] = []

    async def look_from_outside() -> None:
        seen.append(((await resubmission(acting)).state, await happened(acting)))

    peer.meanwhile = look_from_outside
    await judged(acting)
    assert seen == [(ActionState.RUNNING, [Event.ACTION_INTENDED, Event.ACTION_STARTED])]
    row = await resubmission(acting)
    assert (row.state, row.receipt, row.attempts) == (ActionState.DONE, {"receipt": "r-1"}, 1)
    assert (await happened(acting))[-1] == Event.ACTION_DONE
    assert (await the_case(acting)).state == CaseState.AUTOMATED


async def test_ten_at_once_have_one_effect(acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    action_id = await intended(acting, monkeypatch)
    await asyncio.gather(
        *(act.carry_out(acting, action_id) for _ in range(10)), *(act.recover(acting, action_id) for _ in range(5))
    )
    assert len(peer.calls) == 1
    assert (await resubmission(acting)).state == ActionState.DONE


async def test_facts_that_changed_after_the_ruling_stop_the_action(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    action_id = await intended(acting, monkeypatch)
    await event_arrives(acting, "customer.message", {"channel": "mail", "text": "please cancel"})
    await reader.read_signals(acting)
    await act.carry_out(acting, action_id)
    row = await resubmission(acting)
    assert (row.state, peer.calls) == (ActionState.REFUSED, [])
    assert "facts have changed" in (row.error or "")


async def test_a_policy_that_changed_after_the_ruling_stops_the_action(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    action_id = await intended(acting, monkeypatch)
    await act.carry_out(with_other_policy(acting), action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.REFUSED, [])


async def test_an_action_of_a_case_that_was_closed_meanwhile_does_not_run(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    action_id = await intended(acting, monkeypatch)
    async with write(acting.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.RESOLVED))
    await act.recover(acting, action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.REFUSED, [])


class Unsure(RulesClassifier):
    """Proposes nothing."""

    async def classify(self, question: Question) -> Diagnosis:
        return failed(question.context.order_ref, self.name, "the endpoint is away")


async def test_what_the_newest_judgement_of_the_same_facts_does_not_allow_does_not_run(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    action_id = await intended(acting, monkeypatch)
    async with write(acting.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.JUDGING))
    case = await the_case(acting)
    await pipeline.triage(replace(acting, classifier=Unsure(acting.owners)), case.id)
    await act.carry_out(acting, action_id)
    row = await resubmission(acting)
    assert (row.state, peer.calls) == (ActionState.REFUSED, [])
    assert "judged again" in (row.error or "")


async def test_other_arguments_than_those_ruled_on_do_not_run(acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    action_id = await intended(acting, monkeypatch)
    async with write(acting.database.sessions) as session:
        await session.execute(update(ActionRow).values(arguments={"everything": True}, digest="0" * 64))
    await act.carry_out(acting, action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.REFUSED, [])


async def test_what_was_refused_is_judged_and_intended_anew(acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    action_id = await intended(acting, monkeypatch)
    nudges = Nudges()
    await act.carry_out(replace(with_other_policy(acting), nudge=nudges), action_id)
    assert nudges.asked == [("look", (await orders(acting))[0].id)]
    await event_arrives(acting, "customer.message", {"channel": "mail", "text": "where is my mug?"})
    await work(acting)
    assert [row.state for row in await actions(acting, RESUBMIT)] in ([ActionState.DONE], [ActionState.REFUSED])
    assert (await the_case(acting)).decision_id is not None


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyError("id"), ValueError("?")])
async def test_a_connector_that_breaks_leaves_unknown_and_a_person_is_asked(acting: World, peer: Peer, error: Exception) -> None:
    peer.ending = error
    await judged(acting)
    row = await resubmission(acting)
    assert (row.state, type(error).__name__ in (row.error or "")) == (ActionState.UNKNOWN, True)
    case = await the_case(acting)
    assert (case.state, case.verdict) == (CaseState.REVIEW, "automate")
    assert "did not end well" in case.sentence


async def test_a_connector_that_never_answers_is_not_waited_for_for_ever(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "LONGEST_CALL", timedelta(milliseconds=50))
    peer.meanwhile = asyncio.Event().wait
    await judged(acting)
    assert (await resubmission(acting)).state == ActionState.UNKNOWN


def test_a_call_ends_before_its_process_is_taken_for_dead() -> None:
    assert LONGEST_CALL < ABANDONED_AFTER


@pytest.mark.parametrize(("ending", "state"), [(Failed("no"), ActionState.FAILED), (UnknownOutcome("lost"), ActionState.UNKNOWN)])
async def test_what_did_not_end_well_puts_an_automated_case_before_a_person(
    acting: World, peer: Peer, ending: Failed | UnknownOutcome, state: ActionState
) -> None:
    peer.ending = ending
    await judged(acting)
    assert ((await resubmission(acting)).state, (await the_case(acting)).state) == (state, CaseState.REVIEW)


async def test_an_action_that_nothing_here_can_do_is_handed_to_a_person(world: World) -> None:
    await judged(world)
    assert ((await resubmission(world)).state, (await the_case(world)).state) == (ActionState.HANDED_OVER, CaseState.REVIEW)


async def test_an_unknown_outcome_is_never_tried_again_by_the_machine(acting: World, peer: Peer, clock: Clock) -> None:
    peer.ending = UnknownOutcome("lost")
    await judged(acting)
    peer.ending = Done({})
    for _ in range(3):
        clock.forward(hours=1)
        await act.carry_out(acting, (await resubmission(acting)).id)
        await act.recover(acting, (await resubmission(acting)).id)
        await warehouse_busy(acting, id="e-same")
        await work(acting)
    assert len(peer.calls) == 1
    assert (await resubmission(acting)).state == ActionState.UNKNOWN
    assert (await the_case(acting)).state == CaseState.REVIEW  # whatever is judged meanwhile: somebody must see it


async def test_what_certainly_failed_may_be_tried_again_when_it_is_allowed_again(acting: World, peer: Peer, clock: Clock) -> None:
    peer.ending = Failed("closed for stocktaking")
    await judged(acting)
    peer.ending = Done({})
    clock.forward(minutes=5)
    await event_arrives(acting, "wms.order.held", {"reason": "system_busy"})
    await work(acting)
    assert len({task.action_id for task in peer.calls}) == 1


async def abandon(world: World, clock: Clock, action_id: str) -> None:
    """The process that began it has ended, a minute ago."""
    async with write(world.database.sessions) as session:
        begun = {"state": ActionState.RUNNING, "started_at": clock.now, "attempts": ActionRow.attempts + 1}
        await session.execute(update(ActionRow).where(ActionRow.id == action_id).values(**begun))
    clock.forward(seconds=ABANDONED_AFTER.total_seconds())


@pytest.mark.parametrize(("repeatable", "state", "calls"), [(True, ActionState.DONE, 1), (False, ActionState.UNKNOWN, 0)])
async def test_after_a_crash_only_what_can_be_repeated_safely_is_repeated(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch, repeatable: bool, state: ActionState, calls: int
) -> None:
    peer.repeatable = repeatable
    action_id = await intended(acting, monkeypatch)
    await abandon(acting, clock, action_id)
    await asyncio.gather(*(act.recover(acting, action_id) for _ in range(5)))
    assert ((await resubmission(acting)).state, len(peer.calls)) == (state, calls)


async def test_an_action_under_way_in_another_process_is_left_alone(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    action_id = await intended(acting, monkeypatch)
    await abandon(acting, clock, action_id)
    clock.forward(seconds=-1)
    await act.recover(acting, action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.RUNNING, [])


async def test_an_action_that_kills_its_process_each_time_is_given_up(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.repeatable = True
    action_id = await intended(acting, monkeypatch)
    for _ in range(MOST_ATTEMPTS):
        await abandon(acting, clock, action_id)
    await act.recover(acting, action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.UNKNOWN, [])
    assert (await the_case(acting)).state == CaseState.REVIEW


async def test_a_receipt_that_comes_after_all_is_kept(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was only asleep wakes up with the answer after another has given it up for lost."""
    action_id = await intended(acting, monkeypatch)

    async def asleep() -> None:
        clock.forward(seconds=ABANDONED_AFTER.total_seconds())
        await act.recover(acting, action_id)
        assert (await resubmission(acting)).state == ActionState.UNKNOWN

    peer.meanwhile = asleep
    await act.carry_out(acting, action_id)
    assert ((await resubmission(acting)).state, (await resubmission(acting)).receipt) == (ActionState.DONE, {"receipt": "r-1"})


async def test_the_sweep_finishes_what_a_dead_process_left_and_one_bad_action_does_not_stop_the_others(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    action_id = await intended(acting, monkeypatch)
    clock.forward(seconds=queue.LOST_AFTER.total_seconds() + 1)
    nudges = Nudges()
    await queue.sweep(replace(acting, nudge=nudges))
    asked = [about for job, about in nudges.asked if job == queue.ACT]
    assert action_id in asked
    assert len(asked) == len(await actions(acting))
    await act.recover(acting, action_id)
    assert (await resubmission(acting)).state == ActionState.DONE


async def test_judging_again_does_not_say_the_same_again(acting: World, clock: Clock) -> None:
    await judged(acting)
    for n in range(5):
        clock.forward(hours=1)
        await event_arrives(acting, "customer.message", {"channel": "mail", "text": f"hello {n}"})
        await work(acting)
    assert len(await trail_of(acting, Event.DECISION_MADE)) >= 5
    for name in (Action.NOTIFY_OWNER, Action.OPEN_TICKET, Action.ADD_NOTE, RESUBMIT):
        assert len(await actions(acting, name)) <= 1, name
