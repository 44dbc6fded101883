"""Decisions as they were stored, read back as rulings that can be asked about again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, cast, exists, func, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from app.tables import ArchivedRuling, Decision
from guardrails.facts import UNKNOWN, Fact, Facts, FactValue, Unknown
from guardrails.grounding import justifying
from guardrails.money import Money, MoneyError
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import ValueType
from guardrails.proposal import Evidence, ProposedAction
from guardrails.replay.recorded import RecordedAction, RecordedRuling, own_amount
from guardrails.ruling import GroundedEvidence
from guardrails.standing import NOTHING_SPENT, Spent, Standing
from guardrails.taxonomy import Action, Category, Verdict

_SNAPSHOT, _RULING, _DIAGNOSIS = Decision.snapshot, Decision.ruling, Decision.diagnosis


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A decision that cannot be asked about again, and why."""

    decision: str
    why: str


def past(*where: ColumnElement[bool]) -> Select[Any]:
    """What `ruling_of` reads of each decision, oldest first. The snapshot and the talk with the model stay behind: they are by far the
    largest part, and no rule reads them."""
    return (
        select(
            Decision.id,
            Decision.at,
            Decision.verdict,
            Decision.facts,
            Decision.standing,
            _SNAPSHOT["order_ref"].astext.label("order_ref"),
            _SNAPSHOT["as_of"].astext.label("as_of"),
            _DIAGNOSIS["category"].astext.label("category"),
            _DIAGNOSIS["confidence"].label("confidence"),
            _DIAGNOSIS["failure"].label("failure"),
            _DIAGNOSIS["untrusted_instructions"].label("untrusted_instructions"),
            _RULING["evidence"].label("evidence"),
            _each("$.actions[*].action").label("asked"),
            _each("$.actions[*].verdict").label("ruled"),
        )
        .where(*where)
        .order_by(Decision.at, Decision.id)
    )


def _each(path: str) -> ColumnElement[Any]:
    """What the path finds in the ruling, as a list."""
    return func.jsonb_path_query_array(_RULING, cast(path, JSONPATH), type_=JSONB)


def not_archived() -> ColumnElement[bool]:
    return ~exists().where(ArchivedRuling.decision_id == Decision.id)


def read_ruling(row: Row[Any]) -> RecordedRuling | Unreadable:
    """Never raises: a decision of another age may hold what nobody foresaw."""
    try:
        return ruling_of(row)
    except Exception as error:
        return Unreadable(row.id, f"{type(error).__name__}: {error}"[:300])


def ruling_of(row: Row[Any]) -> RecordedRuling:
    """A row of `past`. Raises what reading raises where it holds something else than a decision does."""
    confidence = row.confidence
    return RecordedRuling(
        decision=row.id,
        at=row.at,
        facts=facts_of(row.facts, row.order_ref, datetime.fromisoformat(row.as_of)),
        category=Category(row.category),
        confidence=confidence if type(confidence) is int and 0 <= confidence <= 10_000 else None,
        grounded=justifying([_evidence(item) for item in row.evidence]),
        untrusted_instructions=row.untrusted_instructions is not False,
        failed=row.failure is not None,
        actions=tuple(_action(asked, said) for asked, said in zip(row.asked, row.ruled, strict=True)),
        verdict=Verdict(row.verdict),
        standing=standing_of(row.standing),
        speaking=frozenset((row.standing or {}).get("speaking", ())),
    )


def facts_of(stored: Mapping[str, Any], order_ref: str, as_of: datetime) -> Facts:
    """The facts as they were, each with the type that the catalogue declares."""
    return Facts(order_ref, as_of, {name: _fact(name, plain) for name, plain in stored.items()})


def standing_of(stored: Mapping[str, Any] | None) -> Standing:
    """Before budgets and switches were recorded there were none."""
    if stored is None:
        return NOTHING_SPENT
    spent = stored["spent"]
    return Standing(
        None if spent is None else {key: Spent(item["count"], dict(item["money"])) for key, item in spent.items()},
        frozenset(stored["off"]),
    )


def _fact(name: str, plain: Mapping[str, Any]) -> Fact:
    observed_at = plain["observed_at"]
    declared = CATALOGUE.get(name)
    return Fact(
        name,
        _value(name, plain["value"]),
        plain["source"],
        None if observed_at is None else datetime.fromisoformat(observed_at),
        stale=plain["stale"],
        conflict=plain["conflict"],
        untrusted=plain["untrusted"],
        clock=declared is not None and declared.writer is Writer.CLOCK,
    )


def _value(name: str, plain: Any) -> FactValue | Unknown:
    """What does not fit its declared type is unknown, as it is to the gate."""
    declared = CATALOGUE.get(name)
    if declared is None:
        return plain if isinstance(plain, bool | int | str) else UNKNOWN
    try:
        return _typed(declared.type, plain)
    except (MoneyError, ValueError, KeyError, TypeError):
        return UNKNOWN


def _typed(kind: ValueType, plain: Any) -> FactValue | Unknown:
    match kind:
        case ValueType.BOOL if isinstance(plain, bool):
            return plain
        case ValueType.INT if type(plain) is int:
            return plain
        case ValueType.TEXT if isinstance(plain, str):
            return plain
        case ValueType.MONEY if isinstance(plain, dict):
            return Money(plain["amount"], plain["currency"])
        case ValueType.TIME if isinstance(plain, str):
            return datetime.fromisoformat(plain)
        case ValueType.SET if isinstance(plain, list):
            return frozenset(plain)
    return UNKNOWN


def _evidence(plain: Mapping[str, Any]) -> GroundedEvidence:
    cited = plain["evidence"]
    return GroundedEvidence(Evidence(cited["pointer"], cited["quote"]), plain["source"], plain["untrusted"], plain["struck"])


def _action(asked: Mapping[str, Any], said: str) -> RecordedAction:
    action = Action(asked["action"])
    return RecordedAction(action, own_amount(ProposedAction(action, asked["arguments"])), Verdict(said))
