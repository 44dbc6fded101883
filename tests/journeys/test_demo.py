"""The demo, whole, as somebody who has just cloned the project sees it."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.database import discard_embedded
from app.demo.play import measure, play
from app.demo.scenario import in_acts
from app.demo.stage import ANY_PORT, Stage, stage
from app.settings import Settings
from app.tables import Case, CaseState
from tests.app.typed import SCRIPT, run_script

FIELDS = {
    "signals",
    "duplicates",
    "cases",
    "by_category",
    "by_verdict",
    "actions_executed",
    "waiting_review",
    "trail_verified",
    "classifier",
    "seconds",
}
pytestmark = pytest.mark.journey


def environment(tmp_path: Path) -> dict[str, str]:
    """A machine on which nothing is configured; a database address in it must not be touched by the demo."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ORDERMEND_", "OPENAI_"))}
    unreachable = "postgresql://127.0.0.1:1/production"
    return plain | {"ORDERMEND_DATA_DIR": str(tmp_path), "ORDERMEND_DATABASE_URL": unreachable, "ORDERMEND_LOCAL_MODEL": "off"}


def test_the_demo_for_scripts_prints_one_object_with_what_the_project_promises(tmp_path: Path) -> None:
    said = run_script("demo", "--once", "--json", "--classifier", "rules", environment=environment(tmp_path))
    assert said.code == 0, said.err
    figures: dict[str, Any] = json.loads(said.out)
    assert set(figures) == FIELDS
    assert figures["signals"] >= 40
    assert figures["duplicates"] >= 1
    assert len(figures["by_category"]) >= 14
    assert set(figures["by_verdict"]) == {"automate", "review", "block"}
    assert sum(figures["by_category"].values()) == figures["cases"]
    assert figures["actions_executed"] >= 1
    assert figures["waiting_review"] >= 1
    assert figures["trail_verified"] is True
    assert figures["classifier"] == "rules"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
async def ready() -> AsyncIterator[Stage]:
    """The play has been played; the stage still stands."""
    with folder_for_a_server() as folder:
        async with stage(Settings(classifier="rules"), folder, ANY_PORT) as opened:
            await play(opened.world, opened.address, in_acts(opened.stories), opened.given, lambda sending: None)
            yield opened


@contextmanager
def folder_for_a_server() -> Iterator[Path]:
    """Not one of pytest's: another pytest run takes those from other users, and as root the server runs as one."""
    with tempfile.TemporaryDirectory(prefix="ordermend-test-", ignore_cleanup_errors=True) as name:
        try:
            yield Path(name)
        finally:
            discard_embedded(Path(name))


@pytest.fixture(scope="module")
async def cases(ready: Stage) -> dict[str, Case]:
    """By order; no story leaves two cases on one order."""
    found = (await measure(ready.world)).cases
    assert len({case.order_ref for case in found}) == len(found)
    return {case.order_ref: case for case in found}


@pytest.mark.parametrize(
    ("order", "category", "verdict"),
    [
        ("#2001", "payment_failed", "review"),
        ("#2002", "payment_mismatch", "review"),
        ("#2003", "authorization_expiring", "review"),
        ("#2004", "payment_dispute", "review"),
        ("#2005", "fraud_risk", "review"),
        ("#2006", "address_risk", "review"),
        ("#2007", "inventory_unavailable", "review"),
        ("#2008", "warehouse_exception", "automate"),
        ("#2009", "fulfilment_stalled", "automate"),
        ("10482", "delivery_exception", "review"),
        ("#2011", "carrier_conflict", "review"),
        ("#2012", "delivery_late", "automate"),
        ("#2013", "split_shipment", "automate"),
        ("#2015", "duplicate_order", "review"),
        ("#2016", "invalid_order_data", "automate"),
        ("#2017", "change_race", "review"),
        ("#2018", "refund_exception", "review"),
        ("#2019", "integration_failure", "automate"),
        ("#2023", "address_risk", "block"),
    ],
)
async def test_each_story_ends_as_its_reader_would_expect(cases: dict[str, Case], order: str, category: str, verdict: str) -> None:
    assert (cases[order].category, cases[order].verdict) == (category, verdict)


async def test_the_parcel_that_arrived_after_all_closed_its_case(cases: dict[str, Case]) -> None:
    assert cases["#2020"].state == CaseState.CLEARED
    assert cases["#2020"].category == "delivery_late"


async def test_a_failure_reported_after_the_success_that_followed_it_opens_no_case(cases: dict[str, Case]) -> None:
    assert "#2021" not in cases


async def test_the_first_of_two_equal_orders_and_a_delivered_one_are_left_alone(cases: dict[str, Case]) -> None:
    assert "#2014" not in cases
    assert "#2026" not in cases


async def test_orders_to_the_machine_in_a_note_put_the_case_before_a_person(cases: dict[str, Case]) -> None:
    assert cases["#2022"].verdict == "review"
    assert "untrusted_instructions" in cases["#2022"].mandatory


async def test_the_high_value_order_is_named_as_such(cases: dict[str, Case]) -> None:
    assert "high_value_order" in cases["#2005"].mandatory


async def test_what_was_allowed_really_happened_at_the_shop(ready: Stage) -> None:
    done = {(effect.operation, _order_of(ready, effect.fulfilment_order)) for effect in ready.shop.effects}
    assert ("hold", "#2001") in done
    assert ("submit", "#2008") in done
    assert not [order for operation, order in done if operation == "submit" and order == "#2022"]
    assert len(done) == len(ready.shop.effects), "nothing happened twice"


def _order_of(ready: Stage, fulfilment_order: str) -> str:
    order_id = next(order for order, nodes in ready.shop.fulfilment.items() if any(node.id == fulfilment_order for node in nodes))
    return str(ready.shop.orders[order_id]["name"])


async def test_the_demo_serves_until_it_is_interrupted_and_keeps_what_was_played() -> None:
    with folder_for_a_server() as folder:
        before = await _cases_of_a_first_run(folder)
        assert len(before) >= 14
        async with demo(folder) as (second, lines):
            assert "played before" in lines[0]
            after = await _cases(lines)
        assert second.returncode == 0
        assert after == before


async def _cases_of_a_first_run(folder: Path) -> set[str]:
    async with demo(folder) as (process, lines):
        found = await _cases(lines)
    assert process.returncode == 0
    return found


async def _cases(lines: list[str]) -> set[str]:
    """The ids of all cases, by the address and the key that were printed."""
    async with httpx.AsyncClient(base_url=_address(lines), headers={"Authorization": f"Bearer {_key(lines)}"}) as http:
        return {case["id"] for case in (await http.get("/api/v1/cases", params={"limit": 200})).json()["data"]}


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """`ordermend demo` while it serves, and what it has printed; interrupted at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "demo", env=environment(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        while not lines or "Ctrl-C" not in lines[-1]:
            line = await asyncio.wait_for(process.stdout.readline(), 120)
            assert line, "it ended before it served: " + "\n".join(lines)
            lines.append(line.decode().rstrip())
        yield process, lines
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.communicate(), 60)


def _address(lines: list[str]) -> str:
    told = next(line for line in lines if line.startswith("The reviewer's console: "))
    return told.removeprefix("The reviewer's console: ").partition(";")[0]


def _key(lines: list[str]) -> str:
    return next(line for line in lines if line.startswith("An API key")).rpartition(" ")[2]
