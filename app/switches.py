"""Kill switches: per action, per source, or for everything. Off is a row; it holds for every process from its commit on.

Whoever begins an action holds the switches in their place until that is committed (`hold_still`), and whoever turns one waits for
that: so the trail's order tells the truth, and nothing begins after the entry that says it was turned off.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Text, Update, and_, any_, delete, func, literal, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.context import SourceRules
from app.database import write
from app.errors import Denied, InputInvalid, NotFound
from app.tables import ActionRow, ActionState, Audit, Case, CaseState, Decision, Order, SwitchedOff
from app.trail import Entry, Event, append
from app.world import World
from guardrails.facts import COMPUTED
from guardrails.policy.reader import suggest
from guardrails.proposal import Actor
from guardrails.standing import EVERYTHING
from guardrails.taxonomy import Action, PrincipalKind

IN_CHARGE = frozenset(["lead", "operations", "admin"])
"""The roles that may turn switches."""
AT_THE_MACHINE = "system"
"""Whoever has a shell on the machine and shows no key. No API key can have this name."""
LONGEST_WHY = 4_000
MOST_NUDGES = 20
"""Of the looks that a switch makes due, how many are asked for at once; the sweep finds the others."""
BEGINNINGS_LOCK = 7_041_998
"""Whoever begins an action shares it; whoever turns a switch, or publishes a policy, has it alone. It is one lock for both, since
both say what may begin: nothing begins under the old answer after the trail says that there is a new one. Whoever has it alone waits
for nobody but the end of the trail, so that a switch is never kept waiting."""
_ACTION, _SOURCE = "action:", "source:"
AUTOMATION = f"{_SOURCE}{COMPUTED}"
"""What we work out ourselves is a source too, of which every case has facts: off, a person decides about everything above R0, and
what persons approve goes on."""
ALARM = "drift alarm"
"""Who turned automation off when audits showed too many errors. No API key can have this name."""


@dataclass(frozen=True, slots=True)
class Switch:
    """`at`, `by` and `why` are of a switch that is off, and None of one that is on."""

    name: str
    off: bool
    at: datetime | None = None
    by: str | None = None
    why: str | None = None


def known_switches(sources: SourceRules) -> tuple[str, ...]:
    """Every switch there is: everything, each action, each system that the sources file names, and `source:ordermend`, which stops
    automation."""
    systems = sorted({COMPUTED} | {system for rule in sources.rules for system in (*rule.record, *rule.peers)})
    return (EVERYTHING, *(f"{_ACTION}{action}" for action in Action), *(f"{_SOURCE}{system}" for system in systems))


async def switches_off(session: AsyncSession) -> frozenset[str]:
    """The switches that are off."""
    return frozenset((await session.execute(select(SwitchedOff.switch))).scalars())


async def turned_off(session: AsyncSession) -> list[Switch]:
    """Those that are off, the newest first, with who turned them off, when and why."""
    query = select(SwitchedOff).order_by(SwitchedOff.at.desc(), SwitchedOff.switch)
    return [_off(row) for row in (await session.execute(query)).scalars()]


async def all_switches(session: AsyncSession, sources: SourceRules) -> list[Switch]:
    """Every switch with its state. One that is off is listed even where the files no longer name it."""
    off = {switch.name: switch for switch in await turned_off(session)}
    names = known_switches(sources)
    return [off.get(name, Switch(name, off=False)) for name in names] + [off[name] for name in off if name not in names]


async def turn_off(world: World, actor: Actor, name: str, why: str) -> Switch:
    """Stop what the switch stops, at once and in every process. Off already: nothing changes, and the first reason stays.

    Raises NotFound for a switch that there is not, Denied, InputInvalid without a reason."""
    _may_turn_off(actor)
    _check_name(name, known_switches(world.sources))
    _check_why(why)
    now = world.clock()
    async with write(world.database.sessions) as session:
        await take_exclusively(session)
        row = insert(SwitchedOff).values(switch=name, at=now, by=actor.id, why=why)
        changed = (await session.execute(row.on_conflict_do_nothing().returning(SwitchedOff.switch))).scalar_one_or_none()
        if changed is not None:
            await append(session, now, [Entry(Event.SWITCH_TURNED_OFF, actor.id, {"switch": name, "why": why})])
        found = _off((await session.execute(select(SwitchedOff).where(SwitchedOff.switch == name))).scalar_one())
    await look_again(world, name)
    return found


async def turn_on(world: World, actor: Actor, name: str, why: str) -> Switch:
    """Let it go on. What it had stopped is ruled on again. On already: nothing changes. Raises as `turn_off` does."""
    require_in_charge(actor)
    _check_why(why)
    now = world.clock()
    async with write(world.database.sessions) as session:
        _check_name(name, [*known_switches(world.sources), *await switches_off(session)])
        await take_exclusively(session)
        gone = delete(SwitchedOff).where(SwitchedOff.switch == name).returning(SwitchedOff.by)
        by = (await session.execute(gone)).scalar_one_or_none()
        if by is not None:
            entries = [Entry(Event.SWITCH_TURNED_ON, actor.id, {"switch": name, "why": why})]
            entries += await _alarm_begun_anew(session, actor, why, now) if by == ALARM else []
            await append(session, now, entries)
    await look_again(world, name)
    return Switch(name, off=False)


async def stop_by_alarm(session: AsyncSession, why: str, now: datetime) -> list[Entry]:
    """Turn automation off in the caller's transaction, which must have the switches to itself (`take_exclusively`). The entries are
    for the caller to append; none where it is off already. After the commit `look_again` is due."""
    row = insert(SwitchedOff).values(switch=AUTOMATION, at=now, by=ALARM, why=why)
    changed = await session.execute(row.on_conflict_do_nothing().returning(SwitchedOff.switch))
    if changed.scalar_one_or_none() is None:
        return []
    return [Entry(Event.SWITCH_TURNED_OFF, ALARM, {"switch": AUTOMATION, "why": why})]


async def _alarm_begun_anew(session: AsyncSession, actor: Actor, why: str, now: datetime) -> list[Entry]:
    """What was judged so far has been looked at by a person; only what is judged from now on can sound the alarm again."""
    counted = (Audit.judged_at.is_not(None), Audit.forgotten_at.is_(None))
    gone = await session.execute(update(Audit).where(*counted).values(forgotten_at=now).returning(Audit.id))
    return [Entry(Event.ALARM_RESET, actor.id, {"why": why, "forgotten": len(gone.all())})]


async def hold_still(session: AsyncSession) -> None:
    """Nobody turns a switch until this transaction ends. Taken before any row: whoever turns one waits for nothing else first."""
    await session.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": BEGINNINGS_LOCK})


async def take_exclusively(session: AsyncSession) -> None:
    """Nothing begins until this transaction ends. Taken before any row."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": BEGINNINGS_LOCK})


async def look_again(world: World, name: str) -> None:
    """A look is due at every order whose open case the switch has decided, or would decide now. Orders that somebody holds are
    waited for one at a time: who holds several never waits for us in a circle."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        waiting = list((await session.execute(_concerned(name))).scalars())
        free = select(Order.id).where(_among(waiting)).with_for_update(skip_locked=True)
        at_once = set((await session.execute(free)).scalars())
        await session.execute(_due(at_once, now))
    for order_id in waiting:
        if order_id not in at_once:
            async with write(world.database.sessions) as session:
                await session.execute(_due([order_id], now))
    for order_id in waiting[:MOST_NUDGES]:
        await world.nudge("look", order_id)


def _due(order_ids: Collection[str], now: datetime) -> Update:
    sooner = or_(Order.next_look_at.is_(None), Order.next_look_at > now)
    return update(Order).where(_among(order_ids), sooner).values(next_look_at=now)


def _among(order_ids: Collection[str]) -> ColumnElement[bool]:
    """As one parameter: a statement takes 65,535, and there may be more open cases."""
    return Order.id == any_(literal(list(order_ids), ARRAY(Text)))


def _concerned(name: str) -> Select[str]:
    stopped = select(ActionRow.id).where(
        ActionRow.decision_id == Decision.id, ActionRow.state.in_((ActionState.INTENDED, ActionState.REFUSED))
    )
    held = Case.state.in_((CaseState.REVIEW, CaseState.BLOCKED))
    unfinished = and_(Case.state == CaseState.AUTOMATED, stopped.exists())
    query = select(Case.order_id).join(Decision, Decision.id == Case.decision_id)
    return query.where(or_(held, unfinished), _concerns(name)).distinct()


def _concerns(name: str) -> ColumnElement[bool]:
    """Of a decision: whether this switch has a say in it."""
    if name.startswith(_ACTION):
        asked: list[Mapping[str, object]] = [{"action": {"action": name.removeprefix(_ACTION)}}]
        return Decision.ruling["actions"].contains(asked)
    if name.startswith(_SOURCE):
        spoken = {"source": name.removeprefix(_SOURCE)}
        return func.jsonb_path_exists(Decision.facts, text("'$.* ? (@.source == $source)'"), literal(spoken, JSONB))
    return true()


def _off(row: SwitchedOff) -> Switch:
    return Switch(row.switch, off=True, at=row.at, by=row.by, why=row.why)


def may_turn(actor: Actor) -> bool:
    """Whether this is a person whose role is in charge of the switches."""
    return actor.kind is PrincipalKind.PERSON and not actor.roles.isdisjoint(IN_CHARGE)


def require_in_charge(actor: Actor) -> None:
    """Raises Denied."""
    if actor.kind is not PrincipalKind.PERSON:
        raise Denied("Only a person turns switches: set ORDERMEND_API_KEY to a key of your own.")
    if not may_turn(actor):
        raise Denied("Your roles do not allow it; ask a lead, operations or an admin.")


def _may_turn_off(actor: Actor) -> None:
    """Whoever stands at the machine may stop it; only a known person starts it again."""
    if actor.kind is PrincipalKind.SERVICE and actor.id == AT_THE_MACHINE:
        return
    require_in_charge(actor)


def _check_name(name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise NotFound(f"There is no switch {name!r}{suggest(name, known)}. `ordermend switches list` shows them.")


def _check_why(why: str) -> None:
    if not why.strip():
        raise InputInvalid([("/reason", "say why; it goes on record")])
    if len(why) > LONGEST_WHY:
        raise InputInvalid([("/reason", f"is longer than {LONGEST_WHY} characters")])
