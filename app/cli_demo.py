"""`ordermend demo`."""

import asyncio
import logging
import sys
from typing import Annotated

import typer
from rich.console import Console

from app.cli_output import AsJson, say_json, single
from app.cli_settings import ClassifierName, settings_now
from app.demo import report
from app.demo.stage import perform_and_stay, perform_once

commands = single()

FILE_WIDTH = 160


@commands.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Play on a throw-away database and end.")] = False,
    as_json: AsJson = False,
    classifier: Annotated[ClassifierName | None, typer.Option(help="Who reads the cases; the settings decide otherwise.")] = None,
) -> None:
    """Play real-shaped webhooks of seven sources through the real endpoints, with real signatures, and show what comes of it.

    Without --once it then serves until interrupted, and keeps what was played."""
    if as_json and not once:
        raise typer.BadParameter("--json goes with --once; without it the demo goes on serving")
    settings = settings_now(classifier)
    console = _console(as_json)
    if not once:
        _tell_of_the_model()
        asyncio.run(perform_and_stay(settings, console))
        return
    performance = asyncio.run(perform_once(settings, console))
    if as_json:
        say_json(performance.as_json())
    else:
        report.deliveries(console, performance.played)
        report.summary(console, performance.outcome, performance.classifier)
    if not performance.succeeded:
        sys.exit(1)


def _tell_of_the_model() -> None:
    """How far the local model is, on stderr, beside what is shown."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("app.models").setLevel(logging.INFO)


def _console(as_json: bool) -> Console:
    """A program that reads JSON gets nothing else on stdout; what is not a terminal has no width of its own."""
    console = Console(stderr=as_json)
    return console if console.is_terminal else Console(stderr=as_json, width=FILE_WIDTH)
