"""From the inbox to the orders: every stored signal is read, joined to its order, or kept where it can be found."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import store, trail
from app.cases import unite_cases
from app.database import is_away, write
from app.inbox import LONGEST_ID, fitting
from app.linking import Holders, Link, names_an_order, resolve
from app.signals import reading
from app.signals.shapes import Envelope, FieldsInvalid, ParsedSignal, SignalRefused, Source
from app.tables import Case, Order, Signal, SignalState
from app.trail import Entry, Event
from app.world import World

BATCH = 100
FIRST_RETRY = timedelta(seconds=2)
_DESCRIBES = {"order.customer": "customer", "order.channel_order_id": "channel_order", "order.ref": "ref"}


async def read_signals(world: World) -> list[str]:
    """Read everything that waits. The ids of the orders on which a look is now due."""
    touched: dict[str, None] = {}
    while True:
        count, orders = await _read_batch(world)
        touched.update(dict.fromkeys(orders))
        if not count:  # a short batch may have woken signals that waited for its identifiers
            return list(touched)


async def _read_batch(world: World) -> tuple[int, list[str]]:
    """One transaction: what it joined and what it wrote to the trail become visible together."""
    async with write(world.database.sessions) as session:
        await store.take_reader_lock(session)
        now = world.clock()
        signals = await store.waiting_signals(session, now, BATCH)
        holders = await store.holders_of(session, {i for s in signals for i in s.identifiers})
        orders: list[str] = []
        entries: list[Entry] = []
        for signal in signals:
            told, learnt = list[Entry](), holders.copy()
            try:
                async with session.begin_nested():
                    joined = await _read_one(session, signal, learnt, now, told)
                holders, orders, entries = learnt, orders + joined, entries + told
            except Exception as error:
                if is_away(error):
                    raise
                await session.refresh(signal)
                entries += _put_back(signal, error, now, world.settings.signal_max_attempts)
        await session.flush()
        await trail.append(session, now, entries)
    return len(signals), orders


async def _read_one(session: AsyncSession, signal: Signal, holders: Holders, now: datetime, entries: list[Entry]) -> list[str]:
    """Join one signal. Raises what the parser raises; the savepoint then undoes all of it, and `holders` is thrown away."""
    if signal.observations is None:
        parsed = reread(signal)
        signal.topic, signal.occurred_at, signal.order_ref = parsed.topic, parsed.occurred_at, parsed.order_ref
        signal.identifiers, signal.observations = fitting(parsed.identifiers), list(store.plain_observations(parsed))
        if not parsed.known:
            signal.state = SignalState.UNMAPPED
            entries.append(_entry(Event.SIGNAL_UNMAPPED, signal, None))
            return []
        holders.learn(await store.holders_of(session, signal.identifiers))
    link = resolve(signal.identifiers, holders.known, holders.names)
    orders = await _orders_for(session, signal, link, holders, now, entries)
    if not orders:
        signal.state = SignalState.UNLINKED
        entries.append(_entry(Event.SIGNAL_ACCEPTED, signal, None))
        return []
    signal.state, signal.error, signal.retry_at = SignalState.LINKED, None, None
    own = signal.identifiers if len(orders) == 1 else []
    fresh = [i for i in own if i not in holders.known]
    for order_id in orders:
        await store.join_signal(session, signal.id, order_id, own, now)
        entries.append(_entry(Event.SIGNAL_ACCEPTED, signal, order_id))
    if own:
        holders.join(orders[0], own)
        await _describe(session, orders[0], signal)
    if fresh:
        await store.wake_unlinked(session, fresh)
    return orders


async def _orders_for(
    session: AsyncSession,
    signal: Signal,
    link: Link,
    holders: Holders,
    now: datetime,
    entries: list[Entry],
) -> list[str]:
    if link.opens:
        ref = signal.order_ref or next(i for i in signal.identifiers if names_an_order(i)).removeprefix("order:")
        return [await store.open_order(session, ref[:LONGEST_ID], now)]
    if not link.merge:
        return list(link.orders)
    keep, *others = link.orders
    await unite_cases(session, keep, others, now, entries)
    await store.merge_orders(session, keep, others)
    holders.merge(keep, others)
    entries.append(Entry(Event.ORDERS_MERGED, "reader", {"kept": keep, "merged": others, "signal_id": signal.id}, order_id=keep))
    return [keep]


def reread(signal: Signal) -> ParsedSignal:
    """Parse the stored body again, as it came. Raises what the parser raises."""
    source = Source(signal.source)
    headers = {str(k): str(v) for k, v in signal.headers.items()}
    (delivery,) = reading.open_body(Envelope(source, headers, signal.body, signal.received_at))
    return reading.parse(source, delivery.headers, delivery.payload, signal.received_at)


def _put_back(signal: Signal, error: Exception, now: datetime, max_attempts: int) -> list[Entry]:
    """Try again later, a few times; then the dead letter. What a parser refuses outright will not get better by waiting."""
    signal.attempts += 1
    signal.error = f"{type(error).__name__}: {error}"[:2000]
    if signal.attempts < max_attempts and not isinstance(error, (FieldsInvalid, SignalRefused)):
        signal.retry_at = now + FIRST_RETRY * 2 ** (signal.attempts - 1)
        return []
    signal.state = SignalState.DEAD
    return [_entry(Event.SIGNAL_DEAD_LETTERED, signal, None)]


async def _describe(session: AsyncSession, order_id: str, signal: Signal) -> None:
    """Keep what other orders of the same buyer, or of the same channel order, are found by."""
    said: dict[str, Any] = {o["field"]: o["value"] for o in signal.observations or ()}
    values: dict[str, Any] = {}
    for name, column in _DESCRIBES.items():
        if isinstance(said.get(name), str) and 0 < len(said[name]) <= LONGEST_ID:
            values[column] = said[name]
    placed = _moment(said.get("order.placed_at", said.get("order.imported_at")))
    if placed is not None:
        values["placed_at"] = placed
    if values:
        described = update(Order).where(Order.id == order_id).values(values)
        await session.execute(described.execution_options(synchronize_session=False))
    if "ref" in values:
        await session.execute(update(Case).where(Case.order_id == order_id).values(order_ref=values["ref"]))


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _entry(event: Event, signal: Signal, order_id: str | None) -> Entry:
    body = {
        "signal_id": signal.id,
        "source": signal.source,
        "topic": signal.topic,
        "delivery_id": signal.delivery_id,
        "event_id": signal.event_id,
        "body_sha256": signal.body_sha256,
        "state": signal.state,
        "error": signal.error,
    }
    return Entry(event, signal.source, body, order_id=order_id)


async def waiting(session: AsyncSession) -> int:
    """How many signals are still to be read."""
    query = select(func.count()).select_from(Signal).where(Signal.state == SignalState.RECEIVED)
    return (await session.execute(query)).scalar_one()
