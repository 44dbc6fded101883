"""The console's pages of blind audits: what waits, one order to judge, and how sure we are."""

from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app import audits
from app.errors import InputInvalid, OrdermendError
from app.web.at_hand import AWorld
from app.web.problems import describe
from app.web.rendering import Pages, ThePages
from app.web.sessions import APost, Form, ReadsCases, Reviews, SignedIn
from app.world import World
from guardrails.taxonomy import Category

_NOTHING_TYPED = Form(())


async def show_open(request: Request, world: AWorld, pages: ThePages, _: ReadsCases) -> Response:
    """Open audits, and certificates with what they lack."""
    async with world.database.sessions() as session:
        waiting, state = await audits.open_audits(session), await audits.state(session, world)
    return pages.page(request, "audits.html", waiting=waiting, state=state)


async def show(request: Request, audit_id: str, world: AWorld, pages: ThePages, who: ReadsCases) -> Response:
    return await _page(request, audit_id, world, pages, who)


async def judge(request: Request, audit_id: str, world: AWorld, pages: ThePages, who: Reviews, form: APost) -> Response:
    """What the person found. What is refused is said on the same page, with what was typed."""
    try:
        await audits.judge(world, who.principal.actor, audit_id, _said(form))
    except OrdermendError as error:
        return await _page(request, audit_id, world, pages, who, error=error, typed=form)
    return RedirectResponse(f"/audits/{quote(audit_id, safe='')}", 303)


def _said(form: Form) -> audits.Said:
    category, acceptable = form.one("category"), form.one("acceptable")
    if category not in set(Category):
        raise InputInvalid([("/category", "choose what is the matter with the order")])
    if acceptable not in ("yes", "no"):
        raise InputInvalid([("/acceptable", "say yes or no")])
    return audits.Said(Category(category), acceptable == "yes")


async def _page(
    request: Request,
    audit_id: str,
    world: World,
    pages: Pages,
    who: SignedIn,
    *,
    error: OrdermendError | None = None,
    typed: Form = _NOTHING_TYPED,
) -> Response:
    problem = describe(error) if error else None
    async with world.database.sessions() as session:
        found = await audits.audit(session, audit_id)
    return pages.page(
        request,
        "audit.html",
        status=problem.problem.status if problem else 200,
        audit=found.audit,
        order_ref=found.order_ref,
        facts=found.facts,
        may_judge=who.may("cases:review"),
        problem=problem,
        typed=typed,
    )
