"""`ordermend eval …`: hands over to the eval suite in a process of its own, for nothing in the program imports `evals`."""

import subprocess
import sys
from collections.abc import Mapping

import typer

from app.cli_output import group, say

commands = group()

_TOLD: Mapping[str, str] = {
    "run": "Judge every case of a dataset on the production path and print the figures.",
    "suite": "Judge the datasets and hold them against gates and baselines.",
    "compare": "Two runs case by case.",
    "bless": "Make a run the baseline that later ones are compared with.",
    "report": "One HTML file about a run.",
    "export": "A run in another program's form.",
    "calibrate": "Fit confidence to how often it was right.",
    "promote": "A reviewed case as a labelled case, with nobody in it recognisable.",
    "tune": "Thresholds with a guarantee, or how many labels they lack.",
}
_AS_TYPED = {"allow_extra_args": True, "ignore_unknown_options": True}


@commands.callback()
def _words() -> None:
    """How well the program judges labelled cases."""


def _hand_over(context: typer.Context) -> None:
    """The suite reads the options itself and explains them itself."""
    words = [sys.executable, "-m", "evals", context.info_name or "", *context.args]
    if "--help" in context.args:
        say(subprocess.run(words, check=True, capture_output=True, text=True).stdout.rstrip())  # noqa: S603 - our own module
        return
    sys.exit(subprocess.run(words, check=False).returncode)  # noqa: S603 - our own module


for _name, _help in _TOLD.items():
    commands.command(_name, help=_help, context_settings=_AS_TYPED, add_help_option=False)(_hand_over)
