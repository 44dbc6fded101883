"""`ordermend cases list|show|approve|reject`."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from app import review, views
from app.cli_output import AsJson, group, plain, say, say_json, say_table
from app.cli_world import in_world, person_of_the_key
from app.keys import Scope
from app.published import governed
from app.review import ReviewDecision, ReviewRequest
from app.tables import CaseState
from app.web.shown import case_shown, case_summary
from app.world import World
from guardrails.taxonomy import Category, Team, Verdict

commands = group()

_COLUMNS = ("id", "order_ref", "category", "status", "verdict", "owner", "due_at", "version", "sentence")
Version = Annotated[int, typer.Option(min=1, help="The version of the case that you have read.")]
Reason = Annotated[str, typer.Option(help="Why, for the trail.")]


@commands.command("list")
def list_cases(
    status: Annotated[list[CaseState] | None, typer.Option(help="Only cases in these states.")] = None,
    owner: Annotated[Team | None, typer.Option(help="Only this team's.")] = None,
    category: Annotated[Category | None, typer.Option(help="Only of this category.")] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only with this verdict.")] = None,
    order_ref: Annotated[str | None, typer.Option(help="Only of this order.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Cases, the one due first at the top, closed ones too unless --status says otherwise."""
    wanted = views.CaseFilter(tuple(status or ()), owner, category, verdict, None, order_ref)

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            return [case_summary(row).model_dump(mode="json") for row in await views.queue(session, wanted, None, limit)]

    rows = in_world(found)
    if as_json:
        say_json(rows)
    else:
        say_table(_COLUMNS, rows)


@commands.command()
def show(case_id: str, as_json: AsJson = False) -> None:
    """One case with its decision, actions and approvals."""

    async def found(world: World) -> dict[str, Any]:
        async with world.database.sessions() as session:
            view = await views.case(session, case_id)
        return case_shown(view, await governed(world)).model_dump(mode="json")

    case = in_world(found)
    if as_json:
        say_json(case)
        return
    say(f"{case['id']}  version {case['version']}  {case['status']}, {case['verdict'] or 'no verdict yet'}")
    say(f"order {case['order_ref']}: {case['category']}, owned by {case['owner']}, due {case['due_at']}")
    say(case["summary"])
    say(case["sentence"])
    for line in (*_evidence(case), *_proposals(case), *_done(case)):
        say(line)


def _evidence(case: dict[str, Any]) -> Iterator[str]:
    for item in case["evidence"]:
        struck = f" (struck: {item['struck']})" if item["struck"] else ""
        yield plain(f"evidence: {item['evidence']['quote']}, {item['evidence']['pointer']}{struck}")


def _proposals(case: dict[str, Any]) -> Iterator[str]:
    """What an approval would carry out, and what has been ruled otherwise."""
    for item in case["proposed_actions"]:
        given = f" {json.dumps(item['arguments'], ensure_ascii=False)}" if item["arguments"] else ""
        yield plain(f"proposed: {item['action']}, {item['verdict']}{given}")
    for lift in case["decision"]["ruling"]["lift"] if case["decision"] else ():
        yield plain(f"would lift it: {lift}")


def _done(case: dict[str, Any]) -> Iterator[str]:
    for action in case["actions"]:
        yield plain(f"action: {action['action']}, {action['state']}" + (f" ({action['error']})" if action["error"] else ""))


@commands.command()
def approve(case_id: str, version: Version, reason: Reason, as_json: AsJson = False) -> None:
    """Approve what the case proposes. It passes the guard again and is then carried out."""
    _decide(case_id, version, ReviewRequest(ReviewDecision.APPROVE, reason), as_json)


@commands.command()
def reject(case_id: str, version: Version, reason: Reason, as_json: AsJson = False) -> None:
    """Reject what the case proposes."""
    _decide(case_id, version, ReviewRequest(ReviewDecision.REJECT, reason), as_json)


def _decide(case_id: str, version: int, request: ReviewRequest, as_json: bool) -> None:
    async def decided(world: World) -> dict[str, Any]:
        person = await person_of_the_key(world, Scope.CASES_REVIEW)
        return case_summary(await review.decide(world, person, case_id, version, request)).model_dump(mode="json")

    case = in_world(decided)
    if as_json:
        say_json(case)
    else:
        say(_told(case, ("id", "status", "version", "sentence")))


def _told(case: dict[str, Any], names: Sequence[str]) -> str:
    return "  ".join(str(case[name]) for name in names)
