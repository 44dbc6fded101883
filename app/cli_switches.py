"""`ordermend switches list|off|on` and `ordermend budgets list`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from app import budgets, switches
from app.cli_output import AsJson, group, say, say_json, say_table
from app.cli_world import in_world, person_of_the_key, reporter
from app.governing import governing_in
from app.keys import Scope
from app.switches import Switch
from app.web.shown_switches import budget_shown, switch_shown
from app.world import World

commands = group()
budget_commands = group()

_COLUMNS = ("name", "state", "by", "at", "why")
_BUDGET_COLUMNS = ("key", "unit", "limit", "spent", "left")
Name = Annotated[str, typer.Argument(help="everything, action:NAME or source:NAME.")]
Why = Annotated[str, typer.Option(help="Why, for the trail.")]


@budget_commands.callback()
def _words() -> None:
    """What may happen without a person in one hour."""


@commands.command("list")
def list_switches(as_json: AsJson = False) -> None:
    """Every switch with its state."""

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            return [_plain(item) for item in await switches.all_switches(session, world.sources)]

    _show(_COLUMNS, in_world(found), as_json)


@commands.command()
def off(name: Name, why: Why, as_json: AsJson = False) -> None:
    """Stop it, in every process at once. Without a key the trail names the operator of this machine."""

    async def turned(world: World) -> Switch:
        return await switches.turn_off(world, await reporter(world, Scope.CASES_REVIEW), name, why)

    _turned(turned, as_json)


@commands.command()
def on(name: Name, why: Why, as_json: AsJson = False) -> None:
    """Let it go on, as the person of ORDERMEND_API_KEY. What it had stopped is ruled on again."""

    async def turned(world: World) -> Switch:
        return await switches.turn_on(world, await person_of_the_key(world, Scope.CASES_REVIEW), name, why)

    _turned(turned, as_json)


@budget_commands.command("list")
def list_budgets(as_json: AsJson = False) -> None:
    """Each budget with what this hour has spent and what is left: actions, and money in minor units."""

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            now = world.clock()
            rules = await governing_in(session, world, now)
            lines = await budgets.left_in(session, rules.policy, now)
        return [budget_shown(line, now).model_dump(mode="json") for line in lines]

    _show(_BUDGET_COLUMNS, in_world(found), as_json)


def _turned(turn: Callable[[World], Awaitable[Switch]], as_json: bool) -> None:
    told = _plain(in_world(turn))
    if as_json:
        say_json(told)
    elif told["state"] == "off":
        say(f"{told['name']} is off since {told['at']}, by {told['by']}: {told['why']}")
    else:
        say(f"{told['name']} is on.")


def _plain(switch: Switch) -> dict[str, Any]:
    return switch_shown(switch).model_dump(mode="json")


def _show(columns: tuple[str, ...], rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        say_json(rows)
    else:
        say_table(columns, rows)
