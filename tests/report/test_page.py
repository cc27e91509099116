"""The report in a real browser: what is drawn, and that what comes from a log stays text."""

import json
import re
import shutil

import pytest

from local_panther.replay import replay
from local_panther.report.page import write_report
from local_panther.report.tuning import write_tuning_report
from local_panther.tuning.run import tune
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.builders.replays import simulated

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def written(path, *trails):
    outcome = replay([str(t) for t in trails], REPO, include_disabled=True, with_timelines=True)
    write_report(outcome, path)
    return outcome


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    trail = simulated(folder / "trail", succeed=1, blocklisted=role_arn("FullAdminRole"))
    written(folder / "report.html", trail)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def opened(browser):
    """Open a file and return the page, with what it logged and asked for."""

    def opened(path, **options):
        page = browser.new_context(**options).new_page()
        page.trouble, page.requests = [], []
        page.on("console", lambda message: page.trouble.append(message.text))
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("dialog", lambda dialog: page.trouble.append(dialog.message))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    return opened


def card(page, text):
    return page.locator(".alert-card", has_text=text).first


MULTIPLE = "Failed Attempt to Elevate Privileges via Multiple AWS Roles"


class TestDrawing:
    def test_asks_for_nothing_and_complains_of_nothing(self, opened, report):
        page = opened(report)
        assert page.trouble == [] and page.requests == [report.as_uri()]

    def test_every_alert_has_a_card_and_a_timeline(self, opened, report):
        page = opened(report)
        assert page.locator(".alert-card").count() == 3
        assert page.locator(".alert-card .timeline").count() == 3
        assert page.locator(".severity").all_inner_texts() == ["HIGH", "HIGH", "CRITICAL"]

    def test_the_timeline_has_the_right_marks(self, opened, report):
        attack = card(opened(report), MULTIPLE)
        assert attack.locator(".track .mark.failure").count() == 12
        assert attack.locator(".track .mark.discovery").count() == 3
        assert attack.locator(".track .mark.success").count() == 1
        assert attack.locator(".timeline .line.crossing").count() == 1
        assert attack.locator(".timeline .line.alert").count() == 1
        assert attack.locator(".lane").count() == 13
        assert attack.locator("table.targets tbody tr").count() == 12
        assert "2026-01-05T10:16:30Z" in attack.locator("table.targets").inner_text()

    def test_marks_stand_where_their_times_say(self, opened, report):
        attack = card(opened(report), MULTIPLE)
        places = {}
        for mark in attack.locator(".track .mark").all():
            minute, second = re.search(r"T10:(\d\d):(\d\d)Z", mark.get_attribute("title")).groups()
            box = mark.bounding_box()
            places[int(minute) * 60 + int(second)] = box["x"] + box["width"] / 2
        times = sorted(places)
        scale = (places[times[-1]] - places[times[0]]) / (times[-1] - times[0])
        for time in times:
            assert places[time] == pytest.approx(
                places[times[0]] + (time - times[0]) * scale, abs=2
            )

    @pytest.mark.parametrize("width", [320, 390, 768, 1280])
    def test_fits_the_screen(self, opened, report, width):
        page = opened(report, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def test_has_a_light_and_a_dark_face(self, opened, report):
        colours = []
        for scheme in ("light", "dark"):
            page = opened(report, color_scheme=scheme)
            style = "getComputedStyle(document.body)"
            colours.append(
                (page.evaluate(f"{style}.backgroundColor"), page.evaluate(f"{style}.color"))
            )
        assert colours[0] != colours[1]

    def test_can_be_printed(self, opened, report, tmp_path):
        page = opened(report)
        page.pdf(path=tmp_path / "report.pdf")
        assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")

    def test_long_lists_fold(self, opened, tmp_path):
        trail = simulated(tmp_path / "trail", roles=30)
        written(tmp_path / "report.html", trail)
        attack = card(opened(tmp_path / "report.html"), MULTIPLE)
        assert attack.locator("table.targets tbody tr:visible").count() == 12
        attack.locator("details:has(table) > summary").click()
        assert attack.locator("table.targets tbody tr:visible").count() == 30


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "'\"></title></style><b>bold</b>",
    "{{ 7 * 7 }}",
    "</dd></dl><iframe src='https://example.com'></iframe>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_a_log_stays_text(opened, tmp_path, text):
    role = role_arn(f"x/{text.replace(' ', '_')}/Role")
    agent = {"userAgent": text, "sourceIPAddress": text}
    records = [call("ListRoles", time=START - 60, eventID="l", **agent)]
    for i in range(12):
        parameters = {"roleArn": f"{role}{i}"}
        time = START + i * 20
        record = denied("", None, time, eventID=f"{i}", requestParameters=parameters, **agent)
        records.append(record)
    trail = tmp_path / "trail.jsonl"
    trail.write_text("".join(json.dumps(record) + "\n" for record in records))
    outcome = written(tmp_path / "report.html", trail)
    assert len(outcome.alerts) == 1
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and len(page.requests) == 1
    assert text in page.locator(".alert-card").inner_text()
    assert page.locator("script, iframe, img, .alert-card b:not(.lane > b)").count() == 0
    assert page.locator(".track .mark.failure").count() == 12


def test_a_report_is_written_whole_or_not_at_all(report, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("the old one")
    monkeypatch.setattr("local_panther.report.page.os.fdopen", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(target, simulated(tmp_path / "trail"))
    assert target.read_text() == "the old one"
    assert {path.name for path in tmp_path.iterdir()} == {"trail", "report.html"}


def test_the_tuning_page_has_a_line_for_each_window(opened, tmp_path):
    tuning = tune([str(simulated(tmp_path / "trail"))], REPO)
    write_tuning_report(tuning, tmp_path / "tuning.html")
    page = opened(tmp_path / "tuning.html", viewport={"width": 390, "height": 800})
    assert page.trouble == [] and page.locator("svg.plot").count() == 1
    assert page.locator("svg.plot .window polyline").count() == len(tuning.windows)
    points = page.locator("svg.plot .window circle")
    assert points.count() == len(tuning.windows) * len(tuning.thresholds)
    first = page.locator("svg.plot .window.now circle")
    heights = [first.nth(i).bounding_box()["y"] for i in range(len(tuning.thresholds))]
    assert heights == sorted(heights)  # fewer alerts with each higher threshold, drawn lower
    assert heights[0] < heights[-1]
    assert page.locator("table.trials td.now").text_content().startswith("*")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
