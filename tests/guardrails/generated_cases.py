"""Conditions and facts drawn from a seed, near the values that decide: unknown, odd and of several currencies among them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from random import Random
from typing import Any

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.language import Condition, FieldType, Scope, ValueType
from guardrails.policy.syntax import Comparison, FieldValue, Flag, LimitOf, Literal, OneOf, UntilOf, leaves_of
from guardrails.replay.columns import LARGEST
from tests.guardrails.clean_case import NOW


class Letter(StrEnum):
    A = "a"


TEXTS, CURRENCIES = ("a", "b", "c"), ("USD", "EUR", "JPY", "CHF")
SCOPE = Scope(
    {
        **dict.fromkeys(("p", "q"), FieldType(ValueType.BOOL)),
        **dict.fromkeys(("n", "m"), FieldType(ValueType.INT)),
        "s": FieldType(ValueType.TEXT, frozenset(TEXTS)),
        "t": FieldType(ValueType.TEXT),
        **dict.fromkeys(("x", "y"), FieldType(ValueType.MONEY)),
        **dict.fromkeys(("d", "e"), FieldType(ValueType.TIME)),
        **dict.fromkeys(("g", "h"), FieldType(ValueType.SET)),
        **dict.fromkeys(("k", "l"), FieldType(ValueType.DURATION)),
    },
    {
        "cap": {"USD": Money(200, "USD"), "EUR": Money(1, "EUR"), "JPY": Money(10**24, "JPY")},
        "floor": {"USD": Money(0, "USD"), "CHF": Money(1, "EUR")},
    },
    {"kind": timedelta(hours=2)},
)
_NUMERIC = {
    ValueType.INT: ("n", "m"),
    ValueType.MONEY: ("x", "y"),
    ValueType.DURATION: ("k", "l", "age(n)", "age(t)", "until(d)", "until(e)"),
}
_LITERALS = {
    ValueType.INT: ("0", "1", "2", "7", "99999999999999999999999999"),
    ValueType.MONEY: ("0.00 USD", "1.00 USD", "2.00 USD", "0.01 EUR", "2 JPY", "999999999999999999999999.00 USD"),
    ValueType.DURATION: ("0s", "1h", "2h", "freshness(kind)", "36500d"),
}


def random_condition(draw: Random, depth: int = 3) -> str:
    """A condition over the fields of SCOPE."""
    if depth == 0 or draw.random() < 0.3:
        return _leaf(draw)
    shape = draw.choice(("and", "or", "not", "group"))
    if shape == "not":
        return f"not ({random_condition(draw, depth - 1)})"
    if shape == "group":
        return f"({random_condition(draw, depth - 1)})"
    return f" {shape} ".join(f"({random_condition(draw, depth - 1)})" for _ in range(draw.choice((2, 2, 3))))


def _leaf(draw: Random) -> str:
    kind = draw.choice((*_NUMERIC, *_NUMERIC, *ValueType))
    equality = draw.choice(("==", "!="))
    match kind:
        case ValueType.BOOL:
            return draw.choice(("p", "q", "true", f"p {equality} q", f"q {equality} {draw.choice(('true', 'false'))}"))
        case ValueType.TEXT:
            listed = draw.sample([f"'{text}'" for text in TEXTS], draw.randint(0, 3))
            among = f"{draw.choice(('s', 't'))} {draw.choice(('in', 'not in'))} [{', '.join(listed)}]"
            return draw.choice(
                (f"s {equality} t", f"t {equality} ''", f"s {equality} 'b'", among, f"known({draw.choice('pntxdg')})")
            )
        case ValueType.TIME:
            return f"d {draw.choice(('<', '<=', '==', '!=', '>', '>='))} e"
        case ValueType.SET:
            return draw.choice(
                (f"g {draw.choice(('<=', '==', '!='))} h", f"{draw.choice(('s', 't', chr(39) + 'a' + chr(39)))} in g")
            )
    return _numbers(draw, kind)


def _numbers(draw: Random, kind: ValueType) -> str:
    if draw.random() < 0.2:
        listed = draw.sample([item for item in _LITERALS[kind] if "(" not in item], draw.randint(0, 3))
        return f"{_sum(draw, kind)} {draw.choice(('in', 'not in'))} [{', '.join(listed)}]"
    left, right = _sum(draw, kind), _sum(draw, kind)
    if kind is ValueType.MONEY and draw.random() < 0.4:
        right = draw.choice(("limit(cap)", "limit(floor)"))
    sides = [left, right]
    draw.shuffle(sides)
    return f"{sides[0]} {draw.choice(('<', '<=', '==', '!=', '>', '>='))} {sides[1]}"


def _sum(draw: Random, kind: ValueType) -> str:
    terms = draw.choices((*_NUMERIC[kind], *_NUMERIC[kind], *_LITERALS[kind]), k=draw.choice((1, 1, 1, 2, 3)))
    return " + ".join(terms)


# --- facts ---

ODD: tuple[Any, ...] = (
    None,
    1.5,
    float("nan"),
    [],
    object(),
    b"x",
    "",
    True,
    3,
    Letter.A,
    "1",
    Money(1, "USD"),
    timedelta.max,
    timedelta(1),
    NOW,
    datetime(2026, 11, 23),
    frozenset({1, None, ("a",)}),
    2**70,
    Money(-(2**70), "USD"),
    datetime.max.replace(tzinfo=UTC),
)
_WHEN = (NOW, NOW, NOW + timedelta(hours=2), NOW - timedelta(hours=1), NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))
_MANY = tuple(f"m{number}" for number in range(150))


def random_value(draw: Random, kind: ValueType) -> Any:
    """A usable value of the type, drawn so that equal and ordered pairs are common."""
    match kind:
        case ValueType.BOOL:
            return draw.random() < 0.5
        case ValueType.INT:
            return 2**50 + draw.randint(-1, 1) if draw.random() < 0.03 else draw.choice((-1, 0, 1, 2, 3, 7, draw.randint(-10, 10)))
        case ValueType.TEXT:
            return draw.choice((*TEXTS, Letter.A, "", "Zürich"))
        case ValueType.MONEY:
            return Money(draw.choice((0, 1, 2, 99, 100, 199, 200, 201, draw.randint(-300, 300))), draw.choice(("USD", *CURRENCIES)))
        case ValueType.TIME:
            return draw.choice(_WHEN) + timedelta(microseconds=draw.choice((-1, 0, 0, 1)))
        case ValueType.DURATION:
            return timedelta(hours=draw.choice((-1, 0, 1, 2, 3)), microseconds=draw.choice((-1, 0, 0, 1)))
        case ValueType.SET:
            return frozenset(draw.sample((*TEXTS, *_MANY) if draw.random() < 0.1 else TEXTS, draw.randint(0, 3)))


def random_facts(draw: Random, types: Mapping[str, ValueType], near: Mapping[str, Sequence[Any]], unknown: float = 0.12) -> Facts:
    """Facts of these fields: a few absent, empty or odd, and the others often exactly what `near` says conditions ask for."""
    by_name = {}
    for name, kind in types.items():
        chance = draw.random()
        if chance < unknown:
            continue
        if chance < 1.5 * unknown:
            value: Any = UNKNOWN
        elif chance < 1.5 * unknown + 0.03:
            value = draw.choice(ODD)
        else:
            value = draw.choice(near[name]) if name in near and draw.random() < 0.6 else random_value(draw, kind)
        seen: Any = draw.choice((NOW, NOW - timedelta(hours=2), NOW - timedelta(hours=3), NOW + timedelta(hours=9), None))
        if chance > 0.995:
            seen = datetime(2026, 11, 23)
        by_name[name] = Fact(name, value, "shopify", seen)
    return Facts("#1", NOW, by_name)


def types_of(conditions: Collection[Condition], scope: Mapping[str, FieldType]) -> dict[str, ValueType]:
    return {name: scope[name].type for condition in conditions for name in sorted(condition.fields)}


def decisive_values(conditions: Collection[Condition]) -> dict[str, list[Any]]:
    """Per field the values that its conditions name, and for numbers their neighbours."""
    near: dict[str, list[Any]] = {}
    for condition in conditions:
        for leaf in _comparisons(condition):
            names = [item.name for item in leaves_of(leaf) if isinstance(item, FieldValue | UntilOf)]
            for name in names:
                near.setdefault(name, []).extend(_around(leaf))
    return {name: values for name, values in near.items() if values}


def _comparisons(condition: Condition) -> list[Any]:
    waiting, found = [condition.tree], []
    while waiting:
        node: Any = waiting.pop()
        if isinstance(node, Comparison | OneOf | Flag):
            found.append(node)
        else:
            waiting += [*getattr(node, "parts", ()), *([node.inner] if hasattr(node, "inner") else [])]
    return found


def _around(leaf: Comparison | OneOf | Flag) -> list[Any]:
    values: list[Any] = [item.value for item in leaves_of(leaf) if isinstance(item, Literal)]
    if isinstance(leaf, OneOf):
        values += leaf.items
    for item in leaves_of(leaf):
        if isinstance(item, LimitOf):
            values += item.table.values()
    return [near for value in values for near in _neighbours(value)]


def _neighbours(value: Any) -> list[Any]:
    """Nothing so large that columns would leave the case to the closures; `random_value` and ODD bring a few of those."""
    if isinstance(value, Money) and abs(value.amount) < LARGEST:
        return [Money(value.amount + step, value.currency) for step in (-1, 0, 1)]
    if type(value) is int and abs(value) < LARGEST:
        return [value - 1, value, value + 1]
    if isinstance(value, timedelta) and value < timedelta(days=365):
        return [NOW + value]
    return [value] if isinstance(value, bool | str) else []
