"""One case at the reviewer's desk: its page, and what a person can do there. Each verb is a form, and each form is one verb.

A form becomes the body of the API's own call, so that both have the same limits and the same refusals.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app import intake, outcomes, review, store, views
from app.errors import InputInvalid, NotFound, OrdermendError
from app.findings import has_fired, passed, told
from app.published import governed
from app.review import ReviewDecision, ReviewRequest
from app.web import case_page
from app.web.at_hand import AWorld
from app.web.bodies import Model, read_model
from app.web.in_words import span
from app.web.problems import Refusal, describe
from app.web.rendering import Pages, ThePages, pages_of
from app.web.schemas import AssignRequest, EvidenceRequest, OutcomeRequest, ReviewBody
from app.web.sessions import APost, BringsEvidence, Form, ReadsCases, ReportsOutcomes, Reviews, SignedIn
from app.world import World
from guardrails.proposal import ProposedAction

TRAIL_ON_PAGE = 100
TRAIL_PAGE = 25
SPARE_ROWS = 2
"""Empty lines of the edit form, for actions that nobody proposed."""

SAID = {
    "claimed": "The case is yours until the lease ends.",
    "released": "The case is free again.",
    "approve": "Your approval is recorded.",
    "edit": "Your edited actions passed the guard; the approval is recorded.",
    "reject": "Rejected: nothing was carried out and the case is closed.",
    "request_evidence": "The case waits for the evidence that you asked for.",
    "evidence": "Attached. The case is being judged again.",
    "outcome": "The outcome is recorded.",
    "assigned": "The case was handed on.",
}


async def show(request: Request, case_id: str, world: AWorld, pages: ThePages, who: ReadsCases, said: str = "") -> Response:
    return await _page(request, world, pages, who, case_id, said=SAID.get(said))


async def show_trail(request: Request, case_id: str, world: AWorld, pages: ThePages, who: ReadsCases, after: int = 0) -> Response:
    """The case's entries with their bodies in full."""
    async with world.database.sessions() as session:
        case = await store.get_case(session, case_id)
        entries = await views.case_trail(session, case_id, max(0, min(after, 2**62)), TRAIL_PAGE + 1)
    lines, more = case_page.trail_lines(entries[:TRAIL_PAGE]), len(entries) > TRAIL_PAGE
    return pages.page(request, "trail.html", case=case, lines=lines, more=more)


async def claim(request: Request, case_id: str, world: AWorld, who: Reviews, form: APost) -> Response:
    async def act() -> None:
        await review.claim(world, who.principal.actor, case_id)

    return await _attempt(request, world, who, case_id, form, act, "claimed")


async def release(request: Request, case_id: str, world: AWorld, who: Reviews, form: APost) -> Response:
    async def act() -> None:
        await review.release(world, who.principal.actor, case_id)

    return await _attempt(request, world, who, case_id, form, act, "released")


async def assign(request: Request, case_id: str, world: AWorld, who: Reviews, form: APost) -> Response:
    async def act() -> None:
        body = _body(AssignRequest, owner=form.one("owner"), assignee=form.one("assignee"))
        await review.assign(world, who.principal.actor, case_id, body.owner, body.assignee)

    return await _attempt(request, world, who, case_id, form, act, "assigned")


async def decide(request: Request, case_id: str, world: AWorld, who: Reviews, form: APost) -> Response:
    """Approve, edit, reject or ask for evidence, on the version of the case that the form was made from."""

    async def act() -> None:
        await review.decide(world, who.principal.actor, case_id, _version(form), _review_request(form))

    return await _attempt(request, world, who, case_id, form, act, form.one("decision"))


async def attach_evidence(request: Request, case_id: str, world: AWorld, who: BringsEvidence, form: APost) -> Response:
    async def act() -> None:
        facts = _object("/facts", form.one("facts")) if form.one("facts") else {}
        body = _body(EvidenceRequest, note=form.one("note"), facts=facts)
        if not body.facts and body.note is None:
            raise InputInvalid([("/note", "write a note, bring facts, or both")])
        await intake.attach_evidence(world, who.principal.actor, case_id, body.facts, body.note)

    return await _attempt(request, world, who, case_id, form, act, "evidence")


async def report_outcome(request: Request, case_id: str, world: AWorld, who: ReportsOutcomes, form: APost) -> Response:
    """How an action went that was handed over, or may have happened; or simply what turned out true."""

    async def act() -> None:
        done = {"yes": True, "no": False}.get(form.one("done"))
        told = _body(OutcomeRequest, note=form.one("note"), action_id=form.one("action_id"), done=done)
        plain = told.model_dump(mode="json", exclude_none=True)
        if not plain:
            raise InputInvalid([("/note", "say what turned out true")])
        await outcomes.report_outcome(world, who.principal.actor, case_id, plain)

    return await _attempt(request, world, who, case_id, form, act, "outcome")


async def _attempt(
    request: Request, world: World, who: SignedIn, case_id: str, form: Form, act: Callable[[], Awaitable[None]], said: str
) -> Response:
    """Do it and lead back to the case; a refusal is shown on the case's page, with what was typed still there."""
    try:
        await act()
    except NotFound:
        raise
    except (OrdermendError, Refusal) as error:
        return await _page(request, world, pages_of(request), who, case_id, error=error, typed=form)
    return RedirectResponse(f"/cases/{quote(case_id, safe='')}?said={quote(said, safe='')}", 303)


async def _page(
    request: Request,
    world: World,
    pages: Pages,
    who: SignedIn,
    case_id: str,
    *,
    said: str | None = None,
    error: Exception | None = None,
    typed: Form | None = None,
) -> Response:
    problem, world = describe(error) if error else None, await governed(world)
    async with world.database.sessions() as session:
        view = await views.case(session, case_id)
        entries = await views.case_trail(session, case_id, 0, TRAIL_ON_PAGE + 1)
    context = await store.gather(world, view.case.order_id, world.clock())
    person, decision = who.principal.actor, view.decision
    table = case_page.field_table(context, world, decision)
    proposed = case_page.proposals(decision, world, person) if decision else []
    return pages.page(
        request,
        "case.html",
        status=problem.problem.status if problem else 200,
        view=view,
        case=view.case,
        decision=decision,
        context=context,
        table=table,
        chips=case_page.chips(decision, table) if decision else [],
        explained_by=case_page.explained_by(view.explanation, table) if view.explanation else [],
        proposed=proposed,
        awaiting=[item for item in proposed if item.verdict == "review"],
        standing=case_page.standing(view, world, person),
        choices=[(entry, case_page.may_ask(world, person, action)) for action, entry in world.policy.actions.items()],
        edit_rows=_edit_rows(proposed, typed),
        policy_changed=decision is not None and decision.policy_sha256 != world.policy.sha256,
        told=told(decision.ruling) if decision else [],
        passed=passed(decision.ruling) if decision else [],
        has_fired=has_fired,
        reportable=case_page.REPORTABLE,
        undo_of=lambda action: views.undo_of(world, action),
        lease=span(timedelta(seconds=world.settings.claim_lease_s)),
        lines=case_page.trail_lines(entries[:TRAIL_ON_PAGE]),
        trail_goes_on=len(entries) > TRAIL_ON_PAGE,
        said=said,
        problem=problem,
        typed=typed or Form(()),
    )


def _edit_rows(proposed: list[case_page.Proposed], typed: Form | None) -> list[tuple[str, str]]:
    """(action, arguments as JSON) for each line of the edit form: what was typed, else what was proposed, then empty ones."""
    if typed is not None and typed.each("action"):
        return list(zip(typed.each("action"), typed.each("arguments"), strict=False))
    waiting = [item for item in proposed if item.verdict != "automate"]
    rows = [(item.action, json.dumps(item.arguments, indent=1, sort_keys=True)) for item in waiting]
    return [*rows, *([("", "")] * SPARE_ROWS)]


def _version(form: Form) -> int:
    version = form.one("version")
    if not version.isdecimal() or len(version) > 9:
        raise InputInvalid([("/version", "the form has lost the case's version; load the page again")])
    return int(version)


def _review_request(form: Form) -> ReviewRequest:
    edits = form.one("decision") == ReviewDecision.EDIT
    fields: dict[str, Any] = {name: form.one(name) for name in ("decision", "category", "owner")}
    body = _body(ReviewBody, **fields, actions=_edited(form) if edits else None, reason=_reason(form))
    actions = None if body.actions is None else tuple(ProposedAction(item.action, item.arguments) for item in body.actions)
    return ReviewRequest(body.decision, body.reason, actions, body.category, body.owner)


def _reason(form: Form) -> str:
    if not form.one("reason"):
        raise InputInvalid([("/reason", "say why; it goes on record")])
    return form.one("reason")


def _edited(form: Form) -> list[dict[str, Any]]:
    """The lines of the edit form on which an action was chosen."""
    lines = enumerate(zip(form.each("action"), form.each("arguments"), strict=False))
    found = [{"action": name, "arguments": _object(f"/actions/{n}/arguments", text)} for n, (name, text) in lines if name]
    if not found:
        raise InputInvalid([("/actions", "choose at least one action; to have none carried out, reject instead")])
    return found


def _object(pointer: str, text: str) -> dict[str, Any]:
    try:
        # As everywhere: a number with a point stays as it was written.
        opened = json.loads(text or "{}", parse_float=str, parse_constant=_no_constant, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise InputInvalid([(pointer, f"is not JSON: {error}"[:200])]) from error
    if not isinstance(opened, dict):
        raise InputInvalid([(pointer, 'must be a JSON object, for instance {"hours": 24}')])
    return opened


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    opened = dict(pairs)
    if len(opened) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return opened


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _body(model: type[Model], **fields: Any) -> Model:
    """The form as the API's body. A field left empty is one that was not sent."""
    return read_model(model, json.dumps({name: value for name, value in fields.items() if value not in ("", None)}).encode())
