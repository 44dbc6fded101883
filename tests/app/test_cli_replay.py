"""`ordermend policy replay|publish|shadow-end|history` on a database of their own."""

from pathlib import Path
from shutil import copytree

import pytest

from tests.app.changed_policies import BROKEN, FILE, SHIPPED, high_value, overlaid
from tests.app.test_cli_database import make_key, report_failed_payment
from tests.app.typed import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str) -> Terminal:
    opened = Terminal(monkeypatch, capsys)
    opened.setenv(ORDERMEND_DATABASE_URL=database_url, ORDERMEND_DATA_DIR=str(tmp_path), ORDERMEND_CLASSIFIER="rules")
    return opened


@pytest.fixture
def lowered(tmp_path: Path) -> str:
    file = tmp_path / "lowered.yaml"
    file.write_text(high_value("40.00").document, encoding="utf-8")
    return str(file)


def lead(terminal: Terminal) -> None:
    terminal.setenv(ORDERMEND_API_KEY=make_key(terminal, "person", "policy:write", roles=("lead",))["secret"])


def test_a_policy_is_replayed_over_the_past(terminal: Terminal, lowered: str) -> None:
    report_failed_payment(terminal)
    said = terminal.type("policy", "replay", "--policy", lowered)
    assert said.code == 0
    assert "0 ruled otherwise" in said.out
    assert "Budgets that are counted again" in said.out
    report = terminal.type("policy", "replay", "--policy", lowered, "--against", lowered, "--since", "2020-01-01", "--json").json()
    assert report["policy"] == report["against"] | {"name": lowered}
    assert report["rulings"] == report["decisions"] > 0
    rules = {item["rule"]: item["fired_new"] for item in report["rules"]}
    assert rules["mandatory.high_value_order.1"] == report["rulings"]
    assert {item["version"] for item in terminal.type("policy", "history", "--json").json()} != {"lowered"}


def test_every_mistake_of_the_policy_is_told(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN.document, encoding="utf-8")
    for words in (("replay", "--policy", str(file)), ("publish", str(file), "--why", "x")):
        lead(terminal) if words[0] == "publish" else None
        said = terminal.type("policy", *words)
        assert said.code == 1
        assert "broken.yaml:" in said.out
    told = terminal.type("policy", "replay", "--policy", str(file), "--json").json()
    assert told["errors"][0]["line"] > 0


def test_a_file_that_is_not_text_is_refused_as_check_refuses_it(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(SHIPPED.encode() + "# Größe\n".encode("latin-1"))
    lead(terminal)
    checked = terminal.type("policy", "check", str(file))
    for words in (("replay", "--policy", str(file)), ("publish", str(file), "--why", "x")):
        said = terminal.type("policy", *words)
        assert (said.code, said.out) == (1, checked.out)
    assert "UTF-8" in checked.out


def test_a_time_that_cannot_be_read_is_a_mistake_of_the_caller(terminal: Terminal, lowered: str) -> None:
    said = terminal.type("policy", "replay", "--policy", lowered, "--since", "yesterday")
    assert said.code == 2
    assert "/since" in said.err


def test_publishing_takes_a_leads_key_and_a_reason(terminal: Terminal, lowered: str) -> None:
    publish = ("policy", "publish", lowered, "--why", "fewer surprises")
    assert terminal.type(*publish).code == 4
    assert terminal.type("policy", "publish", lowered).code == 2
    lead(terminal)
    said = terminal.type(*publish, "--shadow")
    assert (said.code, "in shadow" in said.out) == (0, True)
    assert terminal.type(*publish, "--shadow").code == 5
    assert "in force" in terminal.type(*publish).out
    assert terminal.type(*publish).code == 5
    rows = terminal.type("policy", "history", "--json").json()
    assert [(row["mode"], row["ended_at"] is None) for row in rows] == [("enforce", True), ("shadow", False), ("enforce", False)]
    assert "fewer surprises" in terminal.type("policy", "history").out
    assert terminal.type("policy", "shadow-end", "--why", "seen enough").code == 5


def test_asking_for_something_does_not_put_a_changed_file_in_force(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("policy", "history", "--json")
    folder = tmp_path / "config"
    shipped = Path(__file__).parents[2] / "config"
    folder.mkdir()
    for file in shipped.glob("*.yaml"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "policy.yaml").write_text(high_value("40.00").document, encoding="utf-8")
    terminal.setenv(ORDERMEND_CONFIG_DIR=str(folder))
    assert len(terminal.type("policy", "history", "--json").json()) == 1
    doctor = terminal.type("doctor").out
    assert "lowered was never published" in doctor
    lead(terminal)
    assert terminal.type("policy", "publish", str(folder / "policy.yaml"), "--why", "fewer surprises").code == 0
    (folder / "policy.yaml").write_text(SHIPPED, encoding="utf-8")
    assert "which was ended; in force is version lowered" in terminal.type("doctor").out


def test_an_overlay_in_force_ends_only_where_it_is_said(terminal: Terminal, tmp_path: Path, lowered: str) -> None:
    overlay = tmp_path / "peak.yaml"
    overlay.write_text(str(overlaid(high_value("40.00")).overlay), encoding="utf-8")
    lead(terminal)
    with_it = terminal.type("policy", "publish", lowered, "--overlay", str(overlay), "--why", "peak")
    assert (with_it.code, "lowered+peak is in force" in with_it.out) == (0, True)
    silent = terminal.type("policy", "publish", lowered, "--why", "peak is over")
    assert silent.code == 5
    assert "--no-overlay" in silent.err
    both = terminal.type("policy", "publish", lowered, "--overlay", str(overlay), "--no-overlay", "--why", "peak is over")
    assert both.code == 2
    assert "publish FILE --no-overlay --why" in terminal.type("doctor").out
    said = terminal.type("policy", "publish", lowered, "--no-overlay", "--why", "peak is over")
    assert (said.code, "lowered is in force" in said.out) == (0, True)


def test_doctor_says_how_a_file_is_published_with_its_overlay_and_how_one_on_trial_is(terminal: Terminal, tmp_path: Path) -> None:
    folder = Path(copytree(FILE.parent, tmp_path / "config"))
    shipped = overlaid(high_value("500.00", "usual"))
    (folder / "policy.yaml").write_text(shipped.document, encoding="utf-8")
    (folder / "overlay.yaml").write_text(str(shipped.overlay), encoding="utf-8")
    terminal.setenv(ORDERMEND_CONFIG_DIR=str(folder))
    lead(terminal)
    other = tmp_path / "lowered.yaml"
    other.write_text(high_value("40.00").document, encoding="utf-8")
    assert terminal.type("policy", "publish", str(other), "--no-overlay", "--why", "x").code == 0
    assert "publish FILE --overlay overlay.yaml --why" in terminal.type("doctor").out
    trial = high_value("41.00", "tried")
    (folder / "policy.yaml").write_text(trial.document, encoding="utf-8")
    (folder / "overlay.yaml").unlink()
    assert terminal.type("policy", "publish", str(folder / "policy.yaml"), "--shadow", "--why", "see first").code == 0
    assert "a start does not put in force what is on trial" in terminal.type("doctor").out
