import pytest

from app.budgets import COUNT
from tests.app.test_cli_database import make_key
from tests.app.test_cli_database import terminal as terminal
from tests.app.typed import Terminal

OFF = ("switches", "off", "action:refund_payment", "--why", "Refunds go out twice.")
ON = ("switches", "on", "action:refund_payment", "--why", "It is mended.")


def test_a_switch_is_turned_off_listed_and_turned_on_by_a_person(terminal: Terminal) -> None:
    terminal.setenv(ORDERMEND_API_KEY=make_key(terminal, "person", "cases:review", roles=("lead",))["secret"])
    said = terminal.type(*OFF)
    assert (said.code, said.out.startswith("action:refund_payment is off since ")) == (0, True)
    listed = {item["name"]: item for item in terminal.type("switches", "list", "--json").json()}
    assert (listed["action:refund_payment"]["state"], listed["action:refund_payment"]["by"]) == ("off", "a person")
    assert listed["everything"]["state"] == "on"
    assert any("Refunds go out twice." in line for line in terminal.type("switches", "list").out.splitlines())
    assert terminal.type(*ON, "--json").json()["state"] == "on"
    assert terminal.type(*ON).out == "action:refund_payment is on.\n"


def test_without_a_key_the_machine_can_be_stopped_and_not_started_again(terminal: Terminal) -> None:
    assert terminal.type(*OFF, "--json").json()["by"] == "system"
    said = terminal.type(*ON)
    assert (said.code, said.out) == (4, "")
    assert "ORDERMEND_API_KEY" in said.err


@pytest.mark.parametrize(
    ("kind", "scope", "roles"),
    [("person", "cases:review", ("senior_reviewer",)), ("person", "policy:read", ("lead",)), ("service", "admin", ())],
)
def test_a_key_that_is_not_in_charge_turns_nothing(terminal: Terminal, kind: str, scope: str, roles: tuple[str, ...]) -> None:
    terminal.setenv(ORDERMEND_API_KEY=make_key(terminal, kind, scope, roles=roles)["secret"])
    for words in (OFF, ON):
        said = terminal.type(*words)
        assert (said.code, said.out, len(said.err.splitlines())) == (4, "", 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("switches", "off", "action:refund_paymnt", "--why", "x"), 3),
        (("switches", "off", "everything", "--why", " "), 2),
        (("switches", "off", "everything"), 2),
        (("switches", "off"), 2),
    ],
)
def test_what_is_mistyped_turns_nothing(terminal: Terminal, words: tuple[str, ...], code: int) -> None:
    said = terminal.type(*words)
    assert (said.code, said.out) == (code, "")
    if code == 3:
        assert "did you mean 'action:refund_payment'?" in said.err
    assert {item["state"] for item in terminal.type("switches", "list", "--json").json()} == {"on"}


def test_budgets_are_listed_with_what_is_left(terminal: Terminal) -> None:
    lines = {(line["key"], line["unit"]): line for line in terminal.type("budgets", "list", "--json").json()}
    assert lines["finance", COUNT]["left"] == lines["finance", COUNT]["limit"] == 60
    assert lines["finance", "JPY"]["limit"] == 700_000
    assert "fulfilment/hold_fulfilment" in terminal.type("budgets", "list").out
