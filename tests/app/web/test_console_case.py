"""One case at the reviewer's desk: what the page shows, and what its forms do."""

from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app import intake, review, views
from app.database import write
from app.tables import CaseState, TrailEntry
from app.views import CaseView
from app.world import World
from guardrails.proposal import Actor
from guardrails.taxonomy import PrincipalKind
from tests.app.web.browsing import HOSTILE, Forms, form_to, reviewer, told, unpaid
from tests.conftest import Clock, MakeKey
from tests.steps import work

TOM = Actor(PrincipalKind.PERSON, "tom", frozenset(["reviewer"]))


async def stored(world: World, case_id: str) -> CaseView:
    async with world.database.sessions() as session:
        return await views.case(session, case_id)


async def open_page(client: httpx.AsyncClient, case_id: str) -> str:
    answer = await client.get(f"/cases/{case_id}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def send(
    client: httpx.AsyncClient, page: str, verb: str, hidden: dict[str, str] | None = None, **typed: Any
) -> httpx.Response:
    form = form_to(page, f"/{verb}", **(hidden or {}))
    return await client.post(form.action, data=form.filled() | typed)


# --- what is shown ---


async def test_the_page_begins_with_the_verdict_and_says_what_may_be_done(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    heading = page.split("<h1>")[1].split("</h1>")[0]
    assert "Held for a person: the order is worth 612.00 USD" in heading
    order = [
        page.index(part)
        for part in ("<h1>", "Proposed actions", "What would lift this", "Summary and evidence", "Rule trace", "Trail</h2>")
    ]
    assert order == sorted(order)
    for part in ("high_value_order", "send_payment_link", "R2", "Can be undone: expire the link", "mandatory.high_value_order.1"):
        assert part in page, part


async def test_cited_evidence_leads_to_its_field(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    read = Forms(page)
    chips = page.split('aria-label="Cited evidence"')[1].split("</ul>")[0]
    assert chips.count('class="chip" href="#field-') >= 2
    assert set(read.anchors) <= set(read.ids)


async def test_hostile_text_is_shown_as_text_and_flagged(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock, facts={"order.note": told(clock, HOSTILE), HOSTILE: told(clock, "x", HOSTILE)})
    page = await open_page(await reviewer(client, make_key), case_id)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "\u202e" not in page
    assert "⟨U+202E⟩gnp.evil" in page
    assert "Somebody tried to give the system instructions" in page
    assert "Outside text that tried to give instructions" in page


async def test_struck_evidence_is_struck_with_its_reason(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    view = await stored(world, case_id)
    assert view.decision is not None
    ruling = dict(view.decision.ruling)
    ruling["evidence"] = [
        {
            "evidence": {"pointer": "/fields/order.total/value", "quote": "1.00 USD"},
            "source": "shopify",
            "untrusted": False,
            "struck": "not there",
        }
    ]
    async with write(world.database.sessions) as session:
        await session.execute(update(type(view.decision)).values(ruling=ruling))
    page = await open_page(await reviewer(client, make_key), case_id)
    assert "<s><bdi>1.00 USD</bdi></s>" in page
    assert "struck: <bdi>not there</bdi>" in page


async def test_what_changed_since_the_judgement_is_marked_before_anybody_approves(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    await paid_meanwhile(world, clock, case_id)
    page = await open_page(await reviewer(client, make_key), case_id)
    assert "Changed since this was judged" in page
    assert "Δ changed since judged" in page
    assert "<del><bdi>requires_payment_method</bdi></del>" in page


async def test_a_trail_entry_that_was_changed_is_marked(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    await reviewer(client, make_key)
    page = await open_page(client, case_id)
    assert "Every hash above was made anew from what is stored and fits." in page
    async with write(world.database.sessions) as session:
        connection = await session.connection()
        await connection.exec_driver_sql("ALTER TABLE trail DISABLE TRIGGER USER")
        await session.execute(update(TrailEntry).where(TrailEntry.event == "case.opened").values(actor="nobody"))
    page = await open_page(client, case_id)
    assert page.count("the hash does not fit") == 1
    assert "The hash does not fit" in (await client.get(f"/cases/{case_id}/trail")).text


# --- deciding ---


async def test_approving_through_the_form_carries_the_actions_out(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    answer = await send(client, page, "review", decision="approve", reason="Asked the buyer <b>by phone</b>.")
    assert answer.status_code == 303, answer.text
    view = await stored(world, case_id)
    assert (view.case.state, view.approvals[0].person) == (CaseState.ACTING, "rosa")
    (link,) = [row for row in view.actions if row.approved_by]
    assert (link.action, link.state) == ("send_payment_link", "handed_over")
    page = (await client.get(answer.headers["location"])).text
    for part in ("Your approval is recorded", "☞ handed over", "Asked the buyer &lt;b&gt;by phone&lt;/b&gt;.", "review.approved"):
        assert part in page, part
    answer = await send(client, page, "outcome", {"action_id": link.id}, done="yes", note="sent by hand")
    assert answer.status_code == 303, answer.text
    assert (await stored(world, case_id)).case.state == CaseState.RESOLVED
    assert "The case is closed." in await open_page(client, case_id)


async def test_a_stale_form_is_told_so_and_keeps_what_was_typed(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    await review.claim(world, TOM, case_id)
    await review.release(world, TOM, case_id)
    answer = await send(client, page, "review", decision="reject", reason="a long & careful reason")
    assert answer.status_code == 409
    assert "The case has changed since you read it" in answer.text
    assert "a long &amp; careful reason</textarea>" in answer.text
    assert (await stored(world, case_id)).case.state == CaseState.REVIEW
    again = await send(client, answer.text, "review", decision="reject", reason="a long & careful reason")
    assert again.status_code == 303


async def paid_meanwhile(world: World, clock: Clock, case_id: str) -> None:
    """Facts that no judgement has seen yet: they are stored and joined to the order, and nobody has looked."""
    clock.forward(minutes=5)
    facts = {"payment.status": told(clock, "succeeded", "stripe")}
    await intake.report(world, TOM, intake.Report("#9001", "stripe sync", None, facts))
    async with write(world.database.sessions) as session:
        case = await views.case(session, case_id)
        case.case.state = CaseState.REVIEW.value


async def test_an_approval_of_facts_that_moved_shows_what_moved(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    await paid_meanwhile(world, clock, case_id)
    page = await open_page(await reviewer(client, make_key), case_id)
    answer = await send(client, page, "review", decision="approve", reason="ok")
    assert answer.status_code == 409
    changed = answer.text.split("Changed since you read it</caption>")[1].split("</table>")[0]
    assert "payment.status" in changed
    assert "<del>requires_payment_method</del>" in changed
    assert "<ins>succeeded</ins>" in changed


async def test_a_case_that_another_holds_is_not_decided(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    await review.claim(world, TOM, case_id)
    answer = await send(client, page, "review", decision="approve", reason="ok")
    assert (answer.status_code, "tom holds this case until" in answer.text) == (409, True)
    assert "tom is working on this case" in await open_page(client, case_id)


async def test_what_the_guard_refuses_is_said_with_its_rules(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key, roles=["reviewer"]), case_id)
    arguments = '{"amount": {"amount": 100, "currency": "USD"}}'
    answer = await send(
        client, page, "review", {"decision": "edit"}, action=["refund_payment"], arguments=[arguments], reason="be kind"
    )
    assert (answer.status_code, "action.permission" in answer.text) == (403, True)
    assert "refund_payment (R3, not with your roles)" in answer.text
    assert "&#34;amount&#34;: 100" in answer.text
    assert not [row for row in (await stored(world, case_id)).actions if row.approved_by]


async def test_edited_actions_replace_the_proposed_ones(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    answer = await send(
        client,
        page,
        "review",
        {"decision": "edit"},
        action=["add_note", ""],
        arguments=['{"text": "waits for the bank"}', ""],
        reason="nothing to send",
        category="payment_mismatch",
    )
    assert answer.status_code == 303, answer.text
    view = await stored(world, case_id)
    assert [(row.action, row.state) for row in view.actions if row.approved_by] == [("add_note", "done")]
    assert (view.case.state, view.case.category) == (CaseState.RESOLVED, "payment_mismatch")


@pytest.mark.parametrize(
    ("typed", "told_so"),
    [
        ({"action": ["add_note"], "arguments": ["{nope"]}, "is not JSON"),
        ({"action": ["add_note"], "arguments": ["[1]"]}, "must be a JSON object"),
        ({"action": ["add_note"], "arguments": ['{"a": 1, "a": 2}']}, "stands twice"),
        ({"action": ["set_fire"], "arguments": ["{}"]}, "/actions/0/action"),
        ({"action": ["", ""], "arguments": ["", ""]}, "choose at least one action"),
        ({"action": ["add_note"], "arguments": ["{}"], "reason": "  "}, "say why"),
        ({"action": ["add_note"], "arguments": ["{}"], "version": "x"}, "lost the case"),
        ({"action": ["add_note"], "arguments": ["{}"], "owner": "nobody"}, "/owner"),
    ],
)
async def test_a_mistake_in_the_edit_form_is_shown_and_nothing_is_lost(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock, typed: dict[str, Any], told_so: str
) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    answer = await send(client, page, "review", {"decision": "edit"}, **({"reason": "my own words"} | typed))
    assert (answer.status_code, told_so in answer.text) == (422, True)
    assert "my own words" in answer.text or "reason" in typed
    assert (await stored(world, case_id)).approvals == []


async def test_a_case_is_claimed_and_released(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    assert (await send(client, page, "claim")).status_code == 303
    assert (await stored(world, case_id)).case.holder == "rosa"
    page = await open_page(client, case_id)
    assert "Renew my claim" in page
    assert (await send(client, page, "release")).status_code == 303
    assert (await stored(world, case_id)).case.holder is None


async def test_evidence_is_asked_for_and_brought(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    assert (await send(client, page, "review", decision="request_evidence", reason="Did the bank answer?")).status_code == 303
    page = await open_page(client, case_id)
    assert "rosa asked for evidence: Did the bank answer?" in page
    assert (await send(client, page, "evidence")).status_code == 422
    answer = await send(client, page, "evidence", note="The bank says no.", facts="")
    assert answer.status_code == 303, answer.text
    await work(world)
    page = await open_page(client, case_id)
    assert "The bank says no." in page
    assert (await stored(world, case_id)).case.state == CaseState.REVIEW


async def test_a_case_is_handed_to_another_team(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    page = await open_page(await reviewer(client, make_key), case_id)
    assert (await send(client, page, "assign", owner="risk", assignee="")).status_code == 303
    assert (await stored(world, case_id)).case.owner == "risk"
    assert (await send(client, page, "assign", owner="", assignee="")).status_code == 422


async def test_who_may_only_read_gets_no_forms_and_is_refused(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    await reviewer(client, make_key, "cases:read")
    page = await open_page(client, case_id)
    assert [form.action for form in Forms(page).found if form.method == "post"] == ["/sign-out"]
    csrf = form_to(page, "/sign-out").filled()
    for verb in ("claim", "release", "assign", "review", "evidence", "outcome"):
        answer = await client.post(f"/cases/{case_id}/{verb}", data=csrf | {"reason": "x", "decision": "approve", "version": "1"})
        assert (answer.status_code, "lacks the scope" in answer.text) == (403, True), verb
