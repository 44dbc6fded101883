"""What automation may spend in an hour: counted once, never beyond the limit, and beyond it a person decides."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app import act, budgets, pipeline, queue, reader, review, store, trail
from app.budgets import COUNT, KEPT, UncountableClaim, plain_claims, read_claims, reserve
from app.clients.port import Failed
from app.database import write
from app.governing import governing
from app.review import ReviewDecision, ReviewRequest
from app.settings import Settings
from app.tables import ActionRow, ActionState, BudgetHour, Case, CaseState
from app.trail import Event
from app.wiring import open_world
from app.world import World
from guardrails.facts import Facts
from guardrails.money import Money
from guardrails.policy.tables import Budget, Policy
from guardrails.proposal import ProposedAction
from guardrails.standing import Spent, hour_of
from guardrails.taxonomy import Action, Reason
from tests.builders import actions, all_cases, order_arrives, orders, person, the_case, trail_of, warehouse_busy
from tests.conftest import START, Clock
from tests.fakes import Nudges, Peer, with_peers, with_rules
from tests.steps import work

RESUBMIT, REFUND = Action.RESUBMIT_FULFILMENT, Action.REFUND_PAYMENT
OWN = "fulfilment/resubmit_fulfilment"
HOUR = hour_of(START)
KIM = person("kim")
APPROVE = ReviewRequest(ReviewDecision.APPROVE, "It may go out all the same.")


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def of_finance(amount: int) -> list[dict[str, Any]]:
    """What a refund claims."""
    return [{"key": "finance", "amount": usd(amount)}]


@pytest.fixture
def peer() -> Peer:
    return Peer(repeatable=False)


@pytest.fixture
def acting(world: World, peer: Peer) -> World:
    return with_peers(world, {RESUBMIT: peer})


async def with_limits(world: World, **limits: Budget) -> World:
    """The policy in force with these budgets in place of its own; `own` stands for that of resubmissions."""
    policy = (await governing(world)).policy
    named = {OWN if key == "own" else key: replace(budget, key=OWN if key == "own" else key) for key, budget in limits.items()}
    return with_rules(world, budgets={**policy.budgets, **named})


def count(limit: int) -> Budget:
    return Budget("", limit)


async def finance(world: World, limit: int, money: int) -> Policy:
    limits = {"finance": Budget("finance", limit, {"USD": Money(money, "USD")})}
    return replace((await governing(world)).policy, budgets=limits)


async def spent(world: World, hour: Any = HOUR) -> dict[tuple[str, str], int]:
    async with world.database.sessions() as session:
        rows = (await session.execute(select(BudgetHour).where(BudgetHour.hour == hour))).scalars()
        return {(row.key, row.unit): row.spent for row in rows}


async def intended(world: World, monkeypatch: pytest.MonkeyPatch, orders_wanted: int = 1) -> list[str]:
    """Resubmissions that the guard allowed and nobody has begun."""

    async def later(world: World, action_id: str) -> None:
        """The process has ended."""

    with monkeypatch.context() as patch:
        patch.setattr(act, "carry_out", later)
        for number in range(orders_wanted):
            await order_arrives(world, f"#{number}", 4_000_000_000_000 + number)
            await warehouse_busy(world, f"#{number}")
        for order_id in await reader.read_signals(world):
            await pipeline.look_at(world, order_id)
    rows = await actions(world, RESUBMIT)
    assert [row.state for row in rows] == [ActionState.INTENDED] * orders_wanted
    return [row.id for row in rows]


async def resubmission(world: World) -> ActionRow:
    (row,) = await actions(world, RESUBMIT)
    return row


# --- what an action takes ---


async def test_what_runs_without_a_person_takes_a_place_of_its_teams_budget_and_of_its_own(acting: World) -> None:
    await order_arrives(acting)
    await warehouse_busy(acting)
    await work(acting)
    row = await resubmission(acting)
    assert (row.state, row.claimed_hour) == (ActionState.DONE, HOUR)
    assert row.claims == [{"key": "fulfilment", "amount": None}, {"key": OWN, "amount": None}]
    assert await spent(acting) == {("fulfilment", COUNT): 1, (OWN, COUNT): 1}


async def test_a_decision_records_how_its_budgets_and_the_switches_stood(acting: World) -> None:
    await order_arrives(acting, "#1", 1)
    await warehouse_busy(acting, "#1")
    await work(acting)
    await order_arrives(acting, "#2", 2)
    await warehouse_busy(acting, "#2")
    await work(acting)
    first, second = [body["standing"] for _, body in await trail_of(acting, Event.DECISION_MADE)]
    untouched = {key: {"count": 0, "money": {}} for key in ("fulfilment", OWN)}
    assert first == {"off": [], "speaking": ["shopify", "wms"], "spent": untouched}
    assert second["spent"][OWN] == {"count": 1, "money": {}}


async def test_what_only_annotates_takes_nothing(acting: World) -> None:
    await order_arrives(acting)
    await warehouse_busy(acting)
    await work(acting)
    notes = [row for row in await actions(acting) if row.action != RESUBMIT]
    assert {row.state for row in notes} == {ActionState.DONE}
    assert all(row.claims == [] for row in notes)


async def test_an_amount_that_nobody_knows_is_never_claimed(world: World) -> None:
    policy = (await governing(world)).policy
    for amount in ({}, {"amount": usd(-1)}, {"amount": "12"}, {"amount": {"amount": 1.5, "currency": "USD"}}):
        with pytest.raises(UncountableClaim, match="a person decides"):
            plain_claims(ProposedAction(REFUND, amount), policy, Facts("#1", START))
    (claim,) = plain_claims(ProposedAction(REFUND, {"amount": usd(900)}), policy, Facts("#1", START))
    assert claim == {"key": "finance", "amount": usd(900)}


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        "[]",
        [None],
        [{}],
        [{"key": "finance"}],
        [{"key": 1, "amount": None}],
        [{"key": "finance", "amount": 5}],
        [{"key": "finance", "amount": {"amount": "5", "currency": "USD"}}],
        [{"key": "finance", "amount": {"amount": -5, "currency": "USD"}}],
        [{"key": "finance", "amount": {"amount": True, "currency": "USD"}}],
        [{"key": "finance", "amount": {"amount": 5, "currency": "dollars"}}],
        [{"key": "finance", "amount": {"unknown": True}}],
    ],
)
async def test_a_claim_that_cannot_be_read_reserves_nothing(world: World, stored: object) -> None:
    policy = await finance(world, 10, 1_000)
    assert read_claims(stored) is None
    async with write(world.database.sessions) as session:
        assert "cannot be read" in str(await reserve(session, HOUR, REFUND, stored, policy, None))
    assert await spent(world) == {}


# --- the limit ---


async def test_the_last_place_and_the_last_cent_are_given_and_nothing_more(world: World) -> None:
    policy = await finance(world, 3, 1_000)
    answers = []
    for amount in (600, 401, 400, 1, 0, 0):
        async with write(world.database.sessions) as session:
            answers.append(await reserve(session, HOUR, REFUND, of_finance(amount), policy, None))
    granted = [why is None for why in answers]
    assert granted == [True, False, True, False, True, False]
    assert "6.00 USD of the 10.00 USD" in str(answers[1])
    assert "3 of the 3 actions" in str(answers[5])
    assert await spent(world) == {("finance", COUNT): 3, ("finance", "USD"): 1_000}


async def test_what_is_not_granted_whole_is_not_granted_in_part(world: World) -> None:
    policy = await finance(world, 10, 100)
    async with write(world.database.sessions) as session:
        assert await reserve(session, HOUR, REFUND, of_finance(101), policy, None) is not None
        assert await reserve(session, HOUR, REFUND, of_finance(100), policy, None) is None
    assert await spent(world) == {("finance", COUNT): 1, ("finance", "USD"): 100}


@pytest.mark.parametrize("amount", [{"amount": 1, "currency": "CHF"}, {"amount": 10**30, "currency": "USD"}])
async def test_a_currency_without_a_limit_and_a_sum_beyond_all_bounds_are_not_granted(world: World, amount: dict[str, Any]) -> None:
    policy = await finance(world, 10, 1_000)
    async with write(world.database.sessions) as session:
        assert await reserve(session, HOUR, REFUND, [{"key": "finance", "amount": amount}], policy, None) is not None
    assert await spent(world) == {}


async def test_an_hour_does_not_know_what_another_has_spent(world: World) -> None:
    policy = await finance(world, 1, 1_000)
    for hour in (HOUR, HOUR + timedelta(hours=1)):
        for granted in (True, False):
            async with write(world.database.sessions) as session:
                assert (await reserve(session, hour, REFUND, of_finance(1), policy, None) is None) is granted


@pytest.mark.parametrize(("places", "money", "most"), [(7, 10_000, 7), (1_000, 700, 7), (9, 950, 9)])
async def test_forty_at_once_never_take_more_than_there_is(world: World, places: int, money: int, most: int) -> None:
    policy = await finance(world, places, money)

    async def ask() -> bool:
        async with write(world.database.sessions) as session:
            return await reserve(session, HOUR, REFUND, of_finance(100), policy, None) is None

    granted = await asyncio.gather(*(ask() for _ in range(40)))
    assert sum(granted) == most
    assert await spent(world) == {("finance", COUNT): most, ("finance", "USD"): 100 * most}


async def test_installations_that_race_for_the_last_places_begin_no_more_actions_than_the_budget_holds(
    settings: Settings, clock: Clock, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, wanted = 4, 14
    async with open_world(settings, clock=clock) as one, open_world(settings, clock=clock) as two:
        ids = await intended(one, monkeypatch, wanted)
        worlds = [with_peers(await with_limits(world, own=count(places)), {RESUBMIT: peer}) for world in (one, two)]
        await asyncio.gather(*(act.carry_out(world, action_id) for action_id in ids for world in worlds))
        rows = await actions(one, RESUBMIT)
        assert Counter(row.state for row in rows) == {ActionState.DONE: places, ActionState.REFUSED: wanted - places}
        assert len(peer.calls) == len(await trail_of(one, Event.ACTION_STARTED)) - len(await begun_notes(one)) == places
        assert (await spent(one))[OWN, COUNT] == places
        assert {case.state for case in await all_cases(one)} == {CaseState.AUTOMATED, CaseState.REVIEW}
        async with one.database.sessions() as session:
            assert (await trail.verify(session)).valid


async def begun_notes(world: World) -> list[dict[str, Any]]:
    return [body for _, body in await trail_of(world, Event.ACTION_STARTED) if body["action"] != RESUBMIT]


# --- beyond the limit ---


async def exhausted(acting: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An action was allowed while there was a place, and another took it meanwhile."""
    (action_id,) = await intended(acting, monkeypatch)
    limited = await with_limits(acting, own=count(1))
    async with write(limited.database.sessions) as session:
        session.add(BudgetHour(key=OWN, hour=HOUR, unit=COUNT, spent=1))
    await act.carry_out(replace(limited, nudge=Nudges()), action_id)
    return limited


async def test_beyond_the_budget_the_action_is_refused_and_its_case_is_before_a_person_at_once(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = await exhausted(acting, monkeypatch)
    row, case = await resubmission(limited), await the_case(limited)
    assert (row.state, row.claimed_hour, peer.calls) == (ActionState.REFUSED, None, [])
    assert "1 of the 1 actions that fulfilment/resubmit_fulfilment may have in an hour have run" in (row.error or "")
    assert (case.state, Reason.BUDGET_EXHAUSTED.value in case.mandatory) == (CaseState.REVIEW, True)
    assert "was not begun" in case.sentence
    told = [body for _, body in await trail_of(limited, Event.ACTION_REFUSED)]
    assert [(body["action"], body["why"]) for body in told] == [(RESUBMIT, row.error)]
    assert (await spent(limited)) == {(OWN, COUNT): 1}


async def test_a_person_can_approve_what_the_budget_did_not_hold_and_that_takes_nothing_of_it(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = await exhausted(acting, monkeypatch)
    async with limited.database.sessions() as session:
        due = list((await session.execute(store.orders_due(limited.clock(), 10))).scalars())
    assert due == [order.id for order in await orders(limited)]
    await pipeline.look_at(limited, due[0])
    case = await the_case(limited)
    assert (case.state, case.verdict, case.mandatory) == (CaseState.REVIEW, "review", [Reason.BUDGET_EXHAUSTED.value])
    assert "actions that fulfilment/resubmit_fulfilment may have in an hour" in case.sentence
    await review.decide(limited, KIM, case.id, case.version, APPROVE)
    assert [(task.action, task.requested_by) for task in peer.calls] == [(RESUBMIT, "kim")]
    assert (await spent(limited))[OWN, COUNT] == 1


async def test_in_the_next_hour_it_may_run_by_itself_again(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = await exhausted(acting, monkeypatch)
    clock.forward(hours=1)
    await pipeline.look_at(limited, (await orders(limited))[0].id)
    assert [(row.state, row.claimed_hour) for row in await actions(limited, RESUBMIT)] == [
        (ActionState.DONE, HOUR + timedelta(hours=1))
    ]
    assert len(peer.calls) == 1


@pytest.mark.parametrize("stored", [[], [{"key": "fulfilment", "amount": None}], [{"nonsense": True}], None])
async def test_an_intent_whose_claims_are_not_those_of_the_policy_is_not_begun(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch, stored: Any
) -> None:
    (action_id,) = await intended(acting, monkeypatch)
    async with write(acting.database.sessions) as session:
        value = func.jsonb_build_object("not", "a list") if stored is None else stored
        await session.execute(update(ActionRow).where(ActionRow.id == action_id).values(claims=value))
    await act.carry_out(replace(acting, nudge=Nudges()), action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.REFUSED, [])
    assert (await the_case(acting)).state == CaseState.REVIEW


async def test_a_budget_that_is_gone_from_the_policy_is_no_permission(
    acting: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (action_id,) = await intended(acting, monkeypatch)
    await act.carry_out(with_rules(acting, budgets={}), action_id)
    assert ((await resubmission(acting)).state, peer.calls) == (ActionState.REFUSED, [])
    assert "other budgets" in ((await resubmission(acting)).error or "")


# --- attempts and crashes ---


async def abandon(world: World, clock: Clock, action_id: str) -> None:
    """It was begun, and its process was killed before anything was called."""
    with pytest.MonkeyPatch.context() as patch:

        async def killed(world: World, task: object) -> None:
            raise ConnectionError("the process has ended")

        patch.setattr(act, "_run", killed)
        with pytest.raises(ConnectionError):
            await act.carry_out(world, action_id)
    clock.forward(seconds=act.ABANDONED_AFTER.total_seconds())


async def test_a_crash_after_the_reservation_is_not_counted_twice_in_its_hour(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.repeatable = True
    (action_id,) = await intended(acting, monkeypatch)
    limited = await with_limits(acting, own=count(1))
    await abandon(limited, clock, action_id)
    await abandon_again(limited, clock, action_id)
    assert (await resubmission(limited)).state == ActionState.RUNNING
    await act.recover(limited, action_id)
    row = await resubmission(limited)
    assert (row.state, row.attempts, len(peer.calls)) == (ActionState.DONE, 3, 1)
    assert (await spent(limited))[OWN, COUNT] == 1


async def abandon_again(world: World, clock: Clock, action_id: str) -> None:
    async with write(world.database.sessions) as session:
        await session.execute(update(ActionRow).where(ActionRow.id == action_id).values(state=ActionState.INTENDED))
    await abandon(world, clock, action_id)


async def test_what_may_have_happened_and_no_longer_fits_is_unknown_not_refused(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.repeatable = True
    (action_id,) = await intended(acting, monkeypatch)
    limited = await with_limits(acting, own=count(1))
    await abandon(limited, clock, action_id)
    clock.forward(hours=1)
    async with write(limited.database.sessions) as session:
        session.add(BudgetHour(key=OWN, hour=hour_of(clock()), unit=COUNT, spent=1))
    await act.recover(limited, action_id)
    row = await resubmission(limited)
    assert (row.state, peer.calls) == (ActionState.UNKNOWN, [])
    assert "may have happened" in (row.error or "")
    assert (await the_case(limited)).state == CaseState.REVIEW


async def test_what_failed_and_is_tried_again_in_the_same_hour_is_counted_once(
    acting: World, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.ending = Failed("closed for stocktaking")
    (action_id,) = await intended(acting, monkeypatch)
    await act.carry_out(acting, action_id)
    async with write(acting.database.sessions) as session:
        await session.execute(update(Case).values(state=CaseState.JUDGING))
    await pipeline.triage(acting, (await the_case(acting)).id)
    assert (await resubmission(acting)).attempts == 2
    assert (await spent(acting))[OWN, COUNT] == 1


# --- figures ---


async def test_figures_that_cannot_be_right_are_no_figures(world: World) -> None:
    async with write(world.database.sessions) as session:
        session.add(BudgetHour(key=OWN, hour=HOUR, unit=COUNT, spent=-500))
    async with world.database.sessions() as session:
        assert await budgets.spent_in(session, HOUR) is None
        with pytest.raises(UncountableClaim):
            await budgets.left_in(session, (await governing(world)).policy, START)


async def test_with_figures_that_cannot_be_seen_a_person_decides(acting: World, peer: Peer) -> None:
    async with write(acting.database.sessions) as session:
        session.add(BudgetHour(key=OWN, hour=HOUR, unit=COUNT, spent=-500))
    await order_arrives(acting)
    await warehouse_busy(acting)
    await work(acting)
    case = await the_case(acting)
    assert (case.state, peer.calls) == (CaseState.REVIEW, [])
    assert "we could not see what is left" in case.sentence
    ((_, made),) = await trail_of(acting, Event.DECISION_MADE)
    assert made["standing"] == {"off": [], "speaking": ["shopify", "wms"], "spent": None}


async def test_what_is_left_is_told_per_budget_and_unit(world: World) -> None:
    policy = await finance(world, 3, 1_000)
    async with write(world.database.sessions) as session:
        await reserve(session, HOUR, REFUND, of_finance(400), policy, None)
        assert await budgets.spent_in(session, HOUR) == {"finance": Spent(1, {"USD": 400})}
        left = await budgets.left_in(session, policy, START)
    assert [(line.key, line.unit, line.limit, line.spent, line.left) for line in left] == [
        ("finance", COUNT, 3, 1, 2),
        ("finance", "USD", 1_000, 400, 600),
    ]


async def test_hours_of_long_ago_are_forgotten_by_the_sweep(world: World, clock: Clock) -> None:
    old = HOUR - KEPT
    async with write(world.database.sessions) as session:
        session.add_all(BudgetHour(key="finance", hour=hour, unit=COUNT, spent=1) for hour in (old - timedelta(hours=1), old, HOUR))
    await queue.sweep(replace(world, nudge=Nudges()))
    async with world.database.sessions() as session:
        kept = (await session.execute(select(BudgetHour.hour).order_by(BudgetHour.hour))).scalars().all()
    assert kept == [old, HOUR]
