"""Blind audits: a random share of what was decided without a person is judged by one, who does not see the answer.

Drawn by the case's id alone, before anybody knows how it went. What is judged labels the classifier's confidence, and feeds the
drift alarm, which stops automation in the transaction of the judgement that made it sound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import switches
from app.assurance import IN_MODEL
from app.database import write
from app.errors import Denied, IllegalTransition, NotFound
from app.ids import new_id
from app.models.switching import in_use
from app.tables import Audit, Case, Decision
from app.trail import Entry, Event, append
from app.world import World
from guardrails.certificate import GLOBAL, Certificate, Keys
from guardrails.drift import DriftAlarm
from guardrails.policy.catalogue import CATALOGUE
from guardrails.proposal import Actor
from guardrails.taxonomy import Category, PrincipalKind, Verdict
from guardrails.tuning import Label, Uncertified, tune

POPULATION = "random blind audits of live decisions that ran without a person"
SHOWN_AT_ONCE = 50
EXPORT_SCHEMA = "ordermend/audit-labels/v1"


@dataclass(frozen=True, slots=True)
class Said:
    """What the person found. Not `acceptable`: a person should have decided this one, whatever its category."""

    category: Category
    acceptable: bool = True


@dataclass(frozen=True, slots=True)
class Stated:
    """One recorded value of the order, as it was when the machine decided. `untrusted` is free text from outside."""

    field: str
    value: Any
    source: str | None
    untrusted: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One audit as its judge sees it. `facts` are recorded values: no detector, category, confidence, verdict or action."""

    audit: Audit
    order_ref: str
    facts: tuple[Stated, ...]


@dataclass(frozen=True, slots=True)
class ScopeState:
    """`global` or a category. `state` is certified, uncertified or dead; `sentence` says it in words. Thresholds are shares of 1."""

    scope: str
    state: str
    sentence: str
    threshold: float | None
    alpha: float
    delta: float


@dataclass(frozen=True, slots=True)
class AssuranceState:
    """Of what judges in this process. `stake` is the drift alarm's, which sounds at `sounds_at`; `stopped` says that automation is
    off, by the alarm or by a person; `problem` why stored certificates do not count."""

    keys: Keys
    audit_share: float
    open: int
    judged: int
    wrong: int
    stake: float
    sounds_at: float
    sounded: bool
    stopped: bool
    problem: str | None
    scopes: tuple[ScopeState, ...]


# --- drawing ---


async def draw(session: AsyncSession, world: World, case: Case, decision: Decision, now: datetime) -> list[Entry]:
    """Within the transaction of the decision; the entries are for its caller to append. A case is drawn once for one classifier."""
    score = decision.diagnosis["confidence"]
    if decision.verdict != Verdict.AUTOMATE or score is None or not world.assurance.rules.draws(case.id):
        return []
    keys = world.assurance.keys(in_use(world.classifier).fingerprint)
    fresh = {"case_id": case.id, "decision_id": decision.id, "drawn_at": now, "model": keys.model, "keys": asdict(keys)}
    row = insert(Audit).values(id=new_id("aud", now), score=score, answered=decision.diagnosis["category"], **fresh)
    drawn = (await session.execute(row.on_conflict_do_nothing().returning(Audit.id))).scalar_one_or_none()
    if drawn is None:
        return []
    return [
        Entry(Event.AUDIT_DRAWN, "audit", {"audit_id": drawn, "decision_id": decision.id, "keys": asdict(keys), "score": score})
    ]


# --- judging ---


async def open_audits(session: AsyncSession, limit: int = SHOWN_AT_ONCE) -> list[Question]:
    """Those that wait to be judged, the oldest first."""
    query = select(Audit, Decision, Case.order_ref).join(Decision, Decision.id == Audit.decision_id)
    query = query.join(Case, Case.id == Audit.case_id).where(Audit.judged_at.is_(None)).order_by(Audit.drawn_at, Audit.id)
    return [Question(row, ref, _stated(decision)) for row, decision, ref in await session.execute(query.limit(limit))]


async def audit(session: AsyncSession, audit_id: str) -> Question:
    """Raises NotFound."""
    query = select(Audit, Decision, Case.order_ref).join(Decision, Decision.id == Audit.decision_id)
    found = (await session.execute(query.join(Case, Case.id == Audit.case_id).where(Audit.id == audit_id))).one_or_none()
    if found is None:
        raise NotFound(f"There is no audit {audit_id}.")
    row, decision, ref = found
    return Question(row, ref, _stated(decision))


def _stated(decision: Decision) -> tuple[Stated, ...]:
    fields = decision.snapshot["fields"]
    return tuple(_one(key, fields[key]) for key in sorted(fields))


def _one(key: str, item: Mapping[str, Any]) -> Stated:
    declared = CATALOGUE.get(key.partition("[")[0])
    return Stated(key, item["value"], item.get("source"), declared is None or declared.untrusted)


async def judge(world: World, actor: Actor, audit_id: str, said: Said) -> Audit:
    """Record what the person found; where that makes the drift alarm sound, automation is off before this returns.

    Raises NotFound, Denied for anyone but a person, IllegalTransition when it was judged before."""
    if actor.kind is not PrincipalKind.PERSON:
        raise Denied("Only a person judges an audit.")
    now = world.clock()
    async with write(world.database.sessions) as session:
        # before any row; so judgements also stand in one order, and the alarm counts every one of them
        await switches.take_exclusively(session)
        row = (await session.execute(select(Audit).where(Audit.id == audit_id).with_for_update())).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no audit {audit_id}.")
        if row.judged_at is not None:
            raise IllegalTransition(f"{row.judged_by} has judged this audit already; a judgement is not changed.")
        row.label = {"category": said.category.value, "acceptable": said.acceptable}
        row.wrong, row.judged_by, row.judged_at = said.category.value != row.answered or not said.acceptable, actor.id, now
        await session.flush()
        entries = [Entry(Event.AUDIT_JUDGED, actor.id, _judged(row))]
        stopped = await _sounded(session, world, row, now)
        await append(session, now, entries + stopped)
    if stopped:
        await switches.look_again(world, switches.AUTOMATION)
    return row


def _judged(row: Audit) -> dict[str, Any]:
    told = {"audit_id": row.id, "decision_id": row.decision_id, "label": row.label, "answered": row.answered, "wrong": row.wrong}
    return told | {"keys": row.keys, "score": row.score}


async def _sounded(session: AsyncSession, world: World, row: Audit, now: datetime) -> list[Entry]:
    """Nothing while the alarm is silent, or automation is off already."""
    judged = await _counted(session, row.model)
    alarm = alarm_over(world.assurance.rules.fresh_alarm(), judged)
    if not alarm.sounded:
        return []
    wrong = sum(judged)
    why = f"{wrong} of {len(judged)} audited decisions were wrong: more than {alarm.alpha:.1%} of what runs without a person is."
    off = await switches.stop_by_alarm(session, why, now)
    if not off:
        return []
    body = {"why": why, "judged": len(judged), "wrong": wrong, "keys": row.keys, "alpha": alarm.alpha, "delta": alarm.delta}
    return [Entry(Event.ALARM_SOUNDED, switches.ALARM, body), *off]


async def _counted(session: AsyncSession, model: str) -> list[bool]:
    """Whether each was wrong, in the order of judging, since the alarm was last begun anew."""
    query = select(Audit.wrong).where(Audit.model == model, Audit.judged_at.is_not(None), Audit.forgotten_at.is_(None))
    return [bool(wrong) for wrong in (await session.execute(query.order_by(Audit.judged_at, Audit.id))).scalars()]


def alarm_over(alarm: DriftAlarm, judged: Sequence[bool]) -> DriftAlarm:
    for wrong in judged:
        alarm = alarm.after(wrong=wrong)
    return alarm


# --- what it proves ---


async def labels_of(session: AsyncSession, model: str) -> list[Label]:
    """Every judged audit of this model's key. Cases of one order prove no more than one."""
    query = select(Audit, Case.order_id).join(Case, Case.id == Audit.case_id)
    rows = await session.execute(query.where(Audit.model == model, Audit.judged_at.is_not(None)).order_by(Audit.id))
    return [Label(row.case_id, order_id, row.answered, row.score / 10_000, bool(row.wrong)) for row, order_id in rows]


async def state(session: AsyncSession, world: World) -> AssuranceState:
    """How sure we are now of the classifier that answers in this process."""
    assurance = world.assurance
    keys = assurance.keys(in_use(world.classifier).fingerprint)
    labels = await labels_of(session, keys.model)
    waiting = (await session.execute(select(func.count()).select_from(Audit).where(Audit.judged_at.is_(None)))).scalar_one()
    alarm = alarm_over(assurance.rules.fresh_alarm(), await _counted(session, keys.model))
    return AssuranceState(
        keys=keys,
        audit_share=assurance.rules.audit_share,
        open=waiting,
        judged=len(labels),
        wrong=sum(label.wrong for label in labels),
        stake=alarm.stake,
        sounds_at=1 / alarm.delta,
        sounded=alarm.sounded,
        stopped=switches.AUTOMATION in await switches.switches_off(session),
        problem=assurance.problem,
        scopes=_scopes(world, keys, labels),
    )


def _scopes(world: World, keys: Keys, labels: Sequence[Label]) -> tuple[ScopeState, ...]:
    tuning = tune(labels, world.assurance.rules.plan(), keys, POPULATION)
    found = {GLOBAL: tuning.overall, **tuning.by_category}
    return tuple(_scope(world, name, keys, _unproved(item)) for name, item in found.items())


def _unproved(found: Certificate | Uncertified) -> str:
    if isinstance(found, Certificate):
        return "uncertified, but the labels suffice: make certificates with `ordermend audits export` and `ordermend eval tune`"
    return found.sentence


def _scope(world: World, name: str, keys: Keys, unproved: str) -> ScopeState:
    """Only a stored certificate certifies: somebody has put it there on purpose."""
    held, rules = world.assurance.certificate_of(name, keys), world.assurance.rules
    if held is not None:
        told = f"certified: from a confidence of {held.threshold:.1%} on, at most {held.alpha:.1%} wrong with probability {1 - held.delta:.1%}"
        return ScopeState(name, "certified", told, held.threshold, held.alpha, held.delta)
    dead = world.assurance.dead_for(name, keys)
    if dead:
        told = f"dead: the {' and the '.join(dead)} changed; {unproved}"
        return ScopeState(name, "dead", told, None, rules.alpha, rules.delta)
    return ScopeState(name, "uncertified", unproved, None, rules.alpha, rules.delta)


async def export(session: AsyncSession, model: str | None) -> dict[str, Any]:
    """The labels of one model's key as `ordermend eval tune` reads them; of the newest judged audit's when None. Raises NotFound."""
    query = select(Audit).where(Audit.judged_at.is_not(None)).order_by(Audit.judged_at.desc(), Audit.id.desc()).limit(1)
    newest = (await session.execute(query if model is None else query.where(Audit.model == model))).scalar_one_or_none()
    if newest is None:
        raise NotFound("No audit has been judged yet; the console lists the open ones at /audits.")
    labels = await labels_of(session, newest.model)
    keys = {**newest.keys, "prompt": IN_MODEL}
    return {"schema": EXPORT_SCHEMA, "population": POPULATION, "keys": keys, "labels": [asdict(label) for label in labels]}
