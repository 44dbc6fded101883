"""`ordermend policy replay|publish|shadow-end|history`: what another policy would have ruled, and putting one in force."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer

from app import published, publishing, simulate
from app.cli_output import AsJson, group, plain, read_input, say, say_json, say_table
from app.cli_world import in_world, person_of_the_key
from app.errors import InputInvalid
from app.keys import Scope
from app.published import NoOverlay, PolicyText
from app.simulate import Span
from app.web.policy_shown import publication
from app.world import World
from guardrails.money import Money
from guardrails.policy.load import PolicyInvalid
from guardrails.policy.reader import decoded
from guardrails.policy.tables import Mode

commands = group()
_T = TypeVar("_T")

_HISTORY = ("published_at", "mode", "version", "by", "ended_at", "sha256", "why")
Overlay = Annotated[str | None, typer.Option(help="A second file that may only tighten the first.")]
Why = Annotated[str, typer.Option(help="Why, for the record.")]


@commands.callback()
def _words() -> None:
    """The policy: what may happen by itself, what a person decides, what may not happen."""


@commands.command()
def replay(
    policy: Annotated[str, typer.Option(help="The policy file to ask; `-` reads stdin.")],
    overlay: Overlay = None,
    against: Annotated[str | None, typer.Option(help="Compare with this file, not with the policy in force.")] = None,
    since: Annotated[str | None, typer.Option(help="Only rulings from then on, such as 2026-11-01 or 2026-11-01T09:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Only rulings before then.")] = None,
    cases: Annotated[int, typer.Option(min=0, max=100_000, help="How many cases ruled otherwise to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What it would have ruled on the cases of the past, on their facts as they were then. Nothing is changed."""
    span = Span(_moment(since, "/since"), _moment(until, "/until"))
    asked = _or_mistakes(lambda: _written(policy, overlay), as_json)
    other = None if against is None else _or_mistakes(lambda: _written(against, None), as_json)

    async def replayed(world: World) -> dict[str, Any]:
        compared = None if other is None else await simulate.read(other)
        return await simulate.simulate(world, await simulate.read(asked), against=compared, span=span, cases=cases)

    report = _or_mistakes(lambda: in_world(replayed), as_json)
    if as_json:
        say_json(report)
    else:
        for line in report_lines(report):
            say(line)


@commands.command()
def publish(
    file: Annotated[str, typer.Argument(help="The policy file; `-` reads stdin.")],
    why: Why,
    overlay: Overlay = None,
    no_overlay: Annotated[bool, typer.Option("--no-overlay", help="Publish without one: an overlay in force ends.")] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="On trial only: what it would rule is recorded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put it in force in every process, with its replay report attached. To roll back, publish the old file again."""
    if no_overlay and overlay is not None:
        raise InputInvalid([("/overlay", "say either --overlay FILE or --no-overlay")])
    without = NoOverlay.MEANT if no_overlay else NoOverlay.NOT_SAID
    mode = Mode.SHADOW if shadow else Mode.ENFORCE
    written = _or_mistakes(lambda: _written(file, overlay), as_json)

    async def put(world: World) -> dict[str, Any]:
        actor = await person_of_the_key(world, Scope.POLICY_WRITE)
        row = await publishing.publish(world, actor, written, mode, why, no_overlay=without)
        return publication(row).model_dump(mode="json")

    row = _or_mistakes(lambda: in_world(put), as_json)
    if as_json:
        say_json(row)
        return
    say(f"Version {row['version']} is {'in shadow' if shadow else 'in force'} since {row['published_at']}.")
    for line in short_lines(row["report"]):
        say(line)


@commands.command("shadow-end")
def shadow_end(why: Why, as_json: AsJson = False) -> None:
    """What it showed stays in the record of each judgement."""

    async def ended(world: World) -> dict[str, Any]:
        actor = await person_of_the_key(world, Scope.POLICY_WRITE)
        return publication(await publishing.end_shadow(world, actor, why)).model_dump(mode="json")

    row = in_world(ended)
    if as_json:
        say_json(row)
    else:
        say(f"Version {row['version']} is in shadow no more.")


@commands.command()
def history(as_json: AsJson = False) -> None:
    """The newest first."""

    async def found(world: World) -> list[dict[str, Any]]:
        async with world.database.sessions() as session:
            return [publication(row).model_dump(mode="json") for row in await published.history(session)]

    rows = in_world(found)
    if as_json:
        say_json(rows)
    else:
        say_table(_HISTORY, [row | {"sha256": row["sha256"][:12]} for row in rows])


# --- in words ---


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for a terminal."""
    new, old = report["policy"], report["against"]
    yield f"version {new['version']} against version {old['version']}: {report['rulings']} rulings"
    if report["first_at"]:
        yield f"made from {report['first_at']} to {report['last_at']}; asked in {report['seconds']:.2f} s"
    yield from short_lines(report)
    if report["recorded_differs"]:
        yield f"{report['recorded_differs']} were recorded with another verdict than version {old['version']} comes to now"
    yield ""
    yield from _matrix_lines("verdicts, then (down) and under the new policy (across)", report["matrix"])
    yield ""
    yield from _matrix_lines("actions they asked for, then (down) and under the new policy (across)", report["actions"])
    yield ""
    recounted = report["budgets"]["resimulated"]
    yield f"budgets as recorded hold {report['budgets']['recorded']['held_old']} actions, under the new policy {_held(report)}"
    yield f"budgets counted again hold {recounted['held_old']} rulings, under the new policy {recounted['held_new']}:"
    yield from _matrix_lines("", recounted["matrix"])
    yield ""
    for case in report["cases"]:
        yield from _case_lines(case)
    if report["flips_in_all"] > len(report["cases"]):
        yield f"... and {report['flips_in_all'] - len(report['cases'])} more; --cases shows them, --json with their facts"
    yield report["caution"]


def short_lines(report: dict[str, Any] | None) -> Iterator[str]:
    """The figures, and the rules that make the difference."""
    if report is None:
        return
    yield f"{report['flips_in_all']} ruled otherwise: {report['tightened']} tighter, {report['loosened']} looser"
    if report["actions_tightened"] or report["actions_loosened"]:
        yield f"  of their actions {report['actions_tightened']} tighter, {report['actions_loosened']} looser"
    for side in ("tightened", "loosened"):
        worth = ", ".join(str(Money(amount, code)) for code, amount in sorted(report["order_totals"][side].items()))
        told = report["outcomes"][side]
        if report[side]:
            yield f"  {side}: orders worth {worth or 'unknown'}; turned out good {told['good']}, bad {told['bad']}"
    for rule in report["rules"]:
        counts = [
            f"{rule[name]} {name.replace('_', ' ')}" for name in ("newly_fired", "no_longer_fired", "other_effect") if rule[name]
        ]
        if counts:
            yield f"  {rule['rule']}: {', '.join(counts)}"
    yield f"{report['not_covered']} rulings ({report['not_covered_share']:.1%}) are covered by no rule, only by the tables"
    for left in report.get("left_out", ()):
        yield f"{left['count']} of {report['decisions']} decisions are left out: {left['why']}"


def _held(report: dict[str, Any]) -> int:
    return int(report["budgets"]["recorded"]["held_new"])


def _matrix_lines(title: str, matrix: dict[str, dict[str, int]]) -> Iterator[str]:
    if title:
        yield title
    verdicts = list(matrix)
    yield " " * 10 + "".join(f"{name:>10}" for name in verdicts)
    for name, row in matrix.items():
        yield f"{name:<10}" + "".join(f"{row[other]:>10}" for other in verdicts)


def _case_lines(case: dict[str, Any]) -> Iterator[str]:
    yield f"{case['order_ref']}  {case['old']} -> {case['new']}  {case['case_id']}  {case['at']}  {case['category']}"
    for name, sign in (("newly_fired", "+"), ("no_longer_fired", "-"), ("other_effect", "~")):
        if case[name]:
            yield f"    {sign} {', '.join(case[name])}"
    for outcome in case["outcomes"]:
        yield plain(f"    turned out {outcome['turned']}: {outcome.get('note') or outcome.get('result') or ''}")


def _written(path: str, overlay: str | None) -> PolicyText:
    """Raises PolicyInvalid where they are not text: what is published is what was written, letter by letter."""
    tightening = None if overlay is None else decoded(read_input(overlay), overlay)
    return PolicyText(path, decoded(read_input(path), path), tightening)


def _moment(text: str | None, pointer: str) -> datetime | None:
    """A day, or a time of day with its zone; a day begins at midnight UTC. Raises InputInvalid."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputInvalid([(pointer, "must be a day or a time, such as 2026-11-01 or 2026-11-01T09:00Z")]) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _or_mistakes(step: Callable[[], _T], as_json: bool) -> _T:
    """What the step says; every mistake in a policy's text as `policy check` tells it, and exit code 1."""
    try:
        return step()
    except PolicyInvalid as error:
        if as_json:
            mistakes = [{"file": p.file, "line": p.line, "column": p.column, "message": p.message} for p in error.errors]
            say_json({"valid": False, "errors": mistakes})
        else:
            for problem in error.errors:
                say(problem.shown())
        sys.exit(1)
