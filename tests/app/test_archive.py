"""What was decided is read back as it was, kept in columns, and found whole whatever has been archived already."""

from datetime import timedelta

from sqlalchemy import func, insert, select, update

from app import store
from app.archive import EVERYTHING, Past, Span, archive, gathered, opened
from app.database import write
from app.judge import look
from app.past_rulings import Unreadable, past, read_ruling, standing_of
from app.tables import ArchivedRuling, Decision, RulingSegment
from app.world import World
from guardrails.replay.recorded import RecordedRuling, rule_again
from guardrails.standing import NOTHING_SPENT, Spent, Standing
from guardrails.taxonomy import Action, Category, Verdict
from tests.builders import event_arrives, order_arrives, orders, payment, stripe_says, warehouse_busy
from tests.conftest import START, Clock
from tests.steps import work


async def traffic(world: World, clock: Clock, count: int) -> None:
    """So many orders, each with a case that was judged, a minute apart."""
    for number in range(count):
        await order_arrives(world, f"#2{number:03}", 7_000 + number, total_price=f"{10 + number}.00")
        await warehouse_busy(world, f"#2{number:03}")
        await work(world)
        clock.forward(minutes=1)


async def stored(world: World) -> list[RecordedRuling | Unreadable]:
    async with world.database.sessions() as session:
        return [read_ruling(row) for row in (await session.execute(past())).all()]


async def decided(world: World) -> list[str]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Decision.id).order_by(Decision.at, Decision.id))).scalars())


def found(world: World, past: Past) -> list[str]:
    """Every decision that a replay would read."""
    with opened(world.database.url, past) as segments:
        return [segment.decision(row) for segment in segments for row in range(segment.size)]


# --- reading back ---


async def test_the_facts_of_a_decision_are_read_back_as_they_were(world: World) -> None:
    await order_arrives(world, note="ring twice")
    await stripe_says(world, "payment_intent.succeeded", payment("succeeded"))
    await event_arrives(world, "wms.order.rejected", {"reason": "system_busy"})
    await work(world)
    (order, *_) = await orders(world)
    fresh = look(await store.gather(world, order.id, world.clock()), world.detectors).facts
    back = [item for item in await stored(world) if isinstance(item, RecordedRuling)][-1]
    assert back.facts.digest() == fresh.digest()
    assert (back.facts.order_ref, back.facts.as_of) == (fresh.order_ref, fresh.as_of)
    assert {name: fact.clock for name, fact in back.facts.by_name.items()} == {n: f.clock for n, f in fresh.by_name.items()}


async def test_a_ruling_that_is_read_back_is_ruled_the_same_again(world: World, clock: Clock) -> None:
    await traffic(world, clock, 3)
    for item in await stored(world):
        assert isinstance(item, RecordedRuling)
        again = rule_again(item, world.policy)
        assert again.verdict is item.verdict
        assert [action.verdict for action in again.actions] == [action.verdict for action in item.actions]
        assert item.category is Category.WAREHOUSE_EXCEPTION
        assert Action.RESUBMIT_FULFILMENT in [action.action for action in item.actions]


async def test_a_decision_from_before_budgets_is_read_too(world: World, clock: Clock) -> None:
    await traffic(world, clock, 1)
    async with write(world.database.sessions) as session:
        row = (await session.execute(select(Decision).limit(1))).scalar_one()
        old = dict(row.ruling)
        old["findings"] = [*old["findings"], {"rule": "x", "outcome": "not_fired", "effect": "review", "sentence": "", "facts": []}]
        old.pop("passed")
        await session.execute(update(Decision).values(standing=None, shadow=None, ruling=old))
    for item in await stored(world):
        assert isinstance(item, RecordedRuling)
        assert (item.standing, item.verdict) == (NOTHING_SPENT, Verdict.AUTOMATE)


def test_what_was_spent_and_switched_off_is_read_back() -> None:
    plain = {"off": ["source:stripe"], "spent": {"fulfilment": {"count": 3, "money": {"USD": 900}}}}
    assert standing_of(plain) == Standing({"fulfilment": Spent(3, {"USD": 900})}, frozenset(["source:stripe"]))
    assert standing_of({"off": [], "spent": None}) == Standing(None)


async def test_a_decision_that_cannot_be_read_is_counted_and_stops_nobody(world: World, clock: Clock) -> None:
    await traffic(world, clock, 3)
    first, *_ = await decided(world)
    async with write(world.database.sessions) as session:
        await session.execute(update(Decision).where(Decision.id == first).values(facts={"order.total": "from another age"}))
    past = await gathered(world, EVERYTHING)
    assert [item.decision for item in past.unreadable] == [first]
    assert past.decisions == len(await decided(world))
    assert sorted(found(world, past)) == sorted(set(await decided(world)) - {first})


# --- archiving ---


async def test_nothing_is_archived_before_a_segment_is_full(world: World, clock: Clock) -> None:
    await traffic(world, clock, 2)
    assert not await archive(world, 1_000)
    assert sorted(found(world, await gathered(world, EVERYTHING))) == sorted(await decided(world))


async def test_every_decision_is_found_once_however_much_is_archived(world: World, clock: Clock) -> None:
    await traffic(world, clock, 7)
    everything = sorted(await decided(world))
    for _ in range(3):
        await archive(world, 2)
        past = await gathered(world, EVERYTHING)
        assert past.segments
        assert sorted(found(world, past)) == everything
        await traffic_more(world, clock)
        everything = sorted(await decided(world))


async def traffic_more(world: World, clock: Clock) -> None:
    number = int(clock.now.timestamp())
    await order_arrives(world, f"#9{number}", number)
    await warehouse_busy(world, f"#9{number}")
    await work(world)
    clock.forward(minutes=1)


async def test_the_place_of_each_archived_decision_is_known(world: World, clock: Clock) -> None:
    await traffic(world, clock, 4)
    assert await archive(world, 3)
    past = await gathered(world, EVERYTHING)
    async with world.database.sessions() as session:
        places = (await session.execute(select(ArchivedRuling))).scalars().all()
    with opened(world.database.url, past) as segments:
        archived = next(segments)
        assert {archived.decision(place.row) for place in places} == {place.decision_id for place in places}
    assert len(places) == 3


async def test_a_decision_that_was_committed_late_is_not_lost(world: World, clock: Clock) -> None:
    await traffic(world, clock, 4)
    late, *_ = await decided(world)
    async with write(world.database.sessions) as session:
        row = (await session.execute(select(Decision.__table__).where(Decision.id == late))).mappings().one()
    assert await archive(world, 3)
    async with write(world.database.sessions) as session:
        await session.execute(insert(Decision).values({**row, "id": "dec_late", "at": START - timedelta(hours=2)}))
    assert "dec_late" in found(world, await gathered(world, EVERYTHING))
    clock.forward(hours=1)
    await traffic_more(world, clock)
    await traffic_more(world, clock)
    assert await archive(world, 2)
    past = await gathered(world, EVERYTHING)
    assert sorted(found(world, past)) == sorted(await decided(world))
    async with world.database.sessions() as session:
        assert (await session.get(ArchivedRuling, "dec_late")) is not None


async def test_a_decision_that_a_wrong_clock_dates_ahead_hides_none_of_those_that_follow(world: World, clock: Clock) -> None:
    await traffic(world, clock, 3)
    first, *_ = await decided(world)
    async with write(world.database.sessions) as session:
        await session.execute(update(Decision).where(Decision.id == first).values(at=clock.now + timedelta(days=400)))
    while await archive(world, 1):
        pass
    clock.forward(hours=60)
    await traffic_more(world, clock)
    assert sorted(found(world, await gathered(world, EVERYTHING))) == sorted(await decided(world))
    assert await archive(world, 1)


async def dated(world: World, decision: str, clock: Clock, days: int) -> None:
    """A copy of this decision, so many days ago: what a slow clock writes."""
    async with write(world.database.sessions) as session:
        row = (await session.execute(select(Decision.__table__).where(Decision.id == decision))).mappings().one()
        late = {**row, "id": f"dec_{days}_days", "at": clock.now - timedelta(days=days)}
        await session.execute(insert(Decision).values(late))


async def test_decisions_that_lie_far_behind_the_newest_segment_are_replayed_too(world: World, clock: Clock) -> None:
    await traffic(world, clock, 3)
    assert await archive(world, 3)
    for days in (3, 400):
        await dated(world, (await decided(world))[-1], clock, days)
    assert sorted(found(world, await gathered(world, EVERYTHING))) == sorted(await decided(world))
    recent = await gathered(world, Span(since=clock.now - timedelta(days=9)))
    assert "dec_3_days" in found(world, recent)
    assert "dec_400_days" not in found(world, recent)


async def test_what_lies_far_behind_is_archived_once_it_fills_a_segment(world: World, clock: Clock) -> None:
    await traffic(world, clock, 4)
    while await archive(world, 2):
        pass
    left = len((await gathered(world, EVERYTHING)).tail)
    for days in (3, 4):
        await dated(world, (await decided(world))[-1], clock, days)
    assert await archive(world, 2)
    past = await gathered(world, EVERYTHING)
    assert len(past.tail) == left
    assert sorted(found(world, past)) == sorted(await decided(world))


async def test_a_segments_worth_of_unreadable_decisions_does_not_stop_archiving(world: World, clock: Clock) -> None:
    await traffic(world, clock, 6)
    bad = (await decided(world))[:2]
    async with write(world.database.sessions) as session:
        await session.execute(update(Decision).where(Decision.id.in_(bad)).values(facts={"order.total": "from another age"}))
    assert await archive(world, 2)
    past = await gathered(world, EVERYTHING)
    assert len(past.segments) == 1
    assert {item.decision for item in past.unreadable} == set(bad)
    assert sorted(found(world, past)) == sorted(set(await decided(world)) - set(bad))


async def test_only_one_process_archives_at_a_time(world: World, clock: Clock) -> None:
    await traffic(world, clock, 3)
    async with write(world.database.sessions) as session:
        await session.execute(select(func.pg_advisory_xact_lock(7_041_999)))
        assert not await archive(world, 1)
    assert await archive(world, 1)


async def test_a_span_leaves_out_segments_that_lie_outside(world: World, clock: Clock) -> None:
    await traffic(world, clock, 2)
    assert await archive(world, 2)
    clock.forward(days=2)
    await traffic_more(world, clock)
    assert (await gathered(world, Span(since=clock.now - timedelta(hours=1)))).segments == ()
    assert len((await gathered(world, Span(until=clock.now - timedelta(days=1)))).segments) == 1
    async with world.database.sessions() as session:
        assert (await session.execute(select(func.count()).select_from(RulingSegment))).scalar_one() == 1
