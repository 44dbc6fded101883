"""`ordermend triage`: one exception, described in JSON as for `POST /api/v1/triage`, judged here and now."""

import json
import sys
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app import intake, views
from app.cli_output import AsJson, hint, read_input, say, say_json, single
from app.cli_world import in_world, reporter
from app.errors import InputInvalid
from app.keys import Scope
from app.signals.shapes import SignalRefused
from app.tables import CaseState
from app.web.schemas import TriageRequest
from app.web.shown import CaseShown, case_shown
from app.world import World

commands = single()


@commands.command()
def triage(
    file: Annotated[str, typer.Argument(help="The report as JSON; `-` reads stdin.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the verdict.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Report one exception and wait for its verdict. Exit code 1 when none came in time."""
    reported = read_report(read_input(file))

    async def judged(world: World) -> CaseShown:
        try:
            case_id = await intake.report(world, await reporter(world, Scope.TRIAGE_WRITE), reported)
        except SignalRefused as refusal:
            raise InputInvalid(getattr(refusal, "errors", None) or [("", str(refusal))]) from refusal
        await intake.wait_for_verdict(world, case_id, wait)
        async with world.database.sessions() as session:
            return case_shown(await views.case(session, case_id), world)

    shown = in_world(judged, worker=True)
    if as_json:
        say_json(shown.model_dump(mode="json"))
    else:
        say(f"{shown.id}  {shown.order_ref}  {shown.category}  {shown.verdict or shown.status}  {shown.owner}")
        say(shown.summary)
        say(shown.sentence)
    if shown.status == CaseState.JUDGING:
        hint(f"No verdict within {wait:g} s; `ordermend cases show {shown.id}` shows it later.")
        sys.exit(1)


def read_report(raw: bytes) -> intake.Report:
    """Raises InputInvalid with a pointer for every field that is wrong."""
    try:
        opened: Any = json.loads(raw.decode(), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise InputInvalid([("", f"is not JSON ({error})")]) from error
    try:
        body = TriageRequest.model_validate_json(json.dumps(opened), strict=True)
    except ValidationError as error:
        raise InputInvalid([("/" + "/".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]) from error
    signals = tuple(item.model_dump(mode="json") for item in body.signals)
    return intake.Report(body.order_ref, body.reported_by, body.description, body.facts, signals)
