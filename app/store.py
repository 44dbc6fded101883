"""The queries of the write side. Each is named for what it answers; none commits."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, DateTime, Select, Text, any_, delete, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.context import OrderContext, SignalSummary, build_context
from app.errors import NotFound
from app.ids import new_id
from app.linking import NAMES, ORDER_GID, Holders, is_shared, order_identifier
from app.related import marks_of, related_orders
from app.signals.shapes import Observation, ParsedSignal
from app.tables import (
    CLOSED,
    ActionRow,
    ActionState,
    Case,
    CaseState,
    Decision,
    Order,
    OrderLink,
    Signal,
    SignalOrder,
    SignalState,
)
from app.world import World
from guardrails.facts import rfc3339
from guardrails.taxonomy import Action

_Row = TypeVar("_Row")
READER_LOCK = 7_041_997
RELATED_LIMIT = 20
FAN_OUT = 2_000
"""To how many open orders what is said of a shared thing, such as the stock of a SKU, is told at most."""


async def get_case(session: AsyncSession, case_id: str, *, lock: bool = False) -> Case:
    """The case; raises NotFound. With `lock` nobody else can change it until the transaction ends."""
    query = select(Case).where(Case.id == case_id)
    case = (await session.execute(_locking(query) if lock else query)).scalar_one_or_none()
    if case is None:
        raise NotFound(f"There is no case {case_id!r}.")
    return case


async def lock_order(session: AsyncSession, order_id: str) -> Order | None:
    """The order, for as long as the transaction runs; None when it was merged into another. Locks are taken in this order
    everywhere: order, case, action, end of the trail."""
    query = _locking(select(Order).where(Order.id == order_id))
    return (await session.execute(query)).scalar_one_or_none()


async def get_order(session: AsyncSession, order_id: str) -> Order:
    return (await session.execute(select(Order).where(Order.id == order_id))).scalar_one()


async def get_order_by_ref(session: AsyncSession, ref: str) -> Order:
    """By the storefront's name, with or without `#`; raises NotFound."""
    link = select(OrderLink.order_id).where(OrderLink.identifier == order_identifier(ref))
    order = (await session.execute(select(Order).where(Order.id.in_(link)))).scalars().first()
    if order is None:
        raise NotFound(f"No signal has named an order {ref!r}.")
    return order


async def get_decision(session: AsyncSession, decision_id: str) -> Decision:
    return (await session.execute(select(Decision).where(Decision.id == decision_id))).scalar_one()


async def get_action(session: AsyncSession, action_id: str, *, lock: bool = False) -> ActionRow:
    query = select(ActionRow).where(ActionRow.id == action_id)
    return (await session.execute(_locking(query) if lock else query)).scalar_one()


def _locking(query: Select[_Row]) -> Select[_Row]:
    """Locked, and as it is now: what the session has read before the lock is not believed."""
    return query.with_for_update().execution_options(populate_existing=True)


# --- the order's picture ---


async def signals_of(session: AsyncSession, order_id: str) -> list[SignalSummary]:
    """Every signal joined to the order, in order of receipt."""
    query = (
        select(Signal)
        .join(SignalOrder, SignalOrder.signal_id == Signal.id)
        .where(SignalOrder.order_id == order_id)
        .order_by(Signal.received_at, Signal.seq)
    )
    return [_summary(row) for row in (await session.execute(query)).scalars()]


async def newest_change(world: World, order_id: str) -> datetime | None:
    """The mark of the last signal that joined; None when the record is gone, merged into another. A look that asks for it
    before it gathers has seen everything up to this mark."""
    async with world.database.sessions() as session:
        return (await session.execute(select(Order.changed_at).where(Order.id == order_id))).scalar_one_or_none()


async def gather(world: World, order_id: str, now: datetime) -> OrderContext:
    """The order as all systems see it at `now`. What another of our processes has already received is never in the future."""
    window = world.detectors.duplicate_window
    async with world.database.sessions() as session:
        order = await get_order(session, order_id)
        signals = [*await signals_of(session, order_id), *await _left_holds(session, order_id, now)]
        now = max([now, *(signal.received_at for signal in signals)])
        mine = build_context(order.ref, signals, world.sources, now)
        others = [
            build_context(other.ref, await signals_of(session, other.id), world.sources, now)
            for other in await _look_alikes(session, order, window)
        ]
    related = related_orders(marks_of(mine), [marks_of(other) for other in others], window)
    return replace(mine, related=related) if related else mine


async def _left_holds(session: AsyncSession, order_id: str, now: datetime) -> list[SignalSummary]:
    """What our own ledger says of holds whose case is closed: one that still stands is ours to release, and nobody else tells."""
    kinds = (Action.HOLD_FULFILMENT.value, Action.RELEASE_OWN_HOLD.value)
    done = (
        select(ActionRow, Case.state)
        .join(Case, Case.id == ActionRow.case_id)
        .where(Case.order_id == order_id, ActionRow.action.in_(kinds), ActionRow.state == ActionState.DONE)
        .order_by(ActionRow.finished_at)
    )
    released: set[str] = set()
    rows = (await session.execute(done)).all()
    for row, _ in rows:
        if row.action == Action.RELEASE_OWN_HOLD:
            released.update((row.receipt or {}).get("handles", []))
    closed = [(row.receipt or {}).get("handle") for row, state in rows if row.action == Action.HOLD_FULFILMENT and state in CLOSED]
    if not closed:
        return []
    standing = next((handle for handle in closed if handle not in released), None)
    told = {"hold.ours": standing is not None, "hold.case_closed": True, "hold.handle": standing}
    seen = tuple(Observation(field, value, "ordermend", now) for field, value in told.items())
    return [SignalSummary("own-ledger", "ordermend", "hold.left", now, now, seen)]


async def _look_alikes(session: AsyncSession, order: Order, window: timedelta) -> Sequence[Order]:
    """Orders of the same buyer near in time, and of the same channel order; what counts is decided by `related_orders`."""
    same: list[ColumnElement[bool]] = []
    if order.customer is not None and order.placed_at is not None:
        near = Order.placed_at.between(order.placed_at - window, order.placed_at + window)
        same.append((Order.customer == order.customer) & near)
    if order.channel_order is not None:
        same.append(Order.channel_order == order.channel_order)
    if not same:
        return ()
    query = select(Order).where(or_(*same), Order.id != order.id).order_by(Order.placed_at.desc()).limit(RELATED_LIMIT)
    return (await session.execute(query)).scalars().all()


def _summary(row: Signal) -> SignalSummary:
    observations = tuple(
        Observation(o["field"], o["value"], o["system"], datetime.fromisoformat(o["at"]), o["entity"], o["pointer"])
        for o in row.observations or ()
    )
    return SignalSummary(row.id, row.source, row.topic, row.occurred_at or row.received_at, row.received_at, observations)


def plain_observations(parsed: ParsedSignal) -> list[dict[str, Any]]:
    """The stored form of what a signal states; `_summary` reads it back."""
    return [
        {
            "field": o.field,
            "value": o.value,
            "system": o.system,
            "at": rfc3339(o.occurred_at),
            "entity": o.entity,
            "pointer": o.pointer,
        }
        for o in parsed.observations
    ]


# --- joining signals to orders ---


async def take_reader_lock(session: AsyncSession) -> None:
    """One reader at a time, so that two signals of a new order cannot both open it. Held until the transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": READER_LOCK})


async def waiting_signals(session: AsyncSession, now: datetime, limit: int) -> list[Signal]:
    query = (
        select(Signal)
        .where(Signal.state == SignalState.RECEIVED, or_(Signal.retry_at.is_(None), Signal.retry_at <= now))
        .order_by(Signal.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.execute(query)).scalars())


async def holders_of(session: AsyncSession, identifiers: Iterable[str]) -> Holders:
    """Which orders hold which of these identifiers. What many orders share, such as a SKU, concerns only those still open to
    change, the newest first."""
    wanted = set(identifiers)
    links = select(OrderLink.identifier, OrderLink.order_id)
    own = links.where(_any_of(OrderLink.identifier, {i for i in wanted if not is_shared(i)}))
    still_open = or_(Order.looked_at.is_(None), Order.next_look_at.is_not(None))
    shared = links.join(Order).where(_any_of(OrderLink.identifier, {i for i in wanted if is_shared(i)}), still_open)
    found: dict[str, set[str]] = {}
    for identifier, order_id in await session.execute(own):
        found.setdefault(identifier, set()).add(order_id)
    is_name = or_(*(OrderLink.identifier.startswith(kind) for kind in NAMES))
    named = links.where(_any_of(OrderLink.order_id, set().union(*found.values())), is_name)
    names: dict[str, set[str]] = {}
    for identifier, order_id in await session.execute(named):
        names.setdefault(order_id, set()).add(identifier)
    for identifier, order_id in await session.execute(shared.order_by(Order.id.desc()).limit(FAN_OUT)):
        found.setdefault(identifier, set()).add(order_id)
    return Holders({i: frozenset(o) for i, o in found.items()}, {o: frozenset(i) for o, i in names.items()})


def _any_of(column: InstrumentedAttribute[str], values: Iterable[str]) -> ColumnElement[bool]:
    """As one array: a list of parameters ends at 65 535."""
    return column == any_(literal(sorted(values), ARRAY(Text)))


async def open_order(session: AsyncSession, ref: str, now: datetime) -> str:
    order_id = new_id("ord", now)
    session.add(Order(id=order_id, ref=ref, created_at=now, changed_at=now))
    await session.flush()
    return order_id


async def join_signal(session: AsyncSession, signal_id: str, order_id: str, identifiers: Iterable[str], now: datetime) -> None:
    """The signal belongs to the order, and so do the order's own identifiers that it carries."""
    await session.execute(insert(SignalOrder).values(signal_id=signal_id, order_id=order_id).on_conflict_do_nothing())
    links = [{"identifier": i, "order_id": order_id} for i in identifiers]
    if links:
        await session.execute(insert(OrderLink).values(links).on_conflict_do_nothing())
    await touch(session, order_id, now)


async def touch(session: AsyncSession, order_id: str, now: datetime) -> None:
    """A look is due. The mark always grows, even where clocks do not, so that no look can miss what it has not seen."""
    later = func.greatest(literal(now, DateTime(timezone=True)), Order.changed_at + timedelta(microseconds=1))
    changed = update(Order).where(Order.id == order_id).values(changed_at=later)
    await session.execute(changed.execution_options(synchronize_session=False))


async def merge_orders(session: AsyncSession, keep: str, others: Sequence[str]) -> None:
    """Several records turned out to be one order: all that they hold moves to the first, and they go. Their cases must have
    been moved before (`cases.unite`)."""
    kept = await session.get_one(Order, keep)
    gone = [await session.get_one(Order, other) for other in others]
    for table in (SignalOrder, OrderLink):
        rows = await session.execute(select(table).where(table.order_id.in_(others)))
        for row in rows.scalars().all():
            values = {c.key: getattr(row, c.key) for c in table.__table__.columns} | {"order_id": keep}
            await session.execute(insert(table).values(values).on_conflict_do_nothing())
        await session.execute(delete(table).where(table.order_id.in_(others)))
    for name in ("placed_at", "customer", "channel_order"):
        setattr(kept, name, next((v for o in (kept, *gone) if (v := getattr(o, name)) is not None), None))
    kept.ref = next((o.ref for o in (kept, *gone) if not o.ref.startswith(ORDER_GID)), kept.ref)
    await session.flush()
    await session.execute(delete(Order).where(Order.id.in_(others)))


async def wake_unlinked(session: AsyncSession, identifiers: Sequence[str]) -> int:
    """Signals that waited for one of these identifiers are read again. How many."""
    own = [i for i in identifiers if not is_shared(i)] or list(identifiers)
    result = await session.execute(
        update(Signal)
        .where(Signal.state == SignalState.UNLINKED, Signal.identifiers.overlap(own))
        .values(state=SignalState.RECEIVED)
        .returning(Signal.id)
    )
    return len(result.all())


# --- cases and work to do ---


async def cases_of(session: AsyncSession, order_id: str) -> list[Case]:
    """All cases of the order, oldest first, locked: one look at an order at a time."""
    query = select(Case).where(Case.order_id == order_id).order_by(Case.seq)
    return list((await session.execute(_locking(query))).scalars())


async def cases_with_actions(session: AsyncSession, order_id: str, states: Sequence[ActionState]) -> set[str]:
    """Cases of the order with an action in one of these states."""
    query = select(ActionRow.case_id).join(Case, Case.id == ActionRow.case_id).where(Case.order_id == order_id)
    return set((await session.execute(query.where(ActionRow.state.in_(states)))).scalars())


def orders_due(now: datetime, limit: int) -> Select[str]:
    """Orders on which a look is due: a signal joined since the last one, or time alone may have set off a detector."""
    due = or_(Order.looked_at.is_(None), Order.changed_at > Order.looked_at, Order.next_look_at <= now)
    return select(Order.id).where(due).order_by(Order.changed_at).limit(limit)


def live_actions(older_than: datetime, limit: int) -> Select[str]:
    """Actions that were intended or started a while ago and have no receipt."""
    live = ActionRow.state.in_((ActionState.INTENDED, ActionState.RUNNING))
    begun = func.coalesce(ActionRow.started_at, ActionRow.created_at)
    return select(ActionRow.id).where(live, begun < older_than).order_by(ActionRow.created_at).limit(limit)


async def work_left(session: AsyncSession) -> bool:
    """Whether anything that has arrived is still on its way to a verdict or a receipt."""
    query = select(
        select(Signal.id).where(Signal.state == SignalState.RECEIVED).exists()
        | select(Order.id).where(or_(Order.looked_at.is_(None), Order.changed_at > Order.looked_at)).exists()
        | select(Case.id).where(Case.state == CaseState.JUDGING).exists()
        | select(ActionRow.id).where(ActionRow.state.in_((ActionState.INTENDED, ActionState.RUNNING))).exists()
    )
    return bool((await session.execute(query)).scalar_one())


async def claim_ids(session: AsyncSession, signal: Signal, delivery_id: str, event_id: str) -> None:
    """Give a repaired signal its proper ids, unless another delivery of the same event has them: then it stays apart."""
    same = or_(Signal.delivery_id == delivery_id, Signal.event_id == event_id)
    taken = select(Signal.id).where(Signal.source == signal.source, same, Signal.id != signal.id).limit(1)
    if (await session.execute(taken)).scalar_one_or_none() is None:
        signal.delivery_id, signal.event_id = delivery_id, event_id


async def has_live_actions(session: AsyncSession, case_id: str) -> bool:
    """Whether something that the case was allowed has not ended yet."""
    live = ActionRow.state.in_((ActionState.INTENDED, ActionState.RUNNING))
    return bool(
        (await session.execute(select(select(ActionRow.id).where(ActionRow.case_id == case_id, live).exists()))).scalar_one()
    )
