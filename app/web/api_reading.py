"""The API beside the cases: orders, the action catalogue, stored signals and the dead letter. The policy is in `api_policy`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app import dead_letter, views
from app.errors import NotFound
from app.published import in_force
from app.web.api import takes
from app.web.at_hand import AWorld
from app.web.bodies import JsonBody
from app.web.pages import cursor_after, link_next, place_of
from app.web.schemas import PageQuery, ReplayRequest, SignalQuery
from app.web.security import Administrator, ReadsCases, ReadsPolicy
from app.web.shown import (
    ActionDeclared,
    DeadSignal,
    OrderShown,
    Page,
    SignalShown,
    catalogue,
    dead_signal,
    order_shown,
    signal_shown,
)

router = APIRouter(prefix="/api/v1")


@router.get("/orders/{ref:path}", tags=["orders"], summary="An order as all systems see it")
async def show_order(ref: str, world: AWorld, _: ReadsCases) -> OrderShown:
    """Per field the value, its source, its age and who says otherwise. `ref` is with or without `#` (sent as `%23`)."""
    if not ref.strip():
        raise NotFound("Name an order: /api/v1/orders/%231001 for #1001.")
    return order_shown(await views.order(world, ref, world.clock()))


@router.get("/actions", tags=["policy"], summary="The action catalogue")
async def list_actions(world: AWorld, _: ReadsPolicy) -> list[ActionDeclared]:
    """Every action there is: its risk class, how it is undone, and what it may do by itself."""
    return catalogue(await in_force(world))


@router.get("/signals", tags=["signals"], summary="Stored signals")
async def list_signals(
    request: Request, response: Response, world: AWorld, _: ReadsCases, wanted: Annotated[SignalQuery, Query()]
) -> Page[SignalShown]:
    """The newest first, without their bodies."""
    filters = wanted.model_dump(mode="json", exclude={"cursor", "limit"}) | {"list": "signals"}
    place = place_of(wanted.cursor, filters, int)
    async with world.database.sessions() as session:
        rows = await views.signals(session, wanted.state, wanted.source, place[0] if place else None, wanted.limit + 1)
    page, more = rows[: wanted.limit], len(rows) > wanted.limit
    cursor = cursor_after([page[-1].seq], filters) if more else None
    link_next(request, response, cursor)
    return Page[SignalShown](data=[signal_shown(row) for row in page], next_cursor=cursor, has_more=more)


@router.get("/signals/dead-letter", tags=["signals"], summary="Signals that could not be read")
async def list_dead_letter(
    request: Request, response: Response, world: AWorld, _: Administrator, wanted: Annotated[PageQuery, Query()]
) -> Page[DeadSignal]:
    """The oldest first, each with what was wrong and the body as it came."""
    filters = {"list": "dead-letter"}
    place = place_of(wanted.cursor, filters, int)
    rows = await dead_letter.entries(world, wanted.limit + 1, place[0] if place else 0)
    page, more = rows[: wanted.limit], len(rows) > wanted.limit
    cursor = cursor_after([page[-1].seq], filters) if more else None
    link_next(request, response, cursor)
    return Page[DeadSignal](data=[dead_signal(row) for row in page], next_cursor=cursor, has_more=more)


@router.post(
    "/signals/{signal_id}/replay",
    tags=["signals"],
    summary="Read a dead signal again",
    status_code=202,
    openapi_extra=takes("ReplayRequest"),
)
async def replay_signal(
    signal_id: str,
    world: AWorld,
    who: Administrator,
    body: Annotated[ReplayRequest, Depends(JsonBody(ReplayRequest, when_empty=b"{}"))],
) -> SignalShown:
    """As it came, or with a corrected payload. What was received stays on record in the trail."""
    await dead_letter.replay(world, who.actor, signal_id, body.payload)
    async with world.database.sessions() as session:
        return signal_shown(await views.signal(session, signal_id))
