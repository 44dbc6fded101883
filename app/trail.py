"""The trail: append-only, hash-chained. It alone is enough to rebuild and explain every decision.

`hash` covers the sequence number, time, event, case, order, actor, the body's sha256 and the previous hash. The body itself
is covered through its sha256, so that a body may one day be erased while the chain still verifies.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.tables import TrailEntry, TrailHead, storable
from guardrails.facts import canonical_json, rfc3339, sha256_of

GENESIS = "0" * 64
VERIFY_BATCH = 2_000


class Event(StrEnum):
    """Every event there is, as `subject.happening` in the past tense."""

    SIGNAL_ACCEPTED = "signal.accepted"
    SIGNAL_UNMAPPED = "signal.unmapped"
    SIGNAL_DEAD_LETTERED = "signal.dead_lettered"
    SIGNAL_REPLAYED = "signal.replayed"
    ORDERS_MERGED = "orders.merged"
    CASE_OPENED = "case.opened"
    CASE_EXTENDED = "case.extended"
    CASE_REOPENED = "case.reopened"
    CASE_CLEARED = "case.cleared"
    CASE_RESOLVED = "case.resolved"
    CASE_UNJUDGED = "case.unjudged"
    """Looking at its order kept failing; it was put before a person without a judgement."""
    CASE_CLAIMED = "case.claimed"
    CASE_RELEASED = "case.released"
    CASE_ASSIGNED = "case.assigned"
    DECISION_MADE = "decision.made"
    """Body: snapshot, facts, prompt and its hash, model, raw answer, every rule's result, owner, verdict, policy version."""
    CASE_EXPLAINED = "case.explained"
    """Body: what a model wrote about a decision for people to read, its evidence after checking, and the call word for word."""
    REVIEW_APPROVED = "review.approved"
    REVIEW_EDITED = "review.edited"
    REVIEW_REJECTED = "review.rejected"
    REVIEW_REQUESTED_EVIDENCE = "review.requested_evidence"
    REVIEW_REFUSED = "review.refused"
    EVIDENCE_ATTACHED = "evidence.attached"
    ACTION_INTENDED = "action.intended"
    ACTION_STARTED = "action.started"
    ACTION_DONE = "action.done"
    ACTION_FAILED = "action.failed"
    ACTION_UNKNOWN = "action.unknown"
    ACTION_REFUSED = "action.refused"
    ACTION_HANDED_OVER = "action.handed_over"
    OUTCOME_REPORTED = "outcome.reported"
    POLICY_PUBLISHED = "policy.published"
    """Body: the policy's text, its digest, mode, reason and replay report in short, and which policies it ends."""
    POLICY_ENDED = "policy.ended"
    """A policy in shadow was taken off trial."""
    SWITCH_TURNED_OFF = "switch.turned_off"
    """Body: the switch and why. No action that it stops is started after this entry, until the one that turns it on."""
    SWITCH_TURNED_ON = "switch.turned_on"
    AUDIT_DRAWN = "audit.drawn"
    """It stands in the trail of no case: whoever judges must not be led to the answer."""
    AUDIT_JUDGED = "audit.judged"
    ALARM_SOUNDED = "alarm.sounded"
    """Too many audited decisions were wrong: automation was switched off. Body: the figures."""
    ALARM_RESET = "alarm.reset"
    """A person let automation go on; the alarm counts anew."""
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened. `body` is plain JSON."""

    event: Event
    actor: str
    body: dict[str, Any]
    case_id: str | None = None
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """`first_bad` is the sequence number of the first entry that does not hold, None when all do."""

    entries: int
    first_bad: int | None
    why: str | None

    @property
    def valid(self) -> bool:
        return self.first_bad is None


def chain_hash(
    *,
    seq: int,
    at: datetime,
    event: str,
    case_id: str | None,
    order_id: str | None,
    actor: str,
    body_sha256: str,
    previous: str,
) -> str:
    return sha256_of(
        {
            "seq": seq,
            "at": rfc3339(at),
            "event": event,
            "case_id": case_id,
            "order_id": order_id,
            "actor": actor,
            "body_sha256": body_sha256,
            "previous": previous,
        }
    )


async def append(session: AsyncSession, at: datetime, entries: Sequence[Entry]) -> None:
    """Add the entries within the caller's transaction. The head row is locked until it commits, so entries have one order;
    call it last in the transaction, so that others wait as briefly as possible."""
    if not entries:
        return
    head = (await session.execute(select(TrailHead).where(TrailHead.id == 1).with_for_update())).scalar_one()
    seq, previous, rows = head.seq, head.hash, []
    for entry in entries:
        seq += 1
        body = canonical_json(storable(entry.body))
        body_sha256 = hashlib.sha256(body.encode()).hexdigest()
        digest = chain_hash(
            seq=seq,
            at=at,
            event=entry.event,
            case_id=entry.case_id,
            order_id=entry.order_id,
            actor=entry.actor,
            body_sha256=body_sha256,
            previous=previous,
        )
        rows.append(
            {
                "seq": seq,
                "at": at,
                "event": entry.event.value,
                "case_id": entry.case_id,
                "order_id": entry.order_id,
                "actor": entry.actor,
                "body": body,
                "body_sha256": body_sha256,
                "previous": previous,
                "hash": digest,
            }
        )
        previous = digest
    await session.execute(insert(TrailEntry), rows)
    await session.execute(update(TrailHead).where(TrailHead.id == 1).values(seq=seq, hash=previous))


async def of_case(session: AsyncSession, case_id: str) -> list[TrailEntry]:
    return list((await session.execute(select(TrailEntry).where(TrailEntry.case_id == case_id).order_by(TrailEntry.seq))).scalars())


async def verify(session: AsyncSession) -> Verification:
    """Walk the whole chain and name the first entry that was changed, removed, added or put elsewhere."""
    head = (await session.execute(select(TrailHead).where(TrailHead.id == 1))).scalar_one_or_none()
    expected, previous = 1, GENESIS
    rows = select(TrailEntry).order_by(TrailEntry.seq).limit(VERIFY_BATCH)
    while True:
        # the first page has no lower end: what was put before the first entry must not be overlooked
        page = list((await session.execute(rows if expected == 1 else rows.where(TrailEntry.seq >= expected))).scalars())
        for row in page:
            if (why := _fault(row, expected, previous)) is not None:
                return Verification(expected - 1, min(expected, row.seq), why)
            expected, previous = row.seq + 1, row.hash
        session.expunge_all()
        if len(page) < VERIFY_BATCH:
            break
    if head is None or head.seq != expected - 1 or head.hash != previous:
        return Verification(expected - 1, expected, "the chain ends before the recorded head: entries were cut off or added")
    return Verification(expected - 1, None, None)


def _fault(row: TrailEntry, expected: int, previous: str) -> str | None:
    """Why this row cannot stand at this place, or None."""
    if row.seq < expected:
        return "it stands before the first entry"
    if row.seq != expected:
        return f"entry {expected} is missing"
    if row.previous != previous:
        return "it does not continue from the entry before it"
    if hashlib.sha256(row.body.encode()).hexdigest() != row.body_sha256:
        return "its body was changed"
    digest = chain_hash(
        seq=row.seq,
        at=row.at,
        event=row.event,
        case_id=row.case_id,
        order_id=row.order_id,
        actor=row.actor,
        body_sha256=row.body_sha256,
        previous=row.previous,
    )
    return None if digest == row.hash else "its hash does not match its content"
