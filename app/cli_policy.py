"""`ordermend policy check` and `ordermend actions list`: the policy as a file, without a database."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli_output import AsJson, group, read_input, say, say_json, say_table
from app.cli_settings import settings_now
from app.errors import ConfigurationInvalid
from guardrails.policy.load import Policy, PolicyInvalid, load_policy

policy = group()
actions = group()

_COLUMNS = ("name", "risk_class", "reversible", "undo", "scopes", "expected_outcome")


@policy.callback()
@actions.callback()
def _words() -> None:
    """The policy: what may happen by itself, what a person decides, what may not happen."""


@policy.command()
def check(file: Annotated[str, typer.Argument(help="A policy file; `-` reads stdin.")], as_json: AsJson = False) -> None:
    """Print every mistake as file:line:col: message. Exit code 1 when there is one."""
    text = read_input(file).decode("utf-8", "replace")
    try:
        found = load_policy(text, file)
    except PolicyInvalid as error:
        mistakes = [{"file": p.file, "line": p.line, "column": p.column, "message": p.message} for p in error.errors]
        if as_json:
            say_json({"valid": False, "errors": mistakes})
        else:
            for problem in error.errors:
                say(str(problem))
        sys.exit(1)
    if as_json:
        say_json({"valid": True, "errors": [], "version": found.version, "sha256": found.sha256})
    else:
        say(f"{file}: version {found.version}, {len(found.actions)} actions, {len(found.rules)} rules; no mistakes.")


@actions.command("list")
def list_actions(as_json: AsJson = False) -> None:
    """Every action with its risk class, its undo and what it should bring about."""
    rows = [_plain(name.value, item) for name, item in _policy_in_force().actions.items()]
    if as_json:
        say_json(rows)
    else:
        say_table(_COLUMNS, rows)


def _policy_in_force() -> Policy:
    path: Path = settings_now().config_dir / "policy.yaml"
    try:
        return load_policy(read_input(str(path)).decode(), path.name)
    except PolicyInvalid as error:
        raise ConfigurationInvalid(str(error)) from error


def _plain(name: str, item: Any) -> dict[str, Any]:
    return {
        "name": name,
        "risk_class": item.risk_class.value,
        "reversible": item.reversible,
        "undo": item.undo,
        "scopes": list(item.scopes),
        "expected_outcome": item.expected_outcome,
        "default": item.default.value,
    }
