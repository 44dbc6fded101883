"""Blind audits, live: who is drawn, what judging shows and does, and the alarm that stops automation until a person has looked."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from app import act, audits, pipeline, reader, switches, trail
from app.assurance import AssuranceRules
from app.audits import Said
from app.errors import Denied, IllegalTransition, NotFound
from app.tables import ActionState, Audit, CaseState, Decision
from app.trail import Event
from app.world import World
from evals.__main__ import main
from guardrails.certificate import certificates_from
from guardrails.proposal import AGENT, Actor
from guardrails.taxonomy import Action, Category, PrincipalKind
from tests.app.web.browsing import unpaid
from tests.builders import actions, all_cases, order_arrives, person, the_case, trail_of, warehouse_busy
from tests.conftest import Clock
from tests.fakes import Peer, with_peers
from tests.steps import work

RESUBMIT = Action.RESUBMIT_FULFILMENT
KIM, LEAD = person("kim"), person("lea", "lead")
RIGHT = Category.WAREHOUSE_EXCEPTION
ALL = AssuranceRules(audit_share=1.0)
QUICK = replace(ALL, alpha=0.02, feared=0.5, alarm_delta=0.05)
"""One wrong answer multiplies the stake by 25: the alarm sounds at 20."""


def audited(world: World, rules: AssuranceRules = ALL) -> World:
    return replace(with_peers(world, {RESUBMIT: Peer()}), assurance=replace(world.assurance, rules=rules))


async def drawn(world: World) -> list[Audit]:
    async with world.database.sessions() as session:
        return list((await session.execute(select(Audit).order_by(Audit.drawn_at, Audit.id))).scalars())


async def decided(world: World, number: int = 1) -> Audit:
    """One more case that the machine decided by itself, and its audit."""
    before = {row.id for row in await drawn(world)}
    await order_arrives(world, f"#{number}", number)
    await warehouse_busy(world, f"#{number}")
    await work(world)
    (row,) = [row for row in await drawn(world) if row.id not in before]
    return row


# --- drawing ---


def test_about_the_share_is_drawn_and_always_the_same_cases() -> None:
    rules = AssuranceRules(audit_share=0.1)
    names = [f"case_{number}" for number in range(5_000)]
    picked = [name for name in names if rules.draws(name)]
    assert 430 <= len(picked) <= 570
    assert picked == [name for name in names if AssuranceRules(audit_share=0.1).draws(name)]
    assert picked != [name for name in names if replace(rules, salt="another").draws(name)]


@pytest.mark.parametrize(("share", "all_drawn"), [(0.0, False), (1.0, True)])
def test_a_share_of_nothing_draws_none_and_one_of_everything_draws_all(share: float, all_drawn: bool) -> None:
    assert {AssuranceRules(audit_share=share).draws(hashlib.sha256(bytes([n])).hexdigest()) for n in range(200)} == {all_drawn}


async def test_where_only_certified_confidence_counts_an_uncertified_case_goes_to_a_person(world: World) -> None:
    here = audited(world, replace(ALL, certified_only=True))
    await order_arrives(here)
    await warehouse_busy(here)
    await work(here)
    case = await the_case(here)
    assert case.state == CaseState.REVIEW
    assert "how sure the classifier is" in case.sentence
    assert await drawn(here) == []


async def test_an_automated_case_is_drawn_and_runs_all_the_same(world: World) -> None:
    here = audited(world)
    row = await decided(here)
    case = await the_case(here)
    assert (case.state, row.case_id, row.decision_id) == (CaseState.AUTOMATED, case.id, case.decision_id)
    assert (row.answered, row.score, row.label, row.wrong) == (case.category, case.confidence, None, None)
    assert row.keys == {**row.keys, "model": row.model, "calibrator": "none"}
    assert {item.state for item in await actions(here, RESUBMIT)} == {ActionState.DONE}
    assert [body["audit_id"] for _, body in await trail_of(here, Event.AUDIT_DRAWN)] == [row.id]


async def test_what_a_person_decides_anyway_is_not_drawn(world: World, clock: Clock) -> None:
    here = audited(world)
    await unpaid(here, clock)
    assert [case.verdict for case in await all_cases(here)] == ["review"]
    assert await drawn(here) == []


async def test_nothing_is_drawn_without_a_share(world: World) -> None:
    here = audited(world, AssuranceRules(audit_share=0.0))
    await order_arrives(here)
    await warehouse_busy(here)
    await work(here)
    assert await drawn(here) == []


async def test_neither_the_audit_nor_the_cases_trail_tells_what_the_machine_made_of_it(world: World) -> None:
    here = audited(world)
    row = await decided(here)
    async with here.database.sessions() as session:
        assert Event.AUDIT_DRAWN not in {entry.event for entry in await trail.of_case(session, row.case_id)}
        asked = await audits.audit(session, row.id)
    assert {fact.field.partition(".")[0] for fact in asked.facts}.isdisjoint({"case", "action", "actor", "check", "basis"})
    assert {fact.source for fact in asked.facts} <= {"shopify", "wms"}


async def test_a_case_judged_again_is_drawn_once(world: World) -> None:
    here = audited(world)
    row = await decided(here, 1)
    await warehouse_busy(here, "#1", time="2026-11-02T09:30:00Z")
    await work(here)
    assert [item.id for item in await drawn(here)] == [row.id]


# --- judging ---


@pytest.mark.parametrize(
    ("said", "wrong"), [(Said(RIGHT), False), (Said(Category.FRAUD_RISK), True), (Said(RIGHT, acceptable=False), True)]
)
async def test_a_judgement_says_whether_the_machine_was_wrong_and_is_on_record(world: World, said: Said, wrong: bool) -> None:
    here = audited(world)
    row = await audits.judge(here, KIM, (await decided(here)).id, said)
    assert (row.wrong, row.judged_by, row.judged_at) == (wrong, "kim", here.clock())
    ((_, body),) = await trail_of(here, Event.AUDIT_JUDGED)
    assert body["label"] == {"category": said.category.value, "acceptable": said.acceptable}
    assert (body["wrong"], body["answered"]) == (wrong, RIGHT.value)
    async with here.database.sessions() as session:
        assert await audits.open_audits(session) == []


async def test_a_judgement_is_not_changed(world: World) -> None:
    here = audited(world)
    row = await decided(here)
    await audits.judge(here, KIM, row.id, Said(RIGHT))
    with pytest.raises(IllegalTransition, match="kim has judged"):
        await audits.judge(here, LEAD, row.id, Said(Category.FRAUD_RISK))
    assert [item.wrong for item in await drawn(here)] == [False]


@pytest.mark.parametrize("actor", [AGENT, Actor(PrincipalKind.SERVICE, "desk", frozenset(["lead"]))])
async def test_only_a_person_judges(world: World, actor: Actor) -> None:
    here = audited(world)
    row = await decided(here)
    with pytest.raises(Denied):
        await audits.judge(here, actor, row.id, Said(RIGHT))


async def test_an_audit_that_there_is_not_cannot_be_judged(world: World) -> None:
    with pytest.raises(NotFound, match="aud_none"):
        await audits.judge(world, KIM, "aud_none", Said(RIGHT))


# --- the alarm ---


async def test_the_alarm_stops_automation_until_a_person_lets_it_go_on(world: World) -> None:
    here = audited(world, QUICK)
    row = await decided(here, 1)
    await audits.judge(here, KIM, row.id, Said(Category.FRAUD_RISK))
    events = [event for event, _ in await trail_of(here)]
    assert events[-3:] == [Event.AUDIT_JUDGED, Event.ALARM_SOUNDED, Event.SWITCH_TURNED_OFF]
    async with here.database.sessions() as session:
        (off,) = await switches.turned_off(session)
        assert (off.name, off.by) == (switches.AUTOMATION, switches.ALARM)
        assert "1 of 1 audited decisions were wrong" in str(off.why)
        assert (await audits.state(session, here)).sounded

    await order_arrives(here, "#2", 2)
    await warehouse_busy(here, "#2")
    await work(here)
    held = [case for case in await all_cases(here) if case.order_ref == "#2"]
    assert [case.state for case in held] == [CaseState.REVIEW]
    assert len(await actions(here, RESUBMIT)) == 1

    await switches.turn_on(here, LEAD, switches.AUTOMATION, "The prompt is mended.")
    assert [body["forgotten"] for _, body in await trail_of(here, Event.ALARM_RESET)] == [1]
    await work(here)
    assert {case.state for case in await all_cases(here)} == {CaseState.AUTOMATED}
    async with here.database.sessions() as session:
        anew = await audits.state(session, here)
    assert (anew.stake, anew.sounded, anew.stopped, anew.judged, anew.wrong) == (1.0, False, False, 1, 1)


async def test_what_was_allowed_before_the_alarm_and_not_begun_does_not_begin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = audited(world, QUICK)
    row = await decided(here, 1)

    async def later(world: World, action_id: str) -> None:
        """The process has ended."""

    with monkeypatch.context() as patch:
        patch.setattr(act, "carry_out", later)
        await order_arrives(here, "#2", 2)
        await warehouse_busy(here, "#2")
        for order_id in await reader.read_signals(here):
            await pipeline.look_at(here, order_id)
    await audits.judge(here, KIM, row.id, Said(Category.FRAUD_RISK))
    (waiting,) = [item for item in await actions(here, RESUBMIT) if item.state == ActionState.INTENDED]
    await act.carry_out(here, waiting.id)
    (refused,) = [item for item in await actions(here, RESUBMIT) if item.id == waiting.id]
    assert refused.state == ActionState.REFUSED


async def test_right_answers_keep_the_alarm_silent_and_several_wrong_ones_add_up(world: World) -> None:
    here = audited(world, replace(QUICK, feared=0.1))
    said = [RIGHT, Category.FRAUD_RISK, RIGHT, Category.FRAUD_RISK]
    for number, category in enumerate(said, start=1):
        await audits.judge(here, KIM, (await decided(here, number)).id, Said(category))
        assert len(await trail_of(here, Event.ALARM_SOUNDED)) == (1 if number == 4 else 0)


async def test_a_switch_that_a_person_turned_does_not_begin_the_alarm_anew(world: World) -> None:
    here = audited(world, replace(QUICK, feared=0.1))
    await audits.judge(here, KIM, (await decided(here)).id, Said(Category.FRAUD_RISK))
    await switches.turn_off(here, LEAD, switches.AUTOMATION, "A holiday.")
    await switches.turn_on(here, LEAD, switches.AUTOMATION, "It is over.")
    assert await trail_of(here, Event.ALARM_RESET) == []
    async with here.database.sessions() as session:
        assert (await audits.state(session, here)).stake == pytest.approx(5.0)


# --- labels become a certificate ---


async def test_exported_labels_make_a_certificate_that_holds_live_and_dies_with_the_model(world: World, tmp_path: Path) -> None:
    here = audited(world)
    row = await decided(here)
    await audits.judge(here, KIM, row.id, Said(RIGHT))
    async with here.database.sessions() as session:
        labels = await audits.export(session, None)
        assert labels["labels"][0]["score"] == row.score / 10_000
        before = await audits.state(session, here)
    assert before.scopes[0].state == "uncertified"
    assert before.scopes[0].sentence.endswith("more labels needed")

    copied = [{**labels["labels"][0], "case": f"c{n}", "cluster": f"c{n}"} for n in range(500)]
    exported, certificates = tmp_path / "labels.json", tmp_path / "certificates.json"
    exported.write_text(json.dumps(labels | {"labels": copied}), encoding="utf-8")
    assert main(["tune", str(exported), "--out", str(certificates)]) == 0
    certified = _with_certificates(here, certificates)
    async with here.database.sessions() as session:
        assert (await audits.state(session, certified)).scopes[0].state == "certified"
        changed = replace(certified, assurance=replace(certified.assurance, files={"owners": "another file"}))
        dead = (await audits.state(session, changed)).scopes[0]
    assert (dead.state, dead.sentence.split(";")[0]) == ("dead", "dead: the model changed")


def _with_certificates(world: World, path: Path) -> World:
    document = json.loads(path.read_text(encoding="utf-8"))
    return replace(world, assurance=replace(world.assurance, certificates=certificates_from(document)))


async def test_cases_of_one_order_are_one_cluster(world: World) -> None:
    here = audited(world)
    await audits.judge(here, KIM, (await decided(here)).id, Said(RIGHT))
    async with here.database.sessions() as session:
        (label,) = await audits.labels_of(session, (await drawn(here))[0].model)
    case = await the_case(here)
    assert (label.case, label.cluster, label.category, label.wrong) == (case.id, case.order_id, RIGHT.value, False)


async def test_nothing_judged_is_nothing_to_export(world: World) -> None:
    async with world.database.sessions() as session:
        with pytest.raises(NotFound, match="No audit has been judged"):
            await audits.export(session, None)


async def test_a_score_is_that_of_the_decision_and_is_not_recomputed(world: World) -> None:
    here = audited(world)
    row = await decided(here)
    async with here.database.sessions() as session:
        decision = await session.get_one(Decision, row.decision_id)
    assert row.score == decision.diagnosis["confidence"]
