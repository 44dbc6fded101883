"""The console's page of kill switches and budgets: what is off, turning it off and on, and what this hour still holds."""

from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app import budgets, switches
from app.budgets import Left
from app.errors import InputInvalid, OrdermendError
from app.governing import governing_in
from app.web.at_hand import AWorld
from app.web.in_words import shown
from app.web.problems import describe
from app.web.rendering import Pages, ThePages
from app.web.sessions import APost, Form, ReadsPolicy, Reviews, SignedIn
from app.world import World
from guardrails.standing import hour_of

_NOTHING_TYPED = Form(())
_TURN = {"off": switches.turn_off, "on": switches.turn_on}


async def show(request: Request, world: AWorld, pages: ThePages, who: ReadsPolicy, said: str = "") -> Response:
    """What is off and why, and this hour's budgets."""
    return await _page(request, world, pages, who, said=said if said in _TURN else "")


async def turn(request: Request, world: AWorld, pages: ThePages, who: Reviews, form: APost) -> Response:
    """Off or on, with the reason. What is refused is said on the same page, with what was typed."""
    state, name, reason = form.one("state"), form.one("name"), form.one("reason")
    try:
        if state not in _TURN:
            raise InputInvalid([("/state", "say off or on")])
        await _TURN[state](world, who.principal.actor, name, reason)
    except OrdermendError as error:
        return await _page(request, world, pages, who, error=error, typed=form)
    return RedirectResponse("/switches?" + urlencode({"said": state}), 303)


async def _page(
    request: Request,
    world: World,
    pages: Pages,
    who: SignedIn,
    *,
    said: str = "",
    error: OrdermendError | None = None,
    typed: Form = _NOTHING_TYPED,
) -> Response:
    now = world.clock()
    problem = describe(error) if error else None
    async with world.database.sessions() as session:
        every = await switches.all_switches(session, world.sources)
        off = await switches.turned_off(session)
        policy = (await governing_in(session, world, now)).policy
        try:
            lines, unseen = await budgets.left_in(session, policy, now), None
        except budgets.UncountableClaim as found:  # a switch can be turned all the same
            lines, unseen = [], str(found)
    return pages.page(
        request,
        "switches.html",
        status=problem.problem.status if problem else 200,
        off=off,
        on=[switch.name for switch in every if not switch.off],
        lines=[(line, _in_words(line, line.spent), _in_words(line, line.limit), _in_words(line, line.left)) for line in lines],
        unseen=unseen,
        hour=hour_of(now),
        may_turn=who.may("cases:review") and switches.may_turn(who.principal.actor),
        in_charge=sorted(switches.IN_CHARGE),
        said=said,
        problem=problem,
        typed=typed,
    )


def _in_words(line: Left, amount: int) -> str:
    return str(amount) if line.unit == budgets.COUNT else shown({"amount": amount, "currency": line.unit})
