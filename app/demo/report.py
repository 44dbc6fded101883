"""What a person sees of the demo: a progress bar, a table, and where to go on. For programs, one JSON object."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from app.demo.play import Outcome, Played, Told
from app.demo.scenario import Sending
from app.tables import Case, CaseState

_COLOUR = {"automate": "green", "review": "yellow", "block": "red"}
_ENDED = {CaseState.CLEARED.value: "healed", CaseState.RESOLVED.value: "resolved"}


def as_json(played: Played, outcome: Outcome, classifier: str, seconds: float) -> dict[str, Any]:
    return {
        "signals": played.accepted + played.kept_unread,
        "duplicates": played.duplicates,
        "cases": len(outcome.cases),
        "by_category": outcome.by_category,
        "by_verdict": outcome.by_verdict,
        "actions_executed": outcome.actions_executed,
        "waiting_review": outcome.waiting_review,
        "trail_verified": outcome.trail_verified,
        "classifier": classifier,
        "seconds": round(seconds, 2),
    }


@contextmanager
def progress(console: Console, total: int) -> Iterator[Told]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Signals", total=total)

        def told(sending: Sending) -> None:
            bar.update(task, advance=1, description=f"Signals from {sending.source:<11}")

        yield told


def summary(console: Console, outcome: Outcome, classifier: str) -> None:
    title = f"What Ordermend made of it (classifier: {classifier})"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("order", "category", "verdict", "owner"):
        table.add_column(name, no_wrap=True)
    table.add_column("what and why", min_width=30)
    for case in outcome.cases:
        table.add_row(case.order_ref, case.category, _verdict(case), case.owner, _words(case))
    console.print(table)
    told = ", ".join(f"{count} {verdict}" for verdict, count in outcome.by_verdict.items())
    trail = "the trail verifies" if outcome.trail_verified else "[red]the trail does NOT verify[/red]"
    console.print(f"{len(outcome.cases)} cases in {len(outcome.by_category)} categories: {told}.")
    console.print(f"{outcome.actions_executed} actions carried out, {outcome.waiting_review} cases wait for a person; {trail}.")


def deliveries(console: Console, played: Played) -> None:
    console.print(f"{played.accepted} signals accepted, {played.duplicates} delivered twice and stored once.")
    console.print(f"{played.kept_unread} verified but unreadable, kept in the dead letter to be mended and replayed.")


def where_to_go(console: Console, address: str, key: str, folder: Path) -> None:
    console.print(f"\nThe reviewer's console: [bold]{address}[/bold]; the API is described at {address}/docs.", soft_wrap=True)
    console.print(f"An API key for the demo, shown only now: [bold]{key}[/bold]", soft_wrap=True)
    console.print(f'  curl -H "Authorization: Bearer {key}" {address}/api/v1/cases', soft_wrap=True, highlight=False)
    console.print("Ctrl-C ends it; what was played is kept. The command line reads it too, for instance:")
    command = f"  ORDERMEND_DATA_DIR={quote(str(folder))} .venv/bin/ordermend cases list"
    console.print(command, soft_wrap=True, highlight=False, markup=False)


def _words(case: Case) -> str:
    return f"{escape(case.summary)}\n[dim]{escape(case.sentence)}[/dim]"


def _verdict(case: Case) -> str:
    ended = _ENDED.get(case.state)
    verdict = case.verdict or "none yet"
    return f"[dim]{ended}[/dim]" if ended else f"[{_COLOUR.get(verdict, 'white')}]{verdict}[/]"
