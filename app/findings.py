"""The findings of a stored ruling, also of one written before `passed` held the names of what did not fire."""

from collections.abc import Mapping
from typing import Any

from guardrails.ruling import Outcome


def told(of: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What fired, or would have in shadow, of a ruling or of one of its actions."""
    return [item for item in of["findings"] if item["outcome"] != Outcome.NOT_FIRED]


def passed(of: Mapping[str, Any]) -> list[str]:
    """The names of the rules that were looked at and did not fire."""
    return [*of.get("passed", ()), *(item["rule"] for item in of["findings"] if item["outcome"] == Outcome.NOT_FIRED)]


def has_fired(finding: Mapping[str, Any]) -> bool:
    return finding["outcome"] in (Outcome.FIRED, Outcome.FIRED_UNKNOWN)
