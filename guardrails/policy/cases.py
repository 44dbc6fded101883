"""The cases that a policy file's examples begin from: facts as an ops person writes them, typed by the catalogue.

    clean: {category: warehouse_exception, action: resubmit_fulfilment, confidence: 0.97, evidence: [fulfilment.reason],
            facts: {order.total: 89.50 USD, fulfilment.reason: system_busy}}

Times are `5h ago` or `in 2d`. `unknown` without quotes is a system that answered and said nothing, `unstated` a field that nobody
mentioned.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import yaml

from guardrails.facts import COMPUTED, UNKNOWN, Fact, Facts, FactValue, Unknown
from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE, Field, Writer
from guardrails.policy.language import ValueType
from guardrails.policy.reader import Reader, Table, suggest
from guardrails.taxonomy import Action, Category

AS_OF = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
"""The moment at which every example is ruled on."""

SOURCE = "example"
"""The source of every fact that is not computed."""

_JUST_NOW = timedelta(minutes=4)
_MONEY = re.compile(r"(?P<amount>-?[0-9][0-9.]*) (?P<currency>[A-Z]{3})")
_WHOLE = re.compile(r"-?[0-9]{1,12}")
_MOMENT = re.compile(r"(?:(?P<past>\S+) ago|in (?P<ahead>\S+))")
_NAME = re.compile("[a-z][a-z0-9_]{0,59}")
_GIVEN_ELSEWHERE = frozenset(["case.untrusted_instructions", "case.classifier_failed", "action.amount"])

UNSTATED = None
"""A field that nobody mentioned."""

Stated = Mapping[str, FactValue | Unknown | None]


@dataclass(frozen=True, slots=True)
class GivenCase:
    """A case as the file gives it. `ages` say how long ago a field was stated, `evidence` names the fields that are cited."""

    facts: Stated = field(default_factory=dict)
    ages: Mapping[str, timedelta] = field(default_factory=dict)
    action: Action | None = None
    amount: Money | None = None
    category: Category = Category.UNKNOWN
    confidence: int | None = None
    evidence: tuple[str, ...] = ()

    def as_facts(self) -> Facts:
        """What the gate is given. What code derives is as new as the ruling, unless an age is stated."""
        return Facts(
            "an example",
            AS_OF,
            {name: _fact(name, value, self.ages.get(name)) for name, value in self.facts.items() if value is not UNSTATED},
        )


CASE_KEYS = ("action", "amount", "category", "confidence", "evidence", "ages")


def read_cases(table: Table, taken: Mapping[str, GivenCase]) -> dict[str, GivenCase]:
    """The named cases of one file; names of `taken` stand in another file already."""
    cases: dict[str, GivenCase] = {}
    for name, node in table.values.items():
        if not _NAME.fullmatch(name):
            table.reader.say(table.keys[name], f"the name of a case is written like clean_order, not {name!r}")
        if name in taken:
            table.reader.say(table.keys[name], f"there is a case {name!r} already")
        entry = table.reader.table(node).expect(["facts"], ["about", *CASE_KEYS])
        entry.text("about")
        cases[name] = case_from(entry, GivenCase(facts=read_facts(entry.table("facts"))))
    return cases


def case_from(entry: Table, base: GivenCase) -> GivenCase:
    """The base with what the table says otherwise."""
    reader = entry.reader
    evidence = [name for name in (reader.one_of(item, CATALOGUE, "field") for item in entry.items("evidence")) if name]
    return GivenCase(
        facts=base.facts,
        ages={**base.ages, **read_ages(entry.table("ages"))},
        action=entry.get("action", lambda node: reader.member(node, Action, "action"), base.action),
        amount=entry.get("amount", lambda node: read_money(reader, node), base.amount),
        category=entry.member("category", Category, "category", base.category),
        confidence=entry.get("confidence", reader.basis_points, base.confidence),
        evidence=tuple(dict.fromkeys(evidence)) if "evidence" in entry.values else base.evidence,
    )


def read_facts(table: Table) -> dict[str, FactValue | Unknown | None]:
    facts: dict[str, FactValue | Unknown | None] = {}
    for name, node in table.values.items():
        declared = _declared(table.reader, name, table.keys[name])
        if declared is not None:
            facts[name] = _value(table.reader, node, declared)
    return facts


def read_ages(table: Table) -> dict[str, timedelta]:
    return {
        name: table.reader.duration(node)
        for name, node in table.values.items()
        if _declared(table.reader, name, table.keys[name]) is not None
    }


def _declared(reader: Reader, name: str, node: yaml.Node) -> Field | None:
    """The field that a case may state, or None after noting that it may not."""
    declared = CATALOGUE.get(name)
    if declared is None:
        reader.say(node, f"there is no field {name!r}{suggest(name, CATALOGUE)}")
    elif declared.writer in (Writer.MODEL, Writer.ACTOR) or name in _GIVEN_ELSEWHERE:
        reader.say(node, f"{name} is no fact of the order; it follows from what the example proposes")
        return None
    return declared


# --- values ---


def _value(reader: Reader, node: yaml.Node, declared: Field) -> FactValue | Unknown | None:
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("unknown", "unstated"):
        return UNKNOWN if node.value == "unknown" else UNSTATED
    match declared.type:
        case ValueType.BOOL:
            return reader.flag(node)
        case ValueType.INT:
            return _whole(reader, node)
        case ValueType.MONEY:
            return read_money(reader, node)
        case ValueType.TIME:
            return _moment(reader, node)
        case ValueType.SET:
            return frozenset(reader.text(item) for item in reader.items(node))
        case _:
            return reader.one_of(node, declared.values, f"value of {declared.name}") if declared.values else reader.text(node)


def read_money(reader: Reader, node: yaml.Node) -> Money | None:
    text = reader.raw(node)
    match = _MONEY.fullmatch(text or "")
    try:
        if match is not None:
            return Money.from_decimal(match["amount"], match["currency"])
    except MoneyError as error:
        reader.say(node, f"{error}; money is written like 500.00 USD")
        return None
    if text is not None:
        reader.say(node, f"money is written like 500.00 USD, not {text[:40]!r}")
    return None


def _whole(reader: Reader, node: yaml.Node) -> int | None:
    text = reader.raw(node)
    if text is not None and _WHOLE.fullmatch(text):
        return int(text)
    reader.say(node, f"a whole number is expected here, not {(text or '')[:40]!r}")
    return None


def _moment(reader: Reader, node: yaml.Node) -> datetime | None:
    match = _MOMENT.fullmatch(reader.raw(node) or "")
    if match is None:
        reader.say(node, "a time is written like 5h ago or in 2d")
        return None
    period = reader.duration(yaml.ScalarNode(node.tag, match["past"] or match["ahead"], node.start_mark, node.end_mark))
    return AS_OF - period if match["past"] else AS_OF + period


def _fact(name: str, value: FactValue | Unknown, age: timedelta | None) -> Fact:
    declared = CATALOGUE[name]
    computed = declared.writer is not Writer.RECORD
    since = age if age is not None else timedelta(0) if computed else _JUST_NOW
    return Fact(
        name=name,
        value=value,
        source=COMPUTED if computed else SOURCE,
        observed_at=AS_OF - since,
        untrusted=declared.untrusted,
        clock=declared.writer is Writer.CLOCK,
    )
