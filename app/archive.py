"""Rulings in columnar form: full segments in the database, and what is not yet archived encoded when somebody asks.

A decision stands in at most one segment. One whose transaction ended late is found by looking back a day from the newest segment;
where that does not account for all of them, everything is looked through. Segments are derived: one that is damaged is dropped, and
its decisions are read again.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Row, Select, delete, exists, func, insert, or_, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import write
from app.past_rulings import Unreadable, not_archived, past, read_ruling
from app.tables import ArchivedRuling, Decision, RulingColumn, RulingSegment
from app.world import World
from guardrails.replay.recorded import RecordedRuling
from guardrails.replay.segment_bytes import unpack
from guardrails.replay.segment_writing import encode_segment
from guardrails.replay.segments import FORMAT, Segment, SegmentDamaged

FULL = 4_096
"""Rulings in one archived segment. What is not archived yet is read while a replay waits, about a thousand in a second."""
READ_AT_ONCE = 128
"""A page is parsed where requests are answered: a longer one keeps a switch that is being turned waiting."""
LOOK_BACK = timedelta(days=1)
"""No transaction that writes a decision stays open for so long."""
ARCHIVE_LOCK = 7_041_999
log = logging.getLogger("ordermend.archive")


@dataclass(frozen=True, slots=True)
class Span:
    """Rulings made from `since` on and before `until`; None is without an end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self) -> list[ColumnElement[bool]]:
        """As conditions on decisions."""
        after = [] if self.since is None else [Decision.at >= self.since]
        return [*after, *([] if self.until is None else [Decision.at < self.until])]

    def covers(self, first: datetime, last: datetime) -> bool:
        """Whether all that was made from `first` to `last` lies in it."""
        return (self.since is None or self.since <= first) and (self.until is None or last < self.until)


EVERYTHING = Span()


@dataclass(frozen=True, slots=True)
class Past:
    """What a replay reads. `segments` are the ids of archived ones, `tail` the columns of what is not archived yet."""

    segments: tuple[int, ...]
    tail: tuple[Mapping[str, bytes], ...]
    decisions: int
    """How many there are in the span, readable or not."""
    unreadable: tuple[Unreadable, ...]


class ArchiveDamaged(Exception):
    """Bytes of the archive are not as they were written. `segment` was being read."""

    def __init__(self, segment: int, told: str) -> None:
        super().__init__(told)
        self.segment = segment


async def archive(world: World, full: int = FULL) -> bool:
    """Write one segment, if there are enough rulings to fill it. One process at a time does it."""
    async with write(world.database.sessions) as session:
        mine = await session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ARCHIVE_LOCK})
        # what a wrong clock dates ahead waits until then: after a segment that ends in the future nothing would be looked for
        by_now = Decision.at <= world.clock()
        where = await _enough(session, full, by_now) if mine.scalar_one() else None
        if where is None:
            return False
        rulings = await _readable(session, past(not_archived(), by_now, *where), full)
        if len(rulings) < full:
            return False
        await _keep(session, rulings, await asyncio.to_thread(encode_segment, rulings))
    return True


async def _enough(session: AsyncSession, full: int, by_now: ColumnElement[bool]) -> list[ColumnElement[bool]] | None:
    """Where a segment's worth of decisions waits; None where there are not so many. Counted from the newest segment on, those that
    came late are taken along; else by the difference of all, which finds what a dropped segment or a slow clock left behind."""
    newest = (await session.execute(select(func.max(RulingSegment.last_at)))).scalar_one_or_none()
    later = select(Decision.id).where(by_now, *([] if newest is None else [Decision.at > newest]))
    if (await session.execute(select(func.count()).select_from(later.limit(full).subquery()))).scalar_one() >= full:
        return await _since_last(session)
    archived = (await session.execute(select(func.coalesce(func.sum(RulingSegment.size), 0)))).scalar_one()
    return [] if await _count(session, by_now) - archived >= full else None


async def _count(session: AsyncSession, *where: ColumnElement[bool]) -> int:
    return (await session.execute(select(func.count()).select_from(Decision).where(*where))).scalar_one()


async def _readable(session: AsyncSession, query: Select[Any], full: int) -> list[RecordedRuling]:
    """The first that can be read, at most `full`: those that cannot are passed over and hold nobody up."""
    found: list[RecordedRuling] = []
    async with aclosing(_read(session, query)) as items:
        async for item in items:
            if isinstance(item, RecordedRuling):
                found.append(item)
            if len(found) == full:
                break
    return found


async def _since_last(session: AsyncSession) -> list[ColumnElement[bool]]:
    """Where what is not archived can still lie."""
    newest = (await session.execute(select(func.max(RulingSegment.last_at)))).scalar_one_or_none()
    return [] if newest is None else [Decision.at >= newest - LOOK_BACK]


async def _read(session: AsyncSession, query: Select[Any]) -> AsyncGenerator[RecordedRuling | Unreadable, None]:
    """A page at a time, so that the JSON of a whole segment is never in memory at once."""
    rows = await session.stream(query.execution_options(yield_per=READ_AT_ONCE))
    try:
        async for page in rows.partitions(READ_AT_ONCE):
            for item in await asyncio.to_thread(_read_all, page):
                yield item
    finally:
        await rows.close()


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


async def gathered(world: World, span: Span, full: int = FULL, without: Collection[int] = ()) -> Past:
    """All that a replay over this span reads, as of one moment. Decisions of the segments `without` are read as if not archived."""
    async with world.database.sessions() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        overlapping = select(RulingSegment).where(*_overlapping(span)).order_by(RulingSegment.first_at, RulingSegment.id)
        segments = [row for row in (await session.execute(overlapping)).scalars() if row.id not in without]
        decisions = await _count(session, *span.holds())
        waiting = [_waiting(without), *span.holds()]
        near = await _since_last(session)
        if await _count(session, *waiting, *near) == decisions - await _archived(session, span, segments):
            waiting += near
        tail, unreadable, batch = [], [], []
        async for item in _read(session, past(*waiting)):
            if isinstance(item, Unreadable):
                unreadable.append(item)
                continue
            batch.append(item)
            if len(batch) == full:
                tail.append(await asyncio.to_thread(encode_segment, batch))
                batch = []
        if batch:
            tail.append(await asyncio.to_thread(encode_segment, batch))
    return Past(tuple(segment.id for segment in segments), tuple(tail), decisions, tuple(unreadable))


def _waiting(without: Collection[int]) -> ColumnElement[bool]:
    if not without:
        return not_archived()
    dropped = exists().where(ArchivedRuling.decision_id == Decision.id, ArchivedRuling.segment_id.in_(without))
    return or_(not_archived(), dropped)


async def _archived(session: AsyncSession, span: Span, segments: Sequence[RulingSegment]) -> int:
    """How many decisions of the span these segments hold. Only those that reach beyond the span are counted one by one."""
    inside = sum(segment.size for segment in segments if span.covers(segment.first_at, segment.last_at))
    partly = [segment.id for segment in segments if not span.covers(segment.first_at, segment.last_at)]
    if not partly:
        return inside
    places = select(ArchivedRuling.decision_id).where(ArchivedRuling.segment_id.in_(partly))
    return inside + await _count(session, Decision.id.in_(places), *span.holds())


def _overlapping(span: Span) -> list[ColumnElement[bool]]:
    after = [] if span.since is None else [RulingSegment.last_at >= span.since]
    return [*after, *([] if span.until is None else [RulingSegment.first_at < span.until])]


@contextmanager
def opened(url: str, found: Past) -> Iterator[Iterator[Segment]]:
    """The segments one after another, for a thread of its own. Raises ArchiveDamaged for what goes wrong while one is read."""
    reading: list[int] = []
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            yield _segments(connection, found, reading)
        except SegmentDamaged as error:
            if not reading:
                raise
            raise ArchiveDamaged(reading[-1], str(error)) from error


def _segments(connection: psycopg.Connection, found: Past, reading: list[int]) -> Iterator[Segment]:
    for number in found.segments:
        reading.append(number)
        yield Segment(_columns(connection, number))
    for columns in found.tail:
        yield Segment(columns)


def _columns(connection: psycopg.Connection, segment: int) -> dict[str, bytes]:
    """All of them in one answer: together they are a few megabytes, and asking for each would take longer than reading it."""
    with connection.cursor(binary=True) as cursor:
        return dict(cursor.execute("SELECT name, data FROM ruling_columns WHERE segment_id = %s", (segment,)).fetchall())


# --- what is damaged ---


def damaged_in(url: str, found: Past, first: ArchiveDamaged) -> dict[int, str]:
    """Every segment with a column that is not as it was written, and why; `first` is known already. All at once, since a replay
    would come upon one at a time."""
    told = {first.segment: str(first)}
    with psycopg.connect(url, autocommit=True) as connection:
        for number in found.segments:
            columns = _columns(connection, number)
            try:
                for name in sorted({"segment", *Segment(columns).names}):
                    unpack(columns.get(name, b""), name)
            except SegmentDamaged as error:
                told.setdefault(number, str(error))
    return told


async def drop(world: World, damaged: Mapping[int, str]) -> bool:
    """Their decisions count as not archived from then on, and are archived again. False where this process may not write now."""
    for number, why in damaged.items():
        log.warning("segment %s of the archive is damaged (%s); its rulings are read from the decisions again", number, why)
    try:
        async with write(world.database.sessions) as session:
            mine = select(RulingSegment.id).where(RulingSegment.id.in_(damaged)).order_by(RulingSegment.id)
            await session.execute(mine.with_for_update())
            await session.execute(delete(RulingColumn).where(RulingColumn.segment_id.in_(damaged)))
            await session.execute(delete(ArchivedRuling).where(ArchivedRuling.segment_id.in_(damaged)))
            await session.execute(delete(RulingSegment).where(RulingSegment.id.in_(damaged)))
    except DBAPIError as error:
        log.warning("damaged segments could not be dropped now: %s", type(error.orig).__name__)
        return False
    return True
