"""Answers that were received, by what was asked: an answered call is never paid for twice.

The key is a hash of the request as it was sent. An answer is stored as soon as it is there and before anybody reads it, so that neither
a crash nor a reader's mistake costs it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from guardrails.facts import sha256_of


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """`response` is the body of a chat completion; `latency_ms` is what it took when it was really asked."""

    response: dict[str, Any]
    latency_ms: int


class AnswerStore(Protocol):
    async def get(self, key: str, request: dict[str, Any]) -> StoredAnswer | None: ...

    async def put(self, key: str, request: dict[str, Any], answer: StoredAnswer) -> None: ...


def request_key(request: dict[str, Any]) -> str:
    """sha256 over model, messages, parameters and schema; not over address or key."""
    return sha256_of(request)
