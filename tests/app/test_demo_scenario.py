import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from app.demo.play import fresh_secrets, webhook_settings
from app.demo.scenario import STORIES, Sending, at, in_acts, orders_sold, read_stories
from app.signals.reading import open_body, parse, sign, verify
from app.signals.shapes import WEBHOOK_SOURCES, Envelope, FieldsInvalid, Source

NOW = datetime(2026, 11, 23, 12, 0, 30, 500_000, UTC)


def all_sendings() -> list[Sending]:
    return [sending for act in in_acts(read_stories(NOW)) for sending in act]


def texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in texts(item)]
        case list():
            return [text for item in value for text in texts(item)]
    return []


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("now", "2026-11-23T12:00:30Z"),
        ("now-6d2h", "2026-11-17T10:00:30Z"),
        ("now+18h", "2026-11-24T06:00:30Z"),
        ("now-90m unix", 1_795_429_830),
        ("now-1d naive", "2026-11-22T12:00:30"),
        ("now or never", "now or never"),
        (["now", {"a": "now-1m"}], ["2026-11-23T12:00:30Z", {"a": "2026-11-23T11:59:30Z"}]),
        (5, 5),
    ],
)
def test_a_relative_time_is_written_as_its_vendor_would(told: Any, written: Any) -> None:
    assert at(told, NOW) == written


def test_no_relative_time_is_left_in_what_goes_out() -> None:
    left = [text for sending in all_sendings() for text in texts(sending.payload) if re.match(r"now\b[+-]?", text)]
    assert left == []


def test_the_stories_come_from_every_source() -> None:
    assert {sending.source for sending in all_sendings()} == set(WEBHOOK_SOURCES)
    assert len(all_sendings()) >= 44


def test_one_delivery_comes_twice_to_the_byte() -> None:
    bodies = Counter((sending.source, sending.body) for sending in all_sendings())
    assert [count for count in bodies.values() if count > 1] == [2]


def test_every_delivery_is_signed_as_its_vendor_does() -> None:
    given = fresh_secrets()
    settings = webhook_settings(given)
    for sending in all_sendings():
        headers = sign(sending.source, given[sending.source], sending.body, sending.headers, NOW)
        verify(Envelope(sending.source, headers, sending.body, NOW), settings.of(sending.source), NOW)


def test_all_but_one_delivery_can_be_read_and_all_topics_but_one_are_known() -> None:
    unreadable, unknown = [], []
    for sending in all_sendings():
        try:
            (delivery,) = open_body(Envelope(sending.source, sending.headers, sending.body, NOW))
            parsed = parse(sending.source, delivery.headers, delivery.payload, NOW)
        except FieldsInvalid:
            unreadable.append(sending)
            continue
        if not parsed.known:
            unknown.append(parsed.topic)
        assert parsed.occurred_at < NOW
    assert len(unreadable) == 1
    assert unknown == ["crm.campaign.sent"]


def test_an_older_event_arrives_after_a_newer_one_in_a_later_act() -> None:
    later = [sending for sending in all_sendings() if sending.act == 2 and sending.source is Source.STRIPE]
    for sending in later:
        earlier = [
            s for s in all_sendings() if s.act == 1 and s.payload.get("data", {}).get("object", {}).get("id") == _payment(sending)
        ]
        assert earlier
        assert all(s.payload["created"] > sending.payload["created"] for s in earlier)
    assert later


def _payment(sending: Sending) -> Any:
    return sending.payload["data"]["object"]["id"]


def test_the_shop_is_told_each_order_as_it_was_last() -> None:
    sold = {body["name"]: body for body in orders_sold(read_stories(NOW))}
    assert sold["#2017"]["cancelled_at"] is not None
    assert len(sold) >= 20


def test_people_in_the_stories_do_not_exist() -> None:
    raw = "\n".join(file.read_text(encoding="utf-8") for file in STORIES.glob("*.json"))
    mails = set(re.findall(r"[\w.+-]+@[\w.-]+", raw))
    assert mails
    assert all(re.search(r"@example\.(com|org|net)$", mail) for mail in mails)


def test_every_story_has_a_title_of_its_own() -> None:
    titles = [json.loads(file.read_text(encoding="utf-8"))["title"] for file in STORIES.glob("*.json")]
    assert len(set(titles)) == len(titles) >= 20
