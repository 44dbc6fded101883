"""The story, top to bottom: gather, detect, classify, guard, record; then act, or wait for a person or for evidence."""

from app import act, answers, decisions, store
from app.cases import settle_cases
from app.governing import governing
from app.judge import about, look
from app.models.switching import in_use
from app.shadow import ruled_in_shadow
from app.world import World
from guardrails.gate import guard
from guardrails.proposal import AGENT


async def look_at(world: World, order_id: str) -> None:
    """Look at one order: settle its cases, and judge those on which something new is known."""
    news = await store.newest_change(world, order_id)
    if news is None:
        return
    context = await store.gather(world, order_id, world.clock())
    sighting = look(context, world.detectors)
    for case_id in await settle_cases(world, order_id, sighting, news):
        await triage(world, case_id)


async def triage(world: World, case_id: str) -> None:
    """Judge one case on fresh facts, unless it has been judged on just these. What the ruling allows is carried out."""
    case = await decisions.case_to_judge(world, case_id)
    if case is None:
        return
    context = await store.gather(world, case.order_id, world.clock())
    sighting = about(look(context, world.detectors), case.detected_category, world.detectors)
    rules = await governing(world)
    if await decisions.already_judged(world, case, sighting, rules):
        return
    answered = await answers.ask(world, case, sighting, rules.policy.limits)
    diagnosis = world.assurance.counted(answered, in_use(world.classifier).fingerprint)
    proposal = diagnosis.to_proposal()
    ruling = guard(sighting.facts, proposal, rules.policy, AGENT, sighting.snapshot, rules.standing)
    shadow = ruled_in_shadow(rules, sighting, proposal, ruling)
    decision = await decisions.record(world, case, sighting, diagnosis, ruling, rules, shadow=shadow)
    for action_id in decision.allowed:
        await act.carry_out(world, action_id)
