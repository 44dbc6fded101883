"""`ordermend signals list|dead-letter|replay`: what has come in, and what could not be read."""

import json
from typing import Annotated, Any

import typer

from app import dead_letter, views
from app.cli_output import AsJson, group, read_input, say, say_json, say_table
from app.cli_world import in_world, reporter
from app.errors import InputInvalid
from app.keys import Scope
from app.tables import SignalState
from app.web.shown import dead_signal, signal_shown
from app.world import World

commands = group()

_COLUMNS = ("id", "received_at", "source", "topic", "state", "order_ref", "error")
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")]


@commands.command("list")
def list_signals(
    state: Annotated[SignalState | None, typer.Option(help="Only those in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only those of this source.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Stored deliveries, the newest first."""

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            rows = await views.signals(session, (state,) if state else (), source, None, limit)
            return [signal_shown(row).model_dump(mode="json") for row in rows]

    _show(in_world(found), as_json)


@commands.command("dead-letter")
def list_dead(limit: Limit = 50, as_json: AsJson = False) -> None:
    """Deliveries that could not be read, oldest first, with their bodies in the JSON."""

    async def found(world: World) -> list[dict[str, Any]]:
        return [dead_signal(row).model_dump(mode="json") for row in await dead_letter.entries(world, limit)]

    _show(in_world(found), as_json)


@commands.command()
def replay(
    signal_id: str,
    payload: Annotated[str | None, typer.Option(help="A mended body to read instead; `-` reads stdin.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a dead delivery again, as it came or mended. What was received stays on record."""
    mended = None if payload is None else _object(read_input(payload))

    async def read_again(world: World) -> None:
        await dead_letter.replay(world, await reporter(world, Scope.ADMIN), signal_id, mended)

    in_world(read_again)
    if as_json:
        say_json({"signal_id": signal_id, "replayed": True, "corrected": mended is not None})
    else:
        say(f"{signal_id} is read again.")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        opened = json.loads(raw.decode(), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise InputInvalid([("/payload", f"is not JSON ({error})")]) from error
    if not isinstance(opened, dict):
        raise InputInvalid([("/payload", "must be a JSON object")])
    return opened


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        say_json(rows)
    else:
        say_table(_COLUMNS, rows)
