"""The API on kill switches and budgets: what is off, who turned it off and why, and what this hour has spent."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app import budgets, switches
from app.governing import governing_in
from app.web.api import PEOPLE_ONLY, takes
from app.web.at_hand import AWorld
from app.web.bodies import JsonBody
from app.web.schemas import SwitchRequest, SwitchState
from app.web.security import ReadsPolicy, TurnsSwitches
from app.web.shown_switches import BudgetShown, SwitchShown, budget_shown, switch_shown

router = APIRouter(prefix="/api/v1", tags=["switches"])


@router.get("/switches", summary="Every switch")
async def list_switches(world: AWorld, _: ReadsPolicy) -> list[SwitchShown]:
    """`everything`, one per action and one per source, with who turned off what is off, when and why."""
    async with world.database.sessions() as session:
        return [switch_shown(item) for item in await switches.all_switches(session, world.sources)]


@router.put(
    "/switches/{name}",
    summary="Turn a switch off or on",
    responses={404: {"description": "There is no such switch."}},
    openapi_extra=takes("SwitchRequest") | PEOPLE_ONLY,
)
async def turn_switch(
    name: str, world: AWorld, who: TurnsSwitches, body: Annotated[SwitchRequest, Depends(JsonBody(SwitchRequest))]
) -> SwitchShown:
    """For leads, operations and admins, never for services. Once it answers, no process begins an action that the switch stops; what
    has begun is finished. A switch that is in that state already stays as it is."""
    turn = switches.turn_off if body.state is SwitchState.OFF else switches.turn_on
    return switch_shown(await turn(world, who.actor, name, body.reason))


@router.get("/budgets", summary="This hour's budgets")
async def list_budgets(world: AWorld, _: ReadsPolicy) -> list[BudgetShown]:
    """What may happen without a person in a clock hour (UTC), and what the present one has spent of it."""
    async with world.database.sessions() as session:
        now = world.clock()
        rules = await governing_in(session, world, now)
        return [budget_shown(item, now) for item in await budgets.left_in(session, rules.policy, now)]
