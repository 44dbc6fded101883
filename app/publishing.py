"""Putting a policy in force or on trial: who, when, why, and what it would have changed, in one row and one trail entry."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, any_, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app import simulate
from app.database import CONNECTION_FAILURES, write
from app.errors import Denied, InputInvalid, PolicyNotPublished
from app.ids import new_id
from app.published import NoOverlay, PolicyText, current_row, judged_otherwise, on_trial, read_policy, revived, same_before
from app.simulate import Span
from app.switches import BEGINNINGS_LOCK
from app.tables import Order, PublishedPolicy
from app.trail import Entry, Event, append
from app.world import World
from guardrails.policy.load import Policy
from guardrails.policy.tables import Mode
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind

MAY_PUBLISH = frozenset(["lead", "admin"])
LONGEST_WHY = 4_000
NUDGED_AT_ONCE = 500
"""Of the cases to be judged again, so many are told to the queue right away; the sweep finds the others."""
START = "start"
log = logging.getLogger("ordermend.publishing")


@dataclass(frozen=True, slots=True)
class _Publication:
    policy: Policy
    written: PolicyText
    mode: Mode
    by: str
    why: str
    report: Mapping[str, Any] | None


async def publish(
    world: World,
    actor: Actor,
    written: PolicyText,
    mode: Mode,
    why: str,
    span: Span = simulate.EVERYTHING,
    no_overlay: NoOverlay = NoOverlay.NOT_SAID,
) -> PublishedPolicy:
    """Replay the past under it, then put it in force (or on trial) and end the one before.

    Raises Denied for anyone but a lead or an admin, PolicyInvalid for a text with mistakes, PolicyNotPublished where it is in force
    already, or another one was published meanwhile, or an overlay in force would end and nobody said so. Whatever is raised, nothing
    has changed."""
    may_publish(actor)
    policy = await asyncio.to_thread(read_policy, written)
    _check_why(why)
    async with world.database.sessions() as session:
        before = await current_row(session, Mode.ENFORCE)
        tried = await current_row(session, Mode.SHADOW)
    _not_the_same(policy, mode, before, tried)
    _no_overlay_forgotten(written, no_overlay, before)
    report = await simulate.simulate(world, policy, span=span, cases=simulate.CASES_ON_RECORD)
    publication = _Publication(policy, written, mode, actor.id, why.strip(), report)
    expected = {Mode.ENFORCE: before, Mode.SHADOW: tried}[mode]
    return await _put(world, publication, expected.id if expected else None)


def may_publish(actor: Actor) -> None:
    """Raises Denied for anyone but a lead or an admin in person."""
    if actor.kind is not PrincipalKind.PERSON:
        raise Denied(f"A {actor.kind} cannot publish a policy; only a person with the role lead or admin can.")
    if not actor.roles & MAY_PUBLISH:
        raise Denied(f"{actor.id} has neither the role lead nor admin, so cannot publish a policy.")


async def end_shadow(world: World, actor: Actor, why: str) -> PublishedPolicy:
    """Take the policy in shadow off trial. Raises Denied, and PolicyNotPublished where none is in shadow."""
    may_publish(actor)
    _check_why(why)
    now = world.clock()
    async with write(world.database.sessions) as session:
        await _one_at_a_time(session)
        row = await current_row(session, Mode.SHADOW)
        if row is None:
            raise PolicyNotPublished("No policy is in shadow, so there is none to end.")
        row.ended_at = now
        await session.flush()
        told = {"id": row.id, "sha256": row.sha256, "version": row.version, "mode": row.mode, "why": why.strip()}
        await append(session, now, [Entry(Event.POLICY_ENDED, actor.id, told)])
    return row


async def publish_at_start(world: World, written: PolicyText) -> None:
    """A policy file that was never published is published; one that is in force changes nothing; one that was ended stays ended."""
    async with world.database.sessions() as session:
        before = await current_row(session, Mode.ENFORCE)
        known = await same_before(session, written, world.policy)
        tried = await on_trial(session, written, world.policy)
    if tried is not None:
        log.warning("%s", still_on_trial(tried))
        return
    if known is not None:
        _say_which_governs(known, before)
        if before is not None and before.id == known.id and before.sha256 == world.policy.sha256:
            world.loaded[before.id] = world.policy
        return
    why = "config/policy.yaml changed" if before else "first start"
    report = await simulate.simulate(world, world.policy, cases=simulate.CASES_ON_RECORD) if before else None
    try:
        publication = _Publication(world.policy, written, Mode.ENFORCE, START, why, report)
        await _put(world, publication, before.id if before else None)
    except PolicyNotPublished:
        log.info("another process published a policy while this one started; that one is in force")


async def publish_if_first(world: World, written: PolicyText) -> None:
    """For commands that do one thing and leave: only where nothing was ever published does the policy file come into force."""
    async with world.database.sessions() as session:
        nothing = await current_row(session, Mode.ENFORCE) is None
    if nothing:
        await publish_at_start(world, written)


def superseded(known: PublishedPolicy | None, current: PublishedPolicy | None) -> str | None:
    """Why the policy file is not what is in force, in words; None where it is, or where it was never published."""
    if known is None or current is None or known.id == current.id or known.sha256 == current.sha256:
        return None
    return (
        f"the policy file says version {known.version}, which was ended; in force is version {current.version}, published by "
        f"{current.by} ({current.why})"
    )


def still_on_trial(tried: PublishedPolicy) -> str:
    """Why a start does not put the policy file in force, in words."""
    return (
        f"the policy file says version {tried.version}, which {tried.by} put in shadow ({tried.why}); a start does not put in force what "
        "is on trial; `ordermend policy publish` does"
    )


def _say_which_governs(known: PublishedPolicy, current: PublishedPolicy | None) -> None:
    if (why := superseded(known, current)) is not None:
        log.warning("%s; publish the file if it is to be in force again", why)


def _check_why(why: str) -> None:
    if not why.strip():
        raise InputInvalid([("/why", "say why; it goes on record")])
    if len(why) > LONGEST_WHY:
        raise InputInvalid([("/why", f"is longer than {LONGEST_WHY} characters")])


def _not_the_same(policy: Policy, mode: Mode, before: PublishedPolicy | None, tried: PublishedPolicy | None) -> None:
    if before is not None and before.sha256 == policy.sha256:
        raise PolicyNotPublished(f"This policy (version {policy.version}) is in force already; nothing was changed.")
    if mode is Mode.SHADOW and tried is not None and tried.sha256 == policy.sha256:
        raise PolicyNotPublished(f"This policy (version {policy.version}) is in shadow already; nothing was changed.")


def _no_overlay_forgotten(written: PolicyText, no_overlay: NoOverlay, before: PublishedPolicy | None) -> None:
    if written.overlay is not None or no_overlay is NoOverlay.MEANT or before is None or before.overlay is None:
        return
    raise PolicyNotPublished(
        f"In force is version {before.version}, with an overlay, and this policy comes without one; nothing was changed. Send the overlay "
        'with it (--overlay FILE; "overlay" over HTTP), or say that it is to end (--no-overlay; "overlay": null).'
    )


async def _one_at_a_time(session: AsyncSession) -> None:
    """Until the transaction ends nobody else publishes, and no action begins; see there why it is this lock."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": BEGINNINGS_LOCK})


async def _put(world: World, new: _Publication, expected: str | None) -> PublishedPolicy:
    """The row, the end of what it takes the place of, and the trail entry, in one transaction. `expected` is what stood in its
    place when the report was made: where something else does by now, the report compares with the wrong policy."""
    now = world.clock()
    row = PublishedPolicy(
        id=new_id("pol", now),
        sha256=new.policy.sha256,
        version=new.policy.version,
        name=new.written.name,
        document=new.written.document,
        overlay=new.written.overlay,
        mode=new.mode.value,
        published_at=now,
        by=new.by,
        why=new.why,
        report=dict(new.report) if new.report is not None else None,
        ended_at=None,
    )
    async with write(world.database.sessions) as session:
        await _one_at_a_time(session)
        standing = await current_row(session, new.mode)
        if (standing.id if standing else None) != expected:
            raise PolicyNotPublished(
                f"Meanwhile {standing.by if standing else 'somebody'} changed which policy is published; look at what governs now and "
                "publish again."
            )
        ended = [standing] if standing else []
        if new.mode is Mode.ENFORCE:
            tried = await current_row(session, Mode.SHADOW)
            ended += [tried] if tried is not None and tried.sha256 == new.policy.sha256 else []
        for old in ended:
            old.ended_at = now
        await session.flush()
        session.add(row)
        await session.flush()
        await append(session, now, [Entry(Event.POLICY_PUBLISHED, new.by, _told(row, ended))])
    # What was just published is read again as any other process reads it, so that all rule by the same words.
    world.loaded[row.id] = await asyncio.to_thread(revived, row)
    if new.mode is Mode.ENFORCE:
        await _judge_again(world, new.policy.sha256, now)
    return row


async def _judge_again(world: World, sha256: str, now: datetime) -> None:
    """A look is due at the orders whose open cases were judged under another policy. In a transaction of its own, after the lock is
    free: orders may be held by others. Those that are, and all where the database goes away, are found by the sweep."""
    free = select(Order.id).where(Order.id.in_(judged_otherwise(sha256))).order_by(Order.id).with_for_update(skip_locked=True)
    sooner = func.least(func.coalesce(Order.next_look_at, now), now)
    try:
        async with write(world.database.sessions) as session:
            ids = list((await session.execute(free)).scalars())
            among = Order.id == any_(literal(ids, ARRAY(Text)))
            await session.execute(update(Order).where(among).values(next_look_at=sooner))
        for order_id in ids[:NUDGED_AT_ONCE]:
            await world.nudge("look", order_id)
    except CONNECTION_FAILURES as error:
        log.warning("the policy is published; its open cases are found by the sweep (%s)", type(error).__name__)


def _told(row: PublishedPolicy, ended: Sequence[PublishedPolicy]) -> dict[str, Any]:
    """All that is needed to know from the trail alone which policy ruled when."""
    return {
        "id": row.id,
        "sha256": row.sha256,
        "version": row.version,
        "name": row.name,
        "mode": row.mode,
        "by": row.by,
        "why": row.why,
        "document": row.document,
        "overlay": row.overlay,
        "report": simulate.in_short(row.report) if row.report is not None else None,
        "policy.ended": [{"id": old.id, "sha256": old.sha256, "version": old.version, "mode": old.mode} for old in ended],
    }
