"""Being signed in to the console: a random token in a cookie, its hash in a table, and the key behind it asked on every request."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response, Security
from fastapi.security import SecurityScopes
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app import keys
from app.errors import Denied, InputInvalid, Unauthenticated
from app.keys import Principal, Scope
from app.switches import turned_off
from app.tables import ConsoleSession
from app.web.at_hand import AWorld, world_of
from app.web.bodies import read_limited
from guardrails.taxonomy import PrincipalKind

SESSION_COOKIE = "ordermend_session"
FRESH_COOKIE = "ordermend_signin"
"""Held by a browser that has not signed in yet, so that the sign-in form has a secret to be bound to as well."""
CSRF_FIELD = "csrf"
LASTS = timedelta(hours=12)
MAX_FIELDS = 200


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who looks at the page. `csrf` belongs into every form of this session."""

    principal: Principal
    csrf: str

    @property
    def name(self) -> str:
        return self.principal.actor.id

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(sorted(self.principal.actor.roles))

    def may(self, scope: str) -> bool:
        return self.principal.may(Scope(scope))


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that came from one of our own pages."""

    fields: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        """The first value, without surrounding space; empty when the field is absent."""
        return next((value.strip() for field, value in self.fields if field == name), "")

    def each(self, name: str) -> list[str]:
        return [value.strip() for field, value in self.fields if field == name]


async def open_session(session: AsyncSession, bearer: str, now: datetime) -> str:
    """The token for the cookie. Raises Unauthenticated for a key that opens nothing, Denied for a service's."""
    who = await keys.authenticate(session, bearer, now)
    if who.actor.kind is not PrincipalKind.PERSON:
        raise Denied(
            f"The key {who.key_id} belongs to a service. Only a person can sign in: `ordermend keys create --kind person`."
        )
    token = secrets.token_urlsafe(32)
    await session.execute(delete(ConsoleSession).where(ConsoleSession.expires_at <= now))
    session.add(ConsoleSession(token_sha256=_digest(token), key_id=who.key_id, opened_at=now, expires_at=now + LASTS))
    return token


async def close_session(session: AsyncSession, token: str) -> None:
    await session.execute(delete(ConsoleSession).where(ConsoleSession.token_sha256 == _digest(token)))


async def session_of(session: AsyncSession, token: str, now: datetime) -> SignedIn:
    """Raises Unauthenticated when the session has ended, or its key was revoked or has expired."""
    row = await session.get(ConsoleSession, _digest(token)) if token else None
    if row is None or row.expires_at <= now:
        raise Unauthenticated("You are not signed in, or your session has ended. Sign in again.")
    return SignedIn(await keys.principal_of(session, row.key_id, now), csrf_of(token))


def csrf_of(token: str) -> str:
    """What forms carry: it follows from the cookie's token and does not reveal it."""
    return hmac.new(token.encode(), b"console form", hashlib.sha256).hexdigest()


def set_cookie(request: Request, response: Response, name: str, token: str) -> None:
    """Out of reach of scripts and other sites; over HTTPS it never travels in the clear."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, token, max_age=int(LASTS.total_seconds()), path="/", httponly=True, samesite="lax", secure=secure)


async def signed_in(request: Request, wanted: SecurityScopes, world: AWorld) -> SignedIn:
    """The person at the browser. Raises Unauthenticated without a session and Denied without the scope."""
    async with world.database.sessions() as session:
        who = await session_of(session, request.cookies.get(SESSION_COOKIE, ""), world.clock())
        request.state.switched_off = await turned_off(session)
    for scope in wanted.scopes:
        if not who.may(scope):
            raise Denied(f"Your key {who.principal.key_id} lacks the scope {scope}. Ask an administrator for a key that has it.")
    request.state.signed_in = who
    return who


async def posted(request: Request) -> Form:
    """The form, checked to come from one of our own pages: the session's secret must stand in it."""
    form = await read_form(request)
    _check_csrf(form, request.cookies.get(SESSION_COOKIE, ""))
    return form


async def posted_to_sign_in(request: Request) -> Form:
    form = await read_form(request)
    _check_csrf(form, request.cookies.get(FRESH_COOKIE, ""))
    return form


async def read_form(request: Request) -> Form:
    raw = await read_limited(request, world_of(request).settings.body_limit_bytes)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise InputInvalid([("", f"the form cannot be read: {type(error).__name__}")]) from error
    return Form(tuple((name, value.replace("\r\n", "\n")) for name, value in pairs))


def _check_csrf(form: Form, token: str) -> None:
    if not token or not hmac.compare_digest(form.one(CSRF_FIELD).encode(), csrf_of(token).encode()):
        raise Denied(
            "This form does not belong to your present session, so nothing was done. Load the page again and send it from there."
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


ReadsCases = Annotated[SignedIn, Security(signed_in, scopes=[Scope.CASES_READ.value])]
Reviews = Annotated[SignedIn, Security(signed_in, scopes=[Scope.CASES_REVIEW.value])]
BringsEvidence = Annotated[SignedIn, Security(signed_in, scopes=[Scope.EVIDENCE_WRITE.value])]
ReportsOutcomes = Annotated[SignedIn, Security(signed_in, scopes=[Scope.OUTCOMES_WRITE.value])]
ReadsPolicy = Annotated[SignedIn, Security(signed_in, scopes=[Scope.POLICY_READ.value])]
Administers = Annotated[SignedIn, Security(signed_in, scopes=[Scope.ADMIN.value])]
Anybody = Annotated[SignedIn, Security(signed_in, scopes=[])]
APost = Annotated[Form, Depends(posted)]
ASignIn = Annotated[Form, Depends(posted_to_sign_in)]
