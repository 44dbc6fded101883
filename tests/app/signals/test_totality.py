"""Every place of a real body replaced by every other kind of JSON: read, or refused with pointers, never anything else."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from app.signals import reading
from app.signals.shapes import FieldsInvalid, Source
from tests.app.signals.recorded import NOW, cases

REPLACEMENTS: list[Any] = [None, True, -1, 10**30, 1.5, "", "x", "2026-13-45", [], [None, 1, "x", {}], {}, {"id": [], "a": 1}]


def one_body_per_topic() -> list[Any]:
    """A pytest parameter per source and topic, the largest body of each."""
    largest: dict[str, tuple[Source, dict[str, str], dict[str, Any]]] = {}
    for case in cases():
        for signal in case["signals"]:
            source = Source(signal["source"])
            parsed = reading.parse(source, signal["headers"], signal["payload"], NOW)
            name = f"{source}:{parsed.topic}"
            if name not in largest or len(str(signal["payload"])) > len(str(largest[name][2])):
                largest[name] = (source, signal["headers"], signal["payload"])
        report = {"order_ref": "#1", "reported_by": "desk", "description": "text", "facts": case.get("facts", {})}
        if len(str(report)) > len(str(largest.get("triage", ("", {}, {}))[2])):
            largest["triage"] = (Source.TRIAGE, {}, report)
    return [pytest.param(*body, id=name) for name, body in largest.items()]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every member of a body; of a list only the first and last entry."""
    members: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list) and value:
        members = [(0, value[0]), (len(value) - 1, value[-1])]
    for key, member in members:
        yield (*path, key)
        yield from places(member, (*path, key))


def replaced(payload: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(payload)
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


@pytest.mark.parametrize(("source", "headers", "payload"), one_body_per_topic())
def test_any_place_of_a_body_may_hold_anything(source: Source, headers: dict[str, str], payload: dict[str, Any]) -> None:
    answers = [
        pointers_refused(source, headers, replaced(payload, path, value)) for path in places(payload) for value in REPLACEMENTS
    ]
    refusals = [pointers for pointers in answers if pointers]
    assert len(answers) - len(refusals) > 10
    assert len(refusals) > 3
    assert all(pointer.startswith("/") for pointers in refusals for pointer in pointers)


def pointers_refused(source: Source, headers: dict[str, str], payload: dict[str, Any]) -> list[str]:
    try:
        reading.parse(source, headers, payload, NOW)
    except FieldsInvalid as refusal:
        return [pointer for pointer, _ in refusal.errors]
    return []
