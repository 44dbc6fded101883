"""The durable inbox. A delivery is answered only after the transaction that holds it has committed.

One batch is in flight; the next forms meanwhile, so that many deliveries share one commit. A row that the database refuses
fails alone: the batch is then stored row by row.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import trail
from app.database import is_away, write
from app.errors import DatabaseUnavailable
from app.ids import new_id
from app.signals import reading
from app.signals.shapes import Delivery, FieldsInvalid, ParsedSignal, Source
from app.store import plain_observations
from app.tables import Signal, SignalState, storable, storable_bytes
from app.world import World

log = logging.getLogger("ordermend.inbox")

BATCH = 200
LONGEST_ID = 200
"""Characters. An index takes no entry of more than a third of a page, and a longer id is no id of any vendor."""
MOST_IDENTIFIERS = 500
"""Of one signal, the most telling first; an order of more lines than that is found by its other ids."""
SECRET_HEADERS = ("authorization", "cookie", "signature", "hmac", "secret", "token")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The stored signal. `duplicate`: this delivery or event was already there, and this is its first id."""

    signal_id: str
    duplicate: bool


@dataclass(slots=True)
class _Waiting:
    row: dict[str, Any]
    answer: "asyncio.Future[Accepted]"


class Inbox:
    """Use `inbox_for(world)`: it starts and stops the writer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._news = asyncio.Event()

    async def accept(self, source: Source, deliveries: Sequence[Delivery], raw: bytes, received_at: datetime) -> list[Accepted]:
        """Store the events and return their ids once they are durable.

        Raises FieldsInvalid when one of them has fields of the wrong type (nothing is stored then), DatabaseUnavailable
        when the database does not take them."""
        rows = []
        for delivery in deliveries:
            body = raw if len(deliveries) == 1 else storable_bytes(delivery.payload)
            rows.append(signal_row(source, delivery, body, received_at))
        return list(await asyncio.gather(*(self._store(row) for row in rows)))

    async def bury(self, source: Source, headers: Mapping[str, str], raw: bytes, received_at: datetime, why: str) -> str:
        """Keep a verified delivery that cannot be read in the dead letter; the signal's id. Sent again, it is the same one.

        Raises DatabaseUnavailable. It is rare, so it has a transaction of its own, which holds its trail entry, too."""
        digest = hashlib.sha256(raw).hexdigest()
        mark = f"unreadable:{digest}"
        delivery = Delivery(dict(headers), {}, mark, mark, "unreadable")
        row = _row(source, delivery, raw, None, received_at) | {"state": SignalState.DEAD, "error": why}
        try:
            async with write(self._world.database.sessions) as session:
                (accepted,) = await _insert(session, [row])
                if not accepted.duplicate:
                    body = {"signal_id": accepted.signal_id, "source": source, "why": why, "body_sha256": digest}
                    await trail.append(session, received_at, [trail.Entry(trail.Event.SIGNAL_DEAD_LETTERED, source, body)])
        except Exception as error:
            if is_away(error):
                raise _unavailable(error) from error
            raise
        return accepted.signal_id

    async def run(self) -> None:
        """Write batches until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._write(batch)

    async def tell(self) -> None:
        """Nudge the reader once for all that was stored meanwhile, beside the writer: the next batch does not wait for it."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._world.nudge("read_signals", "")
            except Exception:
                log.exception("nudge failed; the sweep will find the signals")

    async def _store(self, row: dict[str, Any]) -> Accepted:
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(row, answer))
        return await answer

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            async with write(self._world.database.sessions) as session:
                answers = await _insert(session, [w.row for w in batch])
        except Exception as error:
            if is_away(error):
                _fail(batch, _unavailable(error))
            elif len(batch) == 1:
                _fail(batch, error)
            else:
                for single in batch:
                    await self._write([single])
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        if any(not answer.duplicate for answer in answers):
            self._news.set()


@asynccontextmanager
async def inbox_for(world: World) -> AsyncIterator[Inbox]:
    inbox = Inbox(world)
    tasks = [asyncio.create_task(inbox.run(), name="inbox"), asyncio.create_task(inbox.tell(), name="inbox-news")]
    try:
        yield inbox
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(source: Source, delivery: Delivery, received_at: datetime) -> ParsedSignal | None:
    """What the signal says; None when the parser itself fails, which must not cost us the delivery: the reader tries again
    and moves it to the dead letter if that goes on."""
    try:
        return reading.parse(source, delivery.headers, delivery.payload, received_at)
    except FieldsInvalid:
        raise
    except Exception:
        return None


def signal_row(source: Source, delivery: Delivery, body: bytes, received_at: datetime) -> dict[str, Any]:
    """The row of a readable signal. Raises FieldsInvalid when its fields have the wrong type."""
    return _row(source, delivery, body, _read(source, delivery, received_at), received_at)


def _row(source: Source, delivery: Delivery, body: bytes, parsed: ParsedSignal | None, received_at: datetime) -> dict[str, Any]:
    return {
        "id": new_id("sig", received_at),
        "source": source,
        "delivery_id": _short(delivery.delivery_id),
        "event_id": _short(delivery.event_id),
        "topic": parsed.topic if parsed else delivery.topic,
        "headers": {n: v for n, v in delivery.headers.items() if not any(s in n.lower() for s in SECRET_HEADERS)},
        "body": body,
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "received_at": received_at,
        "occurred_at": parsed.occurred_at if parsed else None,
        "order_ref": parsed.order_ref if parsed else None,
        "identifiers": fitting(parsed.identifiers) if parsed else [],
        "observations": plain_observations(parsed) if parsed else None,
        "state": SignalState.UNMAPPED if parsed and not parsed.known else SignalState.RECEIVED,
        "error": None,
    }


def fitting(identifiers: Sequence[str]) -> list[str]:
    """Those that fit the index, as they are stored."""
    found: list[str] = storable([i for i in identifiers if len(i) <= LONGEST_ID])
    return found[:MOST_IDENTIFIERS]


def _short(identifier: str) -> str:
    """An id of a vendor as it is; one that no index takes by its digest, which is just as unique."""
    if len(identifier) <= LONGEST_ID:
        return identifier
    return "sha256:" + hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()


async def _insert(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> list[Accepted]:
    """The answers in the order of the rows. Rows go in sorted, so that two processes with the same ids do not wait for each
    other in a circle."""
    ordered = sorted(rows, key=lambda row: (row["source"], row["delivery_id"], row["event_id"]))
    inserted = await session.execute(insert(Signal).values(ordered).on_conflict_do_nothing().returning(Signal.id))
    new = set(inserted.scalars())
    answers = {r["id"]: Accepted(r["id"], False) if r["id"] in new else await _count_duplicate(session, r) for r in ordered}
    return [answers[row["id"]] for row in rows]


async def _count_duplicate(session: AsyncSession, row: dict[str, Any]) -> Accepted:
    same = or_(Signal.delivery_id == row["delivery_id"], Signal.event_id == row["event_id"])
    first = (await session.execute(select(Signal.id).where(Signal.source == row["source"], same).limit(1))).scalar_one()
    await session.execute(update(Signal).where(Signal.id == first).values(duplicates=Signal.duplicates + 1))
    return Accepted(first, True)


def _unavailable(error: Exception) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"The database does not answer ({type(error).__name__}); send the signal again.")


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
