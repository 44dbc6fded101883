"""The page and the exports: complete, self-contained, and deaf to what untrusted words say."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

from evals.export import inspect_log, junit, promptfoo
from evals.gates import GATES, load_gates
from evals.html_report import html_report
from evals.metrics import Confident
from evals.plots import confusion_svg, reliability_svg, risk_coverage_svg
from evals.record import Judged, Repeats
from tests.evals.records import outcome, record, wrong

HOSTILE = "</td><script>alert(1)</script><img src=x onerror='alert(2)'> ]]> \"&\" \x00\x07 \uffff"
GATE = load_gates(GATES)
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)


RUN = record(
    outcome("fine"),
    wrong('x"><b>', summary=HOSTILE, problem="<i>it broke</i>", unsafe=("refund_payment",)),
    wrong("out", valid=False, problem="the endpoint timed out", confidence=None),
    outcome("shaky", repeats=Repeats(n=5, agreeing=3, right=3)),
    outcome(
        "missed",
        passed=False,
        expected=Judged(category="payment_failed", owner="finance", verdict="review", mandatory_review=("fraud_review",)),
    ),
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_untrusted_words_stay_words() -> None:
    page = html_report(RUN, GATE)
    tags = Tags(page).seen
    assert {"script", "img", "b", "iframe", "link", "object"} & {tag for tag, _ in tags} <= {"b"}
    assert [attributes for tag, attributes in tags if tag == "b" and "style" not in attributes] == []
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;i&gt;it broke" in page


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = html_report(RUN, GATE)
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page)
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_the_plots_gates_and_every_failure_with_an_anchor() -> None:
    page = html_report(RUN, GATE)
    tags = Tags(page).seen
    assert sum(tag == "svg" for tag, _ in tags) == 3
    anchors = {attributes["id"] for tag, attributes in tags if tag == "tr" and "id" in attributes}
    assert anchors == {'case-x"><b>', "case-out", "case-shaky", "case-missed"}
    assert "unsafe_automations: 1, at most 0 allowed" in page
    assert "missed fraud_review" in page
    assert "3 of 5 runs agree" in page


def test_a_clean_run_says_so() -> None:
    page = html_report(record(outcome("a")), GATE)
    assert "Every hard gate holds" in page
    assert "<p>None.</p>" in page


def test_the_same_run_gives_the_same_page() -> None:
    assert html_report(RUN, GATE) == html_report(RUN, GATE)


def test_plots_stand_for_nothing_measured() -> None:
    for svg in (confusion_svg({}), reliability_svg([]), risk_coverage_svg([])):
        ElementTree.fromstring(str(svg))


def test_labels_in_plots_are_escaped() -> None:
    svg = str(confusion_svg({"a<b>": {"<script>": 2, "a<b>": 1}}))
    ElementTree.fromstring(svg)
    assert "<script>" not in svg


def test_the_reliability_plot_has_a_dot_for_each_bin() -> None:
    svg = str(reliability_svg([Confident(confidence, True) for confidence in (1_000, 5_000, 9_000)] * 4))
    assert svg.count("<circle") == 3


# --- exports ---


def test_junit_is_well_formed_whatever_the_words() -> None:
    suite = ElementTree.fromstring(junit(RUN).encode("utf-8")).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "1")
    failures = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    told = failures['x"><b>']
    assert told is not None
    assert "category fraud_risk instead of payment_failed" in (told.get("message") or "")
    assert "<script>" in (told.text or "")


def test_junit_replaces_what_xml_cannot_hold() -> None:
    text = junit(record(wrong("a", summary="\x00\x0b\uffff fine")))
    case = ElementTree.fromstring(text.encode("utf-8")).find(".//failure")
    assert case is not None
    assert case.text == "��� fine"


def test_the_inspect_log_scores_each_sample() -> None:
    log = json.loads(inspect_log(RUN, AT))
    assert (log["version"], log["status"], log["eval"]["created"]) == (2, "success", "2026-11-23T09:00:00+00:00")
    assert [sample["scores"]["category"]["value"] for sample in log["samples"]] == ["C", "I", "I", "C", "C"]
    assert log["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 0.6
    assert log["results"]["completed_samples"] == 4


def test_promptfoo_counts_what_passed_failed_and_broke() -> None:
    found = json.loads(promptfoo(RUN, AT))["results"]
    assert found["stats"] == {"successes": 2, "failures": 2, "errors": 1, "tokenUsage": {}}
    assert [result["failureReason"] for result in found["results"]] == [0, 1, 2, 0, 1]
