"""`POST /api/v1/signals/{source}`: verify the raw bytes, store durably, then answer. The signature is the key."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from app.errors import DatabaseUnavailable
from app.inbox import Accepted, Inbox
from app.signals import reading
from app.signals.shapes import WEBHOOK_SOURCES, BodyNotJson, Delivery, Envelope, FieldsInvalid, SignatureInvalid, Source
from app.web.at_hand import AnInbox, AWorld, TheMetrics
from app.web.bodies import read_limited
from app.web.metrics import Metrics
from app.web.problems import BODY_NOT_JSON, FIELDS_INVALID, UNKNOWN_SOURCE, Refusal, pointer_errors
from app.web.shown import BatchAccepted, SignalAccepted
from app.world import World

log = logging.getLogger(__name__)

router = APIRouter(prefix="/api/v1/signals", tags=["signals"])


def webhook_source(source: Annotated[str, Path(examples=["shopify"], json_schema_extra={"enum": list(WEBHOOK_SOURCES)})]) -> Source:
    if source not in WEBHOOK_SOURCES:
        raise Refusal(UNKNOWN_SOURCE, "Signals come in from " + ", ".join(WEBHOOK_SOURCES) + ".")
    return Source(source)


@router.post(
    "/{source}",
    status_code=202,
    summary="Receive a vendor's webhook",
    response_model=SignalAccepted | BatchAccepted,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The vendor's body exactly as it was signed.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def receive(
    source: Annotated[Source, Depends(webhook_source)], request: Request, world: AWorld, inbox: AnInbox, metrics: TheMetrics
) -> Response:
    """Verified by the vendor's own scheme on the raw body, stored durably, then answered. A batch is answered with a list. A delivery
    or event that was seen before is answered with its first id and `duplicate: true`. What is verified but cannot be read waits in the
    dead letter under the `signal_id` of the refusal."""
    try:
        result = await _take(source, request, world, inbox)
    except Refusal as refusal:
        metrics.count_signal(source, refusal.problem.code)
        raise
    except SignatureInvalid:
        metrics.count_signal(source, "signature_invalid")
        raise
    except DatabaseUnavailable:
        metrics.count_signal(source, "database_unavailable")
        raise
    _count(metrics, source, result)
    answers = [{"signal_id": item.signal_id, "duplicate": item.duplicate} for item in result]
    return JSONResponse(answers[0] if len(answers) == 1 and not _is_batch(request) else {"signals": answers}, 202)


async def _take(source: Source, request: Request, world: World, inbox: Inbox) -> list[Accepted]:
    raw = await read_limited(request, world.settings.body_limit_bytes)
    now = world.clock()
    envelope = Envelope(source, {name.lower(): value for name, value in request.headers.items()}, raw, now)
    reading.verify(envelope, world.settings.webhooks.of(source), now)
    try:
        return await inbox.accept(source, _opened(envelope), raw, now)
    except BodyNotJson as error:
        signal_id = await inbox.bury(source, envelope.headers, raw, now, str(error))
        raise Refusal(BODY_NOT_JSON, f"{str(error)[:1].upper()}{str(error)[1:]}.", members={"signal_id": signal_id}) from error
    except FieldsInvalid as error:
        signal_id = await inbox.bury(source, envelope.headers, raw, now, str(error))
        members = {"signal_id": signal_id, **pointer_errors(error.errors)}
        detail = "Some fields cannot be read. The delivery is kept in the dead letter, to be fixed and replayed."
        raise Refusal(FIELDS_INVALID, detail, members=members) from error
    except _Unopened as error:
        return [Accepted(await inbox.bury(source, envelope.headers, raw, now, str(error)), False)]


class _Unopened(Exception):
    """Our own reader failed on it. That is no fault of the sender, whose delivery is kept."""


def _opened(envelope: Envelope) -> tuple[Delivery, ...]:
    try:
        return reading.open_body(envelope)
    except (BodyNotJson, FieldsInvalid):
        raise
    except Exception as error:
        log.error("the reader of %s failed with %s", envelope.source, type(error).__name__)
        raise _Unopened(f"The reader failed with {type(error).__name__}; replay it when that is mended.") from error


def _count(metrics: Metrics, source: Source, result: list[Accepted]) -> None:
    for item in result:
        metrics.count_signal(source, "duplicate" if item.duplicate else "accepted")


def _is_batch(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("application/cloudevents-batch")
