"""Conditions written as Python: one function of the facts, a bit per condition.

The text is built from field names and literals by `repr` and from nothing else. Every condition becomes two truths, *certainly
true* and *certainly false*; neither of them is unknown. An operand without a usable value is None, and each comparison asks for
that first, so that nothing raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import Condition
from guardrails.policy.lookups import Lookup, Masks
from guardrails.policy.syntax import (
    AgeOf,
    Both,
    Comparison,
    Either,
    FieldValue,
    Flag,
    Known,
    LimitOf,
    Literal,
    MemberOf,
    Node,
    Not,
    OneOf,
    Operand,
    Sum,
    UntilOf,
    ValueType,
)

_DEEPEST = 12
"""Nested parentheses in one expression before a part of it moves to a line of its own; Python itself reads no more than 200."""


@dataclass(frozen=True, slots=True)
class _Amount:
    """Texts of an amount and of its currency, which is None where there is no amount."""

    amount: str
    currency: str


_AT_LENGTH = "return asked_at_length(facts)"


_DIGIT = 30
"""Bits in one digit of a Python integer. Sums of one digit are much faster, so masks are put together from pieces of it."""


def _adding(masks: Masks) -> str:
    """Every line has its own bit, and sets it once: adding is or."""
    parts = [
        f"{name}{piece} += {(bits >> piece * _DIGIT) % (1 << _DIGIT)}"
        for name, bits in zip(("fired", "unknown"), masks, strict=True)
        for piece in range(((bits & -bits).bit_length() - 1) // _DIGIT if bits else 0, -(-bits.bit_length() // _DIGIT))
        if (bits >> piece * _DIGIT) % (1 << _DIGIT)
    ]
    return "; ".join(parts) or "pass"


def _whole(name: str, pieces: int) -> str:
    """The mask out of its pieces; most of the time there is nothing in the later ones."""
    later = [f"{name}{piece}" for piece in range(1, pieces)]
    added = " + ".join([f"{name}0", *(f"({name}{piece} << {piece * _DIGIT})" for piece in range(1, pieces))])
    return f"({added}) if {' or '.join(later)} else {name}0" if later else f"{name}0"


@dataclass(slots=True)
class PythonText:
    """The function while it is written, of so many `lines`: `head` reads and computes what several conditions need, `body` holds a line or more per
    condition, `looks` the lookups by value."""

    lines: int
    names: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """`masks(facts)`."""
        pieces = max(1, -(-self.lines // _DIGIT))
        masks = " = ".join(f"{name}{piece}" for name in ("fired", "unknown") for piece in range(pieces))
        written = ["by = facts.by_name", *self.head, f"{masks} = 0", *self.body]
        if self.looks:
            written += ["try:", *(f"    {line}" for line in self.looks), "except ODD: return asked_at_length(facts)"]
        ends = f"return {_whole('fired', pieces)}, {_whole('unknown', pieces)}"
        indented = "\n".join(f"    {line}" for line in [*written, ends])
        return "\n".join([*self.tables, "def masks(facts):", indented, ""])

    # --- lookups ---

    def look_up(self, lookup: Lookup) -> None:
        """A line of Python per value that decides, the commonest first. A value that is not foreseen is asked about at length."""
        match lookup.kind:
            case ValueType.BOOL:
                values = [f"elif value is {value}: {_adding(masks)}" for value, masks in sorted(lookup.by_value.items())]
                inside = [
                    values[0].removeprefix("el"),
                    *values[1:],
                    f"elif value is U: {_adding(lookup.unknown)}",
                    f"else: {_AT_LENGTH}",
                ]
            case ValueType.TEXT:
                inside = self._look_up_text(lookup)
            case _:
                inside = [f"if value is U: {_adding(lookup.unknown)}", f"else: {_adding(lookup.otherwise)}"]
        self.looks += [
            f"if {lookup.field!r} in by:",
            f"    value = by[{lookup.field!r}].value",
            *(f"    {line}" for line in inside),
        ]
        if any(lookup.absent):
            self.looks.append(f"else: {_adding(lookup.absent)}")

    def _look_up_text(self, lookup: Lookup) -> list[str]:
        unknown = _adding(lookup.unknown)
        small = all(mask < 1 << _DIGIT for mask, _ in (*lookup.by_value.values(), lookup.unknown))
        if lookup.closed and small and not any(unseen for _, unseen in lookup.by_value.values()):
            # One look answers all; what is no value of the field raises, and the facts are asked about at length.
            listed = "".join(f", {value!r}: {masks[0]}" for value, masks in lookup.by_value.items())
            known = self._named(self.tables, "TABLE", f"{{U: {lookup.unknown[0]}{listed}}}")
            return [
                f"bits = {known}[value]",
                "if bits:",
                "    fired0 += bits",
                f"    if value is U: {_adding((0, lookup.unknown[1]))}",
            ]
        found = [f"if value is U: {unknown}", f"elif type_of(value) is not T_text: {_AT_LENGTH}"]
        said: dict[Masks, list[str]] = {}
        for value, masks in lookup.by_value.items():
            said.setdefault(masks, []).append(value)
        found += [f"elif value in {self._listed(values)}: {_adding(masks)}" for masks, values in said.items() if any(masks)]
        silent = [value for masks, values in said.items() if not any(masks) for value in values]
        if any(lookup.otherwise):
            found.append(f"elif value not in {self._listed(silent)}: {_adding(lookup.otherwise)}")
        return found

    def _listed(self, values: Sequence[str]) -> str:
        return f"{tuple(values)!r}" if len(values) < 4 else self._named(self.tables, "SET", f"{{{', '.join(map(repr, values))}}}")

    # --- conditions ---

    def truth(self, node: Node, wanted: bool, depth: int = 0) -> str:
        """The text that asks whether the node is certainly `wanted`."""
        match node:
            case Not(inner):
                return self.truth(inner, not wanted, depth)
            case Both(parts) | Either(parts):
                word = " and " if isinstance(node, Both) is wanted else " or "
                return self._joined([self.truth(part, wanted, depth + 1) for part in parts], word, depth)
            case Comparison(left, op, right) if left.type is ValueType.MONEY:
                return self._money(left, op, right, wanted)
            case Comparison(FieldValue(name, ValueType.BOOL), op, Literal(_, value)):
                return f"{self.raw(name)} is {(value is True) is ((op == '==') is wanted)}"
            case Comparison(left, op, right):
                return self._plain(left, op, right, wanted)
            case OneOf(operand, items):
                return self._one_of(operand, items, wanted)
            case MemberOf(operand, members):
                value, among = self._value(operand), self._value(members)
                return _guarded([value, among], f"{value} {'in' if wanted else 'not in'} {among}")
            case Known(name):
                raw = self.raw(name)
                return f"({raw} is not ABSENT and {raw} is not U)" if wanted else f"{raw} is ABSENT"
            case Flag(FieldValue(name)):
                return f"{self.raw(name)} is {wanted}"
            case Flag(operand):
                return f"{self._value(operand)} is {wanted}"

    def _joined(self, parts: list[str], word: str, depth: int) -> str:
        text = f"({word.join(parts)})"
        return text if depth == 0 or depth % _DEEPEST else self._named(self.body, "part", text)

    def _plain(self, left: Operand, op: str, right: Operand, wanted: bool) -> str:
        a, b = self._value(left), self._value(right)
        if isinstance(right, Literal) and op == ("==" if wanted else "!="):
            return f"{a} == {b}"  # None equals no literal
        return _guarded([a, b], f"{a} {op} {b}" if wanted else f"not {a} {op} {b}")

    def _money(self, left: Operand, op: str, right: Operand, wanted: bool) -> str:
        a, b = self._amount(left, right), self._amount(right, left)
        compared = f"{a.amount} {op} {b.amount}" if wanted else f"not {a.amount} {op} {b.amount}"
        same = [] if a.currency == b.currency else [f"{a.currency} == {b.currency}"]
        return _guarded([a.currency, b.currency], " and ".join([*same, compared]))

    def _one_of(self, operand: Operand, items: tuple[Any, ...], wanted: bool) -> str:
        if not items or isinstance(operand, LimitOf):
            return str(not items and not wanted)
        if operand.type is not ValueType.MONEY:
            value = self._value(operand)
            listed = ", ".join(_constant(item) for item in items)
            return f"{value} in ({listed},)" if wanted else _guarded([value], f"{value} not in ({listed},)")
        money = self._amount(operand, operand)
        currencies = {item.currency for item in items}
        found = f"({money.currency}, {money.amount}) in {tuple((item.currency, item.amount) for item in items)!r}"
        if wanted:
            return _guarded([money.currency], found)
        if len(currencies) > 1:
            return "False"
        return _guarded([money.currency], f"{money.currency} == {currencies.pop()!r} and not {found}")

    def against_limit(self, node: Comparison, bit: int) -> None:
        """A field of money against a limit, by far the commonest condition about money."""
        assert isinstance(node.left, FieldValue)
        assert isinstance(node.right, LimitOf)
        amounts = {code: money.amount for code, money in node.right.table.items() if code == money.currency}
        table, raw = self._named(self.tables, "TABLE", repr(amounts)), self.raw(node.left.name)
        self.body += [
            f"if type_of({raw}) is not T_money or {raw}.currency not in {table}: {_adding((bit, bit))}",
            f"elif {raw}.amount {node.op} {table}[{raw}.currency]: {_adding((bit, 0))}",
        ]

    # --- operands ---

    def raw(self, name: str) -> str:
        """What the facts hold of the field, of whatever kind; ABSENT where nobody has stated it."""
        return self._named(self.head, "read", _fetching(name))

    def _value(self, operand: Operand) -> str:
        """The text of a value of its type or None; of a literal, its constant."""
        match operand:
            case Literal(_, value):
                return _constant(value)
            case FieldValue(name, kind):
                return self._of_field(self.raw(name), kind)
            case AgeOf(name):
                return self._typed(self._named(self.head, "age", f"facts.age({name!r})"), ValueType.DURATION)
            case UntilOf(name):
                return self._typed(self._named(self.head, "until", f"until(facts, {name!r})"), ValueType.DURATION)
            case Sum(terms, kind):
                values = [self._value(term) for term in terms]
                added = self._named(self.head, "raw", f"total(({', '.join(values)})) if {_guarded(values, 'True')} else None")
                return self._typed(added, kind)
            case LimitOf():
                raise ValueError("a limit has no value before it is compared")

    def _of_field(self, raw: str, kind: ValueType) -> str:
        if kind is ValueType.TIME:
            return self._named(self.head, "value", f"None if {raw} is ABSENT else moment({raw})")
        if kind is ValueType.TEXT:
            return self._named(
                self.head, "value", f"{raw} if type_of({raw}) is T_text else None if {raw} is ABSENT else text({raw})"
            )
        return self._typed(raw, kind)

    def _typed(self, raw: str, kind: ValueType) -> str:
        return self._named(self.head, "value", f"{raw} if type_of({raw}) is T_{kind.value} else None")

    def _amount(self, operand: Operand, other: Operand) -> _Amount:
        match operand:
            case Literal(_, Money(amount, currency)):
                return _Amount(repr(amount), repr(currency))
            case LimitOf(_, table):
                return self._limit({code: money.amount for code, money in table.items() if code == money.currency}, other)
            case Sum(terms):
                amounts = [self._amount(term, term) for term in terms]
                first, *others = [item.currency for item in amounts]
                same = " and ".join(f"{first} == {currency}" for currency in others)
                currency = self._named(self.head, "currency", f"{first} if {same} else None")
                added = " + ".join(item.amount for item in amounts)
                return _Amount(self._named(self.head, "amount", f"None if {currency} is None else {added}"), currency)
        money = self._value(operand)
        return _Amount(
            self._named(self.head, "amount", f"None if {money} is None else {money}.amount"),
            self._named(self.head, "currency", f"None if {money} is None else {money}.currency"),
        )

    def _limit(self, amounts: dict[str, int], other: Operand) -> _Amount:
        """The limit in the other side's currency; without one there, the currency of the limit is None."""
        table = self._named(self.tables, "TABLE", repr(amounts))
        currency = self._amount(other, other).currency
        amount = self._named(self.head, "limit", f"{table}[{currency}] if {currency} in {table} else None")
        return _Amount(amount, self._named(self.head, "currency", f"None if {amount} is None else {currency}"))

    def _named(self, lines: list[str], what: str, text: str) -> str:
        """The local that holds `text`, written where it is first asked for."""
        if text not in self.names:
            self.names[text] = f"{what}{len(self.names)}"
            lines.append(f"{self.names[text]} = {text}")
        return self.names[text]


def _fetching(name: str) -> str:
    return f"by[{name!r}].value if {name!r} in by else ABSENT"


def _guarded(values: list[str], text: str) -> str:
    """The text, asked only where no value is None. A constant begins unlike a local and needs no guard."""
    locals_only = dict.fromkeys(value for value in values if value[0].islower() and not value.startswith("timedelta"))
    return f"({' and '.join([*(f'{value} is not None' for value in locals_only), text])})"


def _constant(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"timedelta({value.days}, {value.seconds}, {value.microseconds})"
    return repr(value)


# --- whole conditions ---


def write_condition(writer: PythonText, number: int, condition: Condition, silence: str | None) -> None:
    if condition.tree is None:
        raise ValueError(f"{condition.text!r} was not written in the language, so no code can be made of it")
    bit = 1 << number
    certainly, unseen = _adding((bit, 0)), _adding((bit, bit))
    if silence is None and isinstance(condition.tree, Comparison) and _is_against_limit(condition.tree):
        writer.against_limit(condition.tree, bit)
        return
    certain, never = writer.truth(condition.tree, True), writer.truth(condition.tree, False)
    quiet = silence is not None and len(condition.fields) == 1 and isinstance(condition.tree, Comparison | OneOf | Flag)
    # One question about one field that nobody mentioned is silence, and the commonest case of all.
    unmentioned = [f"{writer.raw(name)} is ABSENT" for name in condition.fields if quiet]
    writer.body += [
        f"if {' or '.join([*unmentioned, never])}: pass",
        f"elif {certain}: {certainly}",
        f"else: {unseen}" if silence is None else f"elif not ({silence}): {unseen}",
    ]


def _is_against_limit(node: Comparison) -> bool:
    return isinstance(node.left, FieldValue) and isinstance(node.right, LimitOf)


def silence_of(writer: PythonText, condition: Condition) -> str:
    """True where something is unknown, and only because nobody mentioned it or a check had nothing to compute from."""
    raws = {name: writer.raw(name) for name in sorted(condition.fields)}
    unknown = " or ".join(f"{raw} is ABSENT or {raw} is U" for raw in raws.values()) or "False"
    answered = [f"{raw} is U" for name, raw in raws.items() if CATALOGUE[name].writer not in (Writer.DERIVED, Writer.CLOCK)]
    return f"({unknown}) and not ({' or '.join(answered)})" if answered else unknown
