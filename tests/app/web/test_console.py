"""The console's doors and its pages around the case: signing in, the queue, an order, the policy, the dead letter."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app import keys
from app.database import write
from app.inbox import Inbox
from app.signals.shapes import Source
from app.web import desk_pages, in_words
from app.web.sessions import LASTS, SESSION_COOKIE
from app.world import World
from guardrails.taxonomy import PrincipalKind
from tests.app.web.browsing import HOSTILE, Forms, bearer, form_to, posts, reviewer, sign_in, told, unpaid
from tests.conftest import Clock, MakeKey

TEMPLATES = Path(desk_pages.__file__).parent / "templates"
READ = ("/", "/cases/case_x", "/cases/case_x/trail", "/orders/9001", "/policy", "/switches", "/dead-letter", "/dead-letter/sig_x")
VERBS = ("claim", "release", "assign", "review", "evidence", "outcome")
WRITE = (*(f"/cases/case_x/{verb}" for verb in VERBS), "/dead-letter/sig_x/replay", "/switches", "/sign-out")


# --- doors ---


@pytest.mark.parametrize("path", READ)
async def test_every_page_needs_a_session_and_leads_back_after_signing_in(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=" + path.replace("/", "%2F")


@pytest.mark.parametrize("path", WRITE)
async def test_every_form_needs_a_session(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, data={"csrf": "x"})
    assert (answer.status_code, "Sign in" in answer.text) == (401, True)


@pytest.mark.parametrize("path", WRITE)
@pytest.mark.parametrize("csrf", [None, "", "0" * 64])
async def test_a_form_without_the_sessions_secret_is_refused(
    client: httpx.AsyncClient, make_key: MakeKey, path: str, csrf: str | None
) -> None:
    await reviewer(client, make_key)
    answer = await client.post(path, data={} if csrf is None else {"csrf": csrf})
    assert answer.status_code == 403
    assert "does not belong to your present session" in answer.text


async def test_the_secret_of_another_session_does_not_open_a_form(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    await reviewer(client, make_key)
    stolen = form_to((await client.get("/")).text, "/sign-out").filled()
    client.cookies.clear()
    await reviewer(client, make_key, name="tom")
    assert (await client.post("/sign-out", data=stolen)).status_code == 403


async def test_signing_in_needs_the_page_that_was_shown(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    assert (await client.post("/sign-in", data={"key": bearer(admin)})).status_code == 403


async def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    answer = await sign_in(client, bearer(admin), "/policy")
    assert (answer.status_code, answer.headers["location"]) == (303, "/policy")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION_COOKIE)).lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert bearer(admin).lower() not in cookie


async def test_over_https_the_cookie_stays_there(http_app: FastAPI, admin: dict[str, str]) -> None:
    transport = httpx.ASGITransport(http_app)
    async with httpx.AsyncClient(transport=transport, base_url="https://ordermend.test") as client:
        answer = await sign_in(client, bearer(admin))
    assert "secure" in next(c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION_COOKIE)).lower()


@pytest.mark.parametrize("goal", ["//evil.test", "https://evil.test/", "/\\evil.test", "evil.test", "/a\nb", "javascript:alert(1)"])
async def test_signing_in_never_leads_to_another_site(client: httpx.AsyncClient, admin: dict[str, str], goal: str) -> None:
    assert (await sign_in(client, bearer(admin), goal)).headers["location"] == "/"


async def test_a_service_cannot_sign_in(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    answer = await sign_in(client, bearer(await make_key(kind=PrincipalKind.SERVICE)))
    assert (answer.status_code, "belongs to a service" in answer.text) == (403, True)
    assert SESSION_COOKIE not in client.cookies


async def test_a_wrong_key_is_refused_and_not_shown_again(client: httpx.AsyncClient) -> None:
    answer = await sign_in(client, "om_live_guessed")
    assert (answer.status_code, "om_live_guessed" in answer.text) == (401, False)


async def test_revoking_the_key_ends_its_sessions_at_once(client: httpx.AsyncClient, make_key: MakeKey, world: World) -> None:
    await reviewer(client, make_key)
    assert (await client.get("/")).status_code == 200
    async with write(world.database.sessions) as session:
        for row in await keys.list_keys(session):
            await keys.revoke(session, world.clock(), row.id, by="tests")
    assert (await client.get("/")).status_code == 303


async def test_a_session_ends_after_its_hours(client: httpx.AsyncClient, make_key: MakeKey, clock: Clock) -> None:
    await reviewer(client, make_key)
    clock.now += LASTS - timedelta(seconds=1)
    assert (await client.get("/")).status_code == 200
    clock.forward(seconds=1)
    assert (await client.get("/")).status_code == 303


async def test_signing_out_ends_the_session_for_good(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    await reviewer(client, make_key)
    token = client.cookies[SESSION_COOKIE]
    page = await client.get("/")
    assert (await client.post("/sign-out", data=form_to(page.text, "/sign-out").filled())).status_code == 303
    client.cookies.set(SESSION_COOKIE, token)
    assert (await client.get("/")).status_code == 303


async def test_a_key_opens_only_the_pages_of_its_scopes(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    await reviewer(client, make_key, "cases:read")
    assert (await client.get("/")).status_code == 200
    for path in ("/policy", "/switches", "/dead-letter"):
        answer = await client.get(path)
        assert (answer.status_code, "lacks the scope" in answer.text) == (403, True)


# --- pages ---


async def test_no_page_holds_what_the_content_policy_refuses(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock, inbox: Inbox
) -> None:
    case_id = await unpaid(world, clock, facts={"order.note": told(clock, HOSTILE)})
    dead = await inbox.bury(Source.STRIPE, {}, HOSTILE.encode(), clock(), HOSTILE)
    await reviewer(client, make_key)
    for path in (
        "/",
        f"/cases/{case_id}",
        f"/cases/{case_id}/trail",
        "/orders/9001",
        "/policy",
        "/switches",
        "/dead-letter",
        f"/dead-letter/{dead}",
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), path
        policy = answer.headers["content-security-policy"]
        assert "script-src 'none'" in policy
        assert "unsafe" not in policy
        read = Forms(answer.text)
        assert read.forbidden == [], path
        assert len(read.ids) == len(set(read.ids)), path
        assert set(read.anchors) <= set(read.ids), path
        assert list(posts(answer.text)), path
        assert all(dict(form.fields).get("csrf") for form in posts(answer.text)), path


def test_templates_have_no_inline_script_style_or_outside_address() -> None:
    texts = {path.name: path.read_text() for path in TEMPLATES.glob("*.html")}
    assert len(texts) >= 10
    for name, text in texts.items():
        for refused in ("<script", "<style", " style=", " onclick", "javascript:", "http://", "https://", "| safe", "|safe"):
            assert refused not in text, (name, refused)


async def test_the_stylesheet_is_served_and_kept(client: httpx.AsyncClient) -> None:
    page = (await client.get("/sign-in")).text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = await client.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    assert (await client.get("/static/..%2fapp.py")).status_code == 404


async def test_the_queue_shows_what_to_do_next(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    case_id = await unpaid(world, clock)
    clock.forward(minutes=20)
    page = (await (await reviewer(client, make_key)).get("/")).text
    assert f'href="/cases/{case_id}"' in page
    for part in ("#9001", "payment_failed", "Held for a person", "high_value_order", "finance", "free", "20 min ago", "due in"):
        assert part in page, part


async def test_the_queue_is_narrowed_by_its_address(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock
) -> None:
    case_id = await unpaid(world, clock)
    await reviewer(client, make_key)
    for query in ("owner=finance", "category=payment_failed", "verdict=review", "q=9001", "state=all", "state=review&owner=&q="):
        assert case_id in (await client.get(f"/?{query}")).text, query
    for query in ("owner=risk", "category=unknown", "verdict=block", "q=nothing+like+it", "state=resolved"):
        assert case_id not in (await client.get(f"/?{query}")).text, query


@pytest.mark.parametrize("query", ["owner=nobody", "state=gone", "ownr=finance", "cursor=%00", "cursor=" + "A" * 900])
async def test_a_filter_that_does_not_exist_is_refused_in_words(client: httpx.AsyncClient, make_key: MakeKey, query: str) -> None:
    answer = await (await reviewer(client, make_key)).get(f"/?{query}")
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in answer.text


async def test_an_empty_queue_says_why(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    await reviewer(client, make_key)
    assert "No open case" in (await client.get("/")).text
    await unpaid(world, clock)
    assert "No case matches" in (await client.get("/?owner=risk&q=shoes")).text
    assert "No approved action is under way" in (await client.get("/?state=acting")).text


async def test_the_queue_is_read_page_by_page(
    client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_pages, "PAGE", 1)
    first, second = await unpaid(world, clock, "#1"), await unpaid(world, clock, "#2")
    page = (await (await reviewer(client, make_key)).get("/?owner=finance")).text
    assert (first in page, second in page) == (True, False)
    following = page.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    page = (await client.get(following)).text
    assert (first in page, second in page, 'rel="next"' in page) == (False, True, False)
    assert (await client.get(following.replace("owner=finance", "owner=risk"))).status_code == 400


async def test_an_order_shows_who_says_what(client: httpx.AsyncClient, make_key: MakeKey, world: World, clock: Clock) -> None:
    await unpaid(world, clock, facts={"order.note": told(clock, HOSTILE)})
    await unpaid(world, clock, facts={"order.total": told(clock, {"amount": 70_000, "currency": "USD"}, "erp")})
    page = (await (await reviewer(client, make_key)).get("/orders/%239001")).text
    assert "≠ conflict" in page
    assert "700.00 USD" in page
    assert "shopify is the system of record" in page
    assert "tried to give instructions" in page


async def test_the_policy_is_shown_with_its_numbers(client: httpx.AsyncClient, make_key: MakeKey, world: World) -> None:
    page = (await (await reviewer(client, make_key)).get("/policy")).text
    assert world.policy.sha256 in page
    for part in ("500.00 USD", "150.000 KWD", "order.total &gt;= limit(high_value)", "Cannot be undone", *world.policy.actions):
        assert part in page, part


@pytest.mark.parametrize("path", ["/cases/case_nope", "/orders/nope", "/dead-letter/sig_nope", "/cases/case_nope/trail"])
async def test_what_does_not_exist_is_said_on_a_page(client: httpx.AsyncClient, make_key: MakeKey, path: str) -> None:
    answer = await (await reviewer(client, make_key)).get(path)
    assert (answer.status_code, "There is no such thing" in answer.text) == (404, True)


# --- the dead letter ---


async def test_a_dead_signal_is_mended_and_leaves_the_list(
    client: httpx.AsyncClient, make_key: MakeKey, inbox: Inbox, clock: Clock
) -> None:
    dead = await inbox.bury(
        Source.SHOPIFY, {"x-shopify-topic": "orders/create"}, b'{"name": "#77", ', clock(), "the body is not JSON"
    )
    await reviewer(client, make_key)
    assert dead in (await client.get("/dead-letter")).text
    page = (await client.get(f"/dead-letter/{dead}")).text
    form = form_to(page, "/replay")
    wrong = await client.post(form.action, data=form.filled(how="mended", payload='{"name": "#77", '))
    assert (wrong.status_code, "stays in the dead letter" in wrong.text) == (400, True)
    order = '{"name": "#77", "id": 77, "created_at": "2026-11-01T09:00:00Z", "currency": "USD", "total_price": "5.00"}'
    answer = await client.post(form.action, data=form.filled(how="mended", payload=order))
    assert answer.status_code == 303, answer.text
    page = (await client.get(answer.headers["location"])).text
    assert ("has left the list" in page, dead in page) == (True, False)


async def test_characters_that_hide_in_a_body_are_shown_as_codes(
    client: httpx.AsyncClient, make_key: MakeKey, inbox: Inbox, clock: Clock
) -> None:
    dead = await inbox.bury(Source.STRIPE, {}, "a\u202eb".encode(), clock(), "no")
    page = (await (await reviewer(client, make_key)).get(f"/dead-letter/{dead}")).text
    assert "a⟨U+202E⟩b" in page
    assert ">a\u202eb</textarea>" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"amount": 70_000, "currency": "JPY"}, "70000 JPY"),
        ({"amount": 1, "currency": "KWD"}, "0.001 KWD"),
        ({"amount": 1, "currency": "nonsense"}, '{"amount": 1, "currency": "nonsense"}'),
        (None, "read, and nothing there"),
        (True, "yes"),
        ({"zip": "1", "parts": [1, 2]}, "zip: 1\nparts: [1, 2]"),
        ([], "none"),
    ],
)
def test_values_are_written_for_readers(value: object, text: str) -> None:
    assert in_words.shown(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (90, "1 min"), (3_600, "1 h"), (11_400, "3 h 10 min"), (187_200, "2 d 4 h")]
)
def test_lengths_of_time_are_two_units_at_most(seconds: int, text: str) -> None:
    assert in_words.span(timedelta(seconds=seconds)) == text
