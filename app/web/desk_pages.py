"""The pages around the case: the queue, an order, and the dead letter."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BeforeValidator, Field

from app import dead_letter as letters
from app import views
from app.errors import OrdermendError
from app.tables import CLOSED, CaseState, Signal, SignalState
from app.web import case_page
from app.web.at_hand import AWorld
from app.web.bodies import read_model
from app.web.in_words import visible
from app.web.pages import MAX_CURSOR, cursor_after, place_of
from app.web.problems import CURSOR_INVALID, Refusal, describe
from app.web.rendering import ThePages
from app.web.schemas import Asked, Needle, ReplayRequest
from app.web.sessions import Administers, APost, ReadsCases
from guardrails.facts import rfc3339
from guardrails.taxonomy import Category, Team, Verdict

PAGE = 50
LETTERS_PAGE = 50


class Queue(StrEnum):
    """The queue's views: what waits for a person, each state of a case, and everything."""

    WAITING = "waiting"
    REVIEW = "review"
    BLOCKED = "blocked"
    ACTING = "acting"
    JUDGING = "judging"
    AUTOMATED = "automated"
    RESOLVED = "resolved"
    CLEARED = "cleared"
    ALL = "all"

    @property
    def states(self) -> tuple[CaseState, ...]:
        match self:
            case Queue.WAITING:
                return (CaseState.REVIEW, CaseState.BLOCKED)
            case Queue.ALL:
                return ()
        return (CaseState(self.value),)


def _blank(value: Any) -> Any:
    """A select left on "any" sends an empty text."""
    return None if value == "" else value


Blankable = BeforeValidator(_blank)


class QueueQuery(Asked):
    state: Queue = Queue.WAITING
    owner: Annotated[Team | None, Blankable] = None
    category: Annotated[Category | None, Blankable] = None
    verdict: Annotated[Verdict | None, Blankable] = None
    q: Annotated[Needle | None, Blankable] = None
    cursor: str | None = Field(None, max_length=MAX_CURSOR)

    @property
    def filters(self) -> dict[str, str]:
        """What narrows the list beyond its view, as it stands in the address."""
        return self.model_dump(mode="json", include={"owner", "category", "verdict", "q"}, exclude_none=True)


async def queue(
    request: Request, world: AWorld, pages: ThePages, _: ReadsCases, wanted: Annotated[QueueQuery, Query()]
) -> Response:
    """Cases, the one due first at the top."""
    mark = {"list": "console", "state": wanted.state.value} | wanted.filters
    after = _place(place_of(wanted.cursor, mark, str, int))
    narrowed = views.CaseFilter(wanted.state.states, wanted.owner, wanted.category, wanted.verdict, wanted.q)
    async with world.database.sessions() as session:
        rows = await views.queue(session, narrowed, after, PAGE + 1)
        counts = await views.open_by_state(session)
    page, more = rows[:PAGE], len(rows) > PAGE
    cursor = cursor_after([rfc3339(page[-1].due_at), page[-1].seq], mark) if more else None
    tabs = [(view, _address(view, wanted.filters), _count(view, counts)) for view in Queue]
    return pages.page(
        request,
        "queue.html",
        wanted=wanted,
        rows=page,
        tabs=tabs,
        open_cases=sum(counts.values()),
        first_page=_address(wanted.state, wanted.filters),
        unfiltered=_address(wanted.state, {}),
        next_page=_address(wanted.state, {**wanted.filters, "cursor": cursor}) if cursor else None,
    )


def _address(view: Queue, filters: dict[str, str]) -> str:
    return "/?" + urlencode({"state": view.value, **filters})


def _count(view: Queue, counts: dict[str, int]) -> int | None:
    """How many cases a view holds; None for views that grow for ever and are not counted."""
    if not view.states or any(state in CLOSED for state in view.states):
        return None
    return sum(counts.get(state.value, 0) for state in view.states)


def _place(place: list[Any] | None) -> views.CasePlace | None:
    if place is None:
        return None
    try:
        return views.CasePlace(datetime.fromisoformat(place[0]), place[1])
    except ValueError as error:
        raise Refusal(CURSOR_INVALID, "That is not a cursor of Ordermend; begin again without one.") from error


async def order(request: Request, ref: str, world: AWorld, pages: ThePages, _: ReadsCases) -> Response:
    """The order as all systems see it now."""
    view = await views.order(world, ref, world.clock())
    table = case_page.field_table(view.context, world)
    return pages.page(request, "order.html", context=view.context, cases=view.cases, table=table)


async def dead_letter(
    request: Request,
    world: AWorld,
    pages: ThePages,
    _: Administers,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    said: str = "",
) -> Response:
    """Deliveries that could not be read, in order of receipt."""
    found = await letters.entries(world, LETTERS_PAGE + 1, after)
    more = len(found) > LETTERS_PAGE
    return pages.page(request, "dead_letter.html", rows=found[:LETTERS_PAGE], more=more, after=after, replayed=said == "replayed")


async def dead_signal(request: Request, signal_id: str, world: AWorld, pages: ThePages, _: Administers) -> Response:
    async with world.database.sessions() as session:
        row = await views.signal(session, signal_id)
    return pages.page(request, "dead_signal.html", **_shown(row), problem=None)


async def replay(request: Request, signal_id: str, world: AWorld, pages: ThePages, who: Administers, form: APost) -> Response:
    """Read it again, as it came or as it was mended. What still cannot be read stays where it is."""
    mended = form.one("payload")
    try:
        payload = read_model(ReplayRequest, f'{{"payload": {mended}}}'.encode()).payload if form.one("how") == "mended" else None
        await letters.replay(world, who.principal.actor, signal_id, payload)
    except (OrdermendError, Refusal) as error:
        problem = describe(error)
        async with world.database.sessions() as session:
            row = await views.signal(session, signal_id)
        shown = _shown(row) | ({"body": mended} if mended else {})
        return pages.page(request, "dead_signal.html", status=problem.problem.status, **shown, problem=problem)
    return RedirectResponse("/dead-letter?" + urlencode({"said": "replayed"}) + "#" + quote(signal_id, safe=""), 303)


def _shown(row: Signal) -> dict[str, Any]:
    body = row.body.decode("utf-8", "replace")
    return {"signal": row, "body": body, "dead": row.state == SignalState.DEAD, "hidden_characters": visible(body) != body}
