"""A JSON body read with pointers: each part knows where it stands, and every wrong type is collected, not just the first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from app.signals.shapes import FieldsInvalid, Observation
from guardrails.facts import rfc3339, to_plain
from guardrails.money import Money, MoneyError


@dataclass(frozen=True, slots=True)
class Part:
    """One place in a body. An absent or null place reads as None everywhere; a wrong type is noted in `errors` and reads as
    None too, so that one reading finds all mistakes. `checked()` raises what was noted."""

    value: Any
    pointer: str
    errors: list[tuple[str, str]]

    def __getitem__(self, key: str | int) -> "Part":
        pointer = f"{self.pointer}/{_escape(key)}"
        if self.value is None:
            return Part(None, pointer, self.errors)
        if isinstance(key, str) and isinstance(self.value, Mapping):
            return Part(self.value.get(key), pointer, self.errors)
        if isinstance(key, int) and isinstance(self.value, list):
            return Part(self.value[key] if key < len(self.value) else None, pointer, self.errors)
        self._wrong("an object" if isinstance(key, str) else "an array")
        return Part(None, pointer, self.errors)

    def first(self, *keys: str) -> "Part":
        """The first of these members that holds something, else the last of them."""
        found = [self[key] for key in keys]
        return next((part for part in found if part.value is not None), found[-1])

    def has(self, key: str) -> bool:
        """The member is there, be it null."""
        return isinstance(self.value, Mapping) and key in self.value

    def items(self) -> Iterator["Part"]:
        if self.value is None:
            return
        if not isinstance(self.value, list):
            self._wrong("an array")
            return
        for index in range(len(self.value)):
            yield self[index]

    def text(self) -> str | None:
        """Text that is not blank."""
        if self.value is None:
            return None
        if not isinstance(self.value, str):
            self._wrong("text")
            return None
        return self.value if self.value.strip() else None

    def code(self) -> str | None:
        """Text as a lower-case code: `OUT_OF_STOCK`, `Out of stock` and `OutOfStock` are all `out_of_stock`."""
        text = self.text()
        return None if text is None else to_code(text)

    def ident(self) -> str | None:
        """An id, whether the vendor writes it as text or as a number."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        if self.value is not None and not isinstance(self.value, str):
            self._wrong("text or a whole number")
            return None
        return (self.value or "").strip() or None

    def integer(self) -> int | None:
        if self.value is None:
            return None
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self._wrong("a whole number")
            return None
        return self.value

    def flag(self) -> bool | None:
        if self.value is None:
            return None
        if not isinstance(self.value, bool):
            self._wrong("true or false")
            return None
        return self.value

    def moment(self) -> datetime | None:
        """RFC 3339 with a zone. A bare date is the end of that day, UTC: a promise for a day is kept until it is over."""
        text = self.text()
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text.strip())
            if found.tzinfo is None and len(text.strip()) == len("2026-01-01"):
                found = datetime.combine(found.date(), time(23, 59, 59), UTC)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        self._wrong("a time with a zone, such as 2026-11-23T10:00:00Z")
        return None

    def zoned(self) -> datetime | None:
        """The time where it has a zone; a local time of nobody knows where reads as None."""
        text = self.text()
        try:
            found = None if text is None else datetime.fromisoformat(text.strip())
        except ValueError:
            self._wrong("a time such as 2026-11-23T10:00:00Z")
            return None
        return found.astimezone(UTC) if found is not None and found.tzinfo else None

    def utc_moment(self) -> datetime | None:
        """A time that its vendor documents as UTC and writes without a zone."""
        text = self.text()
        try:
            found = None if text is None else datetime.fromisoformat(text.strip())
        except ValueError:
            self._wrong("a time such as 2026-11-23T10:00:00")
            return None
        return found and (found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC))

    def unix(self) -> datetime | None:
        """Whole seconds since 1970."""
        seconds = self.integer()
        if seconds is None:
            return None
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            self._wrong("a unix time in seconds")
            return None

    def decimal(self, currency: str | None) -> Money | None:
        """A decimal amount, `"12.50"`, exact. A JSON number is taken as it was written."""
        if self.value is None or currency is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, (str, int, float)):
            self._wrong("a decimal amount as text")
            return None
        try:
            return Money.from_decimal(str(self.value), currency)
        except MoneyError as error:
            self.errors.append((self.pointer, str(error)))
            return None

    def minor(self, currency: str | None) -> Money | None:
        """Whole minor units."""
        units = self.integer()
        if units is None or currency is None:
            return None
        try:
            return Money(units, currency.upper())
        except MoneyError as error:
            self.errors.append((self.pointer, str(error)))
            return None

    def plain(self) -> Any:
        """The JSON value as it is."""
        return self.value

    def checked(self) -> None:
        """Raises FieldsInvalid with everything that was wrong in the whole body."""
        if self.errors:
            raise FieldsInvalid(list(dict.fromkeys(self.errors)))

    def _wrong(self, wanted: str) -> None:
        self.errors.append((self.pointer, f"must be {wanted}"))


def read_body(payload: Mapping[str, Any], pointer: str = "") -> Part:
    return Part(payload, pointer, [])


def to_code(text: str) -> str:
    """See Part.code."""
    spaced = "".join(f" {c}" if c.isupper() and before.islower() else c for before, c in zip(" " + text, text, strict=False))
    return "_".join(spaced.replace("-", " ").replace("_", " ").lower().split())


def _escape(key: str | int) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


class Observer:
    """Collects what one system states in one signal."""

    def __init__(self, system: str, occurred_at: datetime) -> None:
        self.system, self.occurred_at = system, occurred_at
        self.seen: list[Observation] = []

    def see(self, field: str, value: Any, part: Part, entity: str = "") -> None:
        """Note a value; None is no statement at all."""
        if value is not None:
            self.seen.append(Observation(field, plain(value), self.system, self.occurred_at, entity, part.pointer))

    def see_nothing(self, field: str, part: Part, entity: str = "") -> None:
        """Note that the system holds no value here: it was read, and there is none (any more)."""
        self.seen.append(Observation(field, None, self.system, self.occurred_at, entity, part.pointer))

    def see_or_clear(self, field: str, value: Any, part: Part, entity: str = "") -> None:
        if value is None:
            self.see_nothing(field, part, entity)
        else:
            self.see(field, value, part, entity)


def plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else to_plain(value)


def distinct(found: list[str | None]) -> tuple[str, ...]:
    """Without blanks and repeats, in order."""
    return tuple(dict.fromkeys(item for item in found if item))
