"""Keys: shown once, hashed, scoped, expiring, revocable, and on the trail."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app import keys, trail
from app.database import write
from app.errors import InputInvalid, NotFound, Unauthenticated
from app.keys import Scope
from app.tables import ApiKey, TrailEntry
from app.world import World
from guardrails.taxonomy import PrincipalKind
from tests.conftest import START, Clock

PERSON, SERVICE = PrincipalKind.PERSON, PrincipalKind.SERVICE


async def issue(
    world: World, name: str = "Anna", kind: PrincipalKind = PERSON, scopes: tuple[str, ...] = ("cases:read",)
) -> keys.IssuedKey:
    async with write(world.database.sessions) as session:
        return await keys.create(session, world.clock(), name=name, kind=kind, scopes=scopes, by="tests")


async def who(world: World, secret: str) -> keys.Principal:
    async with world.database.sessions() as session:
        return await keys.authenticate(session, secret, world.clock())


async def test_the_secret_opens_and_is_stored_nowhere(world: World) -> None:
    issued = await issue(world)
    assert issued.secret.startswith("om_live_")
    assert len(issued.secret) >= len("om_live_") + 43
    async with world.database.sessions() as session:
        row = (await session.execute(select(ApiKey))).scalar_one()
        told = (await session.execute(select(TrailEntry).where(TrailEntry.event == "key.created"))).scalar_one()
    stored = [getattr(row, column.key) for column in ApiKey.__table__.columns]
    assert issued.secret not in str(stored) + told.body
    principal = await who(world, issued.secret)
    assert (principal.actor.id, principal.actor.kind, principal.key_id) == ("anna", PERSON, row.id)


async def test_two_keys_of_one_person_are_one_person_however_the_name_is_written(world: World) -> None:
    first, second = await issue(world, "Anna  Berg"), await issue(world, " ANNA BERG ")
    assert (await who(world, first.secret)).actor == (await who(world, second.secret)).actor


async def test_a_service_cannot_take_the_name_of_a_person(world: World) -> None:
    await issue(world, "anna")
    with pytest.raises(InputInvalid, match="another kind"):
        await issue(world, "Anna", SERVICE)


async def test_only_the_scopes_of_the_key_are_allowed_and_admin_implies_all(world: World) -> None:
    reader = await who(world, (await issue(world)).secret)
    assert [scope for scope in Scope if reader.may(scope)] == [Scope.CASES_READ]
    admin = await who(world, (await issue(world, scopes=("admin",))).secret)
    assert all(admin.may(scope) for scope in Scope)


@pytest.mark.parametrize(
    "bearer", ["", "x", "om_live_", "om_live_" + "a" * 43, "om_live_\x00", "om_live_\ud800", "om_live_" + "a" * 10_000]
)
async def test_a_secret_that_is_none_opens_nothing(world: World, bearer: str) -> None:
    await issue(world)
    with pytest.raises(Unauthenticated):
        await who(world, bearer)


async def test_the_hash_of_a_secret_is_no_secret(world: World) -> None:
    issued = await issue(world)
    with pytest.raises(Unauthenticated):
        await who(world, issued.row.secret_sha256)


async def test_a_key_ends_with_its_expiry(world: World, clock: Clock) -> None:
    async with write(world.database.sessions) as session:
        issued = await keys.create(
            session, START, name="temp", kind=SERVICE, scopes=["cases:read"], expires_at=START + timedelta(hours=1), by="tests"
        )
    clock.forward(minutes=59)
    assert (await who(world, issued.secret)).actor.id == "temp"
    clock.forward(minutes=1)
    with pytest.raises(Unauthenticated, match="expired"):
        await who(world, issued.secret)


async def test_a_revoked_key_opens_nothing_and_the_trail_says_who_revoked_it(world: World) -> None:
    issued = await issue(world)
    async with write(world.database.sessions) as session:
        await keys.revoke(session, START, issued.row.id, by="lead")
    async with write(world.database.sessions) as session:
        await keys.revoke(session, START, issued.row.id, by="lead")
    with pytest.raises(Unauthenticated, match="revoked"):
        await who(world, issued.secret)
    async with world.database.sessions() as session:
        about_keys = select(TrailEntry).where(TrailEntry.event.startswith("key.")).order_by(TrailEntry.seq)
        entries = list((await session.execute(about_keys)).scalars())
        assert (await trail.verify(session)).valid
    assert [(entry.event, entry.actor) for entry in entries] == [("key.created", "tests"), ("key.revoked", "lead")]


async def test_a_key_that_is_not_there_cannot_be_revoked(world: World) -> None:
    with pytest.raises(NotFound):
        async with write(world.database.sessions) as session:
            await keys.revoke(session, START, "key_none", by="lead")


async def test_all_mistakes_are_named_at_once(world: World) -> None:
    with pytest.raises(InputInvalid) as caught:
        async with write(world.database.sessions) as session:
            await keys.create(
                session,
                START,
                name=" ",
                kind=SERVICE,
                scopes=["cases:write"],
                roles=["king", "admin"],
                expires_at=START,
                by="tests",
            )
    assert {pointer for pointer, _ in caught.value.errors} == {"/name", "/scopes", "/roles", "/expires_at"}


@pytest.mark.parametrize("name", ["agent", "Pipeline", "shopify", "x" * 101, "a\x00b"])
async def test_names_that_would_blur_the_trail_are_refused(world: World, name: str) -> None:
    with pytest.raises(InputInvalid):
        await issue(world, name)


async def test_keys_are_listed_in_the_order_of_their_making(world: World, clock: Clock) -> None:
    await issue(world, "anna")
    clock.forward(seconds=1)
    await issue(world, "bot", SERVICE)
    async with world.database.sessions() as session:
        assert [row.name for row in await keys.list_keys(session)] == ["anna", "bot"]
