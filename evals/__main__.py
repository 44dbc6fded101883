"""`python -m evals run`: the eval suite as a program; `ordermend eval` hands over to it."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack

from app.classify import Classifier, Diagnosis, Question
from app.errors import OrdermendError
from app.models.choice import chosen_classifier
from app.settings import Settings
from app.wiring import load_configuration
from evals.cli import FAILED, main_run


class Configured:
    """Whatever endpoint is configured, opened by the first question, in the event loop that asks it."""

    name = "llm"
    fingerprint = "llm"

    def __init__(self, settings: Settings) -> None:
        self._settings, self._files = settings, load_configuration(settings.config_dir)
        self._stack, self._opening = AsyncExitStack(), asyncio.Lock()
        self._opened: Classifier | None = None

    async def classify(self, question: Question) -> Diagnosis:
        async with self._opening:
            if self._opened is None:
                choice = chosen_classifier(self._settings, self._files.owners)
                self._opened = await self._stack.enter_async_context(choice)
        return await self._opened.classify(question)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ordermend eval")
    run = parser.add_subparsers(dest="command", required=True).add_parser("run")
    run.add_argument("--dataset", required=True)
    run.add_argument("--classifier", default="rules")
    run.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    try:
        classifier = Configured(Settings(classifier="llm")) if asked.classifier == "llm" else None
        return main_run(asked.dataset, asked.classifier, asked.json, classifier=classifier)
    except OrdermendError as error:
        sys.stderr.write(f"ordermend: {error}\n")
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
