"""Whatever breaks while a case is ruled on, nothing runs, and what broke is on record."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app import act, decisions, governing, pipeline, queue, reader
from app.budgets import UncountableClaim
from app.settings import Settings
from app.tables import ActionState, CaseState
from app.trail import Event
from app.wiring import open_world
from app.world import World
from guardrails.policy.tables import Rule
from guardrails.standing import Standing
from guardrails.taxonomy import Action
from tests.builders import actions, all_cases, order_arrives, orders, the_case, trail_of, warehouse_busy
from tests.fakes import Nudges, Peer, with_peers, with_rules
from tests.steps import until, work

RESUBMIT = Action.RESUBMIT_FULFILMENT


class Defect(tuple[Rule, ...]):
    """Rules that break whoever reads them."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Rule]:
        raise ZeroDivisionError("a defect of the evaluator")


@pytest.fixture
def peer() -> Peer:
    return Peer(repeatable=False)


async def busy(world: World) -> None:
    await order_arrives(world)
    await warehouse_busy(world)


async def test_an_evaluator_that_breaks_inside_a_worker_blocks_and_is_on_record(settings: Settings, peer: Peer) -> None:
    swift = settings.model_copy(update={"sweep_every_s": 1})
    async with open_world(swift, connectors={RESUBMIT: peer}, worker=True) as world:
        for row, policy in list(world.loaded.items()):
            world.loaded[row] = replace(policy, rules=Defect(), sha256="f" * 64)
        await busy(world)
        await world.nudge(queue.READ_SIGNALS, "")
        await until(lambda: _judged(world))
        case = await the_case(world)
        assert (case.state, case.verdict, peer.calls) == (CaseState.BLOCKED, "block", [])
        assert "the guard itself failed" in case.sentence
        assert await actions(world) == []
        ((_, made),) = await trail_of(world, Event.DECISION_MADE)
        assert "a defect of the evaluator" in made["ruling"]["error"]
        assert {item["verdict"] for item in made["ruling"]["actions"]} <= {"block"}


async def _judged(world: World) -> bool:
    return any(case.state != CaseState.JUDGING for case in await all_cases(world))


async def test_an_action_allowed_before_the_evaluator_broke_does_not_run_after(world: World, peer: Peer) -> None:
    """The policy is the same by name and another by what it says: its digest tells."""
    acting = with_peers(world, {RESUBMIT: peer})
    with pytest.MonkeyPatch.context() as patch:

        async def later(world: World, action_id: str) -> None:
            """The process has ended."""

        patch.setattr(act, "carry_out", later)
        await busy(acting)
        await work_once(acting)
    (row,) = await actions(acting, RESUBMIT)
    broken = replace(with_rules(acting, rules=Defect(), sha256="f" * 64), nudge=Nudges())
    await act.carry_out(broken, row.id)
    (row,) = await actions(acting, RESUBMIT)
    assert (row.state, peer.calls) == (ActionState.REFUSED, [])
    assert "policy has changed" in (row.error or "")


async def work_once(world: World) -> None:
    for order_id in await reader.read_signals(world):
        await pipeline.look_at(world, order_id)


async def test_with_a_standing_that_cannot_be_read_a_person_decides(
    world: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unread(session: object, hour: object) -> None:
        """The figures cannot be seen."""

    monkeypatch.setattr(governing, "spent_in", unread)
    acting = with_peers(world, {RESUBMIT: peer})
    await busy(acting)
    await work(acting)
    case = await the_case(acting)
    assert (case.state, case.verdict, peer.calls) == (CaseState.REVIEW, "review", [])
    assert (await governing.governing(acting)).standing == Standing(None)
    assert "budget_exhausted" in case.mandatory


async def test_switches_that_cannot_be_read_stop_the_judgement_and_in_the_end_a_person_is_asked(
    world: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(session: object) -> frozenset[str]:
        raise RuntimeError("the table cannot be read")

    acting = with_peers(world, {RESUBMIT: peer})
    await busy(acting)
    await reader.read_signals(acting)
    (order,) = await orders(acting)
    monkeypatch.setattr(governing, "switches_off", away)
    for _ in range(queue.LOOK_MAX_FAILURES):
        await queue.look_safely(acting, order.id)
    case = await the_case(acting)
    assert (case.state, case.decision_id, peer.calls) == (CaseState.REVIEW, None, [])
    assert "the table cannot be read" in case.sentence


async def test_an_action_is_not_begun_while_switches_cannot_be_read(
    world: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = with_peers(world, {RESUBMIT: peer})
    ids: list[str] = []

    async def remember(world: World, action_id: str) -> None:
        ids.append(action_id)

    with monkeypatch.context() as patch:
        patch.setattr(act, "carry_out", remember)
        await busy(acting)
        await work_once(acting)

    async def away(session: object) -> frozenset[str]:
        raise RuntimeError("the table cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(governing, "switches_off", away)
        for action_id in ids:
            with pytest.raises(RuntimeError, match="cannot be read"):
                await act.carry_out(acting, action_id)
    assert peer.calls == []
    assert {row.state for row in await actions(acting)} == {ActionState.INTENDED}


async def test_an_allowance_that_nobody_can_count_is_not_recorded_and_goes_to_a_person(
    world: World, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uncountable(*given: object) -> list[object]:
        raise UncountableClaim("Nobody can say how much it would take.")

    acting = with_peers(world, {RESUBMIT: peer})
    await busy(acting)
    await reader.read_signals(acting)
    (order,) = await orders(acting)
    monkeypatch.setattr(decisions, "plain_claims", uncountable)
    for _ in range(queue.LOOK_MAX_FAILURES):
        await queue.look_safely(acting, order.id)
    assert ((await the_case(acting)).state, await actions(acting), peer.calls) == (CaseState.REVIEW, [], [])
    assert "Nobody can say" in (await the_case(acting)).sentence
