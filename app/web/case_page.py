"""What the page of one case shows, put together from the stored rows. Nothing here decides anything."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from app.context import OrderContext
from app.findings import has_fired, passed, told
from app.statements import same_value
from app.tables import ActionState, Case, CaseState, Decision, ExplanationRow, TrailEntry
from app.trail import chain_hash
from app.untrusted import Suspicion, find_instructions, texts_of
from app.views import CaseView
from app.web.in_words import shown
from app.world import World
from guardrails.policy.catalogue import CATALOGUE
from guardrails.proposal import Actor
from guardrails.taxonomy import Action, PrincipalKind, RiskClass

DECIDABLE = (CaseState.REVIEW, CaseState.BLOCKED, CaseState.AUTOMATED)
REPORTABLE = (ActionState.HANDED_OVER, ActionState.UNKNOWN)
GIST_LENGTH = 240
_GIST = ("verdict", "decision", "action", "category", "reason", "why", "detectors", "owner", "assignee", "until", "topic", "facts")


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of one entity. `plain` is its form in a snapshot; `was` the value that the decision rested on, if another."""

    key: str
    anchor: str
    meaning: str
    plain: Mapping[str, Any]
    record: tuple[str, ...]
    untrusted: bool
    suspicions: tuple[Suspicion, ...]
    changed: bool
    was: Any

    @property
    def losing(self) -> list[Mapping[str, Any]]:
        """What other systems say, where it differs."""
        return [other for other in self.plain["others"] if not same_value(other["value"], self.plain["value"])]

    @property
    def agreeing(self) -> list[str]:
        return [other["source"] for other in self.plain["others"] if same_value(other["value"], self.plain["value"])]


@dataclass(frozen=True, slots=True)
class FieldTable:
    """The order as all systems see it, by the first part of the fields' names."""

    families: tuple[tuple[str, tuple[FieldRow, ...]], ...]

    def _where(self, mark: str) -> list[FieldRow]:
        return [row for _, rows in self.families for row in rows if (row.changed if mark == "changed" else row.plain[mark])]

    @property
    def conflicts(self) -> list[FieldRow]:
        return self._where("conflict")

    @property
    def stale(self) -> list[FieldRow]:
        return self._where("stale")

    @property
    def changed(self) -> list[FieldRow]:
        return self._where("changed")

    @property
    def attacks(self) -> list[FieldRow]:
        return [row for _, rows in self.families for row in rows if row.suspicions]


@dataclass(frozen=True, slots=True)
class Chip:
    """One cited fact. `href` leads to where it stands on the page; `struck` says why it does not count."""

    quote: str
    pointer: str
    href: str | None
    source: str | None
    untrusted: bool
    struck: str | None

    @property
    def readable(self) -> str:
        """The quote itself; money, which is quoted as JSON, with its decimals."""
        try:
            opened = json.loads(self.quote)
        except (ValueError, RecursionError):
            return self.quote
        return shown(opened) if isinstance(opened, dict) else self.quote


@dataclass(frozen=True, slots=True)
class Proposed:
    """An action that the newest decision ruled on, with what the policy in force says of it."""

    action: str
    arguments: Mapping[str, Any]
    verdict: str
    risk_class: str
    reversible: bool
    undo: str
    expected_outcome: str
    permitted: bool
    """Whether the roles of the person who looks at it allow this class."""
    findings: tuple[Mapping[str, Any], ...]
    passed: tuple[str, ...]
    """Rules about it that did not fire."""

    @property
    def fired(self) -> list[Mapping[str, Any]]:
        return [finding for finding in self.findings if has_fired(finding)]


@dataclass(frozen=True, slots=True)
class TrailLine:
    """`fits`: its hash, made anew from what is stored, is the stored one."""

    entry: TrailEntry
    body: Mapping[str, Any]
    gist: str
    fits: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What the person may do with the case now. `why_not` says why they cannot decide; None when they can."""

    held_by_other: bool
    held_by_me: bool
    open: bool
    why_not: str | None


def field_table(context: OrderContext, world: World, decision: Decision | None = None) -> FieldTable:
    """Every field as it is now, beside what it was when the case was judged."""
    snapshot = context.snapshot()
    judged: Mapping[str, Any] = decision.snapshot["fields"] if decision else snapshot["fields"]
    suspicions = find_instructions(texts_of(snapshot))
    rows = [_row(key, plain, judged.get(key), world, suspicions) for key, plain in sorted(snapshot["fields"].items())]
    return FieldTable(tuple((family, tuple(found)) for family, found in groupby(rows, lambda row: row.key.partition(".")[0])))


def _row(
    key: str, plain: Mapping[str, Any], judged: Mapping[str, Any] | None, world: World, suspicions: Iterable[Suspicion]
) -> FieldRow:
    name = key.partition("[")[0]
    declared = CATALOGUE.get(name)
    base = "/fields/" + key.replace("~", "~0").replace("/", "~1")
    changed = judged is None or not same_value(judged["value"], plain["value"])
    return FieldRow(
        key=key,
        anchor=anchor_of(key),
        meaning=declared.meaning if declared else "not in the catalogue: shown, and no rule reads it",
        plain=plain,
        record=world.sources.for_field(name).record,
        untrusted=declared.untrusted if declared else False,
        suspicions=tuple(s for s in suspicions if s.pointer == base or s.pointer.startswith(base + "/")),
        changed=changed,
        was=judged["value"] if judged and changed else None,
    )


def anchor_of(key: str) -> str:
    """An id for the page. A key may hold anything that an outside system calls its entities."""
    plain = re.sub(r"[^a-z0-9]+", "-", key.lower())[:60]
    return f"field-{plain}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def chips(decision: Decision, table: FieldTable) -> list[Chip]:
    return [_chip(item | item["evidence"], table) for item in decision.ruling["evidence"]]


def explained_by(row: ExplanationRow, table: FieldTable) -> list[Chip]:
    """What the model's explanation cites, those first that hold."""
    return sorted((_chip(item, table) for item in row.evidence), key=lambda chip: chip.struck is not None)


def _chip(item: Mapping[str, Any], table: FieldTable) -> Chip:
    present = {row.key for _, rows in table.families for row in rows}
    return Chip(
        quote=item["quote"],
        pointer=item["pointer"],
        href=_place(item["pointer"], present),
        source=item["source"],
        untrusted=item["untrusted"],
        struck=item["struck"],
    )


def _place(pointer: str, present: set[str]) -> str | None:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    if len(parts) < 2:
        return None
    if parts[0] == "fields" and parts[1] in present:
        return "#" + anchor_of(parts[1])
    return f"#{parts[0]}" if parts[0] in ("signals", "related") else None


def proposals(decision: Decision, world: World, person: Actor) -> list[Proposed]:
    case_rules = {finding["rule"] for finding in decision.ruling["findings"]}
    return [_proposed(item, world, person, case_rules) for item in decision.ruling["actions"]]


def _proposed(item: Mapping[str, Any], world: World, person: Actor, case_rules: set[str]) -> Proposed:
    name = item["action"]["action"]
    entry = world.policy.actions.get(Action(name)) if name in set(Action) else None
    own = tuple(finding for finding in told(item) if finding["rule"] not in case_rules)
    return Proposed(
        action=name,
        arguments=item["action"]["arguments"],
        verdict=item["verdict"],
        risk_class=entry.risk_class.value if entry else RiskClass.R3.value,
        reversible=entry.reversible if entry else False,
        undo=entry.undo if entry else "the policy in force does not know this action",
        expected_outcome=entry.expected_outcome if entry else "",
        permitted=entry is not None and may_ask(world, person, entry.action),
        findings=own,
        passed=tuple(rule for rule in passed(item) if rule not in case_rules),
    )


def may_ask(world: World, person: Actor, action: Action) -> bool:
    entry = world.policy.actions.get(action)
    return entry is not None and world.policy.permissions.allows(PrincipalKind.PERSON, person.roles, action, entry.risk_class)


def trail_lines(entries: Sequence[TrailEntry]) -> list[TrailLine]:
    return [_line(entry) for entry in entries]


def _line(entry: TrailEntry) -> TrailLine:
    body = json.loads(entry.body)
    digest = chain_hash(
        seq=entry.seq,
        at=entry.at,
        event=entry.event,
        case_id=entry.case_id,
        order_id=entry.order_id,
        actor=entry.actor,
        body_sha256=hashlib.sha256(entry.body.encode()).hexdigest(),
        previous=entry.previous,
    )
    return TrailLine(entry, body, _gist(body), digest == entry.hash)


def _gist(body: Mapping[str, Any]) -> str:
    parts = [f"{name.replace('_', ' ')}: {_plainly(body[name])}" for name in _GIST if body.get(name)]
    text = " · ".join(parts)
    return text if len(text) <= GIST_LENGTH else text[: GIST_LENGTH - 1] + "…"


def _plainly(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} of them"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def standing(view: CaseView, world: World, person: Actor) -> Standing:
    case, now = view.case, world.clock()
    leased = case.holder is not None and case.held_until is not None and case.held_until > now
    other = leased and case.holder != person.id
    return Standing(
        held_by_other=other,
        held_by_me=leased and case.holder == person.id,
        open=case.closed_at is None,
        why_not=_why_not(case, held_by=case.holder if other else None),
    )


def _why_not(case: Case, held_by: str | None) -> str | None:
    if case.closed_at is not None:
        return f"The case is closed. {case.closed_because or ''}"
    if held_by is not None:
        return f"{held_by} is working on this case. Ask them to release it, or wait until their lease ends."
    if case.state == CaseState.JUDGING:
        return "The case is being judged on new facts. Load the page again in a moment."
    if case.state == CaseState.ACTING:
        return "Approved: its actions run, or wait for a person to carry them out and report."
    if case.state not in DECIDABLE or case.decision_id is None:
        return f"A case that is {case.state} cannot be decided now."
    return None
