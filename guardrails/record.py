"""A ruling as plain JSON, to be kept: everything that was decided, in a form that has one byte-exact text.

`plain_ruling` says what the form is; `sealed` writes its canonical text directly, piece by piece, because that is done for every
ruling there is. A test holds the two together.
"""

from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any

from guardrails.facts import canonical_json, sha256_of_text, to_plain
from guardrails.ruling import ActionRuling, Finding, GroundedEvidence, Ruling


def plain_ruling(ruling: Ruling) -> dict[str, Any]:
    """The ruling as JSON; each action with the digest that an approval is bound to."""
    return {
        "verdict": ruling.verdict.value,
        "findings": [_finding(item) for item in ruling.findings],
        "passed": list(ruling.passed),
        "actions": [_action(item) for item in ruling.actions],
        "evidence": [_evidence(item) for item in ruling.evidence],
        "mandatory": [reason.value for reason in ruling.mandatory],
        "sentence": ruling.sentence,
        "lift": list(ruling.lift),
        "policy_version": ruling.policy_version,
        "policy_sha256": ruling.policy_sha256,
        "facts_sha256": ruling.facts_sha256,
        "error": ruling.error,
    }


def _finding(item: Finding) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "outcome": item.outcome.value,
        "effect": item.effect.value,
        "sentence": item.sentence,
        "reason": None if item.reason is None else item.reason.value,
        "facts": list(item.facts),
    }


def _action(item: ActionRuling) -> dict[str, Any]:
    return {
        "action": {"action": str(item.action.action), "arguments": to_plain(item.action.arguments)},
        "verdict": item.verdict.value,
        "findings": [_finding(finding) for finding in item.findings],
        "passed": list(item.passed),
        "held_by": list(item.held_by),
        "digest": item.action.digest(),
    }


def _evidence(item: GroundedEvidence) -> dict[str, Any]:
    return {
        "evidence": {"pointer": item.evidence.pointer, "quote": item.evidence.quote},
        "source": item.source,
        "untrusted": item.untrusted,
        "struck": item.struck,
    }


# --- the text ---


def sealed(ruling: Ruling) -> tuple[str, str]:
    """The record's canonical JSON, and the sha256 of just these bytes."""
    text = (
        f'{{"actions":[{",".join([_action_text(item) for item in ruling.actions])}],"error":{_or_null(ruling.error)},'
        f'"evidence":[{",".join([_evidence_text(item) for item in ruling.evidence])}],"facts_sha256":"{ruling.facts_sha256}",'
        f'"findings":[{",".join([_finding_text(item) for item in ruling.findings])}],"lift":{_list(ruling.lift)},'
        f'"mandatory":{_texts(ruling.mandatory)},"passed":{_texts(ruling.passed)},"policy_sha256":"{ruling.policy_sha256}",'
        f'"policy_version":{quoted(ruling.policy_version)},"sentence":{quoted(ruling.sentence)},"verdict":"{ruling.verdict}"}}'
    )
    return text, sha256_of_text(text)


def _finding_text(item: Finding) -> str:
    reason = "null" if item.reason is None else f'"{item.reason}"'
    return (
        f'{{"effect":"{item.effect}","facts":{_texts(item.facts)},"outcome":"{item.outcome}","reason":{reason},'
        f'"rule":{quoted(item.rule)},"sentence":{quoted(item.sentence)}}}'
    )


def _action_text(item: ActionRuling) -> str:
    asked = item.action
    arguments = canonical_json(asked.arguments) if asked.arguments else "{}"
    return (
        f'{{"action":{{"action":{quoted(str(asked.action))},"arguments":{arguments}}},"digest":"{asked.digest()}",'
        f'"findings":[{",".join([_finding_text(finding) for finding in item.findings])}],"held_by":{_texts(item.held_by)},'
        f'"passed":{_texts(item.passed)},"verdict":"{item.verdict}"}}'
    )


def _evidence_text(item: GroundedEvidence) -> str:
    cited = f'{{"pointer":{quoted(item.evidence.pointer)},"quote":{quoted(item.evidence.quote)}}}'
    untrusted = "true" if item.untrusted else "false"
    return f'{{"evidence":{cited},"source":{_or_null(item.source)},"struck":{_or_null(item.struck)},"untrusted":{untrusted}}}'


def _or_null(text: str | None) -> str:
    return "null" if text is None else quoted(text)


@lru_cache(maxsize=4_096)
def _texts(items: tuple[str, ...]) -> str:
    """The same few lists of rules come again and again."""
    return _list(items)


def _list(items: tuple[str, ...]) -> str:
    return f"[{','.join([quoted(item) for item in items])}]"
