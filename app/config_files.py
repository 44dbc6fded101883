"""The configuration files beside the policy, from their text: who is believed, what is detected, who owns it.

Each loader is a pure function of the text and the file's name, and raises ConfigInvalid with every mistake as
`file:line:col: message`: unknown and missing keys, values of the wrong kind, conditions that do not compile.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

import yaml

from app.context import SourceRule, SourceRules
from app.detect import Benign, Detector, DetectorRules
from app.owners import Due, Owners, Ownership
from guardrails.policy.catalogue import CATALOGUE, FIELD_TYPES, Writer
from guardrails.policy.language import Condition, ConditionError, Scope, ValueType, compile_condition
from guardrails.policy.reader import PolicyInvalid, Problem, Reader, Table, suggest
from guardrails.taxonomy import Action, Category, Team

__all__ = ["ConfigInvalid", "Owners", "load_detectors", "load_owners", "load_sources"]

ConfigInvalid = PolicyInvalid
"""Raised with `.errors`, each a Problem with file, line, column and message."""

_T = TypeVar("_T")
_NO_TIME = timedelta(0)
_NEVER = compile_condition("false", Scope({}, {}, {}))
_SLOT = re.compile(r"\{([^{}]+)\}")
_DETECTOR_ID = re.compile(r"[a-z]+(\.[a-z0-9_]+)+")
_TIMES = frozenset(name for name, field in CATALOGUE.items() if field.type is ValueType.TIME)


def load_sources(text: str, name: str) -> SourceRules:
    """`config/sources.yaml`. The last pattern must be `*`, so that every field has a rule."""
    return _load(text, name, _sources)


def load_detectors(text: str, name: str) -> DetectorRules:
    """`config/detectors.yaml`. Conditions may read what was recorded and derived, never what a model said or somebody wrote."""
    return _load(text, name, _detectors)


def load_owners(text: str, name: str) -> Owners:
    """`config/owners.yaml`. Every category has exactly one owner."""
    return _load(text, name, _owners)


def _load(text: str, name: str, read: Callable[[Reader, str], _T]) -> _T:
    reader = Reader(name)
    try:
        found = read(reader, text)
    except RecursionError as error:
        raise ConfigInvalid([*reader.problems, Problem(name, 1, 1, "the file is nested too deeply")]) from error
    if reader.problems:
        raise ConfigInvalid(reader.problems)
    return found


def _root(reader: Reader, text: str, schema: str, required: list[str], optional: list[str]) -> Table:
    root = reader.root(text).expect(["schema", *required], optional)
    if "schema" in root.values and root.text("schema") != schema:
        reader.say(root.values["schema"], f"this program reads {schema}")
    return root


# --- sources ---


def _sources(reader: Reader, text: str) -> SourceRules:
    root = _root(reader, text, "ordermend/sources/v1", ["fields"], [])
    rules = tuple(_source_rule(reader.table(node)) for node in root.items("fields"))
    if not rules or rules[-1].pattern != "*":
        reader.say(root.values.get("fields", root.node), 'the last pattern must be "*", so that every field has a rule')
    for rule, node in zip(rules, root.items("fields"), strict=True):
        if sum(other.pattern == rule.pattern for other in rules) > 1:
            reader.say(node, f"the pattern {rule.pattern!r} stands here more than once; only the first would count")
    return SourceRules(rules)


def _source_rule(entry: Table) -> SourceRule:
    entry.expect(["pattern", "record", "stale_after"], ["peers", "moves", "newest", "read_again_after"])
    return SourceRule(
        pattern=entry.text("pattern"),
        record=entry.texts("record"),
        stale_after=entry.get("stale_after", entry.reader.duration, _NO_TIME),
        peers=entry.texts("peers"),
        moves=entry.get("moves", entry.reader.flag, False),
        newest=entry.get("newest", entry.reader.flag, False),
        read_again_after=entry.get("read_again_after", entry.reader.duration, None),
    )


# --- detectors ---


def _detectors(reader: Reader, text: str) -> DetectorRules:
    root = _root(
        reader,
        text,
        "ordermend/detectors/v1",
        ["look_every", "duplicate_window", "detectors", "explains", "reopen_within"],
        ["benign"],
    )
    detectors = tuple(_detector(reader.table(node)) for node in root.items("detectors"))
    benign = tuple(_benign(reader.table(node)) for node in root.items("benign"))
    _refuse_twins(reader, root, [item.id for item in detectors] + [item.id for item in benign])
    return DetectorRules(
        detectors=detectors,
        explains=_explains(root.table("explains")),
        reopen_within=_windows(root.table("reopen_within")),
        benign=benign,
        look_every=root.get("look_every", reader.duration, _NO_TIME),
        duplicate_window=root.get("duplicate_window", reader.duration, _NO_TIME),
    )


def _detector(entry: Table) -> Detector:
    reader = entry.reader
    entry.expect(["id", "category", "rank", "when", "because", "confidence", "then", "clears"], ["absence", "urgent"])
    category = entry.member("category", Category, "category", Category.UNKNOWN)
    if "category" in entry.values and category is Category.UNKNOWN:
        reader.say(entry.values["category"], "what nobody recognises has no detector")
    return Detector(
        id=_id(entry),
        category=category,
        rank=entry.get("rank", reader.count, 0),
        when=entry.get("when", lambda node: _condition(reader, node), _NEVER),
        because=_because(entry),
        absence=entry.get("absence", reader.flag, False),
        urgent=entry.get("urgent", reader.flag, False),
        confidence=entry.get("confidence", reader.basis_points, 0),
        clears=entry.get("clears", reader.flag, False),
        then=_actions(entry),
    )


def _actions(entry: Table) -> tuple[Action, ...]:
    """In the order of the file."""
    found = [entry.reader.member(node, Action, "action") for node in entry.items("then")]
    return tuple(action for action in found if action is not None)


def _benign(entry: Table) -> Benign:
    entry.expect(["id", "when", "because"])
    return Benign(_id(entry), entry.get("when", lambda node: _condition(entry.reader, node), _NEVER), _because(entry))


def _id(entry: Table) -> str:
    name = entry.text("id")
    if "id" in entry.values and not _DETECTOR_ID.fullmatch(name):
        entry.reader.say(entry.values["id"], "an id is words joined by a dot, such as payment.declined")
    return name


def _condition(reader: Reader, node: yaml.Node) -> Condition:
    text = reader.text(node)
    try:
        condition = compile_condition(text, Scope(FIELD_TYPES, {}, {}))
    except ConditionError as error:
        one_line = node.start_mark.line == node.end_mark.line
        reader.say(node, f"{error.message}{f'; {error.hint}' if error.hint else ''}", error.column - 1 if one_line else 0)
        return _NEVER
    for name in sorted(condition.fields):
        _refuse_unfit(reader, node, name)
    return condition


def _because(entry: Table) -> str:
    text = entry.text("because")
    for slot in _SLOT.findall(text):
        if slot not in CATALOGUE:
            entry.reader.say(entry.values["because"], f"the sentence cannot show {slot!r}{suggest(slot, CATALOGUE)}")
        else:
            _refuse_unfit(entry.reader, entry.values["because"], slot)
    return text


def _refuse_unfit(reader: Reader, node: yaml.Node, name: str) -> None:
    declared = CATALOGUE[name]
    if declared.writer in (Writer.MODEL, Writer.ACTOR) or name.startswith(("case.", "basis.")):
        reader.say(node, f"a detector may not read {name}: it is only known later")
    elif declared.untrusted:
        reader.say(node, f"a detector may not read {name}: it is free text from outside")


def _refuse_twins(reader: Reader, root: Table, ids: list[str]) -> None:
    for twin in sorted({name for name in ids if name and ids.count(name) > 1}):
        reader.say(root.values.get("detectors", root.node), f"there are two lines with the id {twin!r}")


def _explains(table: Table) -> Mapping[Category, frozenset[Category]]:
    table.expect([], [c.value for c in Category], "category")
    known = {Category(name): table.members(name, Category, "category") for name in table.values if name in set(Category)}
    for cause, symptoms in known.items():
        if cause in symptoms:
            table.reader.say(table.values[cause.value], f"{cause} does not explain itself")
    return MappingProxyType(known)


def _windows(table: Table) -> Mapping[Category, timedelta]:
    table.expect([c.value for c in Category], [], "category")
    return MappingProxyType({c: table.get(c.value, table.reader.duration, _NO_TIME) for c in Category})


# --- owners ---


def _owners(reader: Reader, text: str) -> Owners:
    root = _root(reader, text, "ordermend/owners/v1", ["default", "categories"], [])
    table = root.table("categories").expect([c.value for c in Category], [], "category")
    owned = {Category(name): _ownership(reader.table(node)) for name, node in table.values.items() if name in set(Category)}
    return Owners(root.member("default", Team, "team", Team.OPERATIONS), MappingProxyType(owned))


def _ownership(entry: Table) -> Ownership:
    entry.expect(["owner", "due"])
    due = entry.table("due").expect(["urgent", "normal"])
    return Ownership(
        owner=entry.member("owner", Team, "team", Team.OPERATIONS),
        urgent=due.get("urgent", lambda node: _due(entry.reader, node), Due(_NO_TIME)),
        normal=due.get("normal", lambda node: _due(entry.reader, node), Due(_NO_TIME)),
    )


def _due(reader: Reader, node: yaml.Node) -> Due:
    """A duration, or `{before, by, otherwise}`."""
    if not isinstance(node, yaml.MappingNode):
        return Due(reader.duration(node))
    entry = reader.table(node).expect(["before", "by", "otherwise"])
    before = entry.get("before", lambda item: reader.one_of(item, sorted(_TIMES), "time fact"), None)
    return Due(entry.get("otherwise", reader.duration, _NO_TIME), before, entry.get("by", reader.duration, _NO_TIME))
