"""The report in a real browser: its drawings, and hostile text that stays text."""

import json
import re
from collections import Counter

import pypdf
import pytest
from aws_role_escalation_config import THRESHOLD

from local_panther.content.model import Content
from local_panther.content.sql import parse_sql
from local_panther.errors import RunErrors
from local_panther.records.model import Tally
from local_panther.records.trail import Trail
from local_panther.replay import Outcome, replay
from local_panther.report.page import FOLDED_FROM, MAX_ROWS, write_report
from local_panther.report.timeline import MAX_LANES
from local_panther.report.tuning import write_tuning_report
from local_panther.simulate.scenario import Api
from local_panther.tuning.run import tune
from tests.builders import hostile
from tests.builders.alerts import alert
from tests.builders.browser import watched_page
from tests.builders.content import write_lines
from tests.builders.events import REPO, START, call, denied, role_arn
from tests.builders.months import month
from tests.builders.replays import simulated
from tests.builders.unlisted import CONTENT


def written(path, *trails):
    outcome = replay(
        Trail([str(t) for t in trails]), CONTENT, include_disabled=True, with_timelines=True
    )
    write_report(outcome, path, [str(t) for t in trails])
    return outcome


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    trail = simulated(folder / "trail", succeed=1, blocklisted=role_arn("FullAdminRole"))
    written(folder / "report.html", trail)
    return folder / "report.html"


@pytest.fixture
def opened(browser):
    """Return a function that opens a file and returns the page, with its errors and requests."""

    def opened(path, **options):
        page = watched_page(browser, **options)
        page.goto(path.as_uri())
        return page

    return opened


def shown(locator):
    """Return the texts of the visible elements."""
    return [element.inner_text() for element in locator.all() if element.is_visible()]


CRITICAL = "ENTERED 1 of 12 roles: mallory (IAM user, 123456789012) from 198.51.100.23 by aws-cli"


class TestOneIncident:
    """A person who assumed a blocklisted role, and a user who got into one of twelve."""

    @pytest.mark.process
    def test_the_page_requests_nothing_and_logs_no_error(self, opened, report):
        page = opened(report)
        assert page.trouble == [] and page.requests == [report.as_uri()]

    @pytest.mark.process
    def test_the_answer_comes_first_and_links_lead_to_it(self, opened, report):
        page = opened(report)
        assert page.locator("h1").inner_text() == "2 incidents, 3 alerts"
        rows = page.locator(".overview tbody tr").all_inner_texts()
        assert [row.split("\t")[0] for row in rows] == ["CRITICAL", "HIGH"]
        answer, *facts = rows[0].split("\t")[1:]
        assert answer.strip() == "ENTERED 1 of 12 roles"
        assert facts == [
            *("mallory (IAM user, 123456789012)", "198.51.100.23"),
            *("2026-01-05T10:00:00Z", "2026-01-05T10:16:30Z", "12", "1", "2"),
        ]
        assert CRITICAL in page.locator(".incident h3").first.inner_text()
        page.locator(".incident > summary").last.click()
        page.get_by_role("link", name="ENTERED role FullAdminRole").click()
        assert page.locator("#incident-2").is_visible()

    def test_the_timeline_has_its_marks_to_scale(self, opened, report):
        attack = opened(report).locator("#incident-1")
        assert "Tried 12, entered 1" in attack.locator("h4").all_inner_texts()
        marks = attack.locator(".track .mark")
        kinds = [mark.get_attribute("class").split()[1] for mark in marks.all()]
        assert {kind: kinds.count(kind) for kind in kinds} == {
            "discovery": 1,  # three pages of one listing, which are drawn as one mark
            "failure": 12,
            "success": 1,
        }
        lines = attack.locator(".timeline .line")
        assert [line.get_attribute("class") for line in lines.all()] == [
            "line crossing",
            "line alert",  # High, minutes after the crossing
            "line alert",  # Critical, at the next run of the query
        ]
        assert attack.locator(".lane").count() == 13
        first = attack.locator("table.targets tbody tr").first.inner_text().split("\t")
        assert first[:2] == ["role/NetworkOperatorRole", "✔ 2026-01-05T10:16:30Z"]
        places = {}
        for mark in marks.all():
            time = re.search(r"T10:(\d\d):(\d\d)Z", mark.locator("title").text_content())
            box = mark.bounding_box()
            assert box["width"] > 4 and box["height"] > 4
            places[int(time[1]) * 60 + int(time[2])] = box["x"] + box["width"] / 2
        times = sorted(places)
        scale = (places[times[-1]] - places[times[0]]) / (times[-1] - times[0])
        for time in times:
            expected = places[times[0]] + (time - times[0]) * scale
            assert places[time] == pytest.approx(expected, abs=2)

    def test_each_step_has_its_queries_with_values_to_copy(self, opened, report):
        page = opened(report)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        steps = page.locator("#incident-1 .runbook").first.locator("> li")
        assert steps.count() == 3
        query = steps.nth(1).locator("details.query").first
        query.locator("summary").click()
        for button, expected in (
            ("Copy command", "--set=principal=arn:aws:iam::123456789012:user/mallory"),
            ("Copy SQL", "'arn:aws:iam::123456789012:user/mallory' AS principal"),
        ):
            query.get_by_role("button", name=button).click()
            copied = page.evaluate("navigator.clipboard.readText()")
            assert expected in copied
        assert "parameters" in parameters_sql(copied)  # the whole query, which can be parsed
        json_part = page.locator("#incident-1 details", has_text="events as JSON").last
        json_part.locator("summary").click()
        events = json.loads(json_part.locator("pre").inner_text())
        assert {event["eventName"] for event in events if "eventName" in event} >= {"AssumeRole"}

    def test_links_lead_to_mitre_and_to_the_reference(self, opened, report):
        links = opened(report).locator("#incident-1 .alerts a")
        found = {link.inner_text(): link.get_attribute("href") for link in links.all()}
        assert found["T1548.005"] == "https://attack.mitre.org/techniques/T1548/005/"
        assert found["TA0004"] == "https://attack.mitre.org/tactics/TA0004/"
        assert found["Reference"].startswith("https://")

    def test_the_page_works_without_javascript(self, opened, report):
        page = opened(report, java_script_enabled=False)
        assert page.get_by_role("button").count() == 0 and not page.locator("#search").is_visible()
        assert "Severity" in page.locator(".overview thead").inner_text()
        assert page.locator("#incident-1 .track .mark.success").is_visible()

    @pytest.mark.parametrize("width", [320, 390, 768, 1280])
    def test_the_page_fits_the_screen(self, opened, report, width):
        page = opened(report, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    def test_text_can_be_read_in_light_and_dark(self, opened, report):
        colours = []
        for scheme in ("light", "dark"):
            page = opened(report, color_scheme=scheme)
            selectors = ["body", ".soft", ".severity.CRITICAL", ".severity.HIGH", "a", "summary"]
            selectors += [".targets strong", "pre"]
            found = {name: page.evaluate(CONTRAST, name) for name in selectors}
            assert {name: ratio for name, (ratio, *_) in found.items() if ratio < 4.5} == {}
            colours.append(found["body"][1:])
        assert colours[0] != colours[1]


# The contrast of an element's text, as WCAG 2.2 defines it, and the two colours.
CONTRAST = """(selector) => {
  let element = document.querySelector(selector), behind = element;
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (e) => parts(getComputedStyle(e).backgroundColor);
  while (behind && ground(behind)[3] === 0) behind = behind.parentElement;
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const colours = [parts(getComputedStyle(element).color), ground(behind)];
  const [low, high] = colours.map(luminance).sort((a, b) => a - b);
  return [(high + 0.05) / (low + 0.05), ...colours.map(String)];
}"""


def parameters_sql(text):
    return parse_sql(text).sql()


def test_a_success_among_300_roles_is_drawn_and_printed(opened, tmp_path):
    trail = simulated(tmp_path / "trail", roles=300, minutes=25, succeed=1)
    written(tmp_path / "report.html", trail)
    page = opened(tmp_path / "report.html")
    assert page.locator(".lane").count() == MAX_LANES + 1
    assert page.locator(".track .mark.success").is_visible()
    lanes = page.locator(".lane").all_inner_texts()
    assert lanes[1] == "role/NetworkOperatorRole10" and lanes[-1] == "281 more not entered"
    assert page.locator(".density rect").count() > 10
    targets = page.locator("table.targets tbody tr")
    assert len(shown(targets)) == FOLDED_FROM and targets.count() == MAX_ROWS
    page.locator("details:has(> .scroll > table.targets) > summary").click()
    assert len(shown(targets)) == MAX_ROWS

    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    page = opened(tmp_path / "report.html")  # folded again
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    pages = [page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages]
    text = "\n".join(pages)
    assert "ENTERED 1 of 300 roles" in pages[0] and "Tried 300, entered 1" in text
    assert re.search(r"Tried\s+Entered\s+Alerts", pages[0])  # the table has its header
    assert "198.51.100.23" in pages[0] and re.search(r"\b300\s+1\s+2\b", pages[0])
    table = text[text.index("Target in 123456789012") :]
    assert table.index("✔ 2026-01-05T10:31:30Z") < table.index("role/BillingAdminRole")
    names = targets.locator("th").all_text_contents()
    assert [name for name in names if not re.search(rf"{name}\s", table)] == []
    assert f"at most {MAX_ROWS} targets of each" in text
    page.emulate_media(media="print")  # no drawing is split over two sheets
    rule = "(element) => getComputedStyle(element).breakInside"
    assert page.locator(".timeline").first.evaluate(rule) == "avoid"
    assert f"{MAX_ROWS} of 300 targets" in text
    assert "WITH parameters" not in text and "Copy" not in text


def test_attempts_on_a_trust_policy_and_its_change_are_in_one_lane(opened, tmp_path):
    trail = simulated(tmp_path / "trail", api=Api.UPDATE_TRUST_POLICY, succeed=1)
    written(tmp_path / "report.html", trail)
    page = opened(tmp_path / "report.html")
    assert "Tried 12, entered 1" in page.locator(".incident h4").all_inner_texts()
    lane = page.locator(".lane", has=page.locator(".mark.success"))
    assert lane.inner_text() == "role/NetworkOperatorRole"
    assert lane.locator(".mark.failure").count() == 1
    row = page.locator("table.targets tr.entered")
    assert row.count() == 1 and "2026-01-05T10:16:30Z" in row.inner_text()


def test_a_month_of_500_alerts_can_be_seen_at_a_glance(opened, tmp_path):
    outcome = written(
        tmp_path / "report.html", month(tmp_path / "trail", pipelines=18, ordinary=300)
    )
    assert len(outcome.alerts) > 500
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    page = opened(tmp_path / "report.html", viewport={"width": 1280, "height": 900})
    assert page.trouble == []
    box = page.locator(".overview").bounding_box()
    assert box["y"] + box["height"] <= 900
    rows = page.locator(".overview tbody tr")
    assert rows.count() == len(outcome.incidents)
    assert all(row[5] for row in page.evaluate(CELLS))
    assert page.locator(".counts").inner_text().split() == [
        "CRITICAL",
        "2",
        "HIGH",
        "3",
        "LOW",
        "504",
    ]
    assert page.locator(".chart rect").count() > 28
    columns = page.evaluate(CELLS)
    assert [row[0] for row in columns[:6]] == ["CRITICAL"] * 2 + ["HIGH"] * 3 + ["LOW"]
    assert page.locator(".incident").count() == rows.count()

    page.get_by_label("LOW").uncheck()
    assert [row[0] for row in page.evaluate(CELLS)] == ["CRITICAL"] * 2 + ["HIGH"] * 3
    assert page.locator("#found").inner_text() == f"5 of {rows.count()}"
    page.locator("#search").fill("identity-center:mallory entered")
    assert [row[1] for row in page.evaluate(CELLS)] == ["ENTERED 2 of 16 roles"]
    page.get_by_label("LOW").check()
    page.locator("#search").fill("")
    page.get_by_role("button", name="First").click()
    firsts = [row[4] for row in page.evaluate(CELLS)]
    assert firsts == sorted(firsts) and len(firsts) == rows.count()
    page.get_by_role("button", name="Tried").click()
    page.get_by_role("button", name="Tried").click()
    assert [row[6] for row in page.evaluate(CELLS)[:2]] == ["16", "14"]
    page.locator(f".overview a[href='#incident-{rows.count()}']").click()
    assert page.locator(f"#incident-{rows.count()}").is_visible()


# The texts of the cells in the visible rows of the overview.
CELLS = """() => [...document.querySelectorAll(".overview tbody tr")]
  .filter((row) => !row.hidden).map((row) => [...row.cells].map((cell) => cell.innerText))"""


TEXTS = list(hostile.SHORT.values())
HOSTILE = [" ".join(TEXTS[n : n + 8]) for n in range(0, len(TEXTS), 8)]
SHOWN = [text for text in TEXTS if text.isprintable() and text.strip() == text]


@pytest.mark.attack("output")
def test_hostile_text_from_a_log_stays_text(opened, tmp_path):
    records = []
    for number, text in enumerate(HOSTILE):
        plain = re.sub("[^!-~]", "_", text)  # AWS allows no other characters in an ARN
        arn = f"arn:aws:iam::123456789012:user/{plain}{number}"
        who = {"type": "IAMUser", "arn": arn, "userName": text, "accountId": "123456789012"}
        role = role_arn(f"x/{plain}/Role")
        agent = {"userAgent": text, "sourceIPAddress": text}
        agent["errorCode"] = "AccessDenied" + text.replace(".", "")
        start = START + 60 * number
        records.append(call("ListRoles", who, start - 60, userAgent=text, sourceIPAddress=text))
        for i in range(12):
            parameters = {"roleArn": f"{role}{i}"}
            time = start + i * 20
            records.append(denied("", who, time, requestParameters=parameters, **agent))
    for number, record in enumerate(records):
        record["eventID"] = str(number)
    trail = tmp_path / "trail.jsonl"
    write_lines(trail, records)
    outcome = written(tmp_path / "report.html", trail)
    assert len(outcome.alerts) == len(HOSTILE)
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and len(page.requests) == 1
    texts = page.locator(".incident").evaluate_all("all => all.map((e) => e.textContent).join()")
    assert [text for text in SHOWN if text not in texts] == []
    assert page.evaluate("window.owned") is None
    assert page.locator("body script").count() == 1
    assert page.locator("iframe, img, b:not(.lane > b), [style], [onerror]").count() == 0
    assert page.locator(".track .mark.failure").count() == 12 * len(HOSTILE)


def test_an_address_that_is_no_web_page_is_not_a_link(opened, tmp_path):
    about = alert(reference="javascript:alert(1)", runbook="Look.")
    outcome = Outcome(Tally(), [about], Counter(), RunErrors(), Content())
    write_report(outcome, tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and page.locator(".alerts a").count() == 0
    assert "javascript:alert(1)" in page.locator(".alerts").inner_text()


def test_without_an_alert_the_page_lists_the_nearest_principals(opened, tmp_path):
    roles = THRESHOLD - 1
    trail = simulated(tmp_path / "trail", roles=roles, ordinary=0)
    written(tmp_path / "report.html", trail)
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and page.locator("h1").inner_text().startswith("No alert in ")
    row = page.locator("table.nearest tbody tr").inner_text().split("\t")
    counts = [f"{roles} of {THRESHOLD}", str(roles), str(roles), "0"]
    assert row[:6] == ["mallory (IAM user, 123456789012)", *counts, "198.51.100.23"]
    written(tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and "nothing was read: no record in 0 files" in page.inner_text(
        "main"
    )


def test_incidents_about_anything_else_show_their_events(opened, tmp_path):
    calls = [call("CreateUser", time=START + 60 * i, eventID=str(i)) for i in range(4)]
    runbook = "https://docs.example.com/runbook"
    later = START + 7 * 86_400
    alerts = [alert(*calls, runbook=runbook), alert(call("GetUser", time=later), first=later)]
    outcome = Outcome(Tally(), alerts, Counter(), RunErrors(), Content())
    write_report(outcome, tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and "Tried" not in page.locator(".overview thead").inner_text()
    assert page.locator("#incident-1 .steps a").get_attribute("href") == runbook
    assert page.locator("#incident-1 .track .mark.event").count() == 4
    assert all(row[5] for row in page.evaluate(CELLS))  # a single event has a last time too
    (row, *_), count = (rows := page.locator("#incident-1 .events tbody tr")).all(), rows.count()
    assert count == 4 and row.inner_text().split("\t")[:3] == [
        *("2026-01-05T10:00:00Z", "CreateUser", "iam.amazonaws.com")
    ]
    # A single event is only in the table, and not in a timeline
    assert page.locator("#incident-2 .timeline").count() == 0
    assert page.locator("#incident-2 .events tbody tr").count() == 1


def test_long_lists_of_alerts_and_of_their_times_are_folded(opened, tmp_path):
    calls = [call("CreateUser", time=START + 60 * i, eventID=str(i)) for i in range(30)]
    alerts = [alert(one, first=START + 60 * i) for i, one in enumerate(calls)]
    outcome = Outcome(Tally(), alerts, Counter(), RunErrors(), Content())
    write_report(outcome, tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert page.trouble == [] and page.locator("#incident-1 .alerts tbody tr").count() == 30
    assert len(shown(page.locator("#incident-1 .alerts tbody tr"))) == FOLDED_FROM
    times = [text.count(" at 2026-01-05T") for text in shown(page.locator("#incident-1 p.soft"))]
    assert max(times) == FOLDED_FROM
    page.get_by_text(f"{30 - FOLDED_FROM} more alerts").click()
    assert len(shown(page.locator("#incident-1 .alerts tbody tr"))) == 30


def test_related_incidents_link_to_each_other(opened, tmp_path):
    trail = simulated(tmp_path / "trail", principals=2, roles=24, ordinary=0)
    written(tmp_path / "report.html", trail)
    page = opened(tmp_path / "report.html")
    page.locator("#incident-1 .evidence").get_by_role("link", name="incident 2").click()
    assert page.url.endswith("#incident-2") and page.locator("#incident-2").is_visible()


def test_a_report_is_written_whole_or_not_at_all(report, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("the old one")
    monkeypatch.setattr("local_panther.box.writing._MODE", None)  # makes the writing fail
    with pytest.raises(TypeError):
        written(target, simulated(tmp_path / "trail"))
    assert target.read_text() == "the old one"
    assert {path.name for path in tmp_path.iterdir()} == {"trail", "report.html"}


def test_the_tuning_page_has_a_line_for_each_window(opened, tmp_path):
    tuning = tune(Trail([str(simulated(tmp_path / "trail"))]), REPO)
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
