"""The policy's pages: what is in force and who put it there, what came before, and what a changed one would have ruled."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app import published, simulate
from app.errors import Denied, OrdermendError
from app.published import PolicyText
from app.tables import PublishedPolicy
from app.web.api_policy import SENT, located
from app.web.at_hand import AWorld
from app.web.policy_shown import publication, shadow_shown
from app.web.problems import Refusal, describe
from app.web.rendering import Pages, ThePages
from app.web.sessions import APost, ReadsPolicy, SignedIn
from app.world import World
from guardrails.policy.load import Policy, PolicyInvalid
from guardrails.policy.tables import Mode

CASES_ON_PAGE = 50


async def policy(request: Request, world: AWorld, pages: ThePages, who: ReadsPolicy) -> Response:
    return await _page(request, world, pages, who)


async def try_policy(request: Request, world: AWorld, pages: ThePages, who: ReadsPolicy, form: APost) -> Response:
    """What the text in the form would have ruled. Nothing changes; a refusal is shown on the page, with what was typed."""
    typed = {"policy": form.one("policy"), "overlay": form.one("overlay")}
    try:
        simulate.may_simulate(who.principal.actor)
        read = await simulate.read(PolicyText(SENT, typed["policy"], typed["overlay"] or None))
        report = await simulate.simulate(world, read, cases=CASES_ON_PAGE)
    except PolicyInvalid as error:
        return await _page(request, world, pages, who, typed=typed, error=located(error))
    except (OrdermendError, Refusal) as error:
        return await _page(request, world, pages, who, typed=typed, error=error)
    return await _page(request, world, pages, who, typed=typed, report=report)


async def _page(
    request: Request,
    world: World,
    pages: Pages,
    who: SignedIn,
    *,
    typed: dict[str, str] | None = None,
    report: dict[str, Any] | None = None,
    error: Exception | None = None,
) -> Response:
    problem = describe(error) if error else None
    async with world.database.sessions() as session:
        in_force = await published.policy_in_force(session, world)
        rows = await published.history(session)
        tried = await published.current_row(session, Mode.SHADOW)
        shadow = None if tried is None else shadow_shown(tried, await published.trial_of(session, tried))
    current = next((row for row in rows if row.mode == Mode.ENFORCE and row.ended_at is None), None)
    return pages.page(
        request,
        "policy.html",
        status=problem.problem.status if problem else 200,
        policy=in_force,
        currencies=_currencies(in_force),
        current=current,
        history=[publication(row) for row in rows],
        shadow=shadow,
        may_try=_may_try(who),
        typed=typed or _as_published(current),
        tried=typed is not None,
        report=None if report is None else report | {"changed_rules": simulate.in_short(report)["rules"]},
        problem=problem,
    )


def _may_try(who: SignedIn) -> bool:
    try:
        simulate.may_simulate(who.principal.actor)
    except Denied:
        return False
    return True


def _as_published(row: PublishedPolicy | None) -> dict[str, str]:
    """The form begins with the text in force, to be changed."""
    return {"policy": "", "overlay": ""} if row is None else {"policy": row.document, "overlay": row.overlay or ""}


def _currencies(policy: Policy) -> list[str]:
    return sorted({code for table in policy.limits.values() for code in table})
