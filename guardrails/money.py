"""Exact money: integer minor units and an ISO 4217 code. JPY has no minor unit, KWD has three digits."""

import re
from dataclasses import dataclass

_ZERO_DIGITS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DIGITS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
# Plain ASCII digits only, and not enough of them to make arithmetic expensive: no exponents, no underscores, no NaN.
_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]{1,30})(?:\.(?P<fraction>[0-9]{1,30}))?")


class MoneyError(ValueError):
    """The text is not an amount that this currency can hold."""


def minor_digits(currency: str) -> int:
    """How many decimal digits the currency's minor unit has (ISO 4217)."""
    if currency in _ZERO_DIGITS:
        return 0
    return 3 if currency in _THREE_DIGITS else 2


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` counts minor units of `currency` (upper-case ISO 4217)."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise MoneyError(f"a money amount is a whole number of minor units, not {self.amount!r}")
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.isalpha() or not self.currency.isupper():
            raise MoneyError(f"{self.currency!r} is not an ISO 4217 code such as USD")

    @classmethod
    def from_decimal(cls, text: str, currency: str) -> "Money":
        """`("12.50", "USD")` is 1250 minor units. More digits than the currency has are refused unless they are zeros."""
        code = currency.upper()
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise MoneyError(f"{text!r} is not a decimal amount such as 12.50")
        sign, whole, fraction = match["sign"], match["whole"], match["fraction"] or ""
        digits = minor_digits(code)
        if fraction[digits:].strip("0"):
            raise MoneyError(f"{text!r} has more digits than {code} has minor units")
        amount = int(whole + fraction[:digits].ljust(digits, "0"))
        return cls(-amount if sign else amount, code)

    def __str__(self) -> str:
        digits = minor_digits(self.currency)
        whole, minor = divmod(abs(self.amount), 10**digits)
        sign = "-" if self.amount < 0 else ""
        return f"{sign}{whole}.{minor:0{digits}d} {self.currency}" if digits else f"{sign}{whole} {self.currency}"
