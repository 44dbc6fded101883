"""`Idempotency-Key`: a request that is repeated is answered again, not carried out again.

A key belongs to one principal and one path for RETENTION. Refusals free the key: nothing was done that could be repeated.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.database import Sessions, write
from app.errors import IdempotencyConflict, IdempotencyInProgress, InputInvalid
from app.keys import Principal
from app.tables import IdempotentRequest
from app.world import World
from guardrails.facts import sha256_of

RETENTION = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=5)
"""A first request that has not ended by then died with its process: the next one may try."""

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of your own, up to 255 visible characters. The same key and body within 24 hours is answered from the first "
        "answer, with `Idempotency-Replayed: true`.",
    ),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. `body` is plain JSON."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


Act = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Marked:
    """What an Idempotency-Key belongs to."""

    principal: str
    path: str
    key: str


def fingerprint(body: BaseModel, *also: object) -> str:
    """sha256 of what is asked for; layout and the order of names do not count."""
    return sha256_of([body.model_dump(mode="json"), *also])


async def once(world: World, request: Request, who: Principal, key: str | None, asked: str, act: Act) -> Answer:
    """Carry out `act` unless this key has been answered before. `asked` is the request's fingerprint.

    Raises IdempotencyConflict, IdempotencyInProgress, InputInvalid for an unusable key, and what `act` raises."""
    if key is None:
        return await act()
    mine = _mark(request, who, key)
    sessions = world.database.sessions
    earlier = await _begin(sessions, mine, asked, world.clock())
    if earlier is not None:
        return earlier
    try:
        answer = await act()
    except BaseException:
        await _forget(sessions, mine)
        raise
    await _store(sessions, mine, answer)
    return answer


async def keep(world: World, request: Request, who: Principal, key: str | None, answer: Answer) -> None:
    """A better answer has come for a request that `once` has answered: a repetition gets this one."""
    if key is not None:
        await _store(world.database.sessions, _mark(request, who, key), answer)


def _mark(request: Request, who: Principal, key: str) -> Marked:
    return Marked(f"{who.actor.kind}:{who.actor.id}", request.url.path, plain_key(key))


def plain_key(key: str) -> str:
    """The key, with or without the quotes of a structured header."""
    bare = key.strip().removeprefix('"').removesuffix('"')
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", bare):
        raise InputInvalid([("/header/Idempotency-Key", "must be 1 to 255 visible ASCII characters without spaces")])
    return bare


async def _begin(sessions: Sessions, mine: Marked, asked: str, now: datetime) -> Answer | None:
    """Mark the key as being worked on; or the answer that it already has."""
    async with write(sessions) as session:
        over = or_(
            IdempotentRequest.created_at < now - RETENTION,
            IdempotentRequest.status.is_(None) & (IdempotentRequest.created_at < now - ABANDONED_AFTER),
        )
        await session.execute(delete(IdempotentRequest).where(IdempotentRequest.principal == mine.principal, over))
        values = {"principal": mine.principal, "path": mine.path, "key": mine.key, "request_sha256": asked, "created_at": now}
        taken = insert(IdempotentRequest).values(**values).on_conflict_do_nothing().returning(IdempotentRequest.key)
        if (await session.execute(taken)).scalar_one_or_none() is not None:
            return None
        row = (await session.execute(select(IdempotentRequest).where(*_is(mine)))).scalar_one_or_none()
    if row is None:
        raise IdempotencyInProgress("The first request with this Idempotency-Key has just ended; repeat this one.")
    if row.request_sha256 != asked:
        raise IdempotencyConflict("This Idempotency-Key was used for another body; take a new key for a new request.")
    if row.status is None or row.body is None:
        raise IdempotencyInProgress("The first request with this Idempotency-Key is still running; repeat this one in a second.")
    return Answer(row.status, row.body, replayed=True)


async def _store(sessions: Sessions, mine: Marked, answer: Answer) -> None:
    async with write(sessions) as session:
        await session.execute(update(IdempotentRequest).where(*_is(mine)).values(status=answer.status, body=answer.body))


async def _forget(sessions: Sessions, mine: Marked) -> None:
    async with write(sessions) as session:
        await session.execute(delete(IdempotentRequest).where(*_is(mine), IdempotentRequest.status.is_(None)))


def _is(mine: Marked) -> tuple[Any, ...]:
    return (
        IdempotentRequest.principal == mine.principal,
        IdempotentRequest.path == mine.path,
        IdempotentRequest.key == mine.key,
    )
