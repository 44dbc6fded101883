"""What the gate answers, with every rule's result and a plain sentence for each reason."""

from dataclasses import dataclass
from enum import StrEnum

from guardrails.proposal import Evidence, ProposedAction
from guardrails.taxonomy import Reason, Verdict


class Outcome(StrEnum):
    """What one rule said. A review or block rule that could not see its facts fires because of that."""

    FIRED = "fired"
    NOT_FIRED = "not_fired"
    FIRED_UNKNOWN = "fired_unknown"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's result. `effect` is the verdict it asks for when it fires."""

    rule: str
    outcome: Outcome
    effect: Verdict
    sentence: str
    reason: Reason | None = None
    facts: tuple[str, ...] = ()

    @property
    def fired(self) -> bool:
        return self.outcome is Outcome.FIRED or self.outcome is Outcome.FIRED_UNKNOWN


@dataclass(frozen=True, slots=True)
class ActionRuling:
    """`findings` are the action's own that fired, also in shadow; `passed` names the rules about it that did not. `held_by` names
    the findings about the case that stop this action too."""

    action: ProposedAction
    verdict: Verdict
    findings: tuple[Finding, ...]
    passed: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundedEvidence:
    """A cited item after checking. `struck` says why it does not count; None when it holds."""

    evidence: Evidence
    source: str | None
    untrusted: bool
    struck: str | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The gate's answer about one case. `actions` hold their own verdicts; the case's is the strictest of all.

    Every rule was looked at: `findings` are those about the case that fired, also in shadow, and `passed` names the others.
    `lift` lists, in plain words, the evidence that would lift a block or the limits that would make it automatic.
    `error` is None, or the failure inside the gate that forced this block.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    actions: tuple[ActionRuling, ...]
    evidence: tuple[GroundedEvidence, ...]
    mandatory: tuple[Reason, ...]
    sentence: str
    lift: tuple[str, ...]
    policy_version: str
    policy_sha256: str
    facts_sha256: str
    passed: tuple[str, ...] = ()
    error: str | None = None

    def allows(self, action: ProposedAction) -> bool:
        """True only for an action of this very ruling, arguments included, that was ruled `automate`."""
        return any(item.verdict is Verdict.AUTOMATE and item.action.digest() == action.digest() for item in self.actions)
