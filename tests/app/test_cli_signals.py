"""Payloads sent by hand to a server that listens, and dead ones mended."""

import asyncio
import json
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.serving import listening
from app.settings import Settings
from tests.app.typed import Said, Terminal

DATA = Path(__file__).resolve().parent.parent / "data" / "payloads"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, settings: Settings) -> Terminal:
    opened = Terminal(monkeypatch, capsys)
    opened.setenv(ORDERMEND_DATABASE_URL=settings.database_url, ORDERMEND_DATA_DIR=str(tmp_path))
    for source in ("shopify", "easypost", "events"):
        secret: SecretStr = getattr(settings.webhooks, f"{source}_secret")
        opened.setenv(**{f"ORDERMEND_WEBHOOKS__{source.upper()}_SECRET": secret.get_secret_value()})
    return opened


async def send(terminal: Terminal, app: FastAPI, source: str, file: Path, *more: str) -> Said:
    """Typed in a thread while this loop serves."""
    async with listening(app, "127.0.0.1", 0) as address:
        words = ("signals", "send", "--source", source, "--url", address, str(file), "--json", *more)
        return await asyncio.to_thread(terminal.type, *words)


async def test_recorded_payloads_are_signed_sent_and_stored(terminal: Terminal, http_app: FastAPI) -> None:
    said = await send(terminal, http_app, "easypost", DATA / "easypost.jsonl")
    answers = said.lines()
    assert said.code == 0
    assert len(answers) == len((DATA / "easypost.jsonl").read_text().splitlines())
    assert all(answer["status"] == 202 and answer["signal_id"].startswith("sig_") for answer in answers)


async def test_the_same_payload_again_is_a_duplicate(terminal: Terminal, http_app: FastAPI, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text((DATA / "easypost.jsonl").read_text().splitlines()[0] + "\n")
    first = (await send(terminal, http_app, "easypost", file)).lines()
    second = (await send(terminal, http_app, "easypost", file)).lines()
    assert (first[0]["duplicate"], second[0]["duplicate"]) == (False, True)
    assert first[0]["signal_id"] == second[0]["signal_id"]


async def test_with_the_wrong_secret_nothing_is_stored_and_the_exit_code_says_so(terminal: Terminal, http_app: FastAPI) -> None:
    terminal.setenv(ORDERMEND_WEBHOOKS__EASYPOST_SECRET="somebody else's")
    said = await send(terminal, http_app, "easypost", DATA / "easypost.jsonl")
    assert said.code == 1
    assert {answer["status"] for answer in said.lines()} == {401}
    assert (await asyncio.to_thread(terminal.type, "signals", "list", "--json")).json() == []


async def test_a_bare_body_takes_its_topic_from_the_command_line(terminal: Terminal, http_app: FastAPI, tmp_path: Path) -> None:
    file = tmp_path / "bare.jsonl"
    file.write_text(json.dumps({"id": 5480000000001, "name": "#77", "currency": "USD", "total_price": "10.00"}) + "\n")
    assert (await send(terminal, http_app, "shopify", file, "--topic", "orders/create")).code == 0
    (stored,) = (await asyncio.to_thread(terminal.type, "signals", "list", "--json")).json()
    assert (stored["topic"], stored["order_ref"]) == ("orders/create", "#77")


async def test_a_dead_delivery_is_listed_mended_and_read_again(terminal: Terminal, http_app: FastAPI, tmp_path: Path) -> None:
    file, mended = tmp_path / "broken.jsonl", tmp_path / "mended.json"
    file.write_text(json.dumps({"id": 5480000000002, "name": "#78", "line_items": "none"}) + "\n")
    refused = await send(terminal, http_app, "shopify", file, "--topic", "orders/create")
    assert (refused.code, refused.lines()[0]["status"]) == (1, 422)

    (dead,) = (await asyncio.to_thread(terminal.type, "signals", "dead-letter", "--json")).json()
    assert dead["id"] == refused.lines()[0]["signal_id"]
    assert "/line_items" in dead["error"]

    still_broken = await asyncio.to_thread(terminal.type, "signals", "replay", dead["id"])
    assert still_broken.code == 2
    mended.write_text(json.dumps(json.loads(dead["body"]) | {"line_items": []}))
    replayed = await asyncio.to_thread(terminal.type, "signals", "replay", dead["id"], "--payload", str(mended))
    assert replayed.code == 0
    assert (await asyncio.to_thread(terminal.type, "signals", "dead-letter", "--json")).json() == []
    again = await asyncio.to_thread(terminal.type, "signals", "replay", dead["id"])
    assert again.code == 5
