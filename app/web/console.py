"""The reviewer console at `/`: which address shows what, and how a refusal becomes a page. Its pages need no script."""

import logging
import secrets
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.database import CONNECTION_FAILURES, write
from app.errors import Denied, OrdermendError, Unauthenticated
from app.web import audit_pages, case_desk, desk_pages, policy_pages, sessions, switch_pages
from app.web.at_hand import AWorld
from app.web.problems import Refusal, describe
from app.web.rendering import Pages, ThePages, load_pages
from app.web.sessions import Anybody, APost, ASignIn

log = logging.getLogger(__name__)

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def console_router() -> APIRouter:
    """Every page and every form of the console. Mount it without a prefix, on an app whose state holds the World."""
    router = APIRouter(include_in_schema=False, route_class=_route_class(load_pages()))
    for address, show in (
        ("/", desk_pages.queue),
        ("/sign-in", sign_in_page),
        ("/cases/{case_id}", case_desk.show),
        ("/cases/{case_id}/trail", case_desk.show_trail),
        ("/orders/{ref:path}", desk_pages.order),
        ("/policy", policy_pages.policy),
        ("/switches", switch_pages.show),
        ("/audits", audit_pages.show_open),
        ("/audits/{audit_id}", audit_pages.show),
        ("/dead-letter", desk_pages.dead_letter),
        ("/dead-letter/{signal_id}", desk_pages.dead_signal),
        ("/static/{name}", static_file),
    ):
        router.add_api_route(address, show, methods=["GET"])
    for address, do in (
        ("/sign-in", sign_in),
        ("/sign-out", sign_out),
        ("/cases/{case_id}/claim", case_desk.claim),
        ("/cases/{case_id}/release", case_desk.release),
        ("/cases/{case_id}/assign", case_desk.assign),
        ("/cases/{case_id}/review", case_desk.decide),
        ("/cases/{case_id}/evidence", case_desk.attach_evidence),
        ("/cases/{case_id}/outcome", case_desk.report_outcome),
        ("/audits/{audit_id}", audit_pages.judge),
        ("/switches", switch_pages.turn),
        ("/policy", policy_pages.try_policy),
        ("/dead-letter/{signal_id}/replay", desk_pages.replay),
    ):
        router.add_api_route(address, do, methods=["POST"])
    return router


async def sign_in_page(request: Request, pages: ThePages, next: str = "/") -> Response:
    return _sign_in(request, pages, _local(next))


async def sign_in(request: Request, world: AWorld, pages: ThePages, form: ASignIn) -> Response:
    """A person's API key for a session. A wrong key is told so on the same page, and is not shown again."""
    goal = _local(form.one("next"))
    try:
        async with write(world.database.sessions) as session:
            token = await sessions.open_session(session, form.one("key"), world.clock())
    except (Unauthenticated, Denied) as error:
        return _sign_in(request, pages, goal, error)
    response = RedirectResponse(goal, HTTPStatus.SEE_OTHER)
    sessions.set_cookie(request, response, sessions.SESSION_COOKIE, token)
    response.delete_cookie(sessions.FRESH_COOKIE)
    return response


async def sign_out(request: Request, world: AWorld, _: Anybody, form: APost) -> Response:
    async with write(world.database.sessions) as session:
        await sessions.close_session(session, request.cookies.get(sessions.SESSION_COOKIE, ""))
    response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    response.delete_cookie(sessions.SESSION_COOKIE)
    return response


async def static_file(name: str, pages: ThePages) -> Response:
    if name not in pages.files:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return pages.file(name)


def _sign_in(request: Request, pages: Pages, goal: str, error: Exception | None = None) -> Response:
    problem = describe(error) if error else None
    token = request.cookies.get(sessions.FRESH_COOKIE) or secrets.token_urlsafe(32)
    status = problem.problem.status if problem else HTTPStatus.OK
    csrf = sessions.csrf_of(token)
    response = pages.page(request, "sign_in.html", status=status, csrf=csrf, goal=goal, problem=problem)
    sessions.set_cookie(request, response, sessions.FRESH_COOKIE, token)
    return response


def _local(address: str) -> str:
    """An address of our own, or the queue: signing in must not lead to somebody else's page."""
    parts = urlsplit(address)
    plain = address.isascii() and address.isprintable() and "\\" not in address
    own = address.startswith("/") and not address.startswith("//") and not parts.scheme and not parts.netloc
    return address if plain and own else "/"


# --- refusals as pages ---


def _route_class(pages: Pages) -> type[APIRoute]:
    """Routes whose every failure is a page of the console, with the status that the API would answer."""

    class Route(APIRoute):
        def get_route_handler(self) -> Answer:
            answer = super().get_route_handler()

            async def answer_or_tell(request: Request) -> Response:
                request.state.pages = pages
                try:
                    return await answer(request)
                except (OrdermendError, Refusal, RequestValidationError, HTTPException, *CONNECTION_FAILURES) as error:
                    return _told(request, pages, error)

            return answer_or_tell

    return Route


def _told(request: Request, pages: Pages, error: Exception) -> Response:
    if isinstance(error, Unauthenticated):
        return _to_sign_in(request, pages, error)
    problem, request_id = describe(error), getattr(request.state, "request_id", "")
    if problem.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s: %s", problem.problem.code, type(error).__name__, extra={"request_id": request_id})
    return pages.page(request, "problem.html", status=problem.problem.status, problem=problem, request_id=request_id)


def _to_sign_in(request: Request, pages: Pages, error: Unauthenticated) -> Response:
    """Reading goes on after signing in where it was meant to; a form is answered with 401, and nothing of it was done."""
    if request.method == "GET":
        goal = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(goal, safe='')}", HTTPStatus.SEE_OTHER)
    return _sign_in(request, pages, "/", error)
