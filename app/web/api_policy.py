"""The API on the policy: what is in force, what came before, what another one would have ruled, and putting it in force."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response

from app import published, publishing, simulate
from app.errors import InputInvalid
from app.published import OVERLAY, NoOverlay, PolicyText
from app.simulate import Span
from app.web.api import PEOPLE_ONLY, takes
from app.web.at_hand import AWorld
from app.web.bodies import JsonBody
from app.web.policy_shown import PolicyShown, Publication, publication, shadow_shown
from app.web.schemas import PolicyPublication, PolicySimulation, ShadowEnd
from app.web.security import PublishesPolicy, ReadsPolicy, SimulatesPolicy
from app.world import World
from guardrails.facts import sha256_of
from guardrails.policy.load import PolicyInvalid
from guardrails.policy.tables import Mode

router = APIRouter(prefix="/api/v1/policy", tags=["policy"])

SENT = "policy.yaml"
"""What a policy that was sent is called in messages."""


@router.get(
    "",
    summary="The policy in force",
    response_model=PolicyShown,
    responses={304: {"description": "It has not changed."}},
)
async def show_policy(
    response: Response,
    world: AWorld,
    _: ReadsPolicy,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None,
) -> PolicyShown | Response:
    """Money in minor units, confidence in basis points, ages in seconds. With it who published it and why, and how the policy in
    shadow compares, if one is on trial."""
    shown = await _shown(world)
    response.headers["ETag"] = etag = f'"{shown.sha256 if shown.shadow is None else sha256_of(shown.model_dump(mode="json"))}"'
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers={"ETag": etag})
    return shown


async def _shown(world: World) -> PolicyShown:
    async with world.database.sessions() as session:
        policy = await published.policy_in_force(session, world)
        row = await published.current_row(session, Mode.ENFORCE)
        tried = await published.current_row(session, Mode.SHADOW)
        shadow = None if tried is None else shadow_shown(tried, await published.trial_of(session, tried))
    return PolicyShown(
        name=policy.name,
        version=policy.version,
        sha256=policy.sha256,
        document=policy.document(),
        published=None if row is None else publication(row),
        shadow=shadow,
    )


@router.get("/history", summary="Every policy that was published")
async def list_published(world: AWorld, _: ReadsPolicy) -> list[Publication]:
    """The newest first: who published it, when, why, and in short what it would have changed."""
    async with world.database.sessions() as session:
        return [publication(row) for row in await published.history(session)]


@router.post("/simulate", summary="What another policy would have ruled", openapi_extra=takes("PolicySimulation") | PEOPLE_ONLY)
async def simulate_policy(
    world: AWorld, _: SimulatesPolicy, body: Annotated[PolicySimulation, Depends(JsonBody(PolicySimulation))]
) -> dict[str, Any]:
    """Ask it about the rulings of the past, on their facts as they were then, and compare with the policy in force. Nothing changes.

    The answer holds the verdicts before and after, which rules flip how many, the money concerned, cases that would have been ruled
    otherwise with their facts as they were, the share that is not covered, and budgets both as recorded and as they would have gone."""
    try:
        policy = await simulate.read(PolicyText(SENT, body.policy, body.overlay))
    except PolicyInvalid as error:
        raise located(error) from error
    return await simulate.simulate(world, policy, span=Span(body.since, body.until), cases=body.cases)


@router.post(
    "/publish",
    summary="Put a policy in force or in shadow",
    status_code=201,
    responses={409: {"description": "It cannot be published as things stand; nothing was changed."}},
    openapi_extra=takes("PolicyPublication") | PEOPLE_ONLY,
)
async def publish_policy(
    world: AWorld, who: PublishesPolicy, body: Annotated[PolicyPublication, Depends(JsonBody(PolicyPublication))]
) -> Publication:
    """By a lead or an admin. From the answer on every process rules by it, and open cases are judged again. 409 when it is in force
    already, or another one was published meanwhile, or an overlay is in force and `overlay` is absent: null says that it is to end."""
    written = PolicyText(SENT, body.policy, body.overlay)
    without = NoOverlay.MEANT if "overlay" in body.model_fields_set else NoOverlay.NOT_SAID
    try:
        return publication(await publishing.publish(world, who.actor, written, body.mode, body.why, no_overlay=without))
    except PolicyInvalid as error:
        raise located(error) from error


@router.post("/shadow-end", summary="End the trial of the policy in shadow", openapi_extra=takes("ShadowEnd") | PEOPLE_ONLY)
async def end_shadow(world: AWorld, who: PublishesPolicy, body: Annotated[ShadowEnd, Depends(JsonBody(ShadowEnd))]) -> Publication:
    """What it showed stays in the record of each judgement."""
    return publication(await publishing.end_shadow(world, who.actor, body.why))


def located(error: PolicyInvalid) -> InputInvalid:
    """Every mistake with its file, line and column."""
    return InputInvalid([("/overlay" if p.file == OVERLAY else "/policy", str(p)) for p in error.errors])
