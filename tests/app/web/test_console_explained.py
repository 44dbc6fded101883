"""What a reviewer sees of the explanation that a model wrote: whose it is, what it cites, and that it decides nothing."""

import httpx
import pytest

from app import explaining
from app.world import World
from tests.app.explained import Pen, with_pen
from tests.app.web.browsing import HOSTILE, Forms, reviewer, unpaid
from tests.conftest import Clock, MakeKey


async def page_after(world: World, clock: Clock, client: httpx.AsyncClient, make_key: MakeKey, pen: Pen) -> tuple[str, str]:
    """The section of the explanation, and the whole page."""
    case_id = await unpaid(world, clock)
    await explaining.explain_next(with_pen(world, pen))
    page = (await (await reviewer(client, make_key)).get(f"/cases/{case_id}")).text
    return page.split('<section class="told"')[1].split("</section>")[0], page


async def test_the_page_says_who_wrote_it_and_that_it_decides_nothing(
    world: World, clock: Clock, client: httpx.AsyncClient, make_key: MakeKey
) -> None:
    told, page = await page_after(world, clock, client, make_key, Pen())
    assert "Explanation by <bdi>test-model</bdi>" in told
    assert Pen.summary in told
    assert "it does not decide anything" in told
    assert "✓ <bdi>insufficient_funds</bdi>" in told
    assert "do not rely on it" not in told
    assert page.index("Summary and evidence") < page.index("Explanation by") < page.index("The order as all systems see it")
    anchors = Forms(page)
    assert set(anchors.anchors) <= set(anchors.ids)


async def test_what_it_cites_and_the_facts_do_not_hold_is_shown_as_such(
    world: World, clock: Clock, client: httpx.AsyncClient, make_key: MakeKey
) -> None:
    told, _ = await page_after(world, clock, client, make_key, Pen(quote="lost_card"))
    assert "not found in the facts" in told
    assert "✕ <s><bdi>lost_card</bdi></s>" in told
    assert "✓" not in told
    assert "do not rely on it" in told


async def test_what_the_model_repeats_from_an_attacker_is_text_and_nothing_else(
    world: World, clock: Clock, client: httpx.AsyncClient, make_key: MakeKey
) -> None:
    told, page = await page_after(world, clock, client, make_key, Pen(summary=HOSTILE, quote=HOSTILE))
    assert "&lt;script&gt;" in told
    assert "<script" not in page
    assert Forms(page).forbidden == []


async def test_a_failure_is_told_with_its_reason(world: World, clock: Clock, client: httpx.AsyncClient, make_key: MakeKey) -> None:
    told, _ = await page_after(world, clock, client, make_key, Pen(failure="the <b>endpoint</b> could not be reached"))
    assert "The model could not answer (1 try): <bdi>the &lt;b&gt;endpoint&lt;/b&gt; could not be reached</bdi>" in told


async def test_a_case_without_an_explanation_has_no_such_section(
    world: World, clock: Clock, client: httpx.AsyncClient, make_key: MakeKey
) -> None:
    case_id = await unpaid(world, clock)
    page = (await (await reviewer(client, make_key)).get(f"/cases/{case_id}")).text
    assert "Explanation" not in page


@pytest.mark.parametrize(("pen", "grounded"), [(Pen(), True), (Pen(quote="lost_card"), False)])
async def test_the_api_shows_the_explanation_apart_from_the_decision(
    world: World, clock: Clock, client: httpx.AsyncClient, admin: dict[str, str], pen: Pen, grounded: bool
) -> None:
    case_id = await unpaid(world, clock)
    before = (await client.get(f"/api/v1/cases/{case_id}", headers=admin)).json()
    assert before["explanation"] is None
    await explaining.explain_next(with_pen(world, pen))
    after = (await client.get(f"/api/v1/cases/{case_id}", headers=admin)).json()
    told = after.pop("explanation")
    assert (told["summary"], told["grounded"], told["model"]) == (pen.summary, grounded, "test-model")
    assert (told["category"], told["prompt_tokens"], told["cost_micros"]) == ("payment_failed", 200, None)
    assert after | {"explanation": None} == before
