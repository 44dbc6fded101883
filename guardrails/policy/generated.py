"""Many conditions as one Python function of the facts: a bit per condition, for speed.

The text is built from field names and literals by `repr` and from nothing else, and runs without builtins. Every condition
becomes two booleans, *certainly true* and *certainly false*; neither of them is unknown. An operand without a usable value
is None, and each comparison asks for that first, so that nothing raises. The closures of `language.py` say what is right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from guardrails.facts import UNKNOWN, Fact, Facts
from guardrails.money import Money
from guardrails.policy.catalogue import CATALOGUE, Writer
from guardrails.policy.language import PYTHON_TYPE, Condition, time_until, total
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
from guardrails.policy.tables import Line, WhenUnknown

ABSENT: Any = object()
"""Stands for the value of a field that nobody has stated."""

Masks = tuple[int, int]
"""Bit `n` stands for the n-th condition. First the certainly true ones (or the lines that fired), then the unknown ones."""

_DEEPEST = 12
"""Nested parentheses in one expression before a part of it moves to a line of its own; Python itself reads no more than 200."""


def generate_truths(conditions: Sequence[Condition]) -> Callable[[Facts], Masks]:
    """`(certainly true, unknown)` of all conditions."""
    return _compiled(source_of_truths(conditions))


def generate_outcomes(lines: Sequence[Line]) -> Callable[[Facts], Masks]:
    """`(fired, fired because unknown)` of all lines: a quiet one leaves out what is only silence, as `outcome_of` does."""
    return _compiled(source_of_outcomes(lines))


def source_of_truths(conditions: Sequence[Condition]) -> str:
    writer = _Source()
    for number, condition in enumerate(conditions):
        _write_condition(writer, number, condition, None)
    return writer.text()


def source_of_outcomes(lines: Sequence[Line]) -> str:
    writer = _Source()
    for number, line in enumerate(lines):
        silence = _silence(writer, line.condition) if line.when_unknown is WhenUnknown.QUIET else None
        _write_condition(writer, number, line.condition, silence)
    return writer.text()


def _compiled(source: str) -> Callable[[Facts], Masks]:
    names: dict[str, Any] = {
        "__builtins__": {},
        "U": UNKNOWN,
        "NOBODY": Fact("", ABSENT, "", None),
        "ABSENT": ABSENT,
        "Money": Money,
        "timedelta": timedelta,
        "type_of": type,
        "text": _text,
        "moment": _moment,
        "until": time_until,
        "total": total,
        **{f"T_{kind.value}": python for kind, python in PYTHON_TYPE.items()},
    }
    # The text holds only names of the catalogue and reprs of literals; see the module's own account of it.
    exec(compile(source, "<policy>", "exec"), names)  # noqa: S102 - the text is ours, and runs without builtins
    function: Callable[[Facts], Masks] = names["masks"]
    return function


def _text(value: Any) -> str | None:
    """A text enum counts as its text."""
    plain = str(value) if isinstance(value, str) else None
    return plain if type(plain) is str else None


def _moment(value: Any) -> Any:
    """A time with a zone."""
    return value if type(value) is datetime and value.tzinfo is not None else None


def _write_condition(writer: "_Source", number: int, condition: Condition, silence: str | None) -> None:
    if condition.tree is None:
        raise ValueError(f"{condition.text!r} was not written in the language, so no code can be made of it")
    bit = 1 << number
    certain, never = writer.truth(condition.tree, True), writer.truth(condition.tree, False)
    quiet = silence is not None and len(condition.fields) == 1 and isinstance(condition.tree, Comparison | OneOf | Flag)
    # One question about one field that nobody mentioned is silence, and the commonest case of all.
    unmentioned = [f"{writer.raw(name)} is ABSENT" for name in condition.fields if quiet]
    writer.body += [
        f"if {' or '.join([*unmentioned, never])}: pass",
        f"elif {certain}: true |= {bit}",
        f"else: unknown |= {bit}" if silence is None else f"elif not ({silence}): unknown |= {bit}",
    ]


def _silence(writer: "_Source", condition: Condition) -> str:
    """True where something is unknown, and only because nobody mentioned it or a check had nothing to compute from."""
    raws = {name: writer.raw(name) for name in sorted(condition.fields)}
    unknown = " or ".join(f"{raw} is ABSENT or {raw} is U" for raw in raws.values()) or "False"
    answered = [f"{raw} is U" for name, raw in raws.items() if CATALOGUE[name].writer not in (Writer.DERIVED, Writer.CLOCK)]
    return f"({unknown}) and not ({' or '.join(answered)})" if answered else unknown


@dataclass(frozen=True, slots=True)
class _Amount:
    """Texts of an amount and of its currency, which is None where there is no amount."""

    amount: str
    currency: str


@dataclass(slots=True)
class _Source:
    """The function while it is written: what is read once at its head, and then a line or more per condition."""

    names: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = ["get = facts.by_name.get", "age = facts.age", "true = unknown = 0", *self.head, *self.body]
        indented = "\n".join(f"    {line}" for line in [*lines, "return true | unknown, unknown"])
        return "\n".join([*self.tables, "def masks(facts):", indented, ""])

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

    # --- operands ---

    def raw(self, name: str) -> str:
        """What the facts hold of the field, of whatever kind; ABSENT where nobody has stated it."""
        return self._named(self.head, "raw", f"get({name!r}, NOBODY).value")

    def _value(self, operand: Operand) -> str:
        """The text of a value of its type or None; of a literal, its constant."""
        match operand:
            case Literal(_, value):
                return _constant(value)
            case FieldValue(name, kind):
                return self._of_field(self.raw(name), kind)
            case AgeOf(name):
                return self._typed(self._named(self.head, "raw", f"age({name!r})"), ValueType.DURATION)
            case UntilOf(name):
                return self._typed(self._named(self.head, "raw", f"until(facts, {name!r})"), ValueType.DURATION)
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


def _guarded(values: list[str], text: str) -> str:
    """The text, asked only where no value is None. A constant begins unlike a local and needs no guard."""
    locals_only = dict.fromkeys(value for value in values if value[0].islower() and not value.startswith("timedelta"))
    return f"({' and '.join([*(f'{value} is not None' for value in locals_only), text])})"


def _constant(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"timedelta({value.days}, {value.seconds}, {value.microseconds})"
    return repr(value)
