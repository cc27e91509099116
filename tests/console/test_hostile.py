"""Hostile texts of records, rules and queries stay text on every page of the console."""

import html
from urllib.parse import quote, urlencode

import pytest

from tests.console.conftest import Visitor
from tests.serving.test_hostile_text import TEXTS, fed_with_hostile_texts

pytestmark = pytest.mark.process

SHOWN = [text for text in TEXTS if text.isprintable() and text.strip() == text]


@pytest.fixture(scope="module")
def hostile_instance(tmp_path_factory):
    with fed_with_hostile_texts(tmp_path_factory.mktemp("hostile")) as client:
        yield client


@pytest.mark.attack("output")
def test_text_of_a_log_or_a_rule_stays_text(hostile_instance, signed_in, record_property):
    record_property("tried", len(TEXTS))
    client = hostile_instance
    page = signed_in(client, "?status=ANY")
    links = page.locator("tr[data-row] th a").evaluate_all("all => all.map((a) => a.href)")
    texts = page.content() + page.inner_text("main")
    incident = "".join(alert["id"] for alert in client.get("/alerts", limit=1)["results"])
    for path in (
        f"console/incidents/{incident}",
        f"console/alerts/{incident}/events",
        "console/content",
        "console/sql",
    ):
        page.goto(client.home + path)
        assert_harmless(page)
        texts += page.locator("main").evaluate("(e) => e.textContent")
    for link in links:
        page.goto(link)
        assert_harmless(page)
        texts += page.locator("main").evaluate("(e) => e.textContent")
    assert [text for text in SHOWN if text not in texts] == []
    assert page.trouble == []
    assert all(url.startswith(client.home) for url in page.requests)


def assert_harmless(page):
    assert page.evaluate("window.owned") is None
    assert page.locator("body script").count() == 1
    assert page.locator("iframe, img, b:not(.lane > b, .bar b), [style], [onerror]").count() == 0
    assert page.locator("a[href^='javascript:']").count() == 0
    home = page.evaluate("location.origin")
    for link in page.locator("main a").evaluate_all("all => all.map((a) => a.href)"):
        assert link.startswith((home, "https://attack.mitre.org/")), link


@pytest.mark.attack("output")
def test_rows_and_names_of_columns_stay_text(hostile_instance, signed_in):
    page = signed_in(hostile_instance, "console/sql")
    page.get_by_label("SQL").fill(
        'SELECT userAgent AS "<b onclick=x>", eventID FROM panther_logs.public.aws_cloudtrail'
    )
    page.get_by_role("button", name="Run").click()
    page.locator(".result table").wait_for()
    assert_harmless(page)
    texts = page.locator(".result").evaluate("(e) => e.textContent")
    assert [text for text in SHOWN if text not in texts] == [] and "<b onclick=x>" in texts
    page.get_by_role("link", name="<b onclick=x>").click()
    page.locator("th[aria-sort=ascending]").wait_for()
    assert page.trouble == []


@pytest.mark.attack("output")
@pytest.mark.parametrize("text", TEXTS)
def test_input_of_a_person_stays_text(hostile_instance, text):
    """The input is a filter, a parameter, SQL, a comment and the name of a page."""
    visitor = Visitor.signed_in(hostile_instance)
    alert = hostile_instance.get("/alerts", limit=1)["results"][0]["id"]
    sent = text.encode("utf-8", "replace").decode()
    pages = [
        visitor.get("/?" + urlencode({"search": sent, "principal": sent, "rule": sent}))[1],
        visitor.get("/console/incidents/" + quote(sent, safe=""))[1],
        visitor.get("/console/login?" + urlencode({"next": sent, "code": sent}))[1],
    ]
    _, _, headers = visitor.post("/console/queries", {"sql": f"SELECT {sent}"})
    pages.append(visitor.get(headers["Location"])[1])
    assert visitor.post(f"/console/incidents/{alert}", {"comment": sent or "x"})[0] in (303, 400)
    pages.append(visitor.get(f"/console/incidents/{alert}")[1])
    for page in pages:
        shown = page.replace(html.escape(sent), "")
        for markup in ("<script>window", "<img", "<iframe", "<b>bold", "onerror=window.owned=3>"):
            assert markup not in shown
