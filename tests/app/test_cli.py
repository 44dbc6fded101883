import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import COMMANDS
from tests.app.typed import Terminal, run_script

DATA = Path(__file__).resolve().parent.parent / "data"
POLICY = Path(__file__).resolve().parent.parent.parent / "config" / "policy.yaml"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    """No database is to be had here."""
    opened = Terminal(monkeypatch, capsys)
    opened.setenv(ORDERMEND_DATABASE_URL="postgresql://127.0.0.1:1/nowhere", ORDERMEND_DATA_DIR=str(tmp_path))
    return opened


def recorded_vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "signatures" / "webhook_signature_vectors.json").read_text())
    return found


def test_every_recorded_signature_gets_its_recorded_answer_through_the_console_script() -> None:
    vectors = recorded_vectors()
    said = run_script("signals", "verify", stdin="".join(json.dumps(vector) + "\n" for vector in vectors))
    answers = said.lines()
    assert said.code == 0
    assert [answer["valid"] for answer in answers] == [vector["valid"] for vector in vectors]
    assert all(answer["why"] for answer in answers)


def test_a_line_that_is_no_vector_is_not_valid_and_the_next_line_is_still_answered(terminal: Terminal, tmp_path: Path) -> None:
    good = next(vector for vector in recorded_vectors() if vector["valid"])
    file = tmp_path / "vectors.jsonl"
    file.write_text(f"{{broken\n[]\n\n{json.dumps(good)}\n")
    answers = terminal.type("signals", "verify", str(file)).lines()
    assert [answer["valid"] for answer in answers] == [False, False, True]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_overview_explains_itself(terminal: Terminal, name: str) -> None:
    said = terminal.type(*name.split(), "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: ordermend {name}")


def test_the_overview_names_every_command(terminal: Terminal) -> None:
    overview = terminal.type("--help")
    assert overview.code == 0
    assert all(name in overview.out for name in COMMANDS)


def test_a_group_alone_shows_its_commands(terminal: Terminal) -> None:
    said = terminal.type("signals")
    assert said.code == 0
    assert "signals replay" in said.out
    assert "cases list" not in said.out


@pytest.mark.parametrize("words", [("nonsense",), ("signals", "nonsense"), ("cases", "show"), ("trail", "verify", "--nonsense")])
def test_a_mistyped_command_exits_2_and_says_so_on_stderr(terminal: Terminal, words: tuple[str, ...]) -> None:
    said = terminal.type(*words)
    assert said.code == 2
    assert said.out == ""
    assert said.err


def test_checking_signatures_loads_no_database_library() -> None:
    check = "import sys; from app.cli import run; run(['signals', 'verify', '/dev/null']); sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_policy_in_force_has_no_mistakes(terminal: Terminal) -> None:
    assert terminal.type("policy", "check", str(POLICY)).code == 0


def test_every_mistake_of_a_policy_is_told_with_file_line_and_column(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = POLICY.read_text().replace("class: R1", "class: R9", 1).replace("version:", "vresion:", 1)
    file.write_text(text)
    at = next(number for number, line in enumerate(text.splitlines(), 1) if "R9" in line)
    said = terminal.type("policy", "check", str(file))
    assert said.code == 1
    assert f"{file}:{at}:" in said.out
    told = terminal.type("policy", "check", str(file), "--json").json()
    assert told["valid"] is False
    places = [line for line in said.out.splitlines() if line.startswith(f"{file}:")]
    assert len(told["errors"]) == len(places)
    misspelt = next(error for error in told["errors"] if error["hint"] == "version")
    assert misspelt["excerpt"].startswith("vresion:")
    assert f"    {misspelt['excerpt']}\n    ^" in said.out


def test_what_a_changed_policy_tightens_and_loosens_is_told(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        POLICY.read_text().replace("EUR: 450.00", "EUR: 400.00", 1).replace("min_confidence: 0.70", "min_confidence: 0.65", 1)
    )
    told = terminal.type("policy", "diff", str(POLICY), str(file), "--json").json()
    assert told["changes"] == [
        {"path": "limits.high_value.EUR", "was": "450.00 EUR", "now": "400.00 EUR", "effect": "tightens"},
        {"path": "actions.snooze_case.min_confidence", "was": "0.70", "now": "0.65", "effect": "loosens"},
    ]
    assert "loosens" in terminal.type("policy", "diff", str(POLICY), str(file)).out
    assert "say the same" in terminal.type("policy", "diff", str(POLICY), str(POLICY)).out
    file.write_bytes(b"\xff")
    assert terminal.type("policy", "diff", str(POLICY), str(file)).code == 1


def test_an_overlay_is_checked_with_the_policy_that_it_tightens(terminal: Terminal, tmp_path: Path) -> None:
    overlay = tmp_path / "shop.yaml"
    version = next(line.split()[1] for line in POLICY.read_text().splitlines() if line.startswith("version:"))
    head = f"schema: ordermend/policy-overlay/v1\nversion: shop.1\ntightens: {version}\n"
    overlay.write_text(f"{head}limits: {{high_value: {{USD: 100.00}}}}\n")
    checked = terminal.type("policy", "check", str(POLICY), "--overlay", str(overlay), "--json").json()
    assert checked["version"] == f"{version}+shop.1"
    overlay.write_text(f"{head}limits: {{high_value: {{USD: 900.00}}}}\n")
    refused = terminal.type("policy", "check", str(POLICY), "--overlay", str(overlay))
    assert refused.code == 1
    assert f"{overlay}:4:28: the base has 500.00 USD; an overlay may only lower it" in refused.out


def test_a_file_that_is_not_there_exits_3(terminal: Terminal) -> None:
    said = terminal.type("policy", "check", "nowhere.yaml")
    assert said.code == 3
    assert said.err == "ordermend: nowhere.yaml: No such file or directory\n"


def test_the_actions_are_listed_with_what_a_script_needs(terminal: Terminal) -> None:
    actions = {action["name"]: action for action in terminal.type("actions", "list", "--json").json()}
    assert len(actions) == 23
    refund = actions["refund_payment"]
    assert (refund["risk_class"], refund["reversible"]) == ("R3", False)
    assert {"undo", "scopes", "expected_outcome"} <= set(refund)


def test_without_a_database_a_command_exits_1_with_one_line(terminal: Terminal) -> None:
    said = terminal.type("cases", "list", "--json")
    assert said.code == 1
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "doctor" in said.err


def test_the_doctor_names_what_does_not_work_and_what_to_do(terminal: Terminal) -> None:
    said = terminal.type("doctor", "--json")
    checks = {check["name"]: check for check in said.json()["checks"]}
    assert said.code == 1
    assert said.json()["ok"] is False
    assert checks["database"]["state"] == "wrong"
    assert "ORDERMEND_DATABASE_URL" in checks["database"]["do"]
    assert checks["configuration"]["state"] == "ok"


def test_an_unusable_setting_is_named_as_its_variable(terminal: Terminal) -> None:
    terminal.setenv(ORDERMEND_PORT="many")
    said = terminal.type("serve")
    assert said.code == 1
    assert said.err.startswith("ordermend: ORDERMEND_PORT: ")


def test_a_broken_configuration_is_told_with_its_line(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("schema: nothing\n")
    terminal.setenv(ORDERMEND_CONFIG_DIR=str(tmp_path))
    said = terminal.type("actions", "list")
    assert said.code == 1
    assert "policy.yaml:1:" in said.err


def test_the_openapi_document_is_printed_without_a_database(terminal: Terminal) -> None:
    document = terminal.type("openapi").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/signals/{source}" in document["paths"]


def test_json_goes_with_a_demo_that_ends(terminal: Terminal) -> None:
    assert terminal.type("demo", "--json").code == 2


def test_the_figures_of_a_dataset_that_is_not_there_exit_3(terminal: Terminal) -> None:
    assert terminal.type("eval", "run", "--dataset", "nowhere.jsonl", "--json").code == 3


@pytest.mark.parametrize("source", ["ebay", "triage"])
def test_payloads_of_no_webhook_source_are_not_sent(terminal: Terminal, tmp_path: Path, source: str) -> None:
    assert terminal.type("signals", "send", "--source", source, str(tmp_path / "none.jsonl")).code == 2


def test_without_a_secret_nothing_is_sent_and_the_variable_is_named(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal.type("signals", "send", "--source", "stripe", str(tmp_path / "none.jsonl"))
    assert said.code == 1
    assert "ORDERMEND_WEBHOOKS__STRIPE_SECRET" in said.err
