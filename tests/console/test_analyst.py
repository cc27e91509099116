"""The work of an analyst with the console, in a real browser."""

import json
import shutil
import subprocess
import tarfile

import pytest

from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.report.page import write_report
from tests.builders.browser import watched_page
from tests.builders.content import write_files
from tests.builders.events import START
from tests.builders.replays import simulated
from tests.instance.conftest import TOKEN, archive
from tests.instance.servers import eventually
from tests.serving.conftest import attack, content_files, fed
from tests.serving.test_lake import ENDLESS

pytestmark = pytest.mark.process

AXE = "axe-core@4.10.3"
PAGES = ("", "console/sql", "console/content", "INCIDENT", "EVENTS", "QUERY")


def tab_to(page, name):
    """Press the tab key until an element with a name has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        label = "(e) => e.getAttribute('aria-label') || e.innerText || ''"
        if name in page.evaluate(f"({label})(document.activeElement)"):
            return
    pytest.fail(f"no tab stop {name}")


def run(page, name, number):
    tab_to(page, f"Run {name}")
    page.keyboard.press("Enter")
    results = page.locator(".incident .result:not(:empty)")
    results.nth(number).get_by_text("rows").first.wait_for()
    return results.nth(number)


def alerts(client, **parameters):
    return client.get("/alerts", **parameters)["results"]


def test_the_keyboard_suffices_from_sign_in_to_the_next_incident(worked, browser):
    page = watched_page(browser)
    page.goto(worked.home)
    assert page.locator("h1").inner_text() == "Sign in"
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    page.locator("tr[data-row]").first.wait_for()
    assert page.locator(".found").inner_text() == "2 incidents to work on"
    assert TOKEN not in page.url
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#state").wait_for()
    assert "ENTERED 2 of 12 roles: mallory" in page.locator("h1").inner_text()

    first = run(page, "AWS Role Successes After Failures", 0)
    assert first.locator("tbody tr").count() == 2
    second = run(page, "AWS History of a Principal", 1)
    assert second.locator("p").first.inner_text().endswith("rows")

    page.keyboard.press("c")
    page.keyboard.type("Keys are off; asked the owner.")
    tab_to(page, "Comment")
    page.keyboard.press("Enter")
    page.locator("article.comment").wait_for()
    assert page.locator("article.comment p").last.inner_text() == "Keys are off; asked the owner."
    page.keyboard.press("r")
    page.locator("#state .status", has_text="resolved").wait_for()
    page.keyboard.press("j")
    page.locator("h1", has_text="trent").wait_for()
    tab_to(page, "List")
    page.keyboard.press("Enter")
    page.locator(".found", has_text="1 incident to work on").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("fulladminrole trent")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=fulladminrole**")
    assert page.locator("tr[data-row]").count() == 1
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.get_by_text("Nothing is left to do here.").or_(
        page.get_by_text("0 incidents")
    ).first.wait_for()

    assert page.trouble == []
    assert all(url.startswith(worked.home) for url in page.requests)
    assert {alert["status"] for alert in alerts(worked)} == {"RESOLVED"}
    worst = next(a for a in alerts(worked) if a["severity"] == "CRITICAL")
    comments = worked.get("/alert-comments", alert_id=worst["id"])["results"]
    assert [comment["body"] for comment in comments] == ["Keys are off; asked the owner."]


def test_new_alerts_appear_on_an_open_page_and_the_focus_stays(tmp_path, signed_in):
    logs = tmp_path / "logs"
    logs.mkdir()
    shutil.move(attack(tmp_path), logs / "first.json.gz")
    with fed(tmp_path / "state", logs, content=archive(content_files()), follow=True) as client:
        page = signed_in(client)
        page.locator("tr[data-row]").last.locator("a").first.focus()
        held = page.evaluate("document.activeElement.innerText")
        assert held == "ENTERED role FullAdminRole"
        simulated(logs / "later.json.gz", start=START + 6 * 3600, seed=5, principal="role")
        rows = page.locator("tr[data-row]")
        rows.nth(2).wait_for(timeout=60_000)
        assert page.evaluate("document.activeElement.innerText") == held
        assert page.trouble == [] and rows.count() == 3


def test_an_incident_has_the_same_text_as_in_the_report(found, signed_in, tmp_path, browser):
    content = write_files(tmp_path / "content", content_files())
    (trail,) = found.state.parent.glob("*.gz")
    outcome = replay(Trail([str(trail)]), content, with_timelines=True)
    write_report(outcome, tmp_path / "report.html")
    report = browser.new_page()
    report.goto((tmp_path / "report.html").as_uri())
    page = signed_in(found)
    page.locator("tr[data-row] a").first.click()
    page.locator("#state").wait_for()
    card = report.locator(".incident").first
    sentence = card.locator("h3").first.inner_text()
    assert page.locator("h1").inner_text() == sentence
    for part in (".steps", ".evidence", ".timeline", ".key", ".targets", ".alerts", "dl"):
        texts = "all => all.map((e) => e.textContent.replace(/\\s+/g, ' '))"
        shown = page.locator(f".incident {part}").evaluate_all(texts)
        wanted = card.locator(part).evaluate_all(texts)
        if (
            part == ".steps"
        ):  # the buttons differ: the console runs a query, the report copies its command
            steps = "all => all.map((e) => e.querySelector(':scope > li > p').textContent)"
            shown = page.locator(f".incident {part}").evaluate_all(steps)
            wanted = card.locator(part).evaluate_all(steps)
        assert shown == wanted and shown, part
    marks = page.locator(".incident .track .mark").count()
    assert marks == card.locator(".track .mark").count() > 12


def test_a_query_runs_with_other_values_sorts_and_is_exported(found, signed_in):
    page = signed_in(found)
    page.locator("tr[data-row] a").first.click()
    form = page.locator(".run", has_text="AWS History of a Principal").first
    form.locator("summary").click()
    form.get_by_role("textbox", name="name", exact=True).fill("nobody")
    form.get_by_role("button", name="Run").click()
    form.get_by_text("0 rows").wait_for()
    form = page.locator(".run", has_text="AWS Role Successes After Failures").first
    form.get_by_role("button", name="Run").click()
    form.locator("table").wait_for()
    for order in ("ascending", "descending"):
        form.get_by_role("link", name="target").click()
        form.locator(f"th[aria-sort={order}]").wait_for()
        targets = form.locator("tbody tr td:nth-child(2)").all_inner_texts()
        assert targets == sorted(targets, reverse=order == "descending")
    with page.expect_download() as download:
        form.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("role,target,")
    assert page.trouble == []


def test_sql_runs_reports_errors_and_can_be_cancelled(found, signed_in):
    page = signed_in(found, "console/sql")
    assert page.get_by_text("aws_cloudtrail: CloudTrail records").count() == 3
    field, button = page.get_by_label("SQL"), page.get_by_role("button", name="Run")
    result = page.locator(".result")
    field.fill("SELECT nothing FROM panther_logs.public.aws_cloudtrail")
    button.click()
    result.get_by_text("nothing").wait_for()
    assert "warning" in result.locator("p").first.get_attribute("class")
    field.fill(ENDLESS)
    button.click()
    cancel = result.get_by_role("button", name="Cancel")
    cancel.wait_for()
    assert page.locator("main meta").count() == 0  # it would reload this page
    cancel.click()
    result.get_by_text("the query was cancelled").wait_for()
    field.fill("SELECT 1\tAS one")
    button.click()
    result.get_by_role("link", name="one").wait_for()
    assert page.trouble == []


def test_the_page_of_the_content_has_the_counts_of_each_rule(found, signed_in):
    page = signed_in(found, "console/content")
    row = page.locator("tr", has_text="AWS.CloudTrail.RoleEscalationSucceeded")
    assert row.inner_text().split("\t")[1:] == ["CRITICAL", "yes", "6", "1", "0"]
    assert "118" in page.locator("section", has_text="looked at by rules").inner_text()
    row.get_by_role("link").click()
    page.wait_for_url("**rule=AWS.CloudTrail.RoleEscalationSucceeded**")
    assert page.locator("tr[data-row]").count() == 1


def test_an_incident_can_be_resolved_without_script(worked, signed_in):
    page = signed_in(worked, java_script_enabled=False)
    assert page.locator(".keys").is_hidden()
    page.get_by_label("Status").select_option("ANY")
    page.get_by_role("button", name="Filter").click()
    page.locator("tr[data-row] th a").first.click()
    page.get_by_role("button", name="Run AWS Role Successes After Failures").first.click()
    for _ in range(50):
        if page.locator("table.rows").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    assert page.locator("table.rows tbody tr").count() == 2
    page.go_back()
    page.goto(worked.home)
    page.locator("tr[data-row] th a").first.click()
    page.get_by_label("Comment", exact=True).fill("seen")
    page.get_by_role("button", name="Comment").click()
    assert page.locator("article.comment").inner_text().endswith("seen")
    page.get_by_role("button", name="Assign to me").click()
    assert page.get_by_text("assigned to you").is_visible()
    page.get_by_role("button", name="Resolve").click()
    assert page.locator("#state .status").inner_text() == "resolved"
    page.get_by_role("button", name="Sign out").click()
    assert page.locator("h1").inner_text() == "Sign in"


def address(client, page, name):
    """Return the path of one of PAGES."""
    incident = page.locator("tr[data-row] th a").first.get_attribute("href").lstrip("/")
    if name == "INCIDENT":
        return incident
    if name == "EVENTS":
        return f"console/alerts/{alerts(client)[0]['id']}/events"
    if name == "QUERY":
        started = client.ask(
            "mutation($i: ExecuteDataLakeQueryInput!) {executeDataLakeQuery(input: $i) {id}}",
            i={"sql": "SELECT eventName FROM panther_logs.public.aws_cloudtrail"},
        )
        status = "query($i: ID!) {dataLakeQuery(id: $i) {status}}"
        assert eventually(lambda: client.ask(status, i=started["id"])["status"] == "succeeded")
        return f"console/queries/{started['id']}"
    return name


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe, from its npm package."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm, which fetches axe, is not installed")
    folder = tmp_path_factory.mktemp("axe")
    fetched = subprocess.run(
        [npm, "pack", AXE, "--silent"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    if fetched.returncode:
        pytest.skip(f"npm cannot fetch {AXE}: {fetched.stderr.strip()[-200:]}")
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as files:
        return files.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, "LOGIN"])
def test_axe_finds_no_problem_of_accessibility(found, signed_in, axe, name, scheme):
    page = signed_in(found, color_scheme=scheme)
    if name == "LOGIN":
        page.context.clear_cookies()
        page.goto(found.home)
    elif name:
        page.goto(found.home + address(found, page, name))
    for details in page.locator("details").all():
        details.evaluate("(e) => { e.open = true; }")
    page.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.evaluate("(tags) => axe.run({runOnly: tags})", tags)
    broken = [(v["id"], v["help"], v["nodes"][0]["html"][:200]) for v in result["violations"]]
    assert broken == [], json.dumps(broken, indent=1)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_the_screen(found, signed_in, name, width):
    page = signed_in(found, viewport={"width": width, "height": 800})
    page.goto(found.home + address(found, page, name))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_incident_is_printed_without_its_controls(found, signed_in):
    page = signed_in(found)
    page.locator("tr[data-row] a").first.click()
    page.locator("#state").wait_for()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    assert not page.get_by_role("button").all() or not any(
        button.is_visible() for button in page.get_by_role("button").all()
    )
    assert page.locator(".timeline").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
