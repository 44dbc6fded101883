"""`ordermend keys create|list|revoke`."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from app import keys
from app.cli_output import AsJson, group, hint, say, say_json, say_table
from app.cli_world import OPERATOR, in_world
from app.database import write
from app.errors import InputInvalid
from app.keys import Scope
from app.tables import ApiKey
from app.world import World
from guardrails.facts import rfc3339
from guardrails.taxonomy import PrincipalKind

commands = group()

_COLUMNS = ("id", "name", "kind", "scopes", "roles", "created_at", "expires_at", "revoked_at")


@commands.command()
def create(
    name: Annotated[str, typer.Option(help="The person or service that the key speaks for.")],
    kind: Annotated[str, typer.Option(help="person or service; only a person can approve.")],
    scope: Annotated[list[str], typer.Option(help="What it may do; may be repeated: " + ", ".join(Scope))],
    role: Annotated[list[str] | None, typer.Option(help="The person's role in the policy; may be repeated.")] = None,
    valid_days: Annotated[int | None, typer.Option(min=1, help="Ends after so many days.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is printed once, on stdout, and is nowhere else."""
    wanted = _kind(kind)

    async def made(world: World) -> keys.IssuedKey:
        now = world.clock()
        async with write(world.database.sessions) as session:
            return await keys.create(
                session,
                now,
                name=name,
                kind=wanted,
                scopes=scope,
                roles=role or (),
                expires_at=None if valid_days is None else now + timedelta(days=valid_days),
                by=OPERATOR.id,
            )

    issued = in_world(made)
    if as_json:
        say_json(_plain(issued.row) | {"secret": issued.secret})
    else:
        hint(f"{issued.row.id} speaks for {issued.row.name}. Keep the secret: it is not shown again.")
        say(issued.secret)


@commands.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key ever made, oldest first."""

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            return [_plain(row) for row in await keys.list_keys(session)]

    rows = in_world(found)
    if as_json:
        say_json(rows)
    else:
        say_table(_COLUMNS, rows)


@commands.command()
def revoke(key_id: str, as_json: AsJson = False) -> None:
    """From now on the key opens nothing."""

    async def ended(world: World) -> None:
        async with write(world.database.sessions) as session:
            await keys.revoke(session, world.clock(), key_id, by=OPERATOR.id)

    in_world(ended)
    if as_json:
        say_json({"id": key_id, "revoked": True})
    else:
        say(f"{key_id} is revoked.")


def _kind(name: str) -> PrincipalKind:
    try:
        return PrincipalKind(name)
    except ValueError as error:
        raise InputInvalid([("/kind", "must be person or service")]) from error


def _plain(row: ApiKey) -> dict[str, Any]:
    moments = {name: getattr(row, name) for name in ("created_at", "expires_at", "revoked_at")}
    told = {"id": row.id, "name": row.name, "kind": row.kind, "scopes": list(row.scopes), "roles": list(row.roles)}
    return told | {name: rfc3339(moment) if moment else None for name, moment in moments.items()}
