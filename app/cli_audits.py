"""`ordermend audits list|status|export`: what waits to be judged, what is certified, and the labels for `ordermend eval tune`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app import audits
from app.cli_output import AsJson, group, say, say_json, say_table
from app.cli_world import in_world
from app.world import World
from guardrails.facts import rfc3339

commands = group()


@commands.callback()
def _words() -> None:
    """Blind audits of what was decided without a person."""


@commands.command("list")
def list_audits(as_json: AsJson = False) -> None:
    """What waits to be judged, the oldest first. It is judged in the console, at /audits."""

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            waiting = await audits.open_audits(session)
        return [{"id": q.audit.id, "order_ref": q.order_ref, "drawn_at": rfc3339(q.audit.drawn_at)} for q in waiting]

    rows = in_world(found)
    if as_json:
        say_json(rows)
    else:
        say_table(("id", "order_ref", "drawn_at"), rows)


@commands.command()
def status(as_json: AsJson = False) -> None:
    """Audits, drift alarm and certificates of the classifier that answers here."""

    async def found(world: World) -> audits.AssuranceState:
        async with world.database.sessions() as session:
            return await audits.state(session, world)

    state = in_world(found)
    if as_json:
        say_json(asdict(state))
        return
    say(
        f"{state.wrong} of {state.judged} judged audits were wrong, {state.open} wait; automation is {'off' if state.stopped else 'on'}."
    )
    if state.problem is not None:
        say(state.problem)
    say_table(("scope", "state", "sentence"), [asdict(scope) for scope in state.scopes])


@commands.command()
def export(
    to: Annotated[Path, typer.Option(help="The file to write.")],
    model: Annotated[str | None, typer.Option(help="The model's key; that of the newest judged audit when not given.")] = None,
) -> None:
    """Judged audits as labels, of which `ordermend eval tune FILE` makes certificates."""

    async def found(world: World) -> dict[str, Any]:
        async with world.database.sessions() as session:
            return await audits.export(session, model)

    labels = in_world(found)
    to.write_text(json.dumps(labels, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    say(f"{len(labels['labels'])} labels in {to}. Next: ordermend eval tune {to} --out certificates.json")
