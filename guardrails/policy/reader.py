"""Reads YAML as text with positions: every scalar stays the text that stands in the file until its place says what it is.

So there is no float, no `NO` that turns into false and no date by accident, and every mistake has a line and a column.
Mistakes are collected and reading goes on with a stand-in value; nothing that was read counts once there is a problem.
"""

import difflib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import yaml

from guardrails.policy.composing import LINE_END, UNPRINTABLE, Unreadable, compose
from guardrails.policy.language import parse_duration

_E = TypeVar("_E", bound=StrEnum)
_WORDS_OF_YAML = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"])
_CONFIDENCE = re.compile(r"(?P<whole>[01])(?:\.(?P<fraction>[0-9]{1,4}))?")
_HINT = re.compile(r"did you mean '([^']*)'\?")
_MOST_PROBLEMS = 200
"""Nobody reads more of them at once, and a suggestion for each takes its time."""

_LONGEST_SHOWN, _BEFORE = 120, 60
"""Characters of a line that stand beside a mistake, and how many of them at most before it."""

_LONGEST_NAME = 60
_MOST_COMPARED = 500
"""Names that a misspelt one is compared with; the catalogue has fewer. A file may give as many names as it likes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. Line and column count from 1; `excerpt` is the line of the file that it stands in."""

    file: str
    line: int
    column: int
    message: str
    excerpt: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"

    @property
    def hint(self) -> str | None:
        """The name that was probably meant."""
        match = _HINT.search(self.message)
        return match[1] if match else None

    def shown(self) -> str:
        """The mistake, below it its line, and below that a caret at its column."""
        if not self.excerpt.strip():
            return str(self)
        start = max(0, self.column - 1 - _BEFORE) if len(self.excerpt) > _LONGEST_SHOWN else 0
        part = self.excerpt[start : start + _LONGEST_SHOWN]
        before = part[: self.column - 1 - start]
        return f"{self}\n    {UNPRINTABLE.sub('?', part)}\n    {''.join(map(_as_blank, before))}^"


def _as_blank(char: str) -> str:
    if char == "\t":
        return char
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "


class PolicyInvalid(ValueError):
    """The text is no policy. `errors` are all the mistakes found, in the order of the file."""

    def __init__(self, errors: Sequence[Problem]) -> None:
        self.errors = tuple(sorted(set(errors), key=lambda p: (p.line, p.column, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.errors))


def decoded(data: bytes, file: str) -> str:
    """The bytes as UTF-8 text. Raises PolicyInvalid where they are none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        lines = LINE_END.split(data[: error.start].decode("utf-8"))
        told = "not text: a policy is written in UTF-8"
        raise PolicyInvalid([Problem(file, len(lines), len(lines[-1]) + 1, told, lines[-1])]) from error


def suggest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    names = list(known)
    likely = len(word) <= _LONGEST_NAME and len(names) <= _MOST_COMPARED
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6) if likely else []
    return f"; did you mean {close[0]!r}?" if close else ""


class Reader:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._lines: list[str] = []

    def root(self, text: str) -> "Table":
        """The file's outermost mapping. Raises PolicyInvalid when the text is not one YAML document."""
        text = text.removeprefix("\ufeff")
        self._lines = LINE_END.split(text)
        try:
            return self.table(compose(text, self.say))
        except Unreadable as error:
            raise PolicyInvalid([*self.problems, self.problem(error.line, error.column, error.message)]) from error

    def problem(self, line: int, column: int, message: str) -> Problem:
        """The mistake with its line of the file; nothing is noted."""
        excerpt = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        return Problem(self.file, line, column, message, excerpt)

    def say(self, node: yaml.Node, message: str, further: int = 0) -> None:
        """Note a problem `further` columns after the node's beginning. Raises PolicyInvalid when there are too many to go on."""
        mark = node.start_mark
        self.problems.append(self.problem(mark.line + 1, mark.column + 1 + further, message))
        if len(self.problems) > _MOST_PROBLEMS:
            there = self.problem(mark.line + 1, mark.column + 1, f"there are more mistakes than {_MOST_PROBLEMS}; mend these first")
            raise PolicyInvalid([*self.problems[:-1], there])

    def table(self, node: yaml.Node) -> "Table":
        if not isinstance(node, yaml.MappingNode):
            self.say(node, f"a table of `key: value` is expected here, not {_kind(node)}")
            return Table(self, node, {}, {}, hollow=True)
        keys: dict[str, yaml.Node] = {}
        values: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self.text(key_node)
            if key in keys:
                self.say(key_node, f"duplicate key {key!r}; it already stands in line {keys[key].start_mark.line + 1}")
                continue
            keys[key], values[key] = key_node, value_node
        return Table(self, node, keys, values)

    def items(self, node: yaml.Node) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            self.say(node, f"a list is expected here, not {_kind(node)}")
            return []
        return list(node.value)

    def raw(self, node: yaml.Node) -> str | None:
        """The scalar as it is written, or None after noting that it is none."""
        if not isinstance(node, yaml.ScalarNode):
            self.say(node, f"a single value is expected here, not {_kind(node)}")
            return None
        value = str(node.value)
        if not value.isprintable() and UNPRINTABLE.search(value):
            self.say(node, "a character stands here that no text may hold")
            return None
        return value

    def text(self, node: yaml.Node) -> str:
        value = self.raw(node)
        if value is None:
            return ""
        if not value.strip():
            self.say(node, "a text is expected here, and there is none")
        elif isinstance(node, yaml.ScalarNode) and node.style is None and value.lower() in _WORDS_OF_YAML:
            self.say(node, f"{value} means something else to YAML; write '{value}' in quotes if it is a text")
        return value

    def flag(self, node: yaml.Node) -> bool:
        value = self.raw(node)
        if value is not None and (value not in ("true", "false") or _quoted(node)):
            self.say(node, f"{value!r} is neither true nor false")
        return value == "true"

    def count(self, node: yaml.Node) -> int:
        value = self.raw(node)
        if value is None or not re.fullmatch("[0-9]{1,6}", value):
            self.say(node, f"a whole number is expected here, not {value!r}")
            return 0
        return int(value)

    def basis_points(self, node: yaml.Node) -> int:
        """`0.90` is 9000. Read from the text, digit by digit: it never is a float."""
        value = self.raw(node)
        match = _CONFIDENCE.fullmatch(value or "")
        points = int(match["whole"]) * 10_000 + int((match["fraction"] or "").ljust(4, "0")) if match else -1
        if not 0 <= points <= 10_000:
            self.say(node, f"a confidence is written like 0.90, from 0 to 1 with at most four digits, not {value!r}")
            return 10_000
        return points

    def duration(self, node: yaml.Node) -> timedelta:
        value = self.raw(node) or ""
        try:
            return parse_duration(value)
        except (ValueError, OverflowError):
            self.say(node, f"a duration is written like 15m, 24h or 30d, not {value!r}")
            return timedelta(0)

    def one_of(self, node: yaml.Node, known: Iterable[str], what: str) -> str | None:
        """A name from a closed list, or None after noting that it is not in it."""
        names = known if isinstance(known, Collection) else list(known)
        value = self.raw(node)
        if value in names:
            return value
        if value is not None:
            self.say(node, f"there is no {what} {value!r}{suggest(value, names)}")
        return None

    def member(self, node: yaml.Node, kind: type[_E], what: str) -> _E | None:
        try:
            return kind(node.value)
        except ValueError:
            self.one_of(node, [item.value for item in kind], what)
        return None

    def members(self, node: yaml.Node, kind: type[_E], what: str) -> frozenset[_E]:
        found = [self.member(item, kind, what) for item in self.items(node)]
        return frozenset(item for item in found if item is not None)


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Table:
    """One mapping of the file, with the nodes of its keys and values. A hollow one stands in for what could not be read: its
    absence was noted once, and its missing keys are not news."""

    reader: Reader
    node: yaml.Node
    keys: Mapping[str, yaml.Node]
    values: Mapping[str, yaml.Node]
    hollow: bool = False

    def expect(self, required: Iterable[str], optional: Iterable[str] = (), what: str = "key") -> "Table":
        """Note every key that is missing or that nobody knows."""
        if self.hollow:
            return self
        required = list(required)
        known = dict.fromkeys([*required, *optional])
        for key, node in self.keys.items():
            if key not in known:
                self.reader.say(node, f"unknown {what} {key!r}{suggest(key, known)}")
        for key in required:
            if key not in self.keys:
                self.reader.say(self.node, f"{what} {key!r} is missing")
        return self

    def get(self, key: str, read: Callable[[yaml.Node], _T], otherwise: _T) -> _T:
        """The value under the key, or `otherwise` where there is none."""
        return read(self.values[key]) if key in self.values else otherwise

    def table(self, key: str) -> "Table":
        return self.reader.table(self.values[key]) if key in self.values else self._hollow()

    def _hollow(self) -> "Table":
        return Table(self.reader, self.node, {}, {}, hollow=True)

    def text(self, key: str) -> str:
        return self.get(key, self.reader.text, "")

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self.reader.text(item) for item in self.items(key))

    def items(self, key: str) -> list[yaml.Node]:
        return self.reader.items(self.values[key]) if key in self.values else []

    def members(self, key: str, kind: type[_E], what: str) -> frozenset[_E]:
        return self.reader.members(self.values[key], kind, what) if key in self.values else frozenset()

    def member(self, key: str, kind: type[_E], what: str, otherwise: _E) -> _E:
        return self.get(key, lambda node: self.reader.member(node, kind, what), None) or otherwise


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a table"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"{str(node.value)[:40]!r}" if str(node.value) else "nothing"


def _quoted(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is not None
