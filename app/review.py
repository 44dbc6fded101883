"""What a reviewer can do with a case: claim, release, assign, approve, edit, reject, ask for evidence.

An approval is bound to the facts, the policy and the actions that the reviewer saw. It re-enters at the guard with fresh
facts and leaves through the same `act` as everything else: one door for every effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import act, keys, store
from app.answers import revive
from app.database import write
from app.decisions import Warrant, intend
from app.errors import CaseHeld, Denied, GuardrailRefused, IllegalTransition, InputInvalid, OrdermendError, StaleVersion
from app.governing import governing
from app.ids import new_id
from app.judge import Sighting, look
from app.tables import CLOSED, UNSETTLED, ActionRow, ActionState, Approval, Case, CaseState, Decision, Order
from app.trail import Entry, Event, append
from app.world import World
from guardrails.facts import rfc3339, sha256_of, to_plain
from guardrails.gate import guard
from guardrails.money import Money, MoneyError
from guardrails.policy.load import Policy
from guardrails.proposal import Actor, Proposal, ProposedAction
from guardrails.record import plain_ruling
from guardrails.ruling import Outcome, Ruling
from guardrails.taxonomy import Action, Category, PrincipalKind, Team, Verdict


class ReviewDecision(StrEnum):
    APPROVE = "approve"
    EDIT = "edit"
    REJECT = "reject"
    REQUEST_EVIDENCE = "request_evidence"


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """`actions` only with `edit`: they replace the proposed ones. `category` and `owner` correct the classifier."""

    decision: ReviewDecision
    reason: str
    actions: tuple[ProposedAction, ...] | None = None
    category: Category | None = None
    owner: Team | None = None


async def claim(world: World, person: Actor, case_id: str) -> Case:
    """Take the case, or renew one's lease on it. Raises CaseHeld while somebody else's lease runs."""
    _only_people(person)
    now = world.clock()
    async with write(world.database.sessions) as session:
        case = await _open_case(session, case_id)
        _not_held_by_another(case, person, now)
        case.holder, case.held_until = person.id, now + timedelta(seconds=world.settings.claim_lease_s)
        case.version += 1
        body = {"until": rfc3339(case.held_until), "version": case.version}
        await session.flush()
        await append(session, now, [Entry(Event.CASE_CLAIMED, person.id, body, case.id, case.order_id)])
    return case


async def release(world: World, person: Actor, case_id: str) -> Case:
    """Give the case back. Only its holder can; a lease that has run out is anybody's to clear."""
    _only_people(person)
    now = world.clock()
    async with write(world.database.sessions) as session:
        case = await _open_case(session, case_id)
        _not_held_by_another(case, person, now)
        case.holder, case.held_until = None, None
        case.version += 1
        await session.flush()
        await append(session, now, [Entry(Event.CASE_RELEASED, person.id, {"version": case.version}, case.id, case.order_id)])
    return case


async def assign(world: World, actor: Actor, case_id: str, owner: Team | None, assignee: str | None) -> Case:
    """Give the case to a team, a person, or both. An assigned case is not routed by the table any more."""
    if owner is None and assignee is None:
        raise InputInvalid([("", "name an owner, an assignee, or both")])
    now = world.clock()
    async with write(world.database.sessions) as session:
        case = await _open_case(session, case_id)
        case.owner = owner.value if owner else case.owner
        case.assignee = assignee or case.assignee or (owner.value if owner else None)
        case.version += 1
        body = {"owner": case.owner, "assignee": case.assignee, "version": case.version}
        await session.flush()
        await append(session, now, [Entry(Event.CASE_ASSIGNED, actor.id, body, case.id, case.order_id)])
    return case


async def decide(world: World, person: Actor, case_id: str, expected_version: int, request: ReviewRequest) -> Case:
    """Record a person's decision and carry out what it allows.

    Raises StaleVersion when the case, its facts or the policy moved since the reviewer read it, CaseHeld, IllegalTransition,
    GuardrailRefused when the guard still says no, InputInvalid for a request that does not fit the decision."""
    _only_people(person)
    _check(request)
    if request.decision in (ReviewDecision.REJECT, ReviewDecision.REQUEST_EVIDENCE):
        return await _set_aside(world, person, case_id, expected_version, request)
    async with world.database.sessions() as session:
        case = await store.get_case(session, case_id)
        _may_decide(case, person, expected_version, world.clock())
        decision = await store.get_decision(session, case.decision_id or "")
        earlier = await _standing_approvals(session, decision, world.clock())
        await _nothing_unsettled(session, case, request.actions if request.actions is not None else awaiting_approval(decision))
    sighting = look(await store.gather(world, case.order_id, world.clock()), world.detectors)
    rules = await governing(world)
    try:
        _still_true(case, decision, sighting, rules.policy)
    except StaleVersion:
        await world.nudge("look", case.order_id)
        raise
    actions = request.actions if request.actions is not None else awaiting_approval(decision)
    if not actions:
        raise _nothing_to_approve(decision)
    approvers = _same_actions(earlier, actions)
    asked = _proposal(decision, actions, request)
    ruling = guard(sighting.facts, asked, rules.policy, person, sighting.snapshot, rules.standing, approvers)
    if ruling.verdict is Verdict.BLOCK:
        await _refuse(world, person, case, ruling)
        raise _refusal(plain_ruling(ruling))
    return await _approve(world, person, case, expected_version, decision, actions, ruling, request, approvers)


def _nothing_to_approve(decision: Decision) -> OrdermendError:
    if decision.verdict == Verdict.BLOCK:
        return _refusal(decision.ruling)
    return IllegalTransition(
        "Nothing waits for approval: what was proposed has run already. Edit the case and name the actions to carry out, or reject "
        "it to close it as it is."
    )


def _refusal(ruling: Mapping[str, Any]) -> GuardrailRefused:
    """Which rules block, and what would lift it."""
    findings = [*ruling["findings"], *(finding for item in ruling["actions"] for finding in item["findings"])]
    fired = [f for f in findings if f["outcome"] in (Outcome.FIRED, Outcome.FIRED_UNKNOWN) and f["effect"] == Verdict.BLOCK]
    return GuardrailRefused(ruling["sentence"], list(dict.fromkeys(f["rule"] for f in fired)), ruling["lift"])


def awaiting_approval(decision: Decision) -> tuple[ProposedAction, ...]:
    """The actions of a decision that the guard left to a person."""
    return tuple(
        ProposedAction(Action(item["action"]["action"]), item["action"]["arguments"])
        for item in decision.ruling["actions"]
        if item["verdict"] == Verdict.REVIEW
    )


async def _approve(
    world: World,
    person: Actor,
    case: Case,
    expected_version: int,
    decision: Decision,
    actions: Sequence[ProposedAction],
    ruling: Ruling,
    request: ReviewRequest,
    approvers: Sequence[Actor],
) -> Case:
    now = world.clock()
    needs_another = [item.action for item in ruling.actions if item.verdict is Verdict.REVIEW]
    async with write(world.database.sessions) as session:
        row = await _open_case(session, case.id)
        _may_decide(row, person, expected_version, now)
        approval = _approval(row, decision, person, request, actions, now)
        session.add(approval)
        await session.flush()
        row.version += 1
        row.changed_at = now
        _correct(row, request)
        event = Event.REVIEW_EDITED if request.decision is ReviewDecision.EDIT else Event.REVIEW_APPROVED
        body = _told(approval, row) | {"ruling": plain_ruling(ruling), "second_person_needed": bool(needs_another)}
        entries = [Entry(event, person.id, body, row.id, row.order_id)]
        ids: list[str] = []
        if needs_another:
            row.sentence = (
                f"{person.id} approved. A second person must approve: " + ", ".join(a.action for a in needs_another) + "."
            )
            row.holder, row.held_until = None, None
        else:
            row.state = CaseState.ACTING.value
            people = tuple(dict.fromkeys([*(a.id for a in approvers), person.id]))
            warrant = Warrant(person.id, approval.id, approval.id, people)
            ids = await intend(session, row, decision, actions, warrant, now, entries)
        await session.flush()
        await append(session, now, entries)
    for action_id in ids:
        await act.carry_out(world, action_id)
    return await _fresh(world, case.id)


async def _set_aside(world: World, person: Actor, case_id: str, expected_version: int, request: ReviewRequest) -> Case:
    """Reject: nothing is done and the case is closed. Request evidence: the case waits until some arrives."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        await store.lock_order(session, (await store.get_case(session, case_id)).order_id)
        row = await _open_case(session, case_id)
        _may_set_aside(row, person, expected_version, request, now)
        told = {"reason": request.reason}
        if row.decision_id is not None:
            approval = _approval(row, await store.get_decision(session, row.decision_id), person, request, (), now)
            session.add(approval)
            told = _told(approval, row)
        row.version += 1
        row.changed_at = now
        _correct(row, request)
        if request.decision is ReviewDecision.REJECT:
            row.state, row.closed_at = CaseState.RESOLVED.value, now
            row.closed_because = row.sentence = f"Rejected by {person.id}: {request.reason}"
            event = Event.REVIEW_REJECTED
        else:
            row.state = CaseState.BLOCKED.value
            row.sentence = f"{person.id} asked for evidence: {request.reason}"
            event = Event.REVIEW_REQUESTED_EVIDENCE
        row.holder, row.held_until = None, None
        await session.execute(update(Order).where(Order.id == row.order_id).values(next_look_at=now))
        entries = [Entry(event, person.id, told | {"version": row.version}, row.id, row.order_id)]
        await session.flush()
        await append(session, now, entries)
    return row


async def _refuse(world: World, person: Actor, case: Case, ruling: Ruling) -> None:
    """A refused approval leaves its mark, too."""
    now = world.clock()
    async with write(world.database.sessions) as session:
        body = {"ruling": plain_ruling(ruling)}
        await append(session, now, [Entry(Event.REVIEW_REFUSED, person.id, body, case.id, case.order_id)])


def _still_true(case: Case, decision: Decision, sighting: Sighting, governs: Policy) -> None:
    """Raises StaleVersion with what changed since the decision that the reviewer saw."""
    if decision.policy_sha256 != governs.sha256:
        raise StaleVersion("The policy has changed since this case was judged; it is being judged again.", case.version)
    if decision.facts_sha256 == sighting.facts.digest():
        return
    changes: list[dict[str, Any]] = []
    now_known = {name: to_plain(fact) for name, fact in sighting.facts.by_name.items() if not fact.clock}
    for name in sorted({*now_known, *decision.facts}):
        was, is_now = decision.facts.get(name), now_known.get(name)
        if was is not None and was.get("clock"):
            continue
        if (was or {}).get("value") != (is_now or {}).get("value"):
            changes.append({"field": name, "was": (was or {}).get("value"), "is": (is_now or {}).get("value")})
    raise StaleVersion("The facts have changed since this case was judged; read it again.", case.version, changes)


async def _standing_approvals(session: AsyncSession, decision: Decision, now: datetime) -> list[Approval]:
    """Earlier approvals of this very decision. An approval of older facts or policy belongs to an older decision; one that has
    been carried out is spent; a colleague's question puts back those before it; and with a person's last key goes their word."""
    query = select(Approval).where(Approval.decision_id == decision.id).order_by(Approval.at, Approval.id)
    spent = select(ActionRow.approval_id).where(ActionRow.decision_id == decision.id, ActionRow.approval_id.is_not(None))
    used = set((await session.execute(spent)).scalars())
    standing: list[Approval] = []
    for approval in (await session.execute(query)).scalars():
        asks = approval.decision not in (ReviewDecision.APPROVE, ReviewDecision.EDIT)
        standing = [] if asks or approval.id in used else [*standing, approval]
    gone = await keys.withdrawn(session, (approval.person for approval in standing), now)
    return [approval for approval in standing if approval.person not in gone]


async def _nothing_unsettled(session: AsyncSession, case: Case, actions: Sequence[ProposedAction]) -> None:
    """Raises IllegalTransition when one of these actions is still under way in this case, or may already have happened."""
    kinds = {action.action.value for action in actions}
    states = (ActionState.INTENDED, ActionState.RUNNING, *UNSETTLED)
    query = select(ActionRow).where(ActionRow.case_id == case.id, ActionRow.action.in_(kinds), ActionRow.state.in_(states))
    row = (await session.execute(query.limit(1))).scalar_one_or_none()
    if row is not None:
        raise IllegalTransition(
            f"{row.action} ({row.id}) is {row.state}: it may already have happened. Report its outcome first, then decide again."
        )


def _same_actions(earlier: Sequence[Approval], actions: Sequence[ProposedAction]) -> tuple[Actor, ...]:
    """Who has already approved exactly these actions."""
    wanted = actions_sha256(actions)
    return tuple(Actor(PrincipalKind.PERSON, a.person, frozenset(a.roles)) for a in earlier if a.actions_sha256 == wanted)


def actions_sha256(actions: Sequence[ProposedAction]) -> str:
    return sha256_of(sorted(a.digest() for a in actions))


def _proposal(decision: Decision, actions: Sequence[ProposedAction], request: ReviewRequest) -> Proposal:
    """The stored diagnosis with the actions that the reviewer wants, and the category as corrected."""
    diagnosis = revive({k: v for k, v in decision.diagnosis.items() if k not in ("detections", "unseen")})
    told = diagnosis.to_proposal()
    return Proposal(
        category=request.category or told.category,
        owner=request.owner or told.owner,
        confidence=told.confidence,
        evidence=told.evidence,
        actions=tuple(actions),
        classifier=told.classifier,
        failure=told.failure,
        untrusted_instructions=told.untrusted_instructions,
    )


def _approval(
    case: Case, decision: Decision, person: Actor, request: ReviewRequest, actions: Sequence[ProposedAction], now: datetime
) -> Approval:
    return Approval(
        id=new_id("apr", now),
        case_id=case.id,
        decision_id=decision.id,
        at=now,
        person=person.id,
        roles=sorted(person.roles),
        decision=request.decision.value,
        reason=request.reason,
        actions=[{"action": a.action.value, "arguments": to_plain(a.arguments), "digest": a.digest()} for a in actions],
        actions_sha256=actions_sha256(actions),
        facts_sha256=decision.facts_sha256,
        policy_sha256=decision.policy_sha256,
        category=request.category.value if request.category else None,
        owner=request.owner.value if request.owner else None,
    )


def _told(approval: Approval, case: Case) -> dict[str, Any]:
    return {
        "approval_id": approval.id,
        "decision_id": approval.decision_id,
        "decision": approval.decision,
        "reason": approval.reason,
        "actions": approval.actions,
        "actions_sha256": approval.actions_sha256,
        "facts_sha256": approval.facts_sha256,
        "policy_sha256": approval.policy_sha256,
        "category": approval.category,
        "owner": approval.owner,
        "version": case.version,
    }


def _correct(case: Case, request: ReviewRequest) -> None:
    case.category = request.category.value if request.category else case.category
    if request.owner is not None:
        case.owner, case.assignee = request.owner.value, request.owner.value


def _check(request: ReviewRequest) -> None:
    errors = []
    if not request.reason.strip():
        errors.append(("/reason", "say why; it goes on record"))
    if request.decision is ReviewDecision.EDIT and not request.actions:
        errors.append(("/actions", "an edit names the actions to carry out"))
    if request.decision is not ReviewDecision.EDIT and request.actions is not None:
        errors.append(("/actions", "only an edit carries actions"))
    if len({action.digest() for action in request.actions or ()}) < len(request.actions or ()):
        errors.append(("/actions", "the same action stands there twice; approve it once"))
    for index, action in enumerate(request.actions or ()):
        if "amount" in action.arguments and not _is_positive_money(action.arguments["amount"]):
            errors.append(
                (f"/actions/{index}/arguments/amount", 'must be {"amount": whole minor units above 0, "currency": "USD"}')
            )
    if errors:
        raise InputInvalid(errors)


def _is_positive_money(value: object) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get("currency"), str):
        return False
    try:
        return Money(value.get("amount", 0), value["currency"]).amount > 0
    except MoneyError:
        return False


def _may_decide(case: Case, person: Actor, expected_version: int, now: datetime) -> None:
    _not_held_by_another(case, person, now)
    _of_version(case, expected_version)
    if case.state not in (CaseState.REVIEW, CaseState.BLOCKED, CaseState.AUTOMATED) or case.decision_id is None:
        raise IllegalTransition(f"A case that is {case.state} cannot be decided now.")


def _may_set_aside(case: Case, person: Actor, expected_version: int, request: ReviewRequest, now: datetime) -> None:
    """As any decision; but a case that could not be judged has no decision, and a person may still close it."""
    if request.decision is ReviewDecision.REJECT and case.state == CaseState.REVIEW and case.decision_id is None:
        _not_held_by_another(case, person, now)
        _of_version(case, expected_version)
        return
    _may_decide(case, person, expected_version, now)


def _of_version(case: Case, expected: int) -> None:
    if case.version != expected:
        raise StaleVersion("The case has changed since you read it; read it again.", case.version)


def _not_held_by_another(case: Case, person: Actor, now: datetime) -> None:
    if case.holder is not None and case.holder != person.id and case.held_until is not None and case.held_until > now:
        raise CaseHeld(case.holder, rfc3339(case.held_until))


def _only_people(actor: Actor) -> None:
    if actor.kind is not PrincipalKind.PERSON:
        raise Denied("Only a person can review; this key belongs to a service. Create a person's key for it.")


async def _open_case(session: AsyncSession, case_id: str) -> Case:
    case = await store.get_case(session, case_id, lock=True)
    if case.state in CLOSED:
        raise IllegalTransition(f"The case is {case.state}: {case.closed_because}")
    return case


async def _fresh(world: World, case_id: str) -> Case:
    async with world.database.sessions() as session:
        return await store.get_case(session, case_id)


async def report_by_hand(session: AsyncSession, world: World, actor: Actor, case: Case, action_id: str, done: bool) -> list[Entry]:
    """A person says how an action went that was handed over, or whose outcome nobody knew."""
    now = world.clock()
    await store.lock_order(session, case.order_id)
    case = await store.get_case(session, case.id, lock=True)
    row = await session.get(ActionRow, action_id, with_for_update=True)
    if row is None or row.case_id != case.id:
        raise InputInvalid([("/action_id", "this case has no such action")])
    if row.state not in (ActionState.HANDED_OVER, ActionState.UNKNOWN):
        raise IllegalTransition(f"Action {action_id} is {row.state}; only what was handed over or is unknown can be reported.")
    row.state = (ActionState.DONE if done else ActionState.FAILED).value
    row.finished_at, row.receipt = now, {"reported_by": actor.id}
    row.error = None if done else f"{actor.id} reports that it was not done."
    event = Event.ACTION_DONE if done else Event.ACTION_FAILED
    entries = [Entry(event, actor.id, {"action_id": row.id, "action": row.action, "by_hand": True}, case.id, case.order_id)]
    await session.flush()
    if case.state in (CaseState.ACTING, CaseState.REVIEW):
        entries += await act.close_when_done(session, case, now)
    return entries
