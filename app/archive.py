"""Rulings in columnar form: full segments in the database, and what is not yet archived encoded when somebody asks.

A decision stands in at most one segment. One whose transaction ended late is found by looking back a day from the newest segment.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Row, Select, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import write
from app.past_rulings import Unreadable, not_archived, past, read_ruling
from app.tables import ArchivedRuling, Decision, RulingColumn, RulingSegment
from app.world import World
from guardrails.recorded import RecordedRuling
from guardrails.segment_writing import encode_segment
from guardrails.segments import FORMAT, Segment

FULL = 16_384
"""Rulings in one archived segment."""
READ_AT_ONCE = 1_024
LOOK_BACK = timedelta(days=1)
"""No transaction that writes a decision stays open for so long."""
ARCHIVE_LOCK = 7_041_999


@dataclass(frozen=True, slots=True)
class Span:
    """Rulings made from `since` on and before `until`; None is without an end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self) -> list[ColumnElement[bool]]:
        """As conditions on decisions."""
        after = [] if self.since is None else [Decision.at >= self.since]
        return [*after, *([] if self.until is None else [Decision.at < self.until])]


EVERYTHING = Span()


@dataclass(frozen=True, slots=True)
class Past:
    """What a replay reads. `segments` are the ids of archived ones, `tail` the columns of what is not archived yet."""

    segments: tuple[int, ...]
    tail: tuple[Mapping[str, bytes], ...]
    decisions: int
    """How many there are in the span, readable or not."""
    unreadable: tuple[Unreadable, ...]


async def archive(world: World, full: int = FULL) -> bool:
    """Write one segment, if there are enough rulings to fill it. One process at a time does it."""
    async with write(world.database.sessions) as session:
        mine = await session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ARCHIVE_LOCK})
        if not mine.scalar_one() or not await _enough(session, full):
            return False
        waiting = past(not_archived(), *await _since_last(session)).limit(full)
        rulings = [item async for item in _read(session, waiting) if isinstance(item, RecordedRuling)]
        if not rulings:
            return False
        await _keep(session, rulings, await asyncio.to_thread(encode_segment, rulings))
    return True


async def _enough(session: AsyncSession, full: int) -> bool:
    """Counted from the newest segment on, which an index answers; those that came late are taken along."""
    newest = (await session.execute(select(func.max(RulingSegment.last_at)))).scalar_one_or_none()
    later = select(Decision.id) if newest is None else select(Decision.id).where(Decision.at > newest)
    return (await session.execute(select(func.count()).select_from(later.limit(full).subquery()))).scalar_one() >= full


async def _since_last(session: AsyncSession) -> list[ColumnElement[bool]]:
    """Where what is not archived can still lie."""
    newest = (await session.execute(select(func.max(RulingSegment.last_at)))).scalar_one_or_none()
    return [] if newest is None else [Decision.at >= newest - LOOK_BACK]


async def _read(session: AsyncSession, query: Select[Any]) -> AsyncIterator[RecordedRuling | Unreadable]:
    """A page at a time, so that the JSON of a whole segment is never in memory at once."""
    rows = await session.stream(query.execution_options(yield_per=READ_AT_ONCE))
    async for page in rows.partitions(READ_AT_ONCE):
        for item in await asyncio.to_thread(_read_all, page):
            yield item


def _read_all(rows: Sequence[Row[Any]]) -> list[RecordedRuling | Unreadable]:
    return [read_ruling(row) for row in rows]


async def _keep(session: AsyncSession, rulings: Sequence[RecordedRuling], columns: Mapping[str, bytes]) -> None:
    moments = [ruling.at for ruling in rulings]
    segment = RulingSegment(size=len(rulings), first_at=min(moments), last_at=max(moments), format=FORMAT)
    session.add(segment)
    await session.flush()
    told = [{"segment_id": segment.id, "name": name, "data": data} for name, data in columns.items()]
    await session.execute(insert(RulingColumn), told)
    places = [{"decision_id": ruling.decision, "segment_id": segment.id, "row": row} for row, ruling in enumerate(rulings)]
    await session.execute(insert(ArchivedRuling), places)


# --- reading ---


async def gathered(world: World, span: Span, full: int = FULL) -> Past:
    """All that a replay over this span reads, as of one moment."""
    async with world.database.sessions() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        segments = select(RulingSegment.id).where(*_overlapping(span)).order_by(RulingSegment.first_at, RulingSegment.id)
        ids = tuple((await session.execute(segments)).scalars())
        decisions = (await session.execute(select(func.count()).select_from(Decision).where(*span.holds()))).scalar_one()
        tail, unreadable, batch = [], [], []
        waiting = past(not_archived(), *span.holds(), *await _since_last(session))
        async for item in _read(session, waiting):
            if isinstance(item, Unreadable):
                unreadable.append(item)
                continue
            batch.append(item)
            if len(batch) == full:
                tail.append(await asyncio.to_thread(encode_segment, batch))
                batch = []
        if batch:
            tail.append(await asyncio.to_thread(encode_segment, batch))
    return Past(ids, tuple(tail), decisions, tuple(unreadable))


def _overlapping(span: Span) -> list[ColumnElement[bool]]:
    after = [] if span.since is None else [RulingSegment.last_at >= span.since]
    return [*after, *([] if span.until is None else [RulingSegment.first_at < span.until])]


@contextmanager
def opened(url: str, found: Past) -> Iterator[Iterator[Segment]]:
    """The segments one after another, for a thread of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield _segments(connection, found)


def _segments(connection: psycopg.Connection, found: Past) -> Iterator[Segment]:
    for number in found.segments:
        yield Segment(_columns(connection, number))
    for columns in found.tail:
        yield Segment(columns)


def _columns(connection: psycopg.Connection, segment: int) -> dict[str, bytes]:
    """All of them in one answer: together they are a few megabytes, and asking for each would take longer than reading it."""
    with connection.cursor(binary=True) as cursor:
        return dict(cursor.execute("SELECT name, data FROM ruling_columns WHERE segment_id = %s", (segment,)).fetchall())
