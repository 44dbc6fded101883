"""`ordermend policy explain`: why a case was ruled as it was, as its newest decision recorded it."""

from typing import Any

from app import views
from app.cli_output import AsJson, group, say, say_json
from app.cli_world import in_world
from app.errors import IllegalTransition
from app.findings import passed, told
from app.world import World
from guardrails.facts import rfc3339

commands = group()


@commands.callback()
def _words() -> None:
    """The policy: what may happen by itself, what a person decides, what may not happen."""


@commands.command()
def explain(case_id: str, as_json: AsJson = False) -> None:
    """Each rule's result for a case, for each of its actions, and what would lift a refusal."""

    async def found(world: World) -> dict[str, Any]:
        async with world.database.sessions() as session:
            view = await views.case(session, case_id)
        if view.decision is None:
            raise IllegalTransition(f"Case {case_id} has not been judged yet.")
        row = view.decision
        told = {"case_id": case_id, "decision_id": row.id, "at": rfc3339(row.at), "facts_sha256": row.facts_sha256}
        return told | {"ruling": row.ruling}

    explained = in_world(found)
    if as_json:
        say_json(explained)
        return
    ruling = explained["ruling"]
    say(f"{case_id}: {ruling['verdict']} under policy {ruling['policy_version']}, decided {explained['at']}")
    say(ruling["sentence"])
    _findings(ruling, "")
    for item in ruling["actions"]:
        say(f"{item['action']['action']}: {item['verdict']}")
        _findings(item, "  ")
    for evidence in ruling["lift"]:
        say(f"would lift it: {evidence}")


def _findings(of: dict[str, Any], indent: str) -> None:
    """What fired, or would have in shadow; of the rest only the count. The JSON has them all."""
    for item in told(of):
        say(f"{indent}  {item['effect']:<8} {item['rule']}: {item['sentence']}")
    say(f"{indent}  {len(passed(of))} rules were looked at and did not apply.")
