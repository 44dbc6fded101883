"""Refusals that callers can act on. Each is named for its situation and says what to do; `web/problems.py` maps them once."""

from collections.abc import Sequence
from typing import Any


class OrdermendError(Exception):
    """A refusal. The message is for the person who asked."""


class NotFound(OrdermendError):
    """There is no such thing."""


class Denied(OrdermendError):
    """The key does not allow this."""


class Unauthenticated(OrdermendError):
    """No valid key came with the request."""


class GuardrailRefused(OrdermendError):
    """The guardrails forbid it. `rules` are the ids that say so, `lift` what would change their answer."""

    def __init__(self, message: str, rules: Sequence[str], lift: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.rules, self.lift = tuple(rules), tuple(lift)


class CaseHeld(OrdermendError):
    """Somebody else works on the case."""

    def __init__(self, holder: str, until: str) -> None:
        super().__init__(f"{holder} holds this case until {until}; ask them to release it or wait for the lease to end.")
        self.holder, self.until = holder, until


class StaleVersion(OrdermendError):
    """The case has changed since it was read. `changes` say what, where facts moved."""

    def __init__(self, message: str, current_version: int, changes: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.current_version, self.changes = current_version, tuple(changes)


class IllegalTransition(OrdermendError):
    """The case is in a state in which this cannot be done."""


class PolicyNotPublished(OrdermendError):
    """As things stand the policy cannot be published: it is in force already, or another one was published meanwhile."""


class InputInvalid(OrdermendError):
    """Fields of the request are wrong. `errors` are (RFC 6901 pointer, detail) pairs."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer or '/'}: {detail}" for pointer, detail in errors))
        self.errors = tuple(errors)


class IdempotencyConflict(OrdermendError):
    """The Idempotency-Key was used before with another body."""


class IdempotencyInProgress(OrdermendError):
    """The first request with this Idempotency-Key is still running."""


class DatabaseUnavailable(OrdermendError):
    """The database does not answer; nothing was accepted. Send it again."""


class ConfigurationInvalid(OrdermendError):
    """Settings or files are unusable. The message lists every mistake."""
