"""What the policy on trial would have ruled on the same facts and the same proposal. It is recorded, and nothing follows from it."""

from collections.abc import Iterator
from typing import Any

from app.governing import Governing
from app.judge import Sighting
from guardrails.gate import guard
from guardrails.policy.load import Policy
from guardrails.proposal import AGENT, Proposal
from guardrails.ruling import Finding, Ruling


def ruled_in_shadow(rules: Governing, sighting: Sighting, proposal: Proposal, ruling: Ruling) -> dict[str, Any] | None:
    """None where no policy is on trial. Never raises: what fails here is recorded as failed."""
    if rules.shadow is None:
        return None
    try:
        tried = guard(sighting.facts, proposal, rules.shadow, AGENT, sighting.snapshot, rules.standing)
        return _told(rules.shadow, tried, ruling)
    except Exception as error:  # a trial must never be felt by what it watches
        return {"policy": _named(rules.shadow), "against": "failed", "error": f"{type(error).__name__}: {error}"[:300]}


def _told(policy: Policy, tried: Ruling, ruling: Ruling) -> dict[str, Any]:
    then, now = _rules(ruling), _rules(tried)
    return {
        "policy": _named(policy),
        "against": "failed" if tried.error else compared(tried, ruling),
        "verdict": tried.verdict.value,
        "sentence": tried.sentence,
        "actions": [
            {"action": item.action.action.value, "digest": item.action.digest(), "verdict": item.verdict.value}
            for item in tried.actions
        ],
        "only_here": sorted(now - then),
        "only_in_force": sorted(then - now),
        "error": tried.error,
    }


def compared(tried: Ruling, ruling: Ruling) -> str:
    """`looser` as soon as anything would have gone further, else `tighter` where anything would have stopped, else `agree`."""
    pairs = [
        (tried.verdict, ruling.verdict),
        *((one.verdict, other.verdict) for one, other in zip(tried.actions, ruling.actions, strict=True)),
    ]
    if any(one.strictness < other.strictness for one, other in pairs):
        return "looser"
    return "tighter" if any(one.strictness > other.strictness for one, other in pairs) else "agree"


def _named(policy: Policy) -> dict[str, str]:
    return {"version": policy.version, "sha256": policy.sha256}


def _rules(ruling: Ruling) -> set[str]:
    """What fired, each with its action where it is about one."""
    return set(_fired(ruling))


def _fired(ruling: Ruling) -> Iterator[str]:
    yield from _names(ruling.findings)
    for item in ruling.actions:
        yield from (f"{item.action.action}: {name}" for name in _names(item.findings))


def _names(findings: tuple[Finding, ...]) -> list[str]:
    return [item.rule for item in findings if item.fired]
