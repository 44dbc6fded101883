"""One difference between two policies, and what kinds of difference mean for what may happen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from guardrails.money import Money


class Effect(StrEnum):
    TIGHTENS = "tightens"
    LOOSENS = "loosens"
    NEITHER = "neither"
    """It changes words or owners, and no verdict."""
    EITHER = "either"
    """It may do both; only a replay shows which."""


@dataclass(frozen=True, slots=True)
class Change:
    """`path` is dotted; `was` and `now` are as a person writes them, None where there is nothing."""

    path: str
    was: str | None
    now: str | None
    effect: Effect


def risen(path: str, was: int, now: int, said: tuple[str, str] | None = None) -> Iterator[Change]:
    """A number of which more is stricter."""
    if was != now:
        before, after = said or (str(was), str(now))
        yield Change(path, before, after, Effect.TIGHTENS if now > was else Effect.LOOSENS)


def fallen(path: str, was: int, now: int, said: tuple[str, str] | None = None) -> Iterator[Change]:
    """A number of which less is stricter."""
    if was != now:
        before, after = said or (str(was), str(now))
        yield Change(path, before, after, Effect.TIGHTENS if now < was else Effect.LOOSENS)


def amounts(path: str, was: Mapping[str, Money], now: Mapping[str, Money]) -> Iterator[Change]:
    """Amounts per currency, of which less is stricter and none strictest: a currency that is not listed waits for a person."""
    for code in sorted(was.keys() | now.keys()):
        before, after = was.get(code), now.get(code)
        if before is None:
            yield Change(f"{path}.{code}", None, str(after), Effect.LOOSENS)
        elif after is None:
            yield Change(f"{path}.{code}", str(before), None, Effect.TIGHTENS)
        else:
            yield from fallen(f"{path}.{code}", before.amount, after.amount, (str(before), str(after)))


def listed(path: str, was: Iterable[str], now: Iterable[str], more: Effect, less: Effect) -> Iterator[Change]:
    """Lists whose order means nothing."""
    before, after = sorted(set(map(str, was))), sorted(set(map(str, now)))
    if before == after:
        return
    effects = {effect for effect, found in ((more, set(after) - set(before)), (less, set(before) - set(after))) if found}
    yield Change(path, ", ".join(before), ", ".join(after), effects.pop() if len(effects) == 1 else Effect.EITHER)


def reworded(path: str, was: object, now: object, effect: Effect = Effect.NEITHER) -> Iterator[Change]:
    """Any other value."""
    if was != now:
        yield Change(path, None if was is None else str(was), None if now is None else str(now), effect)
