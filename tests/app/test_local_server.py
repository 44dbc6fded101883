"""The local server with a stand-in for the engine: a package of the same name that answers like llama.cpp, or dies."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.models.abilities import Abilities, endpoint_abilities
from app.models.local_server import LOG, LocalModelFailed, LocalServer, local_server
from app.models.local_settings import ServerRule
from app.models.running import running_servers
from app.settings import Settings

ROOT = Path(__file__).parents[2]
RULE = ServerRule(start_timeout_s=30, restarts=1)

ENGINE = """
import json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Bag:
    def __getattr__(self, name):
        made = Bag()
        setattr(self, name, made)
        return made


CommonParams = Bag


class Server:
    def __init__(self, wanted):
        if open(wanted.model.path, "rb").read(4) != b"GGUF":
            raise RuntimeError("no such format")
        print("the engine chatters on stdout")

        class Answers(BaseHTTPRequestHandler):
            def reply(self, status, body):
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self):
                self.reply(200, {"status": "ok", "secrets": [n for n in os.environ if n.startswith(("ORDERMEND_", "OPENAI_"))]})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.headers["Authorization"] != f"Bearer {wanted.api_keys[0]}":
                    return self.reply(401, {"error": {"message": "Invalid API Key", "code": 401}})
                if asked.get("n", 1) > 1:
                    return self.reply(400, {"error": {"message": "n: only one"}})
                form = "response_format" in asked and not os.environ.get("FAKE_IGNORES_SCHEMA")
                text = '{"animal": "otter"}' if form else '{"animal": "banana"}'
                top = [{"token": "a", "logprob": -0.1, "bytes": None}] * min(asked.get("top_logprobs", 0), 5)
                token = {"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": top}
                self.reply(200, {
                    "id": "1", "object": "chat.completion", "created": 1, "model": asked["model"],
                    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text},
                                 "logprobs": {"content": [token], "refusal": None} if asked.get("logprobs") else None}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10,
                              "prompt_tokens_details": {"cached_tokens": 4}},
                })

            def log_message(self, *args):
                pass

        serving = ThreadingHTTPServer((wanted.hostnames[0], wanted.port), Answers)
        self.listening_address = f"http://127.0.0.1:{serving.server_port}"
        threading.Thread(target=serving.serve_forever, daemon=True).start()
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("ORDERMEND_WEBHOOKS__STRIPE_SECRET", "not for the engine")
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "some.gguf", b"GGUF and weights")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


async def health(server: LocalServer) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer: dict[str, Any] = (await client.get(f"{server.base_url.removesuffix('/v1')}/health")).json()
        return answer


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


async def until_gone(pid: int) -> bool:
    for _ in range(300):
        if not is_alive(pid):
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.mark.usefixtures("engine")
async def test_it_serves_on_this_machine_with_a_key_of_its_own_and_ends_with_the_block(here: Settings, model: Path) -> None:
    async with local_server(here, model, RULE) as server:
        pid = server.pid
        assert pid is not None
        assert server.base_url.startswith("http://127.0.0.1:")
        assert server.model == "some"
        assert (await health(server))["secrets"] == []
        assert server.api_key not in repr(server.endpoint)
        assert running_servers(here.data_dir) == (server.endpoint,)
        note = here.data_dir / "models" / "running" / f"{os.getpid()}.json"
        assert note.stat().st_mode & 0o077 == 0
    assert not is_alive(pid)
    assert running_servers(here.data_dir) == ()
    assert "chatters" in (here.data_dir / LOG).read_text()


@pytest.mark.usefixtures("engine")
async def test_a_child_that_dies_is_started_again_at_the_same_address_and_then_given_up(here: Settings, model: Path) -> None:
    async with local_server(here, model, RULE) as server:
        first, endpoint = server.pid, server.endpoint
        assert first is not None
        os.kill(first, signal.SIGKILL)
        for _ in range(300):
            if server.restarts and server.pid not in (None, first) and running_servers(here.data_dir):
                break
            await asyncio.sleep(0.1)
        for _ in range(300):
            try:
                await health(server)
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        assert server.endpoint == endpoint
        second = server.pid
        assert second is not None
        os.kill(second, signal.SIGKILL)
        await asyncio.wait_for(server.ended.wait(), 30)
        assert server.failure is not None
        assert "exit code -9" in server.failure
        assert running_servers(here.data_dir) == ()


PARENT = """
import asyncio, sys
from pathlib import Path
from app.models.local_server import local_server
from app.models.local_settings import ServerRule
from app.settings import Settings

async def main():
    async with local_server(Settings(data_dir=Path(sys.argv[1])), Path(sys.argv[2]), ServerRule()) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.usefixtures("engine")
async def test_the_child_ends_when_its_parent_is_killed(here: Settings, model: Path) -> None:
    words = [sys.executable, "-c", PARENT, str(here.data_dir), str(model)]
    parent = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert len(running_servers(here.data_dir)) == 1
    parent.kill()
    await parent.wait()
    assert await until_gone(child)
    assert running_servers(here.data_dir) == ()


async def test_without_the_engine_the_message_says_what_to_install(here: Settings, model: Path, engine: Path) -> None:
    (engine / "xllamacpp.py").write_text("raise ModuleNotFoundError(\"No module named 'xllamacpp'\")\n")
    with pytest.raises(LocalModelFailed, match=r"pip install 'ordermend\[local\]'"):
        async with local_server(here, model, RULE):
            pass


@pytest.mark.usefixtures("engine")
async def test_a_file_that_the_engine_cannot_read_is_told_with_the_place_of_the_log(here: Settings, tmp_path: Path) -> None:
    model = write(tmp_path / "some.gguf", b"else")
    with pytest.raises(LocalModelFailed, match=r"RuntimeError: no such format; see .*local-model\.log"):
        async with local_server(here, model, RULE):
            pass


async def test_an_engine_that_never_gets_ready_is_ended_in_time(here: Settings, model: Path, engine: Path) -> None:
    (engine / "xllamacpp.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(LocalModelFailed, match="was not ready after 1 s"):
        async with local_server(here, model, ServerRule(start_timeout_s=1)):
            pass


@pytest.mark.usefixtures("engine")
async def test_a_file_that_is_not_there_is_told_before_anything_starts(here: Settings, tmp_path: Path) -> None:
    with pytest.raises(LocalModelFailed, match="is not there"):
        async with local_server(here, tmp_path / "none.gguf", RULE):
            pass


ABLE = Abilities("some", True, True, 5, True, True, False, ())


@pytest.mark.usefixtures("engine")
async def test_the_self_test_tells_what_an_endpoint_can_do(here: Settings, model: Path) -> None:
    async with local_server(here, model, RULE) as server:
        found = await endpoint_abilities(server.base_url, server.api_key, server.model)
    assert replace(found, notes=()) == ABLE
    assert any(note.startswith("n: ") for note in found.notes)


@pytest.mark.usefixtures("engine")
async def test_an_endpoint_that_ignores_the_schema_is_found_out(
    here: Settings, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_IGNORES_SCHEMA", "1")
    async with local_server(here, model, RULE) as server:
        found = await endpoint_abilities(server.base_url, server.api_key, server.model)
    assert found.enums_enforced is False
    assert any("banana" in note for note in found.notes)


async def test_an_endpoint_that_is_down_has_unknown_abilities_not_absent_ones() -> None:
    found = await endpoint_abilities("http://127.0.0.1:1/v1", "sk-secret", "m", timeout_s=5)
    assert (found.enums_enforced, found.logprobs, found.usage, found.cached_tokens, found.several_choices) == (None,) * 5
    assert found.notes
    assert "sk-secret" not in str(found)


@pytest.mark.usefixtures("engine")
async def test_a_wrong_key_leaves_every_ability_unknown(here: Settings, model: Path) -> None:
    async with local_server(here, model, RULE) as server:
        found = await endpoint_abilities(server.base_url, "wrong-key", server.model)
    assert found.enums_enforced is None
    assert "401" in found.notes[0]
