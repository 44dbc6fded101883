"""The policy's page: who put what in force, what came before, and trying a change."""

import httpx
import pytest

from app.publishing import publish
from app.world import World
from guardrails.policy.tables import Mode
from tests.app.changed_policies import AS_SHIPPED, BROKEN, high_value
from tests.app.web.browsing import Forms, form_to, reviewer
from tests.builders import order_arrives, person, warehouse_busy
from tests.conftest import Clock, MakeKey
from tests.steps import work

LEAD = person("lee", "lead")


@pytest.fixture
async def judged(world: World, clock: Clock) -> None:
    """One order of 58 USD whose case was ruled automate."""
    await order_arrives(world)
    await warehouse_busy(world)
    await work(world)
    clock.forward(minutes=1)


async def tried(client: httpx.AsyncClient, text: str, overlay: str = "") -> httpx.Response:
    form = form_to((await client.get("/policy")).text, "/policy#tried")
    return await client.post("/policy", data=form.filled(policy=text, overlay=overlay))


async def test_the_page_says_who_published_what_and_why(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock, judged: None
) -> None:
    await publish(world, LEAD, high_value("40.00"), Mode.ENFORCE, "fewer <b>surprises</b>")
    clock.forward(minutes=1)
    await publish(world, LEAD, high_value("30.00", "tried"), Mode.SHADOW, "see first")
    page = (await (await reviewer(client, make_key)).get("/policy")).text
    assert "fewer &lt;b&gt;surprises&lt;/b&gt;" in page
    assert "first start" in page
    assert "On trial in shadow: version tried" in page
    assert "rulings otherwise" in page
    assert "40.00 USD" in page


async def test_a_changed_policy_is_tried_and_nothing_changes(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, judged: None
) -> None:
    browser = await reviewer(client, make_key)
    answer = await tried(browser, high_value("40.00").document)
    assert answer.status_code == 200
    assert "What version lowered would have ruled" in answer.text
    assert "mandatory.high_value_order.1" in answer.text
    assert "58.00 USD" in answer.text
    assert Forms(answer.text).forbidden == []
    assert f"Version {world.policy.version}, from" in (await browser.get("/policy")).text


async def test_every_mistake_is_shown_and_what_was_typed_stays(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    answer = await tried(await reviewer(client, make_key), BROKEN.document)
    assert answer.status_code == 422
    assert "policy.yaml:" in answer.text
    assert "order.totl" in answer.text


async def test_the_form_begins_with_the_text_in_force(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    page = (await (await reviewer(client, make_key)).get("/policy")).text
    assert "order.total &gt;= limit(high_value)" in page
    assert AS_SHIPPED.document.splitlines()[0].replace("'", "&#39;") in page


async def test_a_reviewer_sees_the_policy_and_no_form(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    browser = await reviewer(client, make_key, roles=["reviewer"])
    page = (await browser.get("/policy")).text
    assert "See what it would have ruled" not in page
    forged = form_to((await browser.get("/")).text, "/sign-out").filled(policy=AS_SHIPPED.document)
    assert (await browser.post("/policy", data=forged)).status_code == 403
