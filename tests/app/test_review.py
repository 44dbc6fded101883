"""What a reviewer decides: bound to what they saw, ruled on again, carried out once, and on record."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from app import act, decisions, intake, outcomes, reader, review, store
from app.clients.port import Done, Failed, UnknownOutcome
from app.database import write
from app.errors import CaseHeld, Denied, GuardrailRefused, IllegalTransition, InputInvalid, StaleVersion
from app.governing import governing
from app.judge import judge, look
from app.review import ReviewDecision, ReviewRequest
from app.tables import ActionState, Approval, Case, CaseState
from app.trail import Event
from app.world import World
from guardrails.proposal import Actor, ProposedAction
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, Category, PrincipalKind, Team
from tests.builders import actions, event_arrives, order_arrives, payment, person, stripe_says, the_case, trail_of
from tests.conftest import Clock
from tests.fakes import Nudges, Peer, with_other_policy, with_peers
from tests.steps import work

KIM, LEE, SAM = person("kim"), person("lee"), person("sam")
JUNIOR = person("junior", "reviewer")
SERVICE = Actor(PrincipalKind.SERVICE, "robot")
REFUND, MESSAGE = Action.REFUND_PAYMENT, Action.MESSAGE_CUSTOMER
APPROVE = ReviewRequest(ReviewDecision.APPROVE, "Checked by phone.")
REJECT = ReviewRequest(ReviewDecision.REJECT, "It was found.")
ASK = ReviewRequest(ReviewDecision.REQUEST_EVIDENCE, "Send a photo of the shelf.")


@pytest.fixture
def peer() -> Peer:
    return Peer(repeatable=False)


@pytest.fixture
def desk(world: World, peer: Peer) -> World:
    """A world in which messages and refunds have a connector."""
    return with_peers(world, {REFUND: peer, MESSAGE: peer, Action.HOLD_FULFILMENT: Peer()})


async def waiting(world: World, total: str = "1500.00") -> Case:
    """A paid order with a short pick: a case for a person, with a message to the customer proposed."""
    await order_arrives(world, total_price=total)
    cents = int(total.replace(".", ""))
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded", amount=cents, amount_received=cents))
    await event_arrives(world, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(world)
    case = await the_case(world)
    assert case.state == CaseState.REVIEW
    return case


def refund(amount: int = 1_000, *more: int) -> ReviewRequest:
    wished = [ProposedAction(REFUND, {"amount": {"amount": each, "currency": "USD"}}) for each in (amount, *more)]
    return ReviewRequest(ReviewDecision.EDIT, "Money back.", tuple(wished))


async def decide(world: World, who: Actor, request: ReviewRequest = APPROVE, version: int | None = None) -> Case:
    case = await the_case(world)
    return await review.decide(world, who, case.id, case.version if version is None else version, request)


async def approvals(world: World) -> list[Approval]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Approval))).scalars())


async def test_an_approval_carries_out_what_was_proposed_and_closes_the_case(desk: World, peer: Peer) -> None:
    await waiting(desk)
    case = await decide(desk, KIM)
    assert (case.state, case.closed_because) == (CaseState.RESOLVED, "Approved and carried out.")
    assert [task.action for task in peer.calls] == [MESSAGE]
    (row,) = [row for row in await actions(desk) if row.approved_by]
    assert (row.state, row.requested_by, row.approved_by) == (ActionState.DONE, "kim", ["kim"])
    events = [event for event, _ in await trail_of(desk)][-5:]
    assert events == [
        Event.REVIEW_APPROVED,
        Event.ACTION_INTENDED,
        Event.ACTION_STARTED,
        Event.ACTION_DONE,
        Event.CASE_RESOLVED,
    ]


async def test_what_the_guard_has_blocked_cannot_be_approved_and_the_answer_says_what_would_lift_it(
    desk: World, peer: Peer
) -> None:
    await event_arrives(desk, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(desk)
    assert (await the_case(desk)).state == CaseState.BLOCKED  # no system has stated what the order is worth
    with pytest.raises(GuardrailRefused) as caught:
        await decide(desk, KIM)
    assert "block.no-order-total" in caught.value.rules
    assert "refresh the order from its storefront" in caught.value.lift
    assert peer.calls == []


async def test_a_decision_on_an_older_version_is_stale(desk: World, peer: Peer) -> None:
    case = await waiting(desk)
    await review.claim(desk, KIM, case.id)
    for request in (APPROVE, REJECT, ASK, refund()):
        with pytest.raises(StaleVersion) as caught:
            await review.decide(desk, KIM, case.id, case.version, request)
        assert caught.value.current_version == case.version + 1
    assert peer.calls == []


async def test_facts_that_moved_are_listed_and_looked_at_and_nothing_is_done(desk: World, peer: Peer) -> None:
    await waiting(desk)
    nudges = Nudges()
    refunded = payment("succeeded", amount=150_000, amount_received=150_000, last_payment_error=None)
    await stripe_says(desk, "payment_intent.canceled", refunded | {"status": "canceled"}, created=1_793_610_900)
    await reader.read_signals(desk)
    with pytest.raises(StaleVersion) as caught:
        await decide(replace(desk, nudge=nudges), KIM)
    changes = {change["field"]: (change["was"], change["is"]) for change in caught.value.changes}
    assert changes["payment.status"] == ("succeeded", "canceled")
    assert nudges.asked == [("look", (await the_case(desk)).order_id)]
    assert (peer.calls, await approvals(desk)) == ([], [])


async def test_under_a_changed_policy_the_case_is_judged_again_first(desk: World, peer: Peer) -> None:
    await waiting(desk)
    nudges = Nudges()
    with pytest.raises(StaleVersion, match="policy"):
        await decide(replace(with_other_policy(desk), nudge=nudges), KIM)
    assert (nudges.asked, peer.calls) == ([("look", (await the_case(desk)).order_id)], [])


async def test_a_lease_holds_others_off_until_it_ends(desk: World, clock: Clock) -> None:
    case = await waiting(desk)
    await review.claim(desk, KIM, case.id)
    for attempt in (review.claim(desk, LEE, case.id), review.release(desk, LEE, case.id), decide(desk, LEE)):
        with pytest.raises(CaseHeld) as caught:
            await attempt
        assert caught.value.holder == "kim"
    clock.forward(seconds=desk.settings.claim_lease_s - 1)
    await review.claim(desk, KIM, case.id)  # renewed
    clock.forward(seconds=2)
    with pytest.raises(CaseHeld):
        await review.claim(desk, LEE, case.id)
    clock.forward(seconds=desk.settings.claim_lease_s)
    assert (await review.claim(desk, LEE, case.id)).holder == "lee"
    assert [event for event, _ in await trail_of(desk) if event == Event.CASE_CLAIMED] == [Event.CASE_CLAIMED] * 3


async def test_two_people_who_claim_at_once_do_not_both_get_it(desk: World) -> None:
    case = await waiting(desk)
    answers = await asyncio.gather(*(review.claim(desk, person(f"p{n}"), case.id) for n in range(5)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Case"] + ["CaseHeld"] * 4


async def test_no_machine_reviews(desk: World) -> None:
    case = await waiting(desk)
    agent = Actor(PrincipalKind.AGENT, "agent", frozenset(["senior_reviewer"]))
    for actor in (SERVICE, agent, replace(SERVICE, roles=frozenset(["lead"]))):
        for attempt in (
            review.claim(desk, actor, case.id),
            review.release(desk, actor, case.id),
            *(decide(desk, actor, r) for r in (APPROVE, REJECT, ASK)),
        ):
            with pytest.raises(Denied):
                await attempt


async def test_an_edited_action_passes_the_guard_again_and_a_refusal_is_on_record(desk: World, peer: Peer) -> None:
    before = await waiting(desk)
    with pytest.raises(GuardrailRefused) as caught:
        await decide(desk, JUNIOR, refund())
    assert "action.permission" in caught.value.rules
    ((_, body),) = [entry for entry in await trail_of(desk) if entry[0] == Event.REVIEW_REFUSED]
    assert body["ruling"]["actions"][0]["verdict"] == "block"
    after = await the_case(desk)
    assert (after.state, after.version, peer.calls) == (CaseState.REVIEW, before.version, [])


async def test_a_modest_edit_by_one_who_may_is_carried_out(desk: World, peer: Peer) -> None:
    await waiting(desk)
    correction = replace(refund(), category=Category.PAYMENT_MISMATCH, owner=Team.FINANCE)
    case = await decide(desk, KIM, correction)
    assert (case.state, case.category, case.owner) == (CaseState.RESOLVED, "payment_mismatch", "finance")
    assert [dict(task.arguments) for task in peer.calls] == [{"amount": {"amount": 1_000, "currency": "USD"}}]
    assert [body["decision"] for _, body in await trail_of(desk, Event.REVIEW_EDITED)] == ["edit"]


async def test_above_the_limit_a_second_person_must_agree(desk: World, peer: Peer) -> None:
    await waiting(desk)
    wish = refund(120_000)
    first = await decide(desk, KIM, wish)
    assert (first.state, peer.calls) == (CaseState.REVIEW, [])
    assert "second person" in first.sentence
    again = await decide(desk, KIM, wish)  # once more is not a second person
    assert (again.state, peer.calls) == (CaseState.REVIEW, [])
    with pytest.raises(GuardrailRefused):
        await decide(desk, JUNIOR, wish)  # who may not decide about money is none either
    done = await decide(desk, LEE, wish)
    assert (done.state, len(peer.calls)) == (CaseState.RESOLVED, 1)
    (row,) = await actions(desk, REFUND)
    assert row.approved_by == ["kim", "lee"]
    assert [body["second_person_needed"] for _, body in await trail_of(desk, Event.REVIEW_EDITED)] == [True, True, False]


async def test_a_second_person_must_agree_to_exactly_the_same(desk: World, peer: Peer) -> None:
    await waiting(desk)
    await decide(desk, KIM, refund(120_000))
    await decide(desk, LEE, refund(120_001))
    assert (peer.calls, (await the_case(desk)).state) == ([], CaseState.REVIEW)


async def test_an_approval_of_an_older_decision_does_not_count(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    await decide(desk, KIM, refund(120_000))
    clock.forward(minutes=5)
    await event_arrives(desk, "customer.message", {"channel": "mail", "text": "hello"})
    await work(desk)
    await decide(desk, LEE, refund(120_000))
    assert (peer.calls, (await the_case(desk)).state) == ([], CaseState.REVIEW)
    await decide(desk, KIM, refund(120_000))
    assert len(peer.calls) == 1


async def test_a_question_puts_earlier_approvals_back(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    await decide(desk, KIM, refund(120_000))
    clock.forward(minutes=1)
    await decide(desk, SAM, ASK)
    clock.forward(minutes=1)
    await decide(desk, LEE, refund(120_000))
    assert peer.calls == []


async def test_an_approval_that_was_carried_out_is_spent(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    peer.ending = Failed("the bank is closed")
    for who in (KIM, LEE):
        await decide(desk, who, refund(120_000))
        clock.forward(minutes=1)
    assert ((await the_case(desk)).state, len(peer.calls)) == (CaseState.REVIEW, 1)
    peer.ending = Done({"receipt": "r-2"})
    await decide(desk, KIM, refund(120_000))
    assert len(peer.calls) == 1
    clock.forward(minutes=1)
    await decide(desk, LEE, refund(120_000))
    assert ((await the_case(desk)).state, len(peer.calls)) == (CaseState.RESOLVED, 2)


async def test_after_a_failure_a_later_success_closes_the_case(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    peer.ending = Failed("the bank is closed")
    case = await decide(desk, KIM, refund())
    assert (case.state, "the bank is closed" in case.sentence) == (CaseState.REVIEW, True)
    clock.forward(minutes=1)
    peer.ending = Done({"receipt": "r-2"})
    assert (await decide(desk, KIM, refund())).state == CaseState.RESOLVED
    assert [row.state for row in await actions(desk, REFUND)] == [ActionState.FAILED, ActionState.DONE]


async def test_two_equal_refunds_in_two_approvals_are_two_refunds(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    await decide(desk, KIM, refund())
    async with write(desk.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.REVIEW, closed_at=None))
    clock.forward(minutes=1)
    await decide(desk, KIM, refund())
    assert len(peer.effects) == 2
    assert len({row.idempotency_key for row in await actions(desk, REFUND)}) == 2


async def test_the_same_action_twice_in_one_edit_is_refused(desk: World) -> None:
    await waiting(desk)
    with pytest.raises(InputInvalid, match="twice"):
        await decide(desk, KIM, refund(1_000, 1_000))


async def test_approving_twenty_times_at_once_has_one_set_of_actions(desk: World, peer: Peer) -> None:
    case = await waiting(desk)
    wishes = [APPROVE, refund()]
    answers = await asyncio.gather(
        *(review.decide(desk, person(f"p{n}"), case.id, case.version, wishes[n % 2]) for n in range(20)), return_exceptions=True
    )
    assert [type(a).__name__ for a in answers].count("Case") == 1
    assert {type(a) for a in answers if isinstance(a, Exception)} <= {StaleVersion, IllegalTransition}
    assert (len(peer.calls), len(await approvals(desk))) == (1, 1)


async def test_an_unknown_outcome_has_no_retry_and_closes_once_it_is_reported(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    peer.ending = UnknownOutcome("the reply was lost")
    case = await decide(desk, KIM, refund())
    assert case.state == CaseState.REVIEW
    clock.forward(minutes=1)
    for amount in (1_000, 999):
        with pytest.raises(IllegalTransition, match="may already have happened"):
            await decide(desk, KIM, refund(amount))
    (row,) = await actions(desk, REFUND)
    await outcomes.report_outcome(desk, KIM, case.id, {"action_id": row.id, "done": True})
    assert ((await the_case(desk)).state, len(peer.calls)) == (CaseState.RESOLVED, 1)


async def test_what_was_handed_over_keeps_the_case_open_until_its_outcome_is_reported(world: World, clock: Clock) -> None:
    await waiting(world)
    case = await decide(world, KIM, refund())
    assert (case.state, "by hand" in case.sentence or "carry out" in case.sentence) == (CaseState.ACTING, True)
    (row,) = await actions(world, REFUND)
    with pytest.raises(IllegalTransition):
        await decide(world, LEE, REJECT)
    await outcomes.report_outcome(world, KIM, case.id, {"action_id": row.id, "done": False, "note": "The account is closed."})
    back = await the_case(world)
    assert (back.state, "did not end well" in back.sentence) == (CaseState.REVIEW, True)
    clock.forward(minutes=1)
    await decide(world, KIM, refund())
    (_, again) = await actions(world, REFUND)
    await outcomes.report_outcome(world, KIM, case.id, {"action_id": again.id, "done": True})
    assert (await the_case(world)).state == CaseState.RESOLVED
    assert [body["outcome_id"][:4] for _, body in await trail_of(world, Event.OUTCOME_REPORTED)] == ["out_"] * 2


async def test_reporting_an_old_action_does_not_close_a_case_that_was_judged_again(desk: World, peer: Peer, clock: Clock) -> None:
    await waiting(desk)
    peer.ending = UnknownOutcome("the reply was lost")
    await decide(desk, KIM, refund())
    clock.forward(minutes=5)
    await event_arrives(desk, "wms.order.rejected", {"reason": "no_stock"})
    await work(desk)
    (row,) = await actions(desk, REFUND)
    await outcomes.report_outcome(desk, KIM, (await the_case(desk)).id, {"action_id": row.id, "done": True})
    assert (await the_case(desk)).state == CaseState.REVIEW


async def test_facts_that_move_between_approval_and_execution_stop_it_and_the_case_comes_back(
    desk: World, peer: Peer, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    await waiting(desk)
    real = act.carry_out

    async def delivered_meanwhile(world: World, action_id: str) -> None:
        await event_arrives(world, "customer.message", {"channel": "mail", "text": "it has come after all"})
        await reader.read_signals(world)
        await real(world, action_id)

    monkeypatch.setattr(act, "carry_out", delivered_meanwhile)
    case = await decide(desk, KIM, refund())
    assert (case.state, peer.calls) == (CaseState.REVIEW, [])
    assert [row.state for row in await actions(desk, REFUND)] == [ActionState.REFUSED]


async def test_what_was_learnt_while_an_approval_was_carried_out_is_looked_at_when_it_has_ended(world: World, clock: Clock) -> None:
    await waiting(world)
    case = await decide(world, KIM, refund())
    clock.forward(minutes=5)
    short = {"sku": "CUP-9", "requested": 5, "available": 0}
    await event_arrives(world, "wms.pick.short", short, time="2026-11-02T10:04:00Z")
    await work(world)
    assert (await the_case(world)).state == CaseState.ACTING
    (row,) = await actions(world, REFUND)
    await outcomes.report_outcome(world, KIM, case.id, {"action_id": row.id, "done": True})
    await work(world)
    after = await the_case(world)
    assert (after.state, after.episode) == (CaseState.REVIEW, 2)


async def test_a_rejection_closes_the_case_and_nothing_is_done(desk: World, peer: Peer) -> None:
    await waiting(desk)
    case = await decide(desk, KIM, REJECT)
    assert (case.state, peer.calls) == (CaseState.RESOLVED, [])
    assert "It was found." in (case.closed_because or "")
    with pytest.raises(IllegalTransition):
        await decide(desk, KIM, APPROVE)
    await work(desk)
    assert (await the_case(desk)).state == CaseState.RESOLVED


async def test_a_question_blocks_the_case_until_evidence_comes(desk: World, clock: Clock) -> None:
    case = await waiting(desk)
    assert (await decide(desk, KIM, ASK)).state == CaseState.BLOCKED
    await work(desk)
    assert (await the_case(desk)).state == CaseState.BLOCKED
    clock.forward(minutes=1)
    facts = {"pick.available": {"value": 2, "source": "wms", "observed_at": "2026-11-02T10:00:30Z"}}
    judging = await intake.attach_evidence(desk, KIM, case.id, facts, "photo 17")
    assert judging.state == CaseState.JUDGING
    await work(desk)
    after = await the_case(desk)
    assert after.state != CaseState.BLOCKED
    assert after.decision_id != case.decision_id


async def test_a_question_asked_while_a_judgement_is_under_way_stands(desk: World) -> None:
    case = await waiting(desk)
    from_before = await the_case(desk)
    await decide(desk, KIM, ASK)
    sighting = look(await store.gather(desk, case.order_id, desk.clock()), desk.detectors)
    judgement = await judge(sighting, desk.classifier, desk.policy, NOTHING_SPENT)
    recorded = await decisions.record(desk, from_before, sighting, judgement.diagnosis, judgement.ruling, await governing(desk))
    assert (recorded.decision_id, (await the_case(desk)).state) == (None, CaseState.BLOCKED)


@pytest.mark.parametrize(
    ("request_", "pointer"),
    [
        (replace(APPROVE, reason=" "), "/reason"),
        (replace(APPROVE, actions=(ProposedAction(MESSAGE),)), "/actions"),
        (replace(REJECT, actions=()), "/actions"),
        (ReviewRequest(ReviewDecision.EDIT, "x"), "/actions"),
        (ReviewRequest(ReviewDecision.EDIT, "x", ()), "/actions"),
    ],
)
async def test_a_request_that_does_not_fit_its_decision_is_refused(desk: World, request_: ReviewRequest, pointer: str) -> None:
    await waiting(desk)
    with pytest.raises(InputInvalid) as caught:
        await decide(desk, KIM, request_)
    assert caught.value.errors[0][0] == pointer


async def test_an_assigned_case_is_not_routed_by_the_table_any_more(desk: World, clock: Clock) -> None:
    case = await waiting(desk)
    await review.assign(desk, SERVICE, case.id, Team.RISK, "rosa")
    clock.forward(minutes=5)
    await event_arrives(desk, "wms.order.rejected", {"reason": "no_stock"})
    await work(desk)
    after = await the_case(desk)
    assert (after.owner, after.assignee, after.decision_id != case.decision_id) == ("risk", "rosa", True)
    assert len(await trail_of(desk, Event.CASE_ASSIGNED)) == 1
