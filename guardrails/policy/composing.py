"""Turns YAML text into nodes with places, one event at a time: no depth, size or odd character of a text can do more than be refused.

Nothing is resolved here. Every scalar stays text, tags and anchors are refused, and one file is one document.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast, where it is there
_TEXT = "tag:yaml.org,2002:str"
_LARGEST_FILE = 1_000_000
_DEEPEST = 40
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""

UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no YAML text may hold."""

# Events are `Any` below: the two parsers of PyYAML give marks of two types, of which nodes are declared to take one.


class Unreadable(ValueError):
    """The text is no YAML document. Line and column count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


class _Open(NamedTuple):
    """A table or list whose end has not come yet."""

    node: yaml.Node
    parts: list[yaml.Node]


def compose(text: str, say: Callable[[yaml.Node, str], None]) -> yaml.Node:
    """The document's outermost node. Tags and anchors are noted by `say`; what ends the reading raises Unreadable."""
    _refuse_at_once(text)
    try:
        return _composed(yaml.parse(text, Loader=_LOADER), say)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        told = f"{error.problem or error.context}{f' {error.context}' if error.problem and error.context else ''}"
        raise Unreadable(*_within(text, line, column), f"not YAML: {told}") from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(1, 1, f"not YAML: {type(error).__name__}") from error


def _refuse_at_once(text: str) -> None:
    if len(text) > _LARGEST_FILE:
        raise Unreadable(1, 1, f"a policy has at most {_LARGEST_FILE} characters")
    odd = UNPRINTABLE.search(text)
    if odd is not None:
        lines = LINE_END.split(text[: odd.start()])
        code = f"U+{ord(odd[0]):04X}"
        raise Unreadable(len(lines), len(lines[-1]) + 1, f"not YAML: a character that no text may hold ({code})")


def _within(text: str, line: int, column: int) -> tuple[int, int]:
    """A place that is in the text: what is missing at its end is missing after the last character."""
    lines = LINE_END.split(text)
    while len(lines) > 1 and not lines[-1].strip():
        lines.pop()
    if line >= len(lines):
        return len(lines), len(lines[-1]) + 1
    return line + 1, column + 1


def _composed(events: Iterator[Any], say: Callable[[yaml.Node, str], None]) -> yaml.Node:
    open_ones: list[_Open] = []
    root: yaml.Node | None = None
    for event in events:
        node: yaml.Node | None = None
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event)
            _refuse_marks(event, node, say)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            open_ones.append(_opened(event, len(open_ones)))
            _refuse_marks(event, open_ones[-1].node, say)
            continue
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node = _closed(open_ones.pop(), event)
        elif isinstance(event, yaml.AliasEvent):
            raise _unreadable_at(event, "anchors and aliases are not part of a policy; write it out")
        elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise _unreadable_at(event, "not YAML: another document begins here, and a file holds one")
        if node is None:
            continue
        if open_ones:
            open_ones[-1].parts.append(node)
        else:
            root = node
    if root is None:
        raise Unreadable(1, 1, "the file is empty; a policy is expected")
    return root


def _scalar(event: Any) -> yaml.ScalarNode:
    return yaml.ScalarNode(_TEXT, event.value, event.start_mark, event.end_mark, style=event.style or None)


def _opened(event: Any, depth: int) -> _Open:
    if depth >= _DEEPEST:
        raise _unreadable_at(event, "not YAML: nested too deeply")
    kind = yaml.MappingNode if isinstance(event, yaml.MappingStartEvent) else yaml.SequenceNode
    return _Open(kind(_TEXT, [], event.start_mark, event.end_mark), [])


def _closed(one: _Open, event: Any) -> yaml.Node:
    node, parts = one
    node.end_mark = event.end_mark
    node.value = list(zip(parts[::2], parts[1::2], strict=True)) if isinstance(node, yaml.MappingNode) else parts
    return node


def _refuse_marks(event: Any, node: yaml.Node, say: Callable[[yaml.Node, str], None]) -> None:
    if event.tag is not None:
        say(node, "tags are not part of a policy; write the value as it is")
    if event.anchor is not None:
        say(node, "anchors and aliases are not part of a policy; write it out")


def _unreadable_at(event: Any, message: str) -> Unreadable:
    return Unreadable(event.start_mark.line + 1, event.start_mark.column + 1, message)
