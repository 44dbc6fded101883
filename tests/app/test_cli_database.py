import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.app.typed import Said, Terminal

NOW = datetime.now(UTC).isoformat()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str) -> Terminal:
    opened = Terminal(monkeypatch, capsys)
    opened.setenv(ORDERMEND_DATABASE_URL=database_url, ORDERMEND_DATA_DIR=str(tmp_path), ORDERMEND_CLASSIFIER="rules")
    return opened


def make_key(terminal: Terminal, kind: str, *scopes: str, roles: tuple[str, ...] = ()) -> dict[str, Any]:
    words = [word for scope in scopes for word in ("--scope", scope)] + [word for role in roles for word in ("--role", role)]
    made: dict[str, Any] = terminal.type("keys", "create", "--name", f"a {kind}", "--kind", kind, *words, "--json").json()
    return made


def report_failed_payment(terminal: Terminal) -> Said:
    def fact(value: Any, source: str) -> dict[str, Any]:
        return {"value": value, "source": source, "observed_at": NOW}

    body = {
        "order_ref": "#9001",
        "reported_by": "help desk",
        "facts": {
            "order.total": fact({"amount": 5800, "currency": "USD"}, "shopify"),
            "order.financial_status": fact("pending", "shopify"),
            "payment.status": fact("failed", "stripe"),
        },
    }
    return terminal.type("triage", "-", "--json", stdin=json.dumps(body))


def test_a_reported_exception_is_judged_and_shown(terminal: Terminal) -> None:
    said = report_failed_payment(terminal)
    case = said.json()
    assert said.code == 0
    assert (case["category"], case["verdict"], case["owner"]) == ("payment_failed", "review", "finance")
    listed = terminal.type("cases", "list", "--verdict", "review", "--json").json()
    assert [row["id"] for row in listed] == [case["id"]]
    assert terminal.type("cases", "show", case["id"], "--json").json()["order_ref"] == "#9001"
    explained = terminal.type("policy", "explain", case["id"], "--json").json()
    assert explained["ruling"]["verdict"] == "review"
    assert "failed_payment_capture" in terminal.type("policy", "explain", case["id"]).out


def test_an_approval_takes_a_persons_key_and_the_version_that_was_read(terminal: Terminal) -> None:
    case = report_failed_payment(terminal).json()
    approve = ("cases", "approve", case["id"], "--reason", "paid by phone", "--version")
    assert terminal.type(*approve, str(case["version"])).code == 4

    terminal.setenv(ORDERMEND_API_KEY=make_key(terminal, "service", "cases:review")["secret"])
    assert terminal.type(*approve, str(case["version"])).code == 4

    person = make_key(terminal, "person", "cases:review", roles=("reviewer",))
    terminal.setenv(ORDERMEND_API_KEY=person["secret"])
    assert terminal.type(*approve, str(case["version"] + 1)).code == 5
    approved = terminal.type(*approve, str(case["version"]), "--json")
    assert approved.code == 0
    assert approved.json()["status"] == "acting"

    assert terminal.type("keys", "revoke", person["id"]).code == 0
    assert terminal.type(*approve, "9").code == 4


def test_a_case_shown_in_words_says_what_an_approval_would_carry_out_and_on_what_evidence(terminal: Terminal) -> None:
    case = report_failed_payment(terminal).json()
    told = terminal.type("cases", "show", case["id"]).out.splitlines()
    assert any(line.startswith("proposed: send_payment_link, review") for line in told)
    assert any(line.startswith("evidence: failed, /fields/payment.status") for line in told)
    assert any(line.startswith("would lift it: ") for line in told)


def test_a_rejection_closes_the_case_once(terminal: Terminal) -> None:
    case = report_failed_payment(terminal).json()
    terminal.setenv(ORDERMEND_API_KEY=make_key(terminal, "person", "cases:review", roles=("reviewer",))["secret"])
    reject = ("cases", "reject", case["id"], "--reason", "a test order", "--version", str(case["version"]), "--json")
    assert terminal.type(*reject).json()["status"] == "resolved"
    assert terminal.type(*reject).code == 5


def test_a_key_without_the_scope_is_denied(terminal: Terminal) -> None:
    terminal.setenv(ORDERMEND_API_KEY=make_key(terminal, "person", "cases:read", roles=("reviewer",))["secret"])
    said = terminal.type("cases", "reject", "case_any", "--version", "1", "--reason", "no")
    assert said.code == 4
    assert "cases:review" in said.err


def test_a_keys_secret_is_shown_once_and_alone_on_stdout(terminal: Terminal) -> None:
    said = terminal.type("keys", "create", "--name", "Ada", "--kind", "person", "--scope", "admin")
    secret = said.out.strip()
    assert secret.startswith("om_live_")
    assert said.out.count("\n") == 1
    listed = terminal.type("keys", "list", "--json")
    assert [key["name"] for key in listed.json()] == ["ada"]
    assert secret not in listed.out


@pytest.mark.parametrize("wrong", [("--kind", "robot", "--scope", "admin"), ("--kind", "person", "--scope", "everything")])
def test_a_key_of_an_unknown_kind_or_scope_exits_2(terminal: Terminal, wrong: tuple[str, ...]) -> None:
    assert terminal.type("keys", "create", "--name", "Ada", *wrong).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("cases", "show", "case_none"),
        ("policy", "explain", "case_none"),
        ("signals", "replay", "sig_none"),
        ("keys", "revoke", "key_none"),
        ("trail", "export", "--case", "case_none"),
        ("triage", "nowhere.json"),
    ],
)
def test_what_is_not_there_exits_3(terminal: Terminal, words: tuple[str, ...]) -> None:
    said = terminal.type(*words)
    assert said.code == 3
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("body", ["{", "[]", '{"order_ref": 5, "reported_by": "desk"}'])
def test_a_report_that_cannot_be_read_exits_2_and_names_the_field(terminal: Terminal, body: str) -> None:
    said = terminal.type("triage", "-", stdin=body)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


def test_the_trail_verifies_until_somebody_changes_it(terminal: Terminal, database_url: str) -> None:
    report_failed_payment(terminal)
    sound = terminal.type("trail", "verify", "--json")
    assert sound.code == 0
    assert sound.json()["valid"] is True
    assert len(terminal.type("trail", "export").lines()) == sound.json()["entries"]

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE trail DISABLE TRIGGER USER")
        connection.execute("""UPDATE trail SET body = '{"nothing": "happened"}' WHERE seq = 2""")
    broken = terminal.type("trail", "verify", "--json")
    assert broken.code == 1
    assert (broken.json()["valid"], broken.json()["first_bad"]) == (False, 2)


def test_the_schema_upgrade_can_be_repeated(terminal: Terminal) -> None:
    assert terminal.type("db", "upgrade").code == 0
    assert terminal.type("db", "upgrade", "--json").json() == {"upgraded": True, "embedded": False}


def test_the_doctor_finds_a_healthy_installation_healthy(terminal: Terminal) -> None:
    said = terminal.type("doctor", "--json")
    assert said.code == 0
    assert said.json()["ok"] is True
