"""`python -m evals COMMAND`: the eval suite as a program; `ordermend eval` hands over to it."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from app.classify import Classifier, Diagnosis, Question
from app.config_files import ConfigInvalid
from app.errors import NotFound, OrdermendError
from app.models.choice import Choose, chosen_classifier
from app.models.local_choice import local_now, out_of_reach
from app.models.running import running_servers
from app.settings import Settings
from app.wiring import load_configuration
from evals.bless import BASELINES
from evals.calibrate import Method
from evals.cassette import Cassette
from evals.cli import FAILED, NOT_FOUND, OK, main_run, say
from evals.cli_certify import main_calibrate, main_tune
from evals.cli_promote import main_promote
from evals.cli_records import EXPORTS, main_bless, main_compare, main_export, main_report
from evals.dataset import DatasetInvalid
from evals.gates import GATES, GatesInvalid
from evals.record import RecordInvalid
from evals.recorded_model import asking_local, recordings_of, replaying, without_model
from evals.suite import main_suite
from guardrails.tuning import Plan

DATASETS = Path(__file__).resolve().parent / "datasets"
Asked = argparse.Namespace


class _Explained(argparse.HelpFormatter):
    """Begins like every other command of the program."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        super().add_usage(usage, actions, groups, "Usage: " if prefix is None else prefix)


class Configured:
    """Whatever endpoint is configured, opened by the first question, in the event loop that asks it."""

    name = "llm"

    def __init__(self, settings: Settings, choose: Choose = chosen_classifier) -> None:
        self._settings, self._files, self._choose = settings, load_configuration(settings.config_dir), choose
        self._stack, self._opening = AsyncExitStack(), asyncio.Lock()
        self._opened: Classifier | None = None

    @property
    def fingerprint(self) -> str:
        """That of the endpoint, once it was asked something."""
        return "llm" if self._opened is None else self._opened.fingerprint

    async def classify(self, question: Question) -> Diagnosis:
        async with self._opening:
            if self._opened is None:
                choice = self._choose(self._settings, self._files.owners, None)
                self._opened = await self._stack.enter_async_context(choice)
        return await self._opened.classify(question)


def _local(settings: Settings, cassette: Cassette | None) -> Classifier:
    """The model that runs already, else one of our own for as long as the run takes, else what there is without one, and it is said."""
    if cassette is not None or settings.llm.base_url or running_servers(settings.data_dir):
        return asking_local(settings, cassette)
    why = asyncio.run(out_of_reach(settings, load_configuration(settings.config_dir).owners))
    if why is None:
        return Configured(settings, local_now)
    say(f"ordermend: judging by rules and statistics alone: {why}", OK)
    return without_model(settings)


def _run(asked: Asked) -> int:
    settings = Settings()
    recorded = asked.recordings or recordings_of(Path(asked.dataset))
    name = asked.classifier or ("replay" if recorded.exists() else "rules")
    classifier: Classifier | None = None
    cassette: Cassette | None = None
    replayed: Cassette | None = None
    match name:
        case "llm":
            classifier = Configured(Settings(classifier="llm"))
        case "replay":
            replayed = Cassette(recorded, "replay")
            classifier = replaying(settings, replayed)
        case "local":
            cassette = Cassette(asked.recordings, "record") if asked.recordings else None
            classifier = _local(settings, cassette)
    try:
        code = main_run(
            asked.dataset,
            name,
            asked.json,
            classifier=classifier,
            repeats=asked.repeats,
            record_to=asked.out,
            junit_to=asked.junit,
        )
        if replayed is not None:
            replayed.require_complete()
        return code
    finally:
        if cassette is not None:
            cassette.save()


def _bless(asked: Asked) -> int:
    return main_bless(
        asked.run, asked.baselines, asked.gates, asked.who or getpass.getuser(), datetime.now(UTC).replace(microsecond=0), asked.why
    )


def _tune(asked: Asked) -> int:
    plan = Plan(alpha=asked.alpha, delta=asked.delta, scan=not asked.no_scan)
    return main_tune(asked.run, asked.calibrator, plan, asked.out)


def parser() -> argparse.ArgumentParser:
    """Every command with its options; `call` of what it reads carries it out."""
    top = argparse.ArgumentParser(prog="ordermend eval", description="How well the program judges labelled cases.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, told: str, call: Callable[[Asked], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=told, description=told, formatter_class=_Explained)
        added.set_defaults(call=call)
        return added

    _describe_run(command("run", "judge every case of a dataset on the production path and print the figures", _run))
    suite = command(
        "suite",
        "judge the datasets and hold them against gates and baselines; 1 when one is broken",
        lambda a: main_suite(a.dataset, a.datasets, a.baselines, a.gates, a.json),
    )
    suite.add_argument("dataset", type=Path, nargs="*", help="datasets; all of the folder when none is named")
    suite.add_argument("--datasets", type=Path, default=DATASETS, metavar="FOLDER")
    _with_baselines(_with_gates(suite))
    suite.add_argument("--json", action="store_true")
    comparing = command(
        "compare",
        "two runs case by case; 1 on a broken hard gate or a significant drop",
        lambda a: main_compare(a.before, a.after, a.gates, a.json),
    )
    comparing.add_argument("before", type=Path, help="a file of `run --out`, or a blessed baseline")
    comparing.add_argument("after", type=Path)
    _with_gates(comparing).add_argument("--json", action="store_true")
    blessing = _with_run(command("bless", "make a run the baseline that later ones are compared with", _bless))
    blessing.add_argument("--why", required=True, help="why this run is good enough to be measured against")
    blessing.add_argument("--who", help="the user's name when not given")
    _with_baselines(_with_gates(blessing))
    reporting = _with_run(command("report", "one HTML file about a run", lambda a: main_report(a.run, a.gates, a.html)))
    _with_gates(reporting).add_argument("--html", type=Path, required=True, metavar="FILE")
    exporting = _with_run(
        command("export", "a run in another program's form", lambda a: main_export(a.run, a.format, datetime.now(UTC), a.out))
    )
    exporting.add_argument("--format", choices=sorted(EXPORTS), required=True)
    exporting.add_argument("--out", type=Path, metavar="FILE")
    _describe_calibrate(
        _with_run(
            command(
                "calibrate", "fit confidence to how often it was right", lambda a: main_calibrate(a.run, a.share, a.method, a.out)
            )
        )
    )
    promoting = command(
        "promote",
        "a reviewed case of the live database as a labelled case, with nobody in it recognisable",
        lambda a: main_promote(a.case, a.to, a.json),
    )
    promoting.add_argument("case", metavar="CASE", help="its id, such as case_…")
    promoting.add_argument("--to", type=Path, metavar="FILE", help="the dataset; promoted.jsonl in the data folder when not given")
    promoting.add_argument("--json", action="store_true")
    _describe_tune(_with_run(command("tune", "thresholds with a guarantee, or how many labels they lack", _tune)))
    return top


def _describe_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--dataset", required=True, help="labelled cases, one JSON object a line")
    run.add_argument(
        "--classifier",
        help="replay where answers are recorded and else rules, when not given; rules; local for the model of this machine; replay for its recorded answers; llm for whatever endpoint is configured",
    )
    run.add_argument(
        "--recordings", type=Path, metavar="FILE", help="with local: keep its answers there; with replay: answers from there"
    )
    run.add_argument("--json", action="store_true", help="JSON on stdout, for programs")
    run.add_argument("--out", type=Path, metavar="FILE", help="the whole run: every case, the figures, what decided them")
    run.add_argument("--junit", type=Path, metavar="FILE", help="the same as JUnit XML")
    run.add_argument("--repeats", type=int, default=1, metavar="K", help="judge each case so often and say how stable it is")


def _describe_calibrate(calibrating: argparse.ArgumentParser) -> None:
    calibrating.add_argument(
        "--share", type=_share, default=1.0, help="fit on this share of the clusters and leave the rest to tune"
    )
    calibrating.add_argument(
        "--method",
        choices=[m.value for m in Method if m is not Method.IDENTITY],
        help="chosen by the number of labels when not given",
    )
    calibrating.add_argument("--out", type=Path, metavar="FILE")


def _describe_tune(tuning: argparse.ArgumentParser) -> None:
    tuning.add_argument(
        "--calibrator", type=Path, metavar="FILE", help="of `calibrate --out`; the cases that fitted it prove nothing"
    )
    tuning.add_argument(
        "--alpha", type=_inside, default=Plan().alpha, help="the largest share of automated decisions that may be wrong"
    )
    tuning.add_argument("--delta", type=_inside, default=Plan().delta, help="the chance that the promise does not hold")
    tuning.add_argument("--no-scan", action="store_true", help="spend all of delta on the walk by rank")
    tuning.add_argument("--out", type=Path, metavar="FILE", help="the certificates")


def _with_run(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("run", type=Path, metavar="RUN", help="a file of `run --out`; for tune also one of `audits export`")
    return command


def _with_gates(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--gates", type=Path, default=GATES, metavar="FILE")
    return command


def _with_baselines(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--baselines", type=Path, default=BASELINES, metavar="FOLDER")
    return command


def _inside(text: str) -> float:
    """A share that is neither 0 nor 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value


def _share(text: str) -> float:
    return 1.0 if text in ("1", "1.0") else _inside(text)


def main(words: list[str]) -> int:
    """0 ok · 1 failed, or a gate is broken · 2 usage · 3 not found."""
    asked = parser().parse_args(words)
    try:
        code: int = asked.call(asked)
    except NotFound as error:
        return say(f"ordermend: {error}", NOT_FOUND)
    except (OrdermendError, RecordInvalid, GatesInvalid, ConfigInvalid, DatasetInvalid) as error:
        return say(f"ordermend: {error}", FAILED)
    except OSError as error:
        return say(f"ordermend: {error.filename}: {error.strerror}; give a path that is there", NOT_FOUND)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
