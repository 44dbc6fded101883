"""`ordermend trail verify|export`."""

import json
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import trail
from app.cli_output import AsJson, group, say, say_json
from app.cli_world import in_world
from app.store import get_case
from app.tables import TrailEntry
from app.web.shown import trail_shown
from app.world import World

commands = group()
PAGE = 500


@commands.command()
def verify(as_json: AsJson = False) -> None:
    """Walk the whole chain. Exit code 1, and the first bad entry, when it does not hold."""

    async def walked(world: World) -> trail.Verification:
        async with world.database.sessions() as session:
            return await trail.verify(session)

    found = in_world(walked)
    if as_json:
        say_json({"entries": found.entries, "valid": found.valid, "first_bad": found.first_bad, "why": found.why})
    elif found.valid:
        say(f"{found.entries} entries; the chain holds.")
    else:
        say(f"Entry {found.first_bad} is the first that does not hold: {found.why}.")
    if not found.valid:
        sys.exit(1)


@commands.command()
def export(
    case: Annotated[str | None, typer.Option(help="Only the entries about this case.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Accepted for uniformity: the export is JSON lines in any case.")] = False,
) -> None:
    """Every entry in order, one JSON object a line, each with its hash."""

    async def written(world: World) -> None:
        async with world.database.sessions() as session:
            if case is not None:
                await get_case(session, case)
            async for row in _entries(session, case):
                sys.stdout.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")

    in_world(written)


async def _entries(session: AsyncSession, case_id: str | None) -> AsyncIterator[TrailEntry]:
    after = 0
    while True:
        query = select(TrailEntry).where(TrailEntry.seq > after).order_by(TrailEntry.seq).limit(PAGE)
        if case_id is not None:
            query = query.where(TrailEntry.case_id == case_id)
        page = list((await session.execute(query)).scalars())
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = page[-1].seq
        session.expunge_all()


def _plain(row: TrailEntry) -> dict[str, Any]:
    return trail_shown(row).model_dump(mode="json")
