"""What another policy would have ruled on the cases of the past, compared with one that did or could have."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Text, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.archive import EVERYTHING, ArchiveDamaged, Past, Span, damaged_in, drop, gathered, opened
from app.errors import Denied, InputInvalid
from app.published import PolicyText, in_force, read_policy
from app.tables import Decision, OutcomeRow
from app.world import World
from guardrails.facts import rfc3339
from guardrails.policy.load import Policy
from guardrails.proposal import Actor
from guardrails.replay.report import Report, replay
from guardrails.taxonomy import PrincipalKind, Verdict

__all__ = ["CASES_ON_RECORD", "EVERYTHING", "Span", "in_short", "may_simulate", "read", "simulate"]

MAY_SIMULATE = frozenset(["lead", "operations", "senior_reviewer", "admin"])
CASES_ON_RECORD = 20
"""How many of the cases ruled otherwise are kept in full with a publication."""
MOST_FLIPS = 10_000
"""Of so many cases ruled otherwise it is asked what came of them."""
NAMED = 20
_IN_SHORT = (
    "against",
    "decisions",
    "left_out",
    "first_at",
    "last_at",
    "rulings",
    "unreadable",
    "not_replayed",
    "not_covered",
    "not_covered_share",
    "matrix",
    "actions",
    "flips_in_all",
    "loosened",
    "tightened",
    "order_totals",
    "outcomes",
    "seconds",
)


def may_simulate(actor: Actor) -> None:
    """Raises Denied for anyone but the people who answer for the policy: the report shows cases of all teams."""
    if actor.kind is not PrincipalKind.PERSON or not actor.roles & MAY_SIMULATE:
        raise Denied(f"{actor.id} has none of the roles {', '.join(sorted(MAY_SIMULATE))}, so cannot simulate a policy.")


async def read(written: PolicyText) -> Policy:
    """Off the event loop: to read and prove a policy takes a while. Raises PolicyInvalid."""
    return await asyncio.to_thread(read_policy, written)


async def simulate(
    world: World, policy: Policy, *, against: Policy | None = None, span: Span = EVERYTHING, cases: int = CASES_ON_RECORD
) -> dict[str, Any]:
    """The replay report as JSON: `policy` compared with `against` (what is in force, unless it is named) over the rulings of the span,
    with the first `cases` that would be ruled otherwise and their facts as they were then. One at a time in each process."""
    _check(span)
    compared = await in_force(world) if against is None else against
    async with world.simulating:
        past, report = await _over_the_past(world, compared, policy, span)
    plain = report.plain()
    flips: list[dict[str, Any]] = plain.pop("flips")
    async with world.database.sessions() as session:
        said = await _outcomes(session, [flip["decision"] for flip in flips])
        shown = await _shown(session, flips[:cases], said)
    return {
        "policy": _named(policy),
        "against": _named(compared),
        "decisions": past.decisions,
        "left_out": _left_out(past, report),
        "unreadable": len(past.unreadable),
        "unreadable_first": [{"decision": item.decision, "why": item.why} for item in past.unreadable[:NAMED]],
        **plain,
        **_actions_otherwise(plain["actions"]),
        "outcomes": _counted(flips, said),
        "cases": shown,
    }


def _check(span: Span) -> None:
    """Raises InputInvalid for a time that no calendar holds in UTC, and for a span that ends before it begins."""
    for pointer, moment in (("/since", span.since), ("/until", span.until)):
        try:
            if moment is not None:
                moment.astimezone(UTC)
        except OverflowError as error:
            raise InputInvalid([(pointer, "must lie between the years 1 and 9999 in UTC")]) from error
    if span.since is not None and span.until is not None and span.since >= span.until:
        raise InputInvalid([("/until", "must be later than since")])


async def _over_the_past(world: World, old: Policy, new: Policy, span: Span) -> tuple[Past, Report]:
    """What is damaged in the archive stops nobody: it is dropped, or passed over, and read from the decisions."""
    without: set[int] = set()
    while True:
        past = await gathered(world, span, without=without)
        try:
            return past, await asyncio.to_thread(_replayed, world.database.url, past, old, new, span)
        except ArchiveDamaged as error:
            damaged = await asyncio.to_thread(damaged_in, world.database.url, past, error)
        await drop(world, damaged)
        without |= set(damaged)


def _left_out(past: Past, report: Report) -> list[dict[str, Any]]:
    """How many decisions of the span were not asked about, by reason. With `rulings` they add up to `decisions`."""
    missing = past.decisions - report.rulings - len(past.unreadable) - report.not_replayed
    reasons = (
        (len(past.unreadable), "what is on record cannot be read back"),
        (report.not_replayed, "they could not be kept in columns"),
        (missing, "they were found neither in the archive nor beside it"),
    )
    return [{"count": count, "why": why} for count, why in reasons if count]


def _replayed(url: str, past: Past, old: Policy, new: Policy, span: Span) -> Report:
    with opened(url, past) as segments:
        return replay(segments, old, new, span.since, span.until, most_flips=MOST_FLIPS, stopwatch=time.perf_counter)


def in_short(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a report, without its cases."""
    figures = {name: report[name] for name in _IN_SHORT if name in report} | _actions_otherwise(report["actions"])
    return figures | {"rules": [item for item in report["rules"] if _differs(item)]}


def _actions_otherwise(matrix: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """How many actions would have been ruled tighter and looser, also in cases whose own verdict stays as it is."""
    counts = {"actions_tightened": 0, "actions_loosened": 0}
    for old, row in matrix.items():
        for new, count in row.items():
            if new != old:
                stricter = Verdict(new).strictness > Verdict(old).strictness
                counts["actions_tightened" if stricter else "actions_loosened"] += count
    return counts


def _differs(rule: Mapping[str, Any]) -> bool:
    return any(rule[name] for name in ("newly_fired", "no_longer_fired", "other_effect"))


def _named(policy: Policy) -> dict[str, str]:
    return {"name": policy.name, "version": policy.version, "sha256": policy.sha256}


# --- the cases behind the figures ---


class Turned(StrEnum):
    """What came of a case, as far as somebody reported it."""

    GOOD = "good"
    """Its action went well, or it was what it was taken for."""
    BAD = "bad"
    """Its action did not go well, or it turned out to be something else."""
    TOLD = "told"
    """Somebody said something that is neither."""


@dataclass(frozen=True, slots=True)
class _Said:
    turned: Turned
    body: dict[str, Any]


async def _outcomes(session: AsyncSession, decisions: Sequence[str]) -> dict[str, list[_Said]]:
    """What was reported about the cases of these decisions, by decision."""
    query = (
        select(Decision.id, Decision.diagnosis["category"].astext, OutcomeRow.body)
        .join(OutcomeRow, OutcomeRow.case_id == Decision.case_id)
        .where(Decision.id == any_(literal(list(decisions), ARRAY(Text))))
        .order_by(OutcomeRow.at, OutcomeRow.id)
    )
    found: dict[str, list[_Said]] = {}
    for decision, category, body in (await session.execute(query)).all():
        found.setdefault(decision, []).append(_Said(_turned(category, body), body))
    return found


def _turned(category: str, body: Mapping[str, Any]) -> Turned:
    signs = {
        None if body.get("done") is None else bool(body["done"]),
        None if body.get("true_category") is None else body["true_category"] == category,
    } - {None}
    if False in signs:
        return Turned.BAD
    return Turned.GOOD if True in signs else Turned.TOLD


def _counted(flips: Sequence[Mapping[str, Any]], said: Mapping[str, Sequence[_Said]]) -> dict[str, dict[str, int]]:
    """Of the flipped rulings, by direction: how many turned out good and bad, and of how many nobody said so."""
    counts = {side: dict.fromkeys(("good", "bad", "not_reported"), 0) for side in ("loosened", "tightened")}
    for flip in flips:
        turned = {item.turned for item in said.get(flip["decision"], ())}
        side = "tightened" if Verdict(flip["new"]).strictness > Verdict(flip["old"]).strictness else "loosened"
        counts[side]["bad" if Turned.BAD in turned else "good" if Turned.GOOD in turned else "not_reported"] += 1
    return counts


async def _shown(
    session: AsyncSession, flips: Sequence[Mapping[str, Any]], said: Mapping[str, Sequence[_Said]]
) -> list[dict[str, Any]]:
    """Each flipped ruling with what it rested on, as it was recorded."""
    wanted = any_(literal([flip["decision"] for flip in flips], ARRAY(Text)))
    ruling, diagnosis = Decision.ruling, Decision.diagnosis
    query = select(
        Decision.id,
        Decision.case_id,
        Decision.at,
        Decision.verdict,
        Decision.facts,
        Decision.snapshot["order_ref"].astext.label("order_ref"),
        diagnosis["category"].astext.label("category"),
        diagnosis["confidence"].label("confidence"),
        ruling["sentence"].astext.label("sentence"),
        ruling["actions"].label("actions"),
    ).where(Decision.id == wanted)
    rows = {row.id: row for row in (await session.execute(query)).all()}
    return [_case(flip, rows[flip["decision"]], said) for flip in flips if flip["decision"] in rows]


def _case(flip: Mapping[str, Any], row: Row[Any], said: Mapping[str, Sequence[_Said]]) -> dict[str, Any]:
    return {
        "decision_id": row.id,
        "case_id": row.case_id,
        "order_ref": row.order_ref,
        "at": rfc3339(row.at),
        "recorded": row.verdict,
        **{name: flip[name] for name in ("old", "new", "newly_fired", "no_longer_fired", "other_effect")},
        "category": row.category,
        "confidence": row.confidence,
        "sentence": row.sentence,
        "actions": [
            {"action": item["action"]["action"], "arguments": item["action"]["arguments"], "recorded": item["verdict"]}
            for item in row.actions
        ],
        "outcomes": [{"turned": item.turned.value, **item.body} for item in said.get(row.id, ())],
        "facts": row.facts,
    }
