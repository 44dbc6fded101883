"""Exact money: nothing is rounded, and nothing that is not an amount becomes one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.money import Money, MoneyError, minor_digits


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("12.5", "usd", 1250),
        ("70000", "JPY", 70000),
        ("70000.00", "JPY", 70000),
        ("150.000", "KWD", 150000),
        ("0.01", "EUR", 1),
        ("-3.10", "GBP", -310),
        ("12.5000", "USD", 1250),
    ],
)
def test_a_decimal_text_becomes_minor_units(text: str, currency: str, minor: int) -> None:
    assert Money.from_decimal(text, currency) == Money(minor, currency.upper())


@pytest.mark.parametrize(
    "text", ["12.505", "", "NaN", "Infinity", "1e3", "1e999999999", "1_000", ".5", "5.", " 5", "12,50", "１２", "--1", "0x10"]
)
def test_a_text_that_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        Money.from_decimal(text, "USD")


def test_a_very_long_amount_is_not_rounded() -> None:
    assert Money.from_decimal("12345678901234567890123456789.01", "USD").amount == 1234567890123456789012345678901


@pytest.mark.parametrize("currency", ["", "US", "usd", "US1", "ＵＳＤ", "USDT"])
def test_a_currency_that_is_no_iso_code_is_refused(currency: str) -> None:
    with pytest.raises(MoneyError):
        Money(100, currency)


@pytest.mark.parametrize("amount", [1.0, True, "1"])
def test_an_amount_that_is_no_whole_number_is_refused(amount: int) -> None:
    with pytest.raises(MoneyError):
        Money(amount, "USD")


@given(st.integers(-(10**40), 10**40), st.sampled_from(["USD", "JPY", "KWD"]))
def test_money_reads_back_what_it_writes(amount: int, currency: str) -> None:
    money = Money(amount, currency)
    shown, code = str(money).split()
    assert code == currency
    if abs(amount) < 10**27:
        assert Money.from_decimal(shown, code) == money
    assert shown.replace(".", "").lstrip("-").lstrip("0") == str(abs(amount)).lstrip("0")
    assert len(shown.partition(".")[2]) == minor_digits(currency)
