"""The shipped policy's text with one thing changed, in every way that would matter: directions, taint, permissions, numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from guardrails.policy.catalogue import CATALOGUE, Field, Writer
from guardrails.policy.language import ValueType
from guardrails.policy.tables import ROLES
from guardrails.taxonomy import Action, RiskClass, Verdict

_WHEN = re.compile(r"^(?P<before> *(?:- )?when: )(?P<text>.*)$", re.MULTILINE)
_TURNED = {
    "<": ">",
    ">": "<",
    "<=": ">=",
    ">=": "<=",
    "==": "!=",
    "!=": "==",
    "not in": "in",
    "in": "not in",
    "and": "or",
    "or": "and",
}
_SHIFTED = {">=": ">", ">": ">=", "<=": "<", "<": "<="}
_OPERATOR = re.compile(r"'[^']*'|<=|>=|==|!=|<|>|\bnot in\b|\bin\b|\band\b|\bor\b")
_NUMBERS = (
    re.compile(r"\b[A-Z]{3}: (?P<number>\d+(?:\.\d+)?)"),
    re.compile(r"\bmax_age: (?P<number>\d+)[smhd]"),
    re.compile(r"\bmin_confidence: (?P<number>\d\.\d+)"),
    re.compile(r"\bcount: (?P<number>\d+)"),
)
_ATOMS = {
    ValueType.INT: "{} < 5000",
    ValueType.TEXT: "{} == '{}'",
    ValueType.SET: "'other' in {}",
    ValueType.MONEY: "{} > 5.00 USD",
    ValueType.BOOL: "{} == true",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """`change` says what was done, and in which line."""

    change: str
    text: str


def _mutant(text: str, start: int, end: int, new: str) -> Mutant:
    line = text.count("\n", 0, start) + 1
    return Mutant(
        f"line {line}: {text[start:end]!r} -> {new!r} in {text.splitlines()[line - 1].strip()[:100]}",
        text[:start] + new + text[end:],
    )


def _conditions(text: str) -> Iterator[re.Match[str]]:
    yield from _WHEN.finditer(text)


def direction_mutants(text: str) -> Iterator[Mutant]:
    """Each comparison, membership and connective turned round, each condition negated, each silence taken the other way."""
    for condition in _conditions(text):
        start = condition.start("text")
        for found in _OPERATOR.finditer(condition["text"]):
            if found[0] in _TURNED:
                yield _mutant(text, start + found.start(), start + found.end(), _TURNED[found[0]])
        yield _mutant(text, start, condition.end("text"), f"not ({condition['text']})")
    for found in re.finditer(r"\n *when_unknown: quiet", text):
        yield _mutant(text, found.start(), found.end(), "")


def taint_mutants(text: str) -> Iterator[Mutant]:
    """Each mandatory condition made to rest also on what the model, the actor or a stranger wrote, by every such field."""
    begin, end = text.index("\nmandatory:"), text.index("\nrules:")
    tainted = [field for field in CATALOGUE.values() if field.writer in (Writer.MODEL, Writer.ACTOR) or field.untrusted]
    for condition in _conditions(text):
        if begin < condition.start() < end:
            for field in tainted:
                for joint in ("and", "or"):
                    yield _mutant(
                        text, condition.start("text"), condition.end("text"), f"{condition['text']} {joint} {_atom(field)}"
                    )


def _atom(field: Field) -> str:
    return _ATOMS[field.type].format(field.name, sorted(field.values or ["other"])[0])


def permission_mutants(text: str) -> Iterator[Mutant]:
    """Each principal and role with one action or class more, or one less; each action a class lower, or running by itself."""
    begin, end = text.index("\npermissions:"), text.index("\nmandatory:")
    table = text[begin:end]
    for role in ROLES:
        found = re.search(rf"\n  {role}: \{{classes: \[([^\]]*)\]", table)
        assert found is not None, role
        yield from _relisted(text, begin + found.start(1), found[1], [item.value for item in RiskClass])
    found = re.search(r"\n  service: \{actions: \[([^\]]*)\]", table)
    assert found is not None
    yield from _relisted(text, begin + found.start(1), found[1], [item.value for item in Action])
    agent = re.search(r"\n  agent:\n    actions:\n((?:      - \w+\n)+)", table)
    assert agent is not None
    for line in re.finditer(r"      - \w+\n", agent[1]):
        start = begin + agent.start(1)
        yield _mutant(text, start + line.start(), start + line.end(), "")
    yield from _action_mutants(text)


def _relisted(text: str, start: int, listed: str, known: list[str]) -> Iterator[Mutant]:
    items = listed.split(", ")
    for name in known:
        changed = [item for item in items if item != name] if name in items else [*items, name]
        yield _mutant(text, start, start + len(listed), ", ".join(changed))


def _action_mutants(text: str) -> Iterator[Mutant]:
    begin, end = text.index("\nactions:"), text.index("\npermissions:")
    for found in re.finditer(r"\bclass: (R\d)", text[begin:end]):
        for lower in [item for item in RiskClass if item.value < found[1]]:
            yield _mutant(text, begin + found.start(1), begin + found.end(1), lower)
    for found in re.finditer(r"\bdefault: (\w+)", text[begin:end]):
        for other in [item for item in Verdict if item.value != found[1]]:
            yield _mutant(text, begin + found.start(1), begin + found.end(1), other)
    for found in re.finditer(r"\n    (four_eyes_above|facts|protective|money): [^\n]*", text[begin:end]):
        yield _mutant(text, begin + found.start(), begin + found.end(), "")
    for found in re.finditer(r"\n    (class: R1|class: R2)\n", text[begin:end]):
        if "protective" not in text[begin + found.end() : text.index("\n  ", begin + found.end())]:
            yield _mutant(text, begin + found.end(), begin + found.end(), "    protective: true\n")


def threshold_mutants(text: str) -> Iterator[Mutant]:
    """Each number one unit less and one more, and each order with and without its equality."""
    begin = text.index("\nlimits:")
    for pattern in _NUMBERS:
        for found in pattern.finditer(text, begin):
            if "#" not in text[text.rfind("\n", 0, found.start()) : found.start()]:
                yield from _neighbours(text, found.start("number"), found["number"])
    for condition in _conditions(text):
        start = condition.start("text")
        for found in re.finditer(r"'[^']*'|\b\d+(?:\.\d+)?\b", condition["text"]):
            if found[0][0] != "'":
                yield from _neighbours(text, start + found.start(), found[0])
        for found in re.finditer(r"'[^']*'|<=|>=|<|>", condition["text"]):
            if found[0] in _SHIFTED:
                yield _mutant(text, start + found.start(), start + found.end(), _SHIFTED[found[0]])


def _neighbours(text: str, start: int, number: str) -> Iterator[Mutant]:
    for step in (-1, 1):
        changed = Decimal(number) + step * Decimal(1).scaleb(-len(number.partition(".")[2]))
        yield _mutant(text, start, start + len(number), f"{changed}")
