"""What two policies say otherwise in their conditions: mandatory reasons and free rules."""

from collections.abc import Iterator, Mapping

from guardrails.policy.changes import Change, Effect, listed, reworded
from guardrails.policy.tables import Line, MandatoryPolicy, Mode, Protective, Rule, WhenUnknown
from guardrails.taxonomy import Reason, Verdict

_OPPOSITE = {Effect.TIGHTENS: Effect.LOOSENS, Effect.LOOSENS: Effect.TIGHTENS}


def mandatory_changes(was: Mapping[Reason, MandatoryPolicy], now: Mapping[Reason, MandatoryPolicy]) -> Iterator[Change]:
    for reason in Reason:
        before, after, path = was.get(reason), now.get(reason), f"mandatory.{reason}"
        if before is None and after is not None:
            yield Change(path, None, "a person looks", Effect.TIGHTENS)
        elif before is not None and after is None:
            yield Change(path, "a person looks", None, Effect.LOOSENS)
        elif before is not None and after is not None:
            yield from reworded(f"{path}.owner", before.owner, after.owner)
            yield from listed(f"{path}.categories", before.categories, after.categories, Effect.TIGHTENS, Effect.LOOSENS)
            stricter = Effect.TIGHTENS if after.protective is Protective.WAIT else Effect.LOOSENS
            yield from reworded(f"{path}.protective", before.protective, after.protective, stricter)
            yield from _conditions(f"{path}.conditions", before.lines, after.lines)


def _conditions(path: str, was: tuple[Line, ...], now: tuple[Line, ...]) -> Iterator[Change]:
    """Conditions are the same when they say the same; their order means nothing."""
    before, after = ({line.condition.text: line for line in lines} for lines in (was, now))
    for text in [*before, *(text for text in after if text not in before)]:
        if text not in after:
            yield Change(path, text, None, Effect.LOOSENS)
        elif text not in before:
            yield Change(path, None, text, Effect.TIGHTENS)
        else:
            yield from _line(f"{path}[{text}]", before[text], after[text])


def _line(path: str, was: Line, now: Line) -> Iterator[Change]:
    stricter = Effect.TIGHTENS if now.when_unknown is WhenUnknown.FIRE else Effect.LOOSENS
    yield from reworded(f"{path}.when_unknown", was.when_unknown, now.when_unknown, stricter)
    yield from reworded(f"{path}.because", was.because, now.because)


def rule_changes(was: tuple[Rule, ...], now: tuple[Rule, ...]) -> Iterator[Change]:
    before, after = ({rule.id: rule for rule in rules} for rules in (was, now))
    for name in sorted(before.keys() | after.keys()):
        old, new, path = before.get(name), after.get(name), f"rules.{name}"
        if old is None and new is not None:
            yield Change(path, None, new.line.condition.text, _weight(new))
        elif old is not None and new is None:
            weight = _weight(old)
            yield Change(path, old.line.condition.text, None, _OPPOSITE.get(weight, weight))
        elif old is not None and new is not None:
            yield from _rule(path, old, new)


def _weight(rule: Rule) -> Effect:
    """What a rule does by being there."""
    if rule.mode is Mode.SHADOW:
        return Effect.NEITHER
    return Effect.LOOSENS if rule.effect is Verdict.AUTOMATE else Effect.TIGHTENS


def _rule(path: str, old: Rule, new: Rule) -> Iterator[Change]:
    in_force = Mode.ENFORCE in (old.mode, new.mode)
    more = Effect.NEITHER if not in_force else Effect.LOOSENS if new.effect is Verdict.AUTOMATE else Effect.TIGHTENS
    less = _OPPOSITE.get(more, more)
    unclear = Effect.EITHER if in_force else Effect.NEITHER
    stricter = more if new.effect.strictness > old.effect.strictness else less
    yield from reworded(f"{path}.effect", old.effect, new.effect, stricter)
    yield from reworded(f"{path}.mode", old.mode, new.mode, more if new.mode is Mode.ENFORCE else less)
    yield from reworded(f"{path}.when", old.line.condition.text, new.line.condition.text, unclear)
    yield from listed(f"{path}.classes", old.classes, new.classes, more, less)
    yield from _line(path, old.line, new.line)
    for key, was, now in (("owner", old.owner, new.owner), ("until", old.until, new.until), ("reason", old.reason, new.reason)):
        yield from reworded(f"{path}.{key}", was, now)
