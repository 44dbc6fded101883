"""The read side on a real database."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app import views
from app.cases import REPORTED, new_case
from app.database import write
from app.errors import NotFound
from app.signals.shapes import Source
from app.store import open_order
from app.tables import Case, CaseState, Signal, SignalState
from app.views import CaseFilter, CasePlace
from app.world import World
from guardrails.facts import Facts
from guardrails.taxonomy import Action, Category
from tests.app.web.sending import ORDER, SHOPIFY
from tests.conftest import START, Clock
from tests.steps import deliver, work


async def some_cases(world: World, count: int) -> None:
    """That many cases, all due at the same moment, so that only their sequence orders them."""
    async with write(world.database.sessions) as session:
        for number in range(count):
            order_id = await open_order(session, f"#{number}", START)
            facts = Facts(f"#{number}", START)
            case = new_case(order_id, f"#{number}", Category.DELIVERY_LATE, [REPORTED], f"s{number}", False, world.owners, facts)
            case.summary = f"Parcel {number} is 100% late_"
            session.add(case)


async def listed(world: World, wanted: CaseFilter, after: CasePlace | None = None, limit: int = 50) -> list[str]:
    async with world.database.sessions() as session:
        return [row.order_ref for row in await views.queue(session, wanted, after, limit)]


async def test_the_queue_goes_on_after_any_of_its_places_even_when_due_times_are_equal(world: World) -> None:
    await some_cases(world, 5)
    async with world.database.sessions() as session:
        rows = await views.queue(session, CaseFilter(), None, 50)
    for number, row in enumerate(rows):
        expected = [f"#{later}" for later in range(number + 1, 5)]
        assert await listed(world, CaseFilter(), CasePlace(row.due_at, row.seq)) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("parcel 3", 1),
        ("3 parcel", 1),
        ("PARCEL", 5),
        ("100%", 5),
        ("late_", 5),
        ("1_0", 0),
        ("%", 5),
        ("parcel nowhere", 0),
        ("'; --", 0),
    ],
)
async def test_search_takes_its_words_literally(world: World, text: str, found: int) -> None:
    await some_cases(world, 5)
    assert len(await listed(world, CaseFilter(text=text))) == found


async def test_a_case_is_found_by_its_whole_id(world: World) -> None:
    await some_cases(world, 2)
    async with world.database.sessions() as session:
        first, second = await views.queue(session, CaseFilter(), None, 50)
    assert await listed(world, CaseFilter(text=first.id)) == ["#0"]
    assert await listed(world, CaseFilter(text=second.id[:12])) == []


async def test_states_narrow_the_queue_together(world: World) -> None:
    await some_cases(world, 3)
    async with write(world.database.sessions) as session:
        await session.execute(update(Case).where(Case.order_ref == "#1").values(state=CaseState.BLOCKED.value, verdict="block"))
    assert await listed(world, CaseFilter(states=(CaseState.BLOCKED,))) == ["#1"]
    assert await listed(world, CaseFilter(states=(CaseState.BLOCKED, CaseState.JUDGING))) == ["#0", "#1", "#2"]
    assert await listed(world, CaseFilter(verdict="block", owner="finance")) == []


async def test_what_is_not_there_is_not_found(world: World) -> None:
    async with world.database.sessions() as session:
        with pytest.raises(NotFound):
            await views.case(session, "case_none")
        with pytest.raises(NotFound):
            await views.case_trail(session, "case_none", 0, 10)
        with pytest.raises(NotFound):
            await views.signal(session, "sig_none")
    with pytest.raises(NotFound):
        await views.order(world, "#9", START)


async def test_an_order_is_seen_with_its_cases_the_newest_first(world: World) -> None:
    await deliver(world, Source.SHOPIFY, ORDER, SHOPIFY)
    await work(world)
    view = await views.order(world, "1001", START + timedelta(hours=1))
    assert view.context.order_ref == "#1001"
    assert [row.seq for row in view.cases] == sorted((row.seq for row in view.cases), reverse=True)


async def test_an_empty_house_has_no_backlog(world: World) -> None:
    async with world.database.sessions() as session:
        found = await views.backlog(session, START)
    assert (found.cases, found.signals, found.waiting, found.oldest_wait_s, found.dead) == ([], [], 0, 0.0, 0)


async def test_the_backlog_counts_what_waits_and_how_long(world: World, clock: Clock) -> None:
    await some_cases(world, 2)
    await deliver(world, Source.SHOPIFY, ORDER, SHOPIFY)
    clock.forward(minutes=2)
    await deliver(
        world, Source.STRIPE, {"id": "evt_1", "object": "event", "type": "thing.never_seen", "created": 1, "data": {"object": {}}}
    )
    async with world.database.sessions() as session:
        found = await views.backlog(session, clock())
    assert (found.waiting, found.oldest_wait_s, found.dead) == (1, 120.0, 0)
    assert {(count.source, count.state): count.signals for count in found.signals} == {
        ("shopify", "received"): 1,
        ("stripe", "unmapped"): 1,
    }
    assert [(count.state, count.verdict, count.cases) for count in found.cases] == [("judging", None, 2)]


async def test_signals_are_narrowed_by_state_and_source(world: World) -> None:
    await deliver(world, Source.SHOPIFY, ORDER, SHOPIFY)
    async with write(world.database.sessions) as session:
        await session.execute(update(Signal).values(state=SignalState.UNLINKED.value))
    async with world.database.sessions() as session:
        assert len(await views.signals(session, (SignalState.UNLINKED,), "shopify", None, 10)) == 1
        assert await views.signals(session, (SignalState.DEAD,), None, None, 10) == []
        assert await views.signals(session, (), "stripe", None, 10) == []


def test_every_action_says_how_it_is_undone_and_one_that_left_the_policy_cannot_be(world: World) -> None:
    for action in Action:
        assert views.undo_of(world, action.value)["undo"]
    assert views.undo_of(world, "abolished") == {"risk_class": None, "reversible": False, "undo": "cannot be undone"}
