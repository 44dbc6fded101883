"""Policies that were published: which one is in force, which one is on trial in shadow, and all that came before."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.tables import CLOSED, Case, CaseState, Decision, PublishedPolicy
from app.world import World
from guardrails.policy.catalogue import FIELD_TYPES
from guardrails.policy.language import Scope, compile_condition
from guardrails.policy.load import Policy, load_policy
from guardrails.policy.tables import CasePolicy, Line, Mode, Permissions, Rule, WhenUnknown
from guardrails.taxonomy import RiskClass, Team, Verdict

OVERLAY = "overlay.yaml"
"""The overlay's name in messages."""
HISTORY_LIMIT = 200
log = logging.getLogger("ordermend.published")


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy as it was written. `name` stands for the file in messages."""

    name: str
    document: str
    overlay: str | None = None


class NoOverlay(StrEnum):
    """What it means that a policy comes without an overlay."""

    MEANT = "meant"
    """Somebody said so: an overlay that is in force ends."""
    NOT_SAID = "not_said"
    """Nobody said anything: where one is in force, it may have been forgotten."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy in shadow has shown so far. `tighter` and `looser` are judgements that it would have ruled otherwise."""

    judged: int
    agree: int
    tighter: int
    looser: int
    failed: int


def read_policy(written: PolicyText) -> Policy:
    """Raises PolicyInvalid with every mistake in the text and its overlay."""
    if written.overlay is None:
        return load_policy(written.document, written.name)
    return load_policy(written.document, written.name, overlay=(written.overlay, OVERLAY))


async def policy_in_force(session: AsyncSession, world: World) -> Policy:
    """The one whose publication has not ended. Where there is none, or it cannot be read any more, one that blocks everything."""
    found = await _current(session, world, Mode.ENFORCE)
    return unreadable("", "", "no policy is in force; publish one") if found is None else found


async def policy_in_shadow(session: AsyncSession, world: World) -> Policy | None:
    return await _current(session, world, Mode.SHADOW)


async def in_force(world: World) -> Policy:
    """As `policy_in_force`, in a transaction of its own."""
    async with world.database.sessions() as session:
        return await policy_in_force(session, world)


async def governed(world: World) -> World:
    """This world with the policy in force in the place of its file's, for pages that show what may happen now."""
    return replace(world, policy=await in_force(world))


async def current_row(session: AsyncSession, mode: Mode) -> PublishedPolicy | None:
    query = select(PublishedPolicy).where(PublishedPolicy.mode == mode.value, PublishedPolicy.ended_at.is_(None))
    return (await session.execute(query)).scalar_one_or_none()


async def _current(session: AsyncSession, world: World, mode: Mode) -> Policy | None:
    """Only the id is asked for each time: a row's text never changes, and each process reads it once."""
    query = select(PublishedPolicy.id).where(PublishedPolicy.mode == mode.value, PublishedPolicy.ended_at.is_(None))
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:
        return None
    if found not in world.loaded:
        row = await session.get_one(PublishedPolicy, found)
        world.loaded[found] = await asyncio.to_thread(revived, row)
    return world.loaded[found]


def revived(row: PublishedPolicy) -> Policy:
    """The policy of this row. It was valid when it was published; where it cannot be read any more, nothing may run under it."""
    try:
        return read_policy(PolicyText(row.name, row.document, row.overlay))
    except Exception as error:
        log.error("the published policy %s cannot be read: %s", row.id, error)
        return unreadable(row.version, row.sha256, f"the published policy {row.id} cannot be read: {error}")


def unreadable(version: str, sha256: str, why: str) -> Policy:
    """A policy that knows no action and blocks every case, and says why."""
    told = " ".join(why.replace("{", "(").replace("}", ")").split())[:500]
    always = compile_condition("known(order.total) or not known(order.total)", Scope(FIELD_TYPES, {}, {}))
    line = Line(always, told, WhenUnknown.FIRE, "policy:1")
    rule = Rule(
        id="block.policy-unreadable",
        effect=Verdict.BLOCK,
        line=line,
        owner=Team.OPERATIONS,
        until="publish a policy that can be read",
        reason=None,
        mode=Mode.ENFORCE,
        classes=frozenset(RiskClass),
    )
    return Policy(
        name="unreadable",
        version=version,
        limits={},
        freshness={},
        case=CasePolicy(10_000, 1),
        actions={},
        permissions=Permissions({}, {}),
        mandatory={},
        rules=(rule,),
        sha256=sha256 or "unreadable",
    )


def judged_otherwise(sha256: str) -> Select[str]:
    """The orders with an open case that was judged under another policy than this. What is being carried out is left in peace."""
    at_rest = [state.value for state in (*CLOSED, CaseState.ACTING)]
    return (
        select(Case.order_id)
        .join(Decision, Decision.id == Case.decision_id)
        .where(Case.state.not_in(at_rest), Decision.policy_sha256 != sha256)
    )


# --- what was published ---


async def history(session: AsyncSession, limit: int = HISTORY_LIMIT) -> Sequence[PublishedPolicy]:
    """The newest first."""
    query = select(PublishedPolicy).order_by(PublishedPolicy.published_at.desc(), PublishedPolicy.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def same_before(session: AsyncSession, written: PolicyText, policy: Policy) -> PublishedPolicy | None:
    """The newest publication of this very policy in force: the same content, or (a newer program may digest it otherwise) the
    same text."""
    text = (PublishedPolicy.document == written.document) & PublishedPolicy.overlay.is_not_distinct_from(written.overlay)
    query = (
        select(PublishedPolicy)
        .where(PublishedPolicy.mode == Mode.ENFORCE.value, or_(PublishedPolicy.sha256 == policy.sha256, text))
        .order_by(PublishedPolicy.published_at.desc(), PublishedPolicy.id.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def on_trial(session: AsyncSession, written: PolicyText, policy: Policy) -> PublishedPolicy | None:
    """The publication in shadow of this very policy, by its content or its text; None where it is not on trial."""
    row = await current_row(session, Mode.SHADOW)
    if row is None or row.sha256 == policy.sha256 or (row.document, row.overlay) == (written.document, written.overlay):
        return row
    return None


async def trial_of(session: AsyncSession, row: PublishedPolicy) -> Trial:
    """How the policy in shadow compares with what was ruled since it was published."""
    against = Decision.shadow["against"].astext
    mine = (Decision.at >= row.published_at) & (Decision.shadow["policy"]["sha256"].astext == row.sha256)
    query = select(against, func.count()).where(mine).group_by(against)
    counts: dict[str, int] = {name: count for name, count in await session.execute(query)}
    return Trial(
        judged=sum(counts.values()),
        agree=counts.get("agree", 0),
        tighter=counts.get("tighter", 0),
        looser=counts.get("looser", 0),
        failed=counts.get("failed", 0),
    )
