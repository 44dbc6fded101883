"""`ordermend serve` and `ordermend worker`."""

import asyncio
import logging
from typing import Annotated

import typer

from app.cli_output import hint, single
from app.cli_settings import ClassifierName, settings_now
from app.serving import serve, work

AClassifier = Annotated[ClassifierName | None, typer.Option(help="Who reads the cases; ORDERMEND_CLASSIFIER otherwise.")]

serving = single()
working = single()


@serving.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on; ORDERMEND_HOST otherwise.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; ORDERMEND_PORT otherwise.")] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only answer HTTP; workers run elsewhere.")] = False,
    classifier: AClassifier = None,
) -> None:
    """Serve the HTTP API until interrupted."""
    _log()
    settings = settings_now(classifier)
    wanted = {"host": host or settings.host, "port": settings.port if port is None else port}
    told = "without a worker" if no_worker else "with a worker"
    asyncio.run(
        serve(settings.model_copy(update=wanted), lambda address: hint(f"Listening on {address}, {told}."), worker=not no_worker)
    )


@working.command("worker")
def work_command(classifier: AClassifier = None) -> None:
    """Work on what has come in until interrupted."""
    _log()
    hint("Working.")
    asyncio.run(work(settings_now(classifier)))


def _log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for ours in ("app", "ordermend"):
        logging.getLogger(ours).setLevel(logging.INFO)
