"""Typing a command: in this process, or through the installed console script."""

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli import run

SCRIPT = Path(sys.executable).with_name("ordermend")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """Types commands with an environment of its own."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture

    def setenv(self, **values: str) -> None:
        for name, value in values.items():
            self._patch.setenv(name, value)

    def type(self, *words: str, stdin: str = "") -> Said:
        self._capture.readouterr()
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = run(words)
        said = self._capture.readouterr()
        return Said(code, said.out, said.err)


def run_script(*words: str, stdin: str = "", environment: dict[str, str] | None = None) -> Said:
    """The console script as a user runs it."""
    done = subprocess.run(
        [str(SCRIPT), *words], input=stdin, capture_output=True, text=True, check=False, env=environment, timeout=180
    )
    return Said(done.returncode, done.stdout, done.stderr)
