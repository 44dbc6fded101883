"""`ordermend policy check` and `diff`, and `ordermend actions list`: the policy as a file, without a database."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli_output import AsJson, group, read_input, say, say_json, say_table
from app.cli_settings import settings_now
from app.errors import ConfigurationInvalid
from guardrails.policy.diff import diff_of
from guardrails.policy.ineffective import remarks_on
from guardrails.policy.load import Policy, PolicyInvalid, Problem, load_policy
from guardrails.policy.reader import decoded

policy = group()
actions = group()

_CHANGE_COLUMNS = ("effect", "path", "was", "now")
_COLUMNS = ("name", "risk_class", "reversible", "undo", "scopes", "expected_outcome")


@policy.callback()
@actions.callback()
def _words() -> None:
    """The policy: what may happen by itself, what a person decides, what may not happen."""


@policy.command()
def check(
    file: Annotated[str, typer.Argument(help="A policy file; `-` reads stdin.")],
    overlay: Annotated[str | None, typer.Option(help="A file that tightens it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print every mistake as file:line:col: message, and every line that can change nothing as a remark. Exit code 1 for mistakes."""
    try:
        found = _read(file, overlay)
    except PolicyInvalid as error:
        _refuse(error, as_json)
        sys.exit(1)
    remarks = remarks_on(found)
    if as_json:
        told = [{"at": remark.at, "message": remark.message} for remark in remarks]
        say_json({"valid": True, "errors": [], "remarks": told, "version": found.version, "sha256": found.sha256})
        return
    for remark in remarks:
        say(str(remark))
    say(f"{file}: version {found.version}, {len(found.actions)} actions, {len(found.rules)} rules; no mistakes.")


@policy.command()
def diff(
    old: Annotated[str, typer.Argument(help="A policy file.")],
    new: Annotated[str, typer.Argument(help="What it is to become; `-` reads stdin.")],
    as_json: AsJson = False,
) -> None:
    """What the second file says otherwise, and whether that tightens or loosens what may happen. Exit code 1 for mistakes."""
    try:
        before, after = _read(old), _read(new)
    except PolicyInvalid as error:
        _refuse(error, as_json)
        sys.exit(1)
    changes = [
        {"path": change.path, "was": change.was, "now": change.now, "effect": change.effect.value}
        for change in diff_of(before, after)
    ]
    if as_json:
        say_json({"valid": True, "old": _named(before), "new": _named(after), "changes": changes})
    elif changes:
        say_table(_CHANGE_COLUMNS, changes)
    else:
        say(f"{before.version} and {after.version} say the same.")


def _named(of: Policy) -> dict[str, str]:
    return {"version": of.version, "sha256": of.sha256}


def _read(file: str, overlay: str | None = None) -> Policy:
    """Raises PolicyInvalid."""
    tightening = None if overlay is None else (decoded(read_input(overlay), overlay), overlay)
    return load_policy(decoded(read_input(file), file), file, tightening)


def _refuse(error: PolicyInvalid, as_json: bool) -> None:
    if as_json:
        say_json({"valid": False, "errors": [_plain_problem(problem) for problem in error.errors]})
        return
    for problem in error.errors:
        say(problem.shown())


def _plain_problem(problem: Problem) -> dict[str, Any]:
    told = {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}
    return {**told, "hint": problem.hint, "excerpt": problem.excerpt}


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
        return load_policy(decoded(read_input(str(path)), path.name), path.name)
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
