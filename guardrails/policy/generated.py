"""Many lines as one Python function of the facts, for speed. The closures of `language.py` say what is right.

The text is made in `python_text.py`, and runs without builtins.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from guardrails.facts import UNKNOWN, Facts
from guardrails.money import Money
from guardrails.policy.language import PYTHON_TYPE, Condition, time_until, total
from guardrails.policy.lookups import Masks, lookups_of
from guardrails.policy.python_text import PythonText, silence_of, write_condition
from guardrails.policy.tables import Line, WhenUnknown

__all__ = ["Masks", "generate_outcomes", "generate_truths", "source_of_outcomes"]

ABSENT: Any = object()
"""Stands for the value of a field that nobody has stated."""


def generate_truths(conditions: Sequence[Condition]) -> Callable[[Facts], Masks]:
    """`(certainly true, unknown)` of all conditions; bit `n` of the first is set where condition `n` is either."""
    writer = PythonText(len(conditions))
    for number, condition in enumerate(conditions):
        write_condition(writer, number, condition, None)
    return _function(writer.text())


def generate_outcomes(lines: Sequence[Line]) -> Callable[[Facts], Masks]:
    """`(fired, fired because unknown)` of all lines: a quiet one leaves out what is only silence, as `outcome_of` does.

    What is asked about one field alone is looked up by its value; facts with a value of another kind than their field's are asked
    the long way. Raises ValueError for a condition that was not written in the language."""
    at_length = PythonText(len(lines))
    for number, line in enumerate(lines):
        _write_line(at_length, number, line)
    return _function(source_of_outcomes(lines), {"asked_at_length": _function(at_length.text())})


def source_of_outcomes(lines: Sequence[Line]) -> str:
    """One look per field and value; the rest line by line."""
    lookups = lookups_of(lines)
    alone = {number for lookup in lookups for number in lookup.lines}
    writer = PythonText(len(lines))
    for number, line in enumerate(lines):
        if number not in alone:
            _write_line(writer, number, line)
    for lookup in lookups:
        writer.look_up(lookup)
    return writer.text()


def _write_line(writer: PythonText, number: int, line: Line) -> None:
    silence = silence_of(writer, line.condition) if line.when_unknown is WhenUnknown.QUIET else None
    write_condition(writer, number, line.condition, silence)


def _function(source: str, more: Mapping[str, Any] = MappingProxyType({})) -> Callable[[Any], Any]:
    names: dict[str, Any] = {
        "__builtins__": {},
        "ABSENT": ABSENT,
        "ODD": (KeyError, TypeError),
        "U": UNKNOWN,
        "Money": Money,
        "timedelta": timedelta,
        "type_of": type,
        "text": _text,
        "moment": _moment,
        "until": time_until,
        "total": total,
        **{f"T_{kind.value}": python for kind, python in PYTHON_TYPE.items()},
        **more,
    }
    # The text holds only names of the catalogue and reprs of literals; see the account in `python_text.py`.
    exec(compile(source, "<policy>", "exec"), names)  # noqa: S102 - the text is ours, and runs without builtins
    function: Callable[[Any], Any] = names["masks"]
    return function


def _text(value: Any) -> str | None:
    """A text enum counts as its text."""
    return str.__str__(value) if isinstance(value, str) else None


def _moment(value: Any) -> Any:
    """A time with a zone."""
    return value if type(value) is datetime and value.tzinfo is not None else None
