"""Cuts the text of a condition into tokens, and reads durations."""

import re
from datetime import timedelta
from typing import NamedTuple

from guardrails.policy.syntax import ConditionError

_LONGEST_DURATION = timedelta(days=36_500)
"""So that no sum of durations can leave what a duration holds."""


_LONGEST_NUMBER = 40
"""Characters, a currency included. Longer ones mean nothing, and cost time."""


class Token(NamedTuple):
    kind: str
    text: str
    column: int


_PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<money>[0-9]+(?:\.[0-9]+)?\s+[A-Z]{3}\b)
      | (?P<duration>[0-9]+(?:s|m|h|d)\b)
      | (?P<float>[0-9]+\.[0-9]+)
      | (?P<int>[0-9]+)
      | (?P<string>'[^']*')
      | (?P<op>==|!=|<=|>=|<|>|\+|\(|\)|\[|\]|,)
      | (?P<name>[A-Za-z_][A-Za-z0-9_.]*)""",
    re.VERBOSE,
)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """`15m`, `24h`, `30d`, `45s`."""
    match = re.fullmatch(r"([0-9]+)([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 15m, 24h or 30d")
    try:
        period = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        period = timedelta.max
    if period > _LONGEST_DURATION:
        raise ValueError(f"{text!r} is longer than a duration may be ({_LONGEST_DURATION.days}d)")
    return period


def tokenise(text: str) -> list[Token]:
    """The tokens with their columns, closed by one of kind `end`. Raises ConditionError where nothing of the language begins."""
    tokens, position = [], 0
    while position < len(text):
        match = _PATTERN.match(text, position)
        if match is None:
            raise ConditionError(text, position + 1, f"{text[position]!r} is not part of the language")
        kind = match.lastgroup or ""
        if kind in ("int", "money", "duration") and len(match[0]) > _LONGEST_NUMBER:
            raise ConditionError(text, position + 1, f"a number has at most {_LONGEST_NUMBER} characters")
        if kind == "float":
            raise ConditionError(text, position + 1, "floats are not exact; give a currency or a whole number")
        if kind != "space":
            tokens.append(Token(kind, match[0], position + 1))
        position = match.end()
    tokens.append(Token("end", "", len(text) + 1))
    return tokens
