"""Recording judgements: one immutable decision row, the case it moves, and the intents of what it allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case as case_when
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import store
from app.answers import plain_diagnosis
from app.audits import draw
from app.budgets import plain_claims
from app.cases import REPORTED, new_case
from app.classify import Diagnosis
from app.database import write
from app.governing import Governing
from app.ids import new_id
from app.judge import Sighting
from app.tables import CLOSED, UNSETTLED, ActionRow, ActionState, Case, CaseState, Decision, Order
from app.trail import Entry, Event, append
from app.world import World
from guardrails.facts import Facts, sha256_of, to_plain
from guardrails.grounding import speaking_in
from guardrails.policy.tables import Policy
from guardrails.proposal import AGENT, ProposedAction
from guardrails.record import plain_ruling
from guardrails.ruling import Ruling
from guardrails.standing import EVERYTHING, Spent, Standing
from guardrails.taxonomy import Action, Category, Verdict

WORDING = frozenset(["text", "reason", "note", "summary"])
_STATE = {Verdict.AUTOMATE: CaseState.AUTOMATED, Verdict.REVIEW: CaseState.REVIEW, Verdict.BLOCK: CaseState.BLOCKED}


@dataclass(frozen=True, slots=True)
class Recorded:
    """`allowed` are the ids of the actions that may run now; empty when the case was closed meanwhile."""

    decision_id: str | None
    allowed: tuple[str, ...]


async def case_to_judge(world: World, case_id: str) -> Case | None:
    """The case, unless it is closed, or a person's approval is being carried out on it."""
    async with world.database.sessions() as session:
        case = await store.get_case(session, case_id)
    return None if case.state in (*CLOSED, CaseState.ACTING) else case


async def already_judged(world: World, case: Case, sighting: Sighting, rules: Governing) -> bool:
    """True when its newest decision rests on these facts, this policy and these switches, nobody asked for another, and nothing
    that it allowed was refused since."""
    if case.state == CaseState.JUDGING or case.decision_id is None:
        return False
    async with world.database.sessions() as session:
        decision = await store.get_decision(session, case.decision_id)
        refused = await _has_refused(session, decision.id)
    if decision.facts_sha256 != sighting.facts.digest() or decision.policy_sha256 != rules.policy.sha256:
        return False
    if refused or decision.diagnosis["failure"] is not None:
        return False
    # what a settled case was allowed has run: a switch has nothing left to say about it
    return case.state == CaseState.AUTOMATED or _under_the_same_switches(decision, sighting, rules.standing)


async def _has_refused(session: AsyncSession, decision_id: str) -> bool:
    query = select(ActionRow.id).where(ActionRow.decision_id == decision_id, ActionRow.state == ActionState.REFUSED)
    return (await session.execute(query.limit(1))).scalar_one_or_none() is not None


def _under_the_same_switches(decision: Decision, sighting: Sighting, standing: Standing) -> bool:
    """Of those that concern its actions and the sources of its facts."""
    asked = {f"action:{item['action']['action']}" for item in decision.ruling["actions"]}
    sources = {fact.source for fact in sighting.facts.by_name.values()} | speaking_in(sighting.snapshot)
    read = {f"source:{source}" for source in sources}
    then = frozenset((decision.standing or {}).get("off", ()))
    return (then ^ standing.off).isdisjoint(asked | read | {EVERYTHING})


async def record(
    world: World,
    case: Case,
    sighting: Sighting,
    diagnosis: Diagnosis,
    ruling: Ruling,
    rules: Governing,
    shadow: dict[str, Any] | None = None,
) -> Recorded:
    """Write the decision and what follows from it in one transaction. `rules` are what it was ruled by, `shadow` what the policy
    on trial would have ruled."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        row = await store.get_case(session, case.id, lock=True)
        if await _overtaken(session, row, case, sighting):
            return Recorded(None, ())
        decision = _decision(row, sighting, diagnosis, ruling, now)
        decision.standing, decision.shadow = plain_standing(rules, ruling, sighting.snapshot), shadow
        session.add(decision)
        await session.flush()
        _move(row, world, decision, diagnosis, ruling, now)
        await _keep_before_a_person(session, row)
        entries = [Entry(Event.DECISION_MADE, AGENT.id, trail_body(decision), row.id, row.order_id)]
        permitted = [item.action for item in ruling.actions if item.verdict is Verdict.AUTOMATE]
        warrant = Warrant(AGENT.id, f"episode:{row.episode}:{row.detected_category}", budgets=(rules.policy, sighting.facts))
        allowed = await intend(session, row, decision, permitted, warrant, now, entries)
        entries += await draw(session, world, row, decision, now)
        await append(session, now, entries)
        return Recorded(decision.id, tuple(allowed))


async def _overtaken(session: AsyncSession, row: Case, judged: Case, sighting: Sighting) -> bool:
    """The case was closed, set aside by a person or judged on newer facts while this judgement was being made."""
    if row.state in (*CLOSED, CaseState.ACTING):
        return True
    if row.decision_id is None or row.decision_id == judged.decision_id:
        return row.state not in (judged.state, CaseState.JUDGING)
    newest = await store.get_decision(session, row.decision_id)
    return datetime.fromisoformat(newest.snapshot["as_of"]) >= sighting.context.as_of


async def _keep_before_a_person(session: AsyncSession, case: Case) -> None:
    """What somebody reported, and what has an action that may have happened or waits to be done by hand, is not left to itself."""
    if case.state != CaseState.AUTOMATED:
        return
    if REPORTED in case.detectors:
        case.state = CaseState.REVIEW.value
        case.sentence = f"{case.sentence} Somebody reported this case, so a person closes it."
    if case.id in await store.cases_with_actions(session, case.order_id, UNSETTLED):
        case.state = CaseState.REVIEW.value
        case.sentence = f"{case.sentence} An earlier action of this case has not been settled: report its outcome."


@dataclass(frozen=True, slots=True)
class Warrant:
    """On whose word actions are carried out. Within one `sequence` the same action happens once. `budgets` are the policy and
    the facts that say what it takes of budgets; None where a person has answered for it."""

    requested_by: str
    sequence: str
    approval_id: str | None = None
    approved_by: tuple[str, ...] = ()
    budgets: tuple[Policy, Facts] | None = None


_WORDING = frozenset(["text", "reason"])
"""Arguments that only say it in words: a ticket about the same matter is the same ticket however it is worded."""


def action_key(case_id: str, action: ProposedAction, warrant: Warrant, nth: int) -> str:
    """The idempotency key: case, action, what it does and the sequence. `nth` tells apart actions of one decision that differ
    in their wording alone."""
    does = {name: value for name, value in action.arguments.items() if name not in _WORDING}
    return sha256_of([case_id, action.action.value, does, warrant.sequence, nth])


async def intend(
    session: AsyncSession,
    case: Case,
    decision: Decision,
    actions: Sequence[ProposedAction],
    warrant: Warrant,
    now: datetime,
    entries: list[Entry],
) -> list[str]:
    """Intent rows for the actions; the ids of those that are to run.

    Judging a case again does not repeat what was done, and two approvals of equal refunds are two refunds. What was not begun,
    was refused or certainly failed may be intended anew. Raises UncountableClaim where nobody can say what an action takes of
    a budget."""
    ids: list[str] = []
    keys: list[str] = []
    for action in {action.digest(): action for action in actions}.values():
        nth = 0
        while (key := action_key(case.id, action, warrant, nth)) in keys:
            nth += 1
        keys.append(key)
        claims = [] if warrant.budgets is None else plain_claims(action, *warrant.budgets)
        fresh = {
            "decision_id": decision.id,
            "arguments": to_plain(action.arguments),
            "digest": action.digest(),
            "state": ActionState.INTENDED.value,
            "facts_sha256": decision.facts_sha256,
            "policy_sha256": decision.policy_sha256,
            "claims": claims,
            "created_at": now,
            "finished_at": None,
            "error": None,
        }
        row = insert(ActionRow).values(
            id=new_id("act", now),
            case_id=case.id,
            action=action.action.value,
            idempotency_key=key,
            requested_by=warrant.requested_by,
            approval_id=warrant.approval_id,
            approved_by=list(warrant.approved_by),
            **fresh,
        )
        again = ActionRow.state.in_((ActionState.INTENDED.value, ActionState.REFUSED.value, ActionState.FAILED.value))
        # what it was counted for in this hour it is not counted for again, unless it now takes something else
        counted = case_when((ActionRow.claims == row.excluded.claims, ActionRow.claimed_hour), else_=None)
        # one that is intended and was begun is being recovered: it may have happened, and that is not forgotten
        begun = case_when((ActionRow.state == ActionState.INTENDED, ActionRow.started_at), else_=None)
        anew = fresh | {"claimed_hour": counted, "started_at": begun}
        upsert = row.on_conflict_do_update(index_elements=["idempotency_key"], set_=anew, where=again).returning(ActionRow.id)
        action_id = (await session.execute(upsert)).scalar_one_or_none()
        if action_id is not None:
            ids.append(action_id)
            body = {"action_id": action_id, "action": action.action.value, "arguments": to_plain(action.arguments), "key": key}
            told = body | {"decision_id": decision.id, "approved_by": list(warrant.approved_by)}
            entries.append(Entry(Event.ACTION_INTENDED, warrant.requested_by, told, case.id, case.order_id))
    return ids


def _effect(action: ProposedAction) -> dict[str, Any]:
    """The arguments that make a difference outside. Wording does not: the same hold for a better worded reason is the same."""
    if action.action is Action.MESSAGE_CUSTOMER:
        return {name: to_plain(value) for name, value in action.arguments.items()}
    return {name: to_plain(value) for name, value in action.arguments.items() if name not in WORDING}


def trail_body(decision: Decision) -> dict[str, Any]:
    """All that is needed to rebuild the decision without any other table."""
    return {
        "decision_id": decision.id,
        "verdict": decision.verdict,
        "snapshot": decision.snapshot,
        "facts": decision.facts,
        "facts_sha256": decision.facts_sha256,
        "diagnosis": decision.diagnosis,
        "ruling": decision.ruling,
        "policy_version": decision.policy_version,
        "policy_sha256": decision.policy_sha256,
        "standing": decision.standing,
        "shadow": decision.shadow,
    }


def plain_standing(rules: Governing, ruling: Ruling, snapshot: dict[str, Any]) -> dict[str, Any]:
    """What was switched off, which systems spoke, and what the hour had spent of the budgets of the ruling's actions; `spent` is
    null where it could not be seen."""
    seen_then = {"off": sorted(rules.standing.off), "speaking": sorted(speaking_in(snapshot))}
    spent = rules.standing.spent
    if spent is None:
        return {**seen_then, "spent": None}
    known = [rules.policy.actions.get(item.action.action) for item in ruling.actions]
    keys = {budget.key for entry in known if entry is not None for budget in rules.policy.budgets_of(entry)}
    seen = {key: spent.get(key, Spent()) for key in sorted(keys)}
    return {**seen_then, "spent": {key: {"count": item.count, "money": dict(item.money)} for key, item in seen.items()}}


def _decision(case: Case, sighting: Sighting, diagnosis: Diagnosis, ruling: Ruling, now: datetime) -> Decision:
    return Decision(
        id=new_id("dec", now),
        case_id=case.id,
        at=now,
        verdict=ruling.verdict.value,
        snapshot=sighting.snapshot,
        facts={name: to_plain(fact) for name, fact in sighting.facts.by_name.items()},
        facts_sha256=sighting.facts.digest(),
        diagnosis=plain_diagnosis(diagnosis)
        | {"detections": [d.detector for d in sighting.detections.found], "unseen": list(sighting.detections.unknown)},
        ruling=plain_ruling(ruling),
        policy_version=ruling.policy_version,
        policy_sha256=ruling.policy_sha256,
    )


def _move(case: Case, world: World, decision: Decision, diagnosis: Diagnosis, ruling: Ruling, now: datetime) -> None:
    """The case shows its newest decision. What the model suggests as owner is only taken where the routing table agrees
    that this team owns the category; otherwise the table decides and the suggestion stays in the decision."""
    answered = diagnosis.failure is None and diagnosis.category is not Category.UNKNOWN
    category = diagnosis.category if answered else Category(case.detected_category)
    case.category = category.value
    if case.assignee is None:
        case.owner = world.owners.owner_of(category).value
    case.verdict = ruling.verdict.value
    case.state = _STATE[ruling.verdict].value
    case.summary = diagnosis.summary
    case.sentence = ruling.sentence
    case.confidence = diagnosis.confidence
    case.mandatory = [r.value for r in ruling.mandatory]
    case.decision_id = decision.id
    case.version += 1
    case.changed_at = now


async def give_up(world: World, order_id: str, error: Exception) -> None:
    """Looking at this order keeps failing: a person must know. Its cases go to review; without one, a case is opened."""
    now = world.clock()
    why = f"Ordermend could not judge this order: {type(error).__name__}: {error}"[:500]
    async with write(world.database.sessions) as session:
        order = await store.lock_order(session, order_id)
        if order is None:
            return
        cases = [c for c in await store.cases_of(session, order_id) if c.state not in CLOSED]
        entries = []
        if not cases:
            signature = sha256_of(why)
            case = new_case(
                order_id, order.ref, Category.INTEGRATION_FAILURE, [REPORTED], signature, True, world.owners, Facts(order.ref, now)
            )
            session.add(case)
            cases = [case]
            entries.append(Entry(Event.CASE_OPENED, "pipeline", {"category": case.category, "why": why}, case.id, order_id))
        for case in cases:
            if case.state == CaseState.JUDGING:
                case.state, case.verdict, case.sentence = CaseState.REVIEW.value, Verdict.REVIEW.value, why
                case.version += 1
                case.changed_at = now
                entries.append(Entry(Event.CASE_UNJUDGED, "pipeline", {"why": why, "version": case.version}, case.id, order_id))
        order.looked_at, order.failures, order.next_look_at = order.changed_at, 0, now + world.detectors.look_every
        await session.flush()
        await append(session, now, entries)


async def count_failure(world: World, order_id: str) -> int:
    """One more failed look; how many in a row by now."""
    async with write(world.database.sessions) as session:
        counted = update(Order).where(Order.id == order_id).values(failures=Order.failures + 1).returning(Order.failures)
        return (await session.execute(counted)).scalar_one_or_none() or 0


async def forget_failures(world: World, order_id: str) -> None:
    """A look has succeeded: failures count in a row."""
    async with write(world.database.sessions) as session:
        await session.execute(update(Order).where(Order.id == order_id, Order.failures > 0).values(failures=0))


async def judging_since(session: AsyncSession, older_than: datetime, limit: int) -> list[str]:
    """Orders with a case that has waited for its judgement since before then: a nudge got lost or a worker died."""
    query = select(Case.order_id).where(Case.state == CaseState.JUDGING, Case.changed_at < older_than).distinct().limit(limit)
    return list((await session.execute(query)).scalars())
