"""How commands speak: JSON for programs on stdout, words for people, hints on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from app.errors import NotFound

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]


def group() -> typer.Typer:
    """An empty set of commands. Failures are told by `app.cli`, not by typer."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


def single() -> typer.Typer:
    """The same for a command without further words."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def say(text: str) -> None:
    print(text)


def hint(text: str) -> None:
    print(text, file=sys.stderr)


def say_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def say_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows' values under the columns' names, whole: an id that was cut off is of no use."""
    lines = [list(columns), *([plain(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def plain(value: Any) -> str:
    """One line that a terminal cannot be steered with."""
    if value is None:
        return ""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def read_input(path: str) -> bytes:
    """The file's bytes, or what comes in on stdin for `-`. Raises NotFound."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
