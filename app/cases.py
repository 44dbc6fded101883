"""What the detectors saw becomes cases: many signals, one open case per order and cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import store
from app.checks import inputs_of
from app.database import write
from app.detect import Detection, Detections, DetectorRules, cleared, explained
from app.ids import new_id
from app.judge import Sighting
from app.owners import Owners
from app.tables import CLOSED, ActionState, Case, CaseState, Order
from app.trail import Entry, Event, append
from app.world import World
from guardrails.facts import Facts, sha256_of, to_plain
from guardrails.taxonomy import Category, Team

REPORTED = "reported"
"""The detector of a case that a person or a script reported: nothing clears it by itself."""
ACTOR = "detectors"
FORGOTTEN_AFTER = timedelta(days=120)
"""Disputes may come until then."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A root detection and the symptoms that it explains."""

    category: Category
    detections: tuple[Detection, ...]

    @property
    def detectors(self) -> list[str]:
        return [d.detector for d in self.detections]

    @property
    def urgent(self) -> bool:
        return any(d.urgent for d in self.detections)

    def signature(self, sighting: Sighting) -> str:
        """What set it off: detectors, their facts' values, and the recorded values behind what was worked out, so that a second
        failed refund is news although "a refund failed" was true before. Unchanged means that nothing new was learnt."""
        facts, context = sighting.facts, sighting.context
        names = sorted({name for d in self.detections for name in d.fields if not facts.by_name[name].clock})
        behind = {item.key: item.winner.value for name in names for field in inputs_of(name) for item in context.entities_of(field)}
        told = {"facts": {name: to_plain(facts.get(name)) for name in names}, "behind": behind}
        return sha256_of({"detectors": sorted(self.detectors), **told})


def causes(detections: Detections, rules: DetectorRules) -> tuple[Cause, ...]:
    """Group what fired: the most specific cause first, each symptom with the cause that explains it."""
    groups: dict[Category, list[Detection]] = {}
    for detection in detections.found:
        root = next((c for c in groups if explained(rules, c, detection.category)), None)
        groups.setdefault(root or detection.category, []).append(detection)
    return tuple(Cause(category, tuple(found)) for category, found in groups.items())


async def settle_cases(world: World, order_id: str, sighting: Sighting, news: datetime) -> list[str]:
    """Open, extend, re-open and clear the order's cases. The ids of the open ones.

    `news` is the order's mark from before the look gathered: signals that join later make another look due. A look that was
    overtaken by one that has seen more changes nothing."""
    now = sighting.context.as_of
    async with write(world.database.sessions) as session:
        order = await store.lock_order(session, order_id)
        if order is None or (order.looked_at is not None and order.looked_at > news):
            return []
        existing = await store.cases_of(session, order_id)
        entries: list[Entry] = []
        matched: set[str] = set()
        for cause in causes(sighting.detections, world.detectors):
            case = await _case_for(session, world, order_id, sighting, cause, existing, entries)
            if case is not None:
                matched.add(case.id)
        unsettled = await store.cases_with_actions(session, order_id, [ActionState.UNKNOWN])
        for case in existing:
            if case.id in matched or case.id in unsettled or case.state == CaseState.ACTING:
                continue
            if cleared(sighting.facts, world.detectors, frozenset(case.detectors)):
                entries += _clear(case, now)
            elif (root := _explained_by(case, existing, matched, world.detectors)) is not None:
                entries += _absorb(case, root, now)
        order.looked_at, order.next_look_at = news, _next_look(sighting, order, world, now)
        if any(case.closed_at == now for case in existing):
            order.next_look_at = now  # what its case has left behind, such as a hold, is seen by the next look
        await session.flush()
        await append(session, now, entries)
        open_cases = await store.cases_of(session, order_id)
        return [case.id for case in open_cases if case.state not in CLOSED]


async def _case_for(
    session: AsyncSession,
    world: World,
    order_id: str,
    sighting: Sighting,
    cause: Cause,
    existing: Sequence[Case],
    entries: list[Entry],
) -> Case | None:
    """The case that this cause belongs to; None when a person has already dealt with exactly this."""
    now, signature = sighting.context.as_of, cause.signature(sighting)
    symptoms = world.detectors.explains.get(cause.category, frozenset())
    opened = [c for c in existing if c.state not in CLOSED]
    current = next((c for c in opened if c.detected_category == cause.category), None)
    if current is None:
        joins = {*symptoms, Category.UNKNOWN}
        current = next((c for c in opened if c.detected_category in joins), None)
    if current is not None:
        if current.state != CaseState.ACTING:  # what an approval rests on is not moved under it; a look follows when it has ended
            _extend(current, order_id, cause, signature, now, entries)
            _hasten(current, cause, world, sighting.facts)
        return current
    last = max(
        (c for c in existing if c.detected_category == cause.category), key=lambda c: c.closed_at or c.opened_at, default=None
    )
    if last is not None and last.signature == signature:
        return None
    if last is not None and last.closed_at is not None and world.detectors.reopens(cause.category, last.closed_at, now):
        _reopen(last, cause, signature, now, entries)
        last.due_at = world.owners.due_at(cause.category, cause.urgent, now, sighting.facts)
        return last
    case = new_case(
        order_id, sighting.context.order_ref, cause.category, cause.detectors, signature, cause.urgent, world.owners, sighting.facts
    )
    case.summary = cause.detections[0].sentence
    case.follows_case = last.id if last is not None else None
    session.add(case)
    entries.append(_entry(Event.CASE_OPENED, case, {"detectors": cause.detectors, "follows_case": case.follows_case}))
    return case


def new_case(
    order_id: str,
    order_ref: str,
    category: Category,
    detectors: list[str],
    signature: str,
    urgent: bool,
    owners: Owners,
    facts: Facts,
) -> Case:
    """A case row that waits for its first judgement."""
    now = facts.as_of
    owner: Team = owners.owner_of(category)
    return Case(
        id=new_id("case", now),
        order_id=order_id,
        order_ref=order_ref,
        fingerprint=f"{order_id}:{category}",
        detected_category=category.value,
        detectors=detectors,
        category=category.value,
        owner=owner.value,
        state=CaseState.JUDGING.value,
        urgent=urgent,
        summary="",
        sentence="Waiting for its first judgement.",
        mandatory=[],
        signature=signature,
        episode=1,
        version=1,
        recurrence=0,
        opened_at=now,
        changed_at=now,
        due_at=owners.due_at(category, urgent, now, facts),
    )


def _extend(case: Case, order_id: str, cause: Cause, signature: str, now: datetime, entries: list[Entry]) -> None:
    """The same exception, said again or better understood: a symptom's case takes its cause's name."""
    if case.signature == signature:
        return
    was = case.detected_category
    case.detected_category = cause.category.value
    case.fingerprint = f"{order_id}:{cause.category}"
    case.detectors = [*cause.detectors, *(REPORTED for detector in case.detectors if detector == REPORTED)]
    case.signature = signature
    case.recurrence += 1
    _judge_again(case, now)
    entries.append(_entry(Event.CASE_EXTENDED, case, {"detectors": cause.detectors, "was": was, "recurrence": case.recurrence}))


def _hasten(case: Case, cause: Cause, world: World, facts: Facts) -> None:
    """What has become urgent is due sooner."""
    if cause.urgent and not case.urgent:
        case.urgent = True
        case.due_at = min(case.due_at, world.owners.due_at(cause.category, cause.urgent, facts.as_of, facts))


def _reopen(case: Case, cause: Cause, signature: str, now: datetime, entries: list[Entry]) -> None:
    case.detectors, case.signature, case.urgent = cause.detectors, signature, cause.urgent
    case.closed_at, case.closed_because = None, None
    case.recurrence += 1
    case.episode += 1
    _judge_again(case, now)
    entries.append(_entry(Event.CASE_REOPENED, case, {"detectors": cause.detectors, "recurrence": case.recurrence}))


def _judge_again(case: Case, now: datetime) -> None:
    case.state = CaseState.JUDGING.value
    case.version += 1
    case.changed_at = now


def _clear(case: Case, now: datetime) -> list[Entry]:
    """Close what healed. A case that a person had closed only forgets its signature: the same thing again is news then."""
    case.signature = ""
    if case.state in CLOSED:
        return []
    return _close(case, "The source recovered: " + ", ".join(case.detectors) + " no longer applies.", now, ACTOR)


def _explained_by(case: Case, existing: Sequence[Case], matched: set[str], rules: DetectorRules) -> Case | None:
    """The open case of the cause whose symptom this open case turns out to be. What somebody reported stands for itself."""
    if case.state in CLOSED or REPORTED in case.detectors:
        return None
    symptom = Category(case.detected_category)
    causes = (c for c in existing if c.id in matched and explained(rules, Category(c.detected_category), symptom))
    return next(causes, None)


def _absorb(case: Case, cause: Case, now: datetime) -> list[Entry]:
    return _close(case, f"It is a symptom of {cause.detected_category}, case {cause.id}.", now, ACTOR)


def _close(case: Case, why: str, now: datetime, actor: str) -> list[Entry]:
    case.state = CaseState.CLEARED.value
    case.closed_at, case.changed_at = now, now
    case.closed_because = case.sentence = why
    case.version += 1
    case.holder, case.held_until = None, None
    told = {"category": case.detected_category, "version": case.version, "detectors": case.detectors, "why": why}
    return [Entry(Event.CASE_CLEARED, actor, told, case_id=case.id, order_id=case.order_id)]


async def unite_cases(session: AsyncSession, keep: str, others: Sequence[str], now: datetime, entries: list[Entry]) -> None:
    """The cases of several records that turned out to be one order. Of the open ones with one cause, the one on which somebody
    acts stays, else the oldest."""
    query = select(Case).where(Case.order_id.in_([keep, *others])).order_by(Case.seq).with_for_update()
    cases = (await session.execute(query)).scalars().all()
    stays: dict[str, Case] = {}
    for case in sorted((c for c in cases if c.state not in CLOSED), key=lambda c: c.state != CaseState.ACTING):
        if stays.setdefault(case.detected_category, case) is not case:
            entries += _close(case, f"Its order turned out to be that of case {stays[case.detected_category].id}.", now, "reader")
    await session.flush()
    for case in cases:
        case.order_id, case.fingerprint = keep, f"{keep}:{case.detected_category}"
    await session.flush()


def _next_look(sighting: Sighting, order: Order, world: World, now: datetime) -> datetime | None:
    """When to look again though nothing arrives: while an absence detector cannot fire yet but still may. Orders of which
    nothing has been heard for long are left alone until something is."""
    if now - order.changed_at > FORGOTTEN_AFTER:
        return None
    fired = {d.detector for d in sighting.detections.found}
    waiting = any(d.absence and d.id not in fired for d in world.detectors.detectors)
    done = sighting.facts.get("order.fulfillment_status") == "fulfilled" and sighting.facts.get("check.delivered") is True
    return now + world.detectors.look_every if waiting and not done else None


def _entry(event: Event, case: Case, body: dict[str, object]) -> Entry:
    told = {"category": case.detected_category, "version": case.version, **body}
    return Entry(event, ACTOR, told, case_id=case.id, order_id=case.order_id)
