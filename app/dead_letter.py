"""Deliveries that could not be read: listed, fixed, and replayed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from app import store
from app.database import write
from app.errors import IllegalTransition, InputInvalid, NotFound
from app.inbox import signal_row
from app.signals import reading
from app.signals.shapes import Envelope, SignalRefused, Source
from app.tables import Signal, SignalState, storable_bytes
from app.trail import Entry, Event, append
from app.world import World
from guardrails.proposal import Actor


async def entries(world: World, limit: int = 50, after: int = 0) -> Sequence[Signal]:
    """Dead signals by sequence number, those after `after`."""
    query = select(Signal).where(Signal.state == SignalState.DEAD, Signal.seq > after).order_by(Signal.seq).limit(limit)
    async with world.database.sessions() as session:
        return (await session.execute(query)).scalars().all()


async def replay(world: World, actor: Actor, signal_id: str, payload: dict[str, Any] | None) -> None:
    """Read a dead signal again, as it came or with a corrected payload. What was received stays on record in the trail.

    Raises NotFound, IllegalTransition when it is not dead, InputInvalid when it still cannot be read."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        signal = await session.get(Signal, signal_id, with_for_update=True)
        if signal is None:
            raise NotFound(f"There is no signal {signal_id!r}.")
        if signal.state != SignalState.DEAD:
            raise IllegalTransition(f"Signal {signal_id} is {signal.state}; only a dead one is replayed.")
        raw = signal.body if payload is None else storable_bytes(payload)
        read = _read(signal, raw)
        body = {
            "signal_id": signal.id,
            "was_body_sha256": signal.body_sha256,
            "corrected": payload is not None,
            "was": signal.error,
        }
        if payload is not None:
            body["received"] = signal.body.decode("utf-8", "replace")
        for name in ("topic", "body", "body_sha256", "occurred_at", "order_ref", "identifiers", "observations", "state"):
            setattr(signal, name, read[name])
        await store.claim_ids(session, signal, read["delivery_id"], read["event_id"])
        signal.error, signal.attempts, signal.retry_at = None, 0, None
        await session.flush()
        await append(session, now, [Entry(Event.SIGNAL_REPLAYED, actor.id, body)])
    await world.nudge("read_signals", "")


def _read(signal: Signal, raw: bytes) -> dict[str, Any]:
    source = Source(signal.source)
    headers = {str(k): str(v) for k, v in signal.headers.items()}
    try:
        opened = reading.open_body(Envelope(source, headers, raw, signal.received_at))
        if len(opened) != 1:
            raise InputInvalid([("", "send the events of a batch one by one")])
        return signal_row(source, opened[0], raw, signal.received_at)
    except SignalRefused as error:
        raise InputInvalid(getattr(error, "errors", None) or [("", str(error))]) from error
