"""API keys: shown once, stored as a hash, limited to scopes, and always somebody's."""

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import trail
from app.errors import InputInvalid, NotFound, Unauthenticated
from app.ids import new_id
from app.signals.shapes import Source
from app.tables import ApiKey
from guardrails.facts import rfc3339
from guardrails.policy.tables import ROLES
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind

SECRET_PREFIX = "om_live_"  # noqa: S105 - the visible beginning of every key, not a secret
NAME_LIMIT = 100
LONGEST_BEARER = 200
KINDS = (PrincipalKind.PERSON, PrincipalKind.SERVICE)
_TAKEN_NAMES = frozenset(
    [
        "agent",
        "audit",
        "drift alarm",
        "ordermend",
        "pipeline",
        "reader",
        "start",
        "sweep",
        "system",
        *(source.value for source in Source),
    ]
)
"""Names that the trail uses for what the program itself does."""


class Scope(StrEnum):
    TRIAGE_WRITE = "triage:write"
    CASES_READ = "cases:read"
    CASES_REVIEW = "cases:review"
    EVIDENCE_WRITE = "evidence:write"
    OUTCOMES_WRITE = "outcomes:write"
    POLICY_READ = "policy:read"
    POLICY_WRITE = "policy:write"
    REPORTS_READ = "reports:read"
    ADMIN = "admin"
    """Implies all others."""


_SCOPES = frozenset(scope.value for scope in Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a valid key speaks for. The actor's id is the key's name, so that two keys of one person are one person."""

    actor: Actor
    scopes: frozenset[Scope]
    key_id: str

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `secret` is nowhere else and cannot be shown again."""

    row: ApiKey
    secret: str


async def create(
    session: AsyncSession,
    now: datetime,
    *,
    name: str,
    kind: PrincipalKind,
    scopes: Iterable[str],
    roles: Iterable[str] = (),
    expires_at: datetime | None = None,
    by: str,
) -> IssuedKey:
    """Make a key within the caller's transaction; `by` is who asked for it.

    `name` is the person or service itself and is kept in lower case: two spellings are not two people.
    Raises InputInvalid naming every mistake."""
    plain_name, wanted, held = _plain_name(name), sorted(set(scopes)), sorted(set(roles))
    errors = _mistakes(plain_name, kind, wanted, held)
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        errors.append(("/expires_at", "must be a time with a zone that lies ahead"))
    if not errors and await _is_other_kind(session, plain_name, kind):
        errors.append(("/name", f"a key of another kind is called {plain_name!r}; the trail must tell a person from a service"))
    if errors:
        raise InputInvalid(errors)
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(
        id=new_id("key", now),
        name=plain_name,
        secret_sha256=_digest(secret),
        kind=kind.value,
        roles=held,
        scopes=wanted,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(row)
    await session.flush()
    body: dict[str, Any] = {"key_id": row.id, "name": row.name, "kind": row.kind, "roles": row.roles, "scopes": row.scopes}
    body |= {"expires_at": rfc3339(expires_at) if expires_at else None}
    await trail.append(session, now, [trail.Entry(trail.Event.KEY_CREATED, by, body)])
    return IssuedKey(row, secret)


async def list_keys(session: AsyncSession) -> list[ApiKey]:
    """Every key ever made, oldest first. None of them holds its secret."""
    return list((await session.execute(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id))).scalars())


async def revoke(session: AsyncSession, now: datetime, key_id: str, *, by: str) -> None:
    """From now on the key opens nothing. Raises NotFound; revoking twice changes nothing."""
    query = select(ApiKey).where(ApiKey.id == key_id).with_for_update()
    row = (await session.execute(query)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"There is no key {key_id!r}; `ordermend keys list` shows them.")
    if row.revoked_at is not None:
        return
    row.revoked_at = now
    await session.flush()
    await trail.append(session, now, [trail.Entry(trail.Event.KEY_REVOKED, by, {"key_id": row.id, "name": row.name})])


async def authenticate(session: AsyncSession, bearer: str, now: datetime) -> Principal:
    """Who this secret belongs to. Raises Unauthenticated, with the same words for a key that never was and a wrong one."""
    if not bearer.startswith(SECRET_PREFIX) or len(bearer) > LONGEST_BEARER:
        raise Unauthenticated(f"That is not an API key: one begins with {SECRET_PREFIX}.")
    row = (await session.execute(select(ApiKey).where(ApiKey.secret_sha256 == _digest(bearer)))).scalar_one_or_none()
    if row is None:
        raise Unauthenticated("No such API key. Make one with `ordermend keys create`.")
    return _principal(row, now)


async def principal_of(session: AsyncSession, key_id: str, now: datetime) -> Principal:
    """Who this key speaks for right now, for those who showed its secret earlier. Raises Unauthenticated once it is revoked."""
    row = await session.get(ApiKey, key_id)
    if row is None:
        raise Unauthenticated(f"The key {key_id} is gone. Make a new one with `ordermend keys create`.")
    return _principal(row, now)


async def withdrawn(session: AsyncSession, names: Iterable[str], now: datetime) -> frozenset[str]:
    """Of these people, those whose every key was revoked or has expired."""
    query = select(ApiKey).where(ApiKey.name.in_(sorted(set(names))), ApiKey.kind == PrincipalKind.PERSON.value)
    opens: dict[str, bool] = {}
    for row in (await session.execute(query)).scalars():
        alive = row.revoked_at is None and (row.expires_at is None or row.expires_at > now)
        opens[row.name] = opens.get(row.name, False) or alive
    return frozenset(name for name, alive in opens.items() if not alive)


def _principal(row: ApiKey, now: datetime) -> Principal:
    if row.revoked_at is not None:
        raise Unauthenticated(f"The key {row.id} was revoked. Make a new one with `ordermend keys create`.")
    if row.expires_at is not None and row.expires_at <= now:
        raise Unauthenticated(
            f"The key {row.id} expired at {rfc3339(row.expires_at)}. Make a new one with `ordermend keys create`."
        )
    known = frozenset(Scope(scope) for scope in row.scopes if scope in _SCOPES)
    return Principal(Actor(PrincipalKind(row.kind), row.name, frozenset(row.roles)), known, row.id)


def _mistakes(name: str, kind: PrincipalKind, scopes: list[str], roles: list[str]) -> list[tuple[str, str]]:
    errors = []
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        errors.append(("/name", f"must be 1 to {NAME_LIMIT} printable characters that name the person or service"))
    if name in _TAKEN_NAMES:
        errors.append(("/name", f"{name!r} is what the trail calls a part of the program; choose another name"))
    if kind not in KINDS:
        errors.append(("/kind", "must be person or service"))
    if not scopes:
        errors.append(("/scopes", "needs at least one of " + ", ".join(Scope)))
    errors += [("/scopes", f"{scope!r} is not one of " + ", ".join(Scope)) for scope in scopes if scope not in _SCOPES]
    errors += [("/roles", f"{role!r} is not one of " + ", ".join(ROLES)) for role in roles if role not in ROLES]
    if kind is PrincipalKind.SERVICE and roles:
        errors.append(("/roles", "a service has no roles: only a person reviews"))
    return errors


async def _is_other_kind(session: AsyncSession, name: str, kind: PrincipalKind) -> bool:
    query = select(ApiKey.id).where(ApiKey.name == name, ApiKey.kind != kind.value).limit(1)
    return (await session.execute(query)).scalar_one_or_none() is not None


def _plain_name(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
