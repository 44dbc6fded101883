"""Who asks, and what the key allows. Every endpoint that is not meant for everybody names a scope."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from app import keys
from app.errors import Denied, Unauthenticated
from app.keys import Principal, Scope
from app.publishing import may_publish
from app.simulate import may_simulate
from app.switches import require_in_charge
from app.web.at_hand import AWorld
from app.web.problems import PERSON_REQUIRED, Refusal
from guardrails.taxonomy import PrincipalKind

BEARER = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="om_live_…",
    description="An API key made by `ordermend keys create`. It is limited to scopes; `admin` implies all of them.",
    auto_error=False,
)


async def principal(
    request: Request,
    wanted: SecurityScopes,
    world: AWorld,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
) -> Principal:
    """The key's owner. Raises Unauthenticated without a valid key and Denied without the scope."""
    if given is None:
        raise Unauthenticated(f"Send `Authorization: Bearer {keys.SECRET_PREFIX}…`. `ordermend keys create` makes a key.")
    async with world.database.sessions() as session:
        found = await keys.authenticate(session, given.credentials, world.clock())
    for scope in wanted.scopes:
        if not found.may(Scope(scope)):
            raise Denied(
                f"The key {found.key_id} lacks the scope {scope}. Make one that has it: `ordermend keys create --scope {scope}`."
            )
    request.state.principal = found
    return found


async def person(who: Annotated[Principal, Depends(principal)]) -> Principal:
    """As `principal`, and a human being."""
    if who.actor.kind is not PrincipalKind.PERSON:
        raise Refusal(
            PERSON_REQUIRED,
            f"The key {who.key_id} belongs to a {who.actor.kind}. Only a person can do this; no scope changes that.",
        )
    return who


async def publisher(who: Annotated[Principal, Depends(person)]) -> Principal:
    """As `person`, and one who may publish policies."""
    may_publish(who.actor)
    return who


async def simulator(who: Annotated[Principal, Depends(person)]) -> Principal:
    """As `person`, and one who may see what another policy would have ruled."""
    may_simulate(who.actor)
    return who


ReadsCases = Annotated[Principal, Security(principal, scopes=[Scope.CASES_READ.value])]
ReportsExceptions = Annotated[Principal, Security(principal, scopes=[Scope.TRIAGE_WRITE.value])]
Routes = Annotated[Principal, Security(principal, scopes=[Scope.CASES_REVIEW.value])]
"""May assign cases: routing is no decision on a case."""
Reviewer = Annotated[Principal, Security(person, scopes=[Scope.CASES_REVIEW.value])]
BringsEvidence = Annotated[Principal, Security(principal, scopes=[Scope.EVIDENCE_WRITE.value])]
ReportsOutcomes = Annotated[Principal, Security(principal, scopes=[Scope.OUTCOMES_WRITE.value])]
ReadsPolicy = Annotated[Principal, Security(principal, scopes=[Scope.POLICY_READ.value])]


async def in_charge(who: Annotated[Principal, Depends(person)]) -> Principal:
    """As `person`, and one whose role is in charge of the switches."""
    require_in_charge(who.actor)
    return who


TurnsSwitches = Annotated[Principal, Security(in_charge, scopes=[Scope.CASES_REVIEW.value])]
PublishesPolicy = Annotated[Principal, Security(publisher, scopes=[Scope.POLICY_WRITE.value])]
SimulatesPolicy = Annotated[Principal, Security(simulator, scopes=[Scope.POLICY_READ.value])]
Administrator = Annotated[Principal, Security(principal, scopes=[Scope.ADMIN.value])]
