"""Exact money: integer minor units and an ISO 4217 code. JPY has no minor unit, KWD has three digits."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_ZERO_DIGITS = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"]
)
_THREE_DIGITS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])


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
        try:
            scaled = Decimal(text).scaleb(minor_digits(code))
            whole = scaled.to_integral_value()
        except (InvalidOperation, ValueError) as error:
            raise MoneyError(f"{text!r} is not a decimal amount") from error
        if not scaled.is_finite() or scaled != whole:
            raise MoneyError(f"{text!r} has more digits than {code} has minor units")
        return cls(int(whole), code)

    def __str__(self) -> str:
        digits = minor_digits(self.currency)
        return f"{Decimal(self.amount).scaleb(-digits):.{digits}f} {self.currency}"
