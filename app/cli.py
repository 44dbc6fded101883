"""The command line: finds the module of the command that was typed, and turns what went wrong into a line and an exit code.

Only that module is imported, so that a command which needs no database does not wait for one to load.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version

from typer.main import get_command

from app.errors import (
    CaseHeld,
    Denied,
    GuardrailRefused,
    IdempotencyConflict,
    IdempotencyInProgress,
    IllegalTransition,
    InputInvalid,
    NotFound,
    OrdermendError,
    PolicyNotPublished,
    StaleVersion,
    Unauthenticated,
)

OK, FAILED, USAGE, NOT_FOUND, DENIED, CONFLICT = range(6)
INTERRUPTED = 130

_EXIT: Mapping[type[OrdermendError], int] = {
    InputInvalid: USAGE,
    NotFound: NOT_FOUND,
    Denied: DENIED,
    Unauthenticated: DENIED,
    GuardrailRefused: DENIED,
    StaleVersion: CONFLICT,
    CaseHeld: CONFLICT,
    IllegalTransition: CONFLICT,
    PolicyNotPublished: CONFLICT,
    IdempotencyConflict: CONFLICT,
    IdempotencyInProgress: CONFLICT,
}

# What is typed, where it lives, and what it does. One or two words; the second word is handed on to the module's own commands.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("app.cli_demo:commands", "play real-shaped webhooks through Ordermend and show what it makes of them"),
    "serve": ("app.cli_serve:serving", "the HTTP API, with a worker in the same process"),
    "worker": ("app.cli_serve:working", "a worker alone"),
    "triage": ("app.cli_triage:commands", "judge one exception, described in a JSON file"),
    "signals verify": ("app.cli_signatures:commands", "check recorded signatures"),
    "signals send": ("app.cli_signatures:commands", "sign payloads and post them to a running Ordermend"),
    "signals list": ("app.cli_signals:commands", "what has come in, the newest first"),
    "signals dead-letter": ("app.cli_signals:commands", "deliveries that could not be read"),
    "signals replay": ("app.cli_signals:commands", "read a dead delivery again, as it came or mended"),
    "cases list": ("app.cli_cases:commands", "the queue, the case due first at the top"),
    "cases show": ("app.cli_cases:commands", "one case with its decision, actions and approvals"),
    "cases approve": ("app.cli_cases:commands", "approve what a case proposes, as the person of ORDERMEND_API_KEY"),
    "cases reject": ("app.cli_cases:commands", "reject it, as the person of ORDERMEND_API_KEY"),
    "policy check": ("app.cli_policy:policy", "every mistake in a policy file, with line and column"),
    "policy replay": ("app.cli_replay:commands", "what another policy would have ruled on the cases of the past"),
    "policy publish": ("app.cli_replay:commands", "put a policy in force, or in shadow, as the person of ORDERMEND_API_KEY"),
    "policy shadow-end": ("app.cli_replay:commands", "end the trial of the policy in shadow"),
    "policy history": ("app.cli_replay:commands", "every policy that was published, by whom and why"),
    "policy diff": ("app.cli_policy:policy", "what a changed policy file tightens and what it loosens"),
    "policy explain": ("app.cli_explain:commands", "why a case was ruled as it was, rule by rule"),
    "actions list": ("app.cli_policy:actions", "every action, its risk class and how it is undone"),
    "switches list": ("app.cli_switches:commands", "what is switched off: everything, an action or a source"),
    "switches off": ("app.cli_switches:commands", "stop it in every process at once"),
    "switches on": ("app.cli_switches:commands", "let it go on, as the person of ORDERMEND_API_KEY"),
    "audits list": ("app.cli_audits:commands", "what waits to be judged blindly"),
    "audits status": ("app.cli_audits:commands", "audits, drift alarm and certificates"),
    "audits export": ("app.cli_audits:commands", "judged audits as labels for `eval tune`"),
    "budgets list": ("app.cli_switches:budget_commands", "what may still happen without a person in this hour"),
    "trail verify": ("app.cli_trail:commands", "walk the hash chain and name the first bad entry"),
    "trail export": ("app.cli_trail:commands", "the trail as JSON lines"),
    "keys create": ("app.cli_keys:commands", "make an API key; its secret is shown once"),
    "keys list": ("app.cli_keys:commands", "every key ever made, without its secret"),
    "keys revoke": ("app.cli_keys:commands", "end a key"),
    "eval run": ("app.cli_eval:commands", "judge a labelled dataset and print the figures"),
    "eval suite": ("app.cli_eval:commands", "judge the datasets and hold them against gates and baselines"),
    "eval compare": ("app.cli_eval:commands", "two runs case by case; fails on a significant drop"),
    "eval bless": ("app.cli_eval:commands", "make a run the baseline that later ones are compared with"),
    "eval report": ("app.cli_eval:commands", "one HTML file about a run"),
    "eval export": ("app.cli_eval:commands", "a run as JUnit, inspect or promptfoo file"),
    "eval calibrate": ("app.cli_eval:commands", "fit confidence to how often it was right"),
    "eval promote": ("app.cli_eval:commands", "a reviewed case as a labelled case, with nobody in it recognisable"),
    "eval tune": ("app.cli_eval:commands", "thresholds with a guarantee, or how many labels they lack"),
    "model fetch": ("app.cli_model:commands", "get the local model's weights and check them"),
    "model status": ("app.cli_model:commands", "the local model: what is here, whether it runs, what it can do"),
    "model serve": ("app.cli_model:commands", "serve the local model as an OpenAI-compatible endpoint"),
    "db upgrade": ("app.cli_setup:database", "bring the database to the newest schema"),
    "doctor": ("app.cli_setup:doctor", "check settings, files, database and classifier, and say what to do"),
    "openapi": ("app.cli_openapi:commands", "print the OpenAPI document of the HTTP API"),
}


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """The exit code of `ordermend WORDS…`."""
    if not words or words[0] in ("--help", "-h"):
        print(_overview(""))
        return OK
    if words[0] == "--version":
        print(version("ordermend"))
        return OK
    found = COMMANDS.get(" ".join(words[:2])) or COMMANDS.get(words[0])
    if found is None:
        return _unknown(words)
    try:
        module, _, name = found[0].partition(":")
        get_command(getattr(import_module(module), name))(args=list(words[1:]), prog_name=f"ordermend {words[0]}")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output went away; Python would complain once more while it ends
        return OK
    except Exception as error:
        return _told(error)
    return OK


def _told(error: Exception) -> int:
    """Say it in words on stderr; where it is a bug of ours, say how to see more."""
    if isinstance(error, OrdermendError):
        print(f"ordermend: {error}", file=sys.stderr)
        return next((_EXIT[kind] for kind in type(error).__mro__ if kind in _EXIT), FAILED)
    if os.environ.get("ORDERMEND_TRACEBACK"):
        raise error
    first = (str(error).splitlines() or [""])[0]
    more = "This is a bug; set ORDERMEND_TRACEBACK=1 to see where."
    print(f"ordermend: unexpected {type(error).__name__}: {first}. {more}", file=sys.stderr)
    return FAILED


def _unknown(words: Sequence[str]) -> int:
    """A group alone shows its commands; anything else is a mistake."""
    group = words[0]
    in_group = any(name.startswith(f"{group} ") for name in COMMANDS)
    if in_group and (len(words) == 1 or words[1] in ("--help", "-h")):
        print(_overview(f"{group} "))
        return OK
    typed = " ".join(words[:2] if in_group else words[:1])
    print(f"ordermend: there is no command {typed!r}; `ordermend --help` lists them", file=sys.stderr)
    return USAGE


def _overview(prefix: str) -> str:
    shown = {name: told for name, (_, told) in COMMANDS.items() if name.startswith(prefix)}
    width = max(map(len, shown))
    lines = [f"  {name:<{width}}  {told}" for name, told in shown.items()]
    return "\n".join([f"Usage: ordermend {prefix}COMMAND [OPTIONS]", "", *lines, "", "Each command has its own --help."])
