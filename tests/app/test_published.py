"""Which policy is in force, in every process, and how one comes to be."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from sqlalchemy import delete, text, update

from app import act, queue, store, switches, trail
from app.database import write
from app.errors import ConfigurationInvalid, Denied, InputInvalid, PolicyNotPublished
from app.governing import governing
from app.published import NoOverlay, PolicyText, history, in_force, read_policy, unreadable
from app.publishing import end_shadow, publish, publish_at_start
from app.settings import Settings
from app.tables import ActionRow, ActionState, Decision, PublishedPolicy
from app.wiring import load_configuration, open_world
from app.world import World
from guardrails.gate import guard
from guardrails.policy.load import PolicyInvalid
from guardrails.policy.tables import Mode
from guardrails.proposal import AGENT, Actor
from guardrails.standing import NOTHING_SPENT
from guardrails.taxonomy import Action, PrincipalKind, Verdict
from tests.app.changed_policies import AS_SHIPPED, BROKEN, FILE, high_value, overlaid
from tests.builders import actions, order_arrives, person, the_case, trail_of, warehouse_busy
from tests.conftest import Clock
from tests.guardrails.clean_case import clean_facts, clean_proposal
from tests.steps import work

LEAD = person("lee", "lead")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration of one's own, to change between starts."""
    return Path(copytree(FILE.parent, tmp_path / "config"))


async def rows(world: World) -> list[PublishedPolicy]:
    """The oldest first."""
    async with world.database.sessions() as session:
        return list(reversed(await history(session)))


async def start(settings: Settings, clock: Clock, folder: Path, text: str | None = None) -> list[tuple[str, str, bool]]:
    """Open a world on this configuration; who published what, and whether it stands."""
    if text is not None:
        (folder / "policy.yaml").write_text(text, encoding="utf-8")
    async with open_world(settings.model_copy(update={"config_dir": folder}), clock=clock) as world:
        return [(row.by, row.version, row.ended_at is None) for row in await rows(world)]


# --- at start ---


async def test_the_first_start_publishes_the_file(world: World) -> None:
    (row,) = await rows(world)
    assert (row.by, row.why, row.mode, row.ended_at, row.report) == ("start", "first start", "enforce", None, None)
    assert (row.sha256, row.document) == (world.policy.sha256, AS_SHIPPED.document)
    assert (await in_force(world)).sha256 == world.policy.sha256
    ((event, body),) = await trail_of(world)
    assert (event, body["document"], body["why"]) == ("policy.published", AS_SHIPPED.document, "first start")


async def test_starting_again_changes_nothing(settings: Settings, clock: Clock, folder: Path) -> None:
    first = await start(settings, clock, folder)
    assert await start(settings, clock, folder) == first
    assert len(first) == 1


async def test_a_changed_file_comes_into_force_at_the_next_start(settings: Settings, clock: Clock, folder: Path) -> None:
    await start(settings, clock, folder)
    clock.forward(hours=1)
    found = await start(settings, clock, folder, high_value("40.00").document)
    assert [(by, version) for by, version, stands in found if stands] == [("start", "lowered")]
    assert len(found) == 2


async def test_a_changed_comment_is_no_new_policy(settings: Settings, clock: Clock, folder: Path) -> None:
    await start(settings, clock, folder)
    assert len(await start(settings, clock, folder, "# read me\n" + AS_SHIPPED.document)) == 1


async def test_a_start_with_an_older_file_does_not_roll_back_what_was_published(
    settings: Settings, clock: Clock, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_home = settings.model_copy(update={"config_dir": folder})
    async with open_world(at_home, clock=clock) as world:
        clock.forward(hours=1)
        await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "fewer surprises")
    with caplog.at_level(logging.WARNING):
        async with open_world(at_home, clock=clock) as world:
            assert (await in_force(world)).version == "lowered"
            assert len(await rows(world)) == 2
    assert "published by lee (fewer surprises)" in caplog.text


async def test_a_start_with_a_broken_file_leaves_the_policy_in_force(settings: Settings, clock: Clock, folder: Path) -> None:
    before = await start(settings, clock, folder)
    with pytest.raises(ConfigurationInvalid, match=r"policy.yaml:\d+:\d+: "):
        await start(settings, clock, folder, BROKEN.document)
    assert await start(settings, clock, folder, AS_SHIPPED.document) == before


async def test_two_first_starts_at_once_publish_one_policy(settings: Settings, clock: Clock, world: World) -> None:
    async with open_world(settings, clock=clock) as other:
        async with write(world.database.sessions) as session:
            await session.execute(delete(PublishedPolicy))
        started = [replace(each, loaded={}) for each in (world, other)]
        await asyncio.gather(*(publish_at_start(each, AS_SHIPPED) for each in started))
        assert len(await rows(world)) == 1
        assert {(await in_force(each)).sha256 for each in started} == {world.policy.sha256}


async def test_a_start_does_not_put_in_force_what_is_on_trial(
    settings: Settings, clock: Clock, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_home = settings.model_copy(update={"config_dir": folder})
    async with open_world(at_home, clock=clock) as world:
        shipped = (await in_force(world)).sha256
        await publish(world, LEAD, high_value("40.00"), Mode.SHADOW, "see first")
        (folder / "policy.yaml").write_text(high_value("40.00").document, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        async with open_world(at_home, clock=clock) as world:
            assert (await in_force(world)).sha256 == shipped
            assert {(row.mode, row.ended_at is None) for row in await rows(world)} == {("enforce", True), ("shadow", True)}
            await end_shadow(world, LEAD, "seen enough")
    assert "lee put in shadow (see first)" in caplog.text
    assert "`ordermend policy publish`" in caplog.text
    found = await start(settings, clock, folder)
    assert [(by, version) for by, version, stands in found if stands] == [("start", "lowered")]


@pytest.mark.parametrize("name", ["owners.yaml", "policy.yaml", "overlay.yaml"])
def test_a_file_that_is_not_utf_8_is_a_mistake_with_its_place(folder: Path, name: str) -> None:
    file = folder / name
    file.write_bytes((file.read_bytes() if file.exists() else b"") + b"# first\n# Gr\xf6\xdfe\n")
    line = file.read_bytes().count(b"\n")
    with pytest.raises(ConfigurationInvalid, match=rf"^{name}:{line}:5: not text"):
        load_configuration(folder)


# --- publishing ---


@pytest.mark.parametrize("mode", list(Mode))
async def test_an_overlay_in_force_does_not_end_unless_somebody_says_so(world: World, clock: Clock, mode: Mode) -> None:
    clock.forward(minutes=1)
    first = await publish(world, LEAD, overlaid(high_value("45.00", "peaked")), Mode.ENFORCE, "peak")
    clock.forward(minutes=1)
    with pytest.raises(PolicyNotPublished, match="--no-overlay"):
        await publish(world, LEAD, high_value("40.00"), mode, "lower")
    assert (await in_force(world)).sha256 == first.sha256
    assert len(await rows(world)) == 2
    row = await publish(world, LEAD, high_value("40.00"), mode, "lower", no_overlay=NoOverlay.MEANT)
    assert (row.overlay, row.version) == (None, "lowered")


async def test_neither_a_publication_nor_a_switch_waits_for_an_order_that_somebody_holds(world: World, clock: Clock) -> None:
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    clock.forward(minutes=1)
    async with write(world.database.sessions) as session:
        await store.lock_order(session, (await the_case(world)).order_id)
        async with asyncio.timeout(20):
            row = await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "at once")
            await switches.turn_off(world, LEAD, "action:refund_payment", "twice")
    assert (await in_force(world)).sha256 == row.sha256


async def test_a_policy_is_published_before_an_action_begins_or_after_and_not_meanwhile(world: World, clock: Clock) -> None:
    clock.forward(minutes=1)
    before = (await in_force(world)).sha256
    async with write(world.database.sessions) as session:
        await switches.hold_still(session)
        asked = asyncio.create_task(publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "fewer surprises"))
        async with asyncio.timeout(20):
            while not await somebody_waits_for_a_lock(world):
                pass
        assert (await in_force(world)).sha256 == before
    after = (await asked).sha256
    assert after != before
    assert (await in_force(world)).sha256 == after


async def somebody_waits_for_a_lock(world: World) -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE NOT granted AND datname = current_database()"
    )
    async with world.database.sessions() as session:
        return bool((await session.execute(waiting)).scalar_one())


async def test_a_published_policy_governs_every_process_at_once(settings: Settings, clock: Clock, world: World) -> None:
    async with open_world(settings, clock=clock) as other:
        assert (await governing(other)).policy.version != "lowered"
        row = await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "fewer surprises")
        for each in (world, other):
            assert (await governing(each)).policy.sha256 == row.sha256


async def test_who_when_and_why_are_on_the_row_and_in_the_trail(world: World, clock: Clock) -> None:
    now = clock.forward(hours=2)
    row = await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, " fewer surprises ")
    first, second = await rows(world)
    assert (row.id, second.by, second.why, second.published_at) == (row.id, "lee", "fewer surprises", now)
    assert (first.ended_at, second.ended_at) == (now, None)
    _, (_, body) = await trail_of(world, "policy.published")
    assert read_policy(PolicyText(body["name"], body["document"], body["overlay"])).sha256 == body["sha256"] == row.sha256
    assert [ended["id"] for ended in body["policy.ended"]] == [first.id]
    assert body["report"] is not None
    async with world.database.sessions() as session:
        assert (await trail.verify(session)).valid


async def test_a_rollback_is_the_old_text_published_again(world: World, clock: Clock) -> None:
    before = (await in_force(world)).sha256
    await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "try it")
    clock.forward(minutes=1)
    await publish(world, LEAD, AS_SHIPPED, Mode.ENFORCE, "too many reviews")
    assert (await in_force(world)).sha256 == before
    assert [row.ended_at is None for row in await rows(world)] == [False, False, True]


@pytest.mark.parametrize(
    "actor",
    [person("sam", "senior_reviewer"), person("ops", "operations"), Actor(PrincipalKind.SERVICE, "robot"), AGENT],
)
async def test_only_leads_and_admins_publish(world: World, actor: Actor) -> None:
    with pytest.raises(Denied):
        await publish(world, actor, high_value("40.00"), Mode.ENFORCE, "why not")
    with pytest.raises(Denied):
        await end_shadow(world, actor, "why not")
    assert len(await rows(world)) == 1


async def test_a_text_with_mistakes_changes_nothing(world: World) -> None:
    with pytest.raises(PolicyInvalid):
        await publish(world, LEAD, BROKEN, Mode.ENFORCE, "a typo")
    with pytest.raises(InputInvalid):
        await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "  ")
    assert (len(await rows(world)), (await in_force(world)).sha256) == (1, world.policy.sha256)


async def test_what_is_in_force_cannot_be_published_again(world: World) -> None:
    for mode in Mode:
        with pytest.raises(PolicyNotPublished, match="in force already"):
            await publish(world, LEAD, AS_SHIPPED, mode, "again")


async def test_of_two_who_publish_at_once_one_is_told_to_look_again(world: World, clock: Clock) -> None:
    clock.forward(minutes=1)
    texts = [high_value("40.00", "one"), high_value("41.00", "two")]
    ended = await asyncio.gather(
        *(publish(world, LEAD, written, Mode.ENFORCE, "at once") for written in texts), return_exceptions=True
    )
    assert sorted(type(item).__name__ for item in ended) == ["PolicyNotPublished", "PublishedPolicy"]
    assert [row.ended_at is None for row in await rows(world)] == [False, True]


async def test_open_cases_are_judged_again_under_the_new_policy(world: World, clock: Clock) -> None:
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    assert (await the_case(world)).verdict == Verdict.AUTOMATE
    clock.forward(minutes=1)
    row = await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "look at everything")
    await work(world)
    case = await the_case(world)
    async with world.database.sessions() as session:
        decision = await session.get_one(Decision, case.decision_id)
    assert (case.verdict, decision.policy_sha256) == (Verdict.REVIEW, row.sha256)


async def test_a_judgement_that_a_publication_overtook_is_found_by_the_sweep(world: World) -> None:
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    async with write(world.database.sessions) as session:
        await session.execute(update(Decision).values(policy_sha256="of another time"))
    asked: list[tuple[str, str]] = []

    async def nudge(job: str, about: str) -> None:
        asked.append((job, about))

    await queue.sweep(replace(world, nudge=nudge))
    assert ("look", (await the_case(world)).order_id) in asked


async def test_a_policy_that_cannot_be_read_any_more_blocks_everything(world: World) -> None:
    async with write(world.database.sessions) as session:
        await session.execute(update(PublishedPolicy).values(document="not a policy"))
    fresh = replace(world, loaded={})
    await order_arrives(fresh)
    await warehouse_busy(fresh)
    await work(fresh)
    case = await the_case(fresh)
    assert case.verdict == Verdict.BLOCK
    assert "cannot be read" in case.sentence


async def test_what_was_allowed_does_not_begin_once_the_policy_cannot_be_read_any_more(world: World) -> None:
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    row = (await actions(world))[0]
    async with write(world.database.sessions) as session:
        waiting = {"state": ActionState.INTENDED.value, "started_at": None, "approved_by": ["kim"]}
        await session.execute(update(ActionRow).where(ActionRow.id == row.id).values(waiting))
        await session.execute(update(PublishedPolicy).values(document="not a policy"))
    await act.carry_out(replace(world, loaded={}), row.id)
    after = next(item for item in await actions(world) if item.id == row.id)
    assert (after.state, after.error) == (ActionState.REFUSED, f"The policy in force does not know {row.action}.")


async def test_with_nothing_in_force_everything_is_blocked(world: World, clock: Clock) -> None:
    async with write(world.database.sessions) as session:
        await session.execute(update(PublishedPolicy).values(ended_at=clock.now))
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    assert (await the_case(world)).verdict == Verdict.BLOCK


def test_what_stands_in_for_an_unreadable_policy_blocks_whatever_is_asked_and_does_not_fail() -> None:
    policy = unreadable("3", "abc", "it says {this}")
    for each in (clean_proposal(Action.RESUBMIT_FULFILMENT, Action.ADD_NOTE), clean_proposal()):
        ruling = guard(clean_facts(), each, policy, AGENT, {}, NOTHING_SPENT)
        assert (ruling.verdict, ruling.error, ruling.policy_sha256) == (Verdict.BLOCK, None, "abc")
        assert "it says (this)" in ruling.sentence
