"""A case that a person reviewed becomes a labelled one: with their label, the same facts, and nobody recognisable in it."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from app import review
from app.cli_eval import commands
from app.errors import NotFound
from app.models.rules import RulesClassifier
from app.review import ReviewDecision, ReviewRequest
from app.tables import Case, CaseState
from app.world import World
from evals.__main__ import main
from evals.cli import NOT_FOUND, judged
from evals.cli_promote import add
from evals.dataset import read_dataset
from evals.promote import NotReviewed, Promoted, promote, with_case
from evals.pseudonyms import Pseudonyms, read_or_make_key
from guardrails.proposal import ProposedAction
from guardrails.taxonomy import Action, Category, Reason, Team, Verdict
from tests.builders import event_arrives, order_arrives, payment, person, stripe_says, the_case
from tests.steps import work

KEY = Pseudonyms(b"k" * 32)
KIM = person("kim")
ADDRESS = {
    "first_name": "Annegret",
    "last_name": "Goldmann",
    "name": "Annegret Goldmann",
    "address1": "12 Elmwood Street",
    "address2": "Flat 7",
    "city": "Springdale",
    "province_code": "IL",
    "zip": "62704",
    "country_code": "US",
    "phone": "+1 555 010 9999",
}
PERSONAL = ("annegret", "goldmann", "elmwood", "springdale", "62704", "010 9999", "0109999", "ana.gold@", "kim", "4242", "cus_77")
PEOPLE: dict[str, Any] = {
    "email": "Ana.Gold@mail.example",
    "shipping_address": ADDRESS,
    "billing_address": ADDRESS,
    "customer": {"id": 8877665544, "email": "ana.gold@mail.example", "first_name": "Annegret", "last_name": "Goldmann"},
    "browser_ip": "198.51.100.77",
    "note": "Annegret Goldmann here, ring at 12 ELMWOOD STREET or +1 (555) 010-9999, ana.gold@mail.example",
}


async def reported(world: World, **changed: Any) -> Case:
    """A paid order with a short pick, its label and a message of the buyer: all of them name her."""
    await order_arrives(world, **(PEOPLE | {"total_price": "1500.00"} | changed))
    card = {
        "billing_details": {"name": "Annegret Goldmann", "address": {"postal_code": "62704"}},
        "last4": "4242",
        "customer": "cus_77",
    }
    paid = payment("succeeded", amount=150_000, amount_received=150_000, receipt_email="ana.gold@mail.example", source=card)
    await stripe_says(world, "payment_intent.succeeded", paid)
    ship_to = {"name": "A. GOLDMANN", "street1": "12 Elmwood street, Flat 7", "city": "SPRINGDALE", "zip": "62704", "country": "US"}
    await event_arrives(world, "label.purchased", {"carrier": "UPS", "tracking_code": "1Z999", "ship_to": ship_to})
    await event_arrives(world, "wms.pick.short", {"sku": "MUG-1", "requested": 2, "available": 1})
    await work(world)
    case = await the_case(world)
    assert case.state == CaseState.REVIEW
    return case


async def decided(world: World, request: ReviewRequest) -> Case:
    case = await the_case(world)
    return await review.decide(world, KIM, case.id, case.version, request)


async def promoted(world: World, case: Case) -> Promoted:
    return await promote(world, case.id, KEY, RulesClassifier(world.owners))


REJECT = ReviewRequest(ReviewDecision.REJECT, "It was found.")


async def test_what_was_promoted_holds_nobody_and_is_read_as_it_was_live(world: World, tmp_path: Path) -> None:
    case = await reported(world)
    await decided(world, REJECT)
    found = await promoted(world, case)

    assert found.differs == ()
    assert not [text for text in PERSONAL if text in found.line.casefold()]
    path = tmp_path / "promoted.jsonl"
    path.write_text(found.line + "\n", encoding="utf-8")
    run = await asyncio.to_thread(judged, path, "rules")
    assert run.record.cases[0].got.category == case.category == run.record.cases[0].expected.category
    assert run.record.cases[0].right


async def test_addresses_that_were_equal_stay_equal_and_keep_country_and_shape(world: World) -> None:
    case = await reported(world)
    await decided(world, REJECT)
    signals = (await promoted(world, case)).case.signals
    order, label = signals[0].payload["shipping_address"], signals[2].payload["data"]["ship_to"]
    assert (order["country_code"], order["province_code"], len(order["zip"])) == ("US", "IL", 5)
    assert order["zip"].isdigit()
    assert order["zip"] == label["zip"] != "62704"
    assert signals[0].payload["billing_address"] == order
    assert signals[0].payload["email"] == signals[0].payload["customer"]["email"]


async def test_a_correction_is_the_label_and_takes_its_reason_along(world: World) -> None:
    case = await reported(world)
    request = ReviewRequest(ReviewDecision.REJECT, "A wrong address.", None, Category.ADDRESS_RISK, Team.OPERATIONS)
    await decided(world, request)
    expected = (await promoted(world, case)).case.expected
    assert (expected.category, expected.owner, expected.verdict) == (Category.ADDRESS_RISK, Team.OPERATIONS, Verdict.REVIEW)
    assert Reason.ADDRESS_RISK in expected.mandatory_review
    assert Reason.HIGH_VALUE_ORDER in expected.mandatory_review
    assert Reason.UNAVAILABLE_INVENTORY not in expected.mandatory_review
    assert Action.MESSAGE_CUSTOMER in expected.never_automate


async def test_an_edit_labels_what_was_turned_down_and_what_needs_a_person(world: World) -> None:
    case = await reported(world)
    refund = ProposedAction(Action.REFUND_PAYMENT, {"amount": {"amount": 100, "currency": "USD"}})
    await decided(world, ReviewRequest(ReviewDecision.EDIT, "Money back.", (refund,)))
    found = (await promoted(world, case)).case
    assert {Action.REFUND_PAYMENT, Action.MESSAGE_CUSTOMER} <= found.expected.never_automate
    assert found.tags == {"promoted", "review-edit"}
    assert found.origin["licence"] == "private"
    assert "kim" not in str(found.origin["reviewed_by"])


async def test_a_case_that_nobody_reviewed_is_refused(world: World) -> None:
    case = await reported(world)
    with pytest.raises(NotReviewed, match="Nobody has reviewed"):
        await promoted(world, case)
    await decided(world, ReviewRequest(ReviewDecision.REQUEST_EVIDENCE, "Send a photo."))
    with pytest.raises(NotReviewed):
        await promoted(world, case)
    with pytest.raises(NotFound):
        await promote(world, "case_none", KEY, RulesClassifier(world.owners))


async def test_a_case_stands_in_the_file_once_and_a_later_review_replaces_it(world: World) -> None:
    case = await reported(world)
    await decided(world, REJECT)
    found = await promoted(world, case)
    once = with_case(["", '{"id": "other"}'], found)
    assert with_case(once, found) == once == ['{"id": "other"}', found.line]
    stale = [json.dumps({"id": found.case.id})]
    assert with_case(stale, found) == [found.line]


async def test_the_signals_of_a_duplicate_come_along(world: World) -> None:
    await order_arrives(world, **PEOPLE)
    later = {"created_at": "2026-11-01T09:10:00Z", "updated_at": "2026-11-01T09:10:00Z"}
    await order_arrives(world, "#1002", 5324830114999, **(PEOPLE | later))
    await work(world)
    case = await the_case(world)
    assert case.category == Category.DUPLICATE_ORDER
    await decided(world, REJECT)
    found = await promoted(world, case)
    assert (len(found.case.signals), found.differs) == (2, ())
    assert found.case.expected.order_ref == "#1002"


def test_the_same_word_has_one_pseudonym_per_key_and_codes_keep_shape_and_beginnings() -> None:
    other = Pseudonyms(b"o" * 32)
    assert KEY.words("Torstraße 140.") == KEY.words("TORSTRASSE  140") != other.words("Torstraße 140.")
    assert KEY.email(" Ana@Example.com") == KEY.email("ana@example.com")
    first, second, third = KEY.coded("SW1A 1AA"), KEY.coded("sw1a1ab"), KEY.coded("NW1A 1AA")
    assert first[:4].casefold() == second[:4].casefold() != third[:4].casefold()
    assert [c.isdigit() for c in first] == [c.isdigit() for c in "SW1A 1AA"]
    assert len({KEY.coded(f"{n:03}") for n in range(1_000)}) == 1_000
    assert all(KEY.coded(f"{n:03}") != f"{n:03}" for n in range(1_000))


def test_the_key_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "evals" / "pseudonyms.key"
    assert read_or_make_key(path) == read_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_command_is_known() -> None:
    assert "promote" in {command.name for command in commands.registered_commands}


def test_a_case_that_is_not_there_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: str, tmp_path: Path
) -> None:
    for name, value in {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "CLASSIFIER": "rules"}.items():
        monkeypatch.setenv(f"ORDERMEND_{name}", value)
    assert main(["promote", "case_none"]) == NOT_FOUND
    assert "case_none" in capsys.readouterr().err
    assert not (tmp_path / "evals" / "promoted.jsonl").exists()


async def test_the_file_is_its_owners_and_the_case_is_written_once(world: World, tmp_path: Path) -> None:
    case = await reported(world)
    await decided(world, REJECT)
    found = await promoted(world, case)
    path = tmp_path / "own" / "promoted.jsonl"
    assert [add(path, found), add(path, found)] == [True, False]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(read_dataset(path)) == 1
