"""`ordermend eval run`: hands over to the eval suite in a process of its own, for nothing in the program imports `evals`."""

import subprocess
import sys
from typing import Annotated

import typer

from app.cli_output import AsJson, group

commands = group()


@commands.callback()
def _words() -> None:
    """How well the program judges labelled cases."""


@commands.command()
def run(
    dataset: Annotated[str, typer.Option(help="Labelled cases, one JSON object a line.")],
    classifier: Annotated[str, typer.Option(help="rules, or llm for whatever endpoint is configured.")] = "rules",
    as_json: AsJson = False,
) -> None:
    """Judge every case of a dataset on the production path and print the figures."""
    words = ["run", "--dataset", dataset, "--classifier", classifier, *(["--json"] if as_json else [])]
    sys.exit(subprocess.run([sys.executable, "-m", "evals", *words], check=False).returncode)  # noqa: S603 - our own module
