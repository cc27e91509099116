"""Takes the pictures of the report and of the console for `make docs-assets`; needs chromium."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

REPO = Path(__file__).parents[2]
ASSETS = REPO / "docs" / "assets"
COMMAND = Path(sys.executable).with_name("local-panther")
TOOL = Path(sys.executable).with_name("panther_analysis_tool")
BLOCKLISTED = "arn:aws:iam::123456789012:role/FullAdminRole"
BLOCKLIST = "rules/aws_cloudtrail_rules/aws_iam_assume_role_blocklist_ignored.yml"
LINK = re.compile(r"http://\S+/console/login\?code=\S+")
# Pictures of the console: name, size of the screen, colours, and True for the page of an incident.
CONSOLE = (
    ("console", (1200, 900), "light", False),
    ("console-incident", (1200, 1000), "light", True),
    ("console-dark", (1200, 1000), "dark", True),
    ("console-390", (390, 844), "light", True),
)


def main() -> None:
    """Replay a generated attack and take pictures of its report and its pages."""
    browser_path = shutil.which("chromium")
    if not browser_path:
        sys.exit("the pictures need chromium; install it, or keep those that are there")
    with tempfile.TemporaryDirectory(prefix="local-panther-docs-") as name, sync_playwright() as p:
        folder = Path(name)
        simulate = ("simulate", "--succeed", "2", "--background", "300", "--quiet")
        for command in (
            ("init", ".", "--quiet"),
            (*simulate, "trail"),
            (*simulate, "seen", "--blocklisted", BLOCKLISTED),
            ("replay", "trail", "--report", "report.html", "--quiet"),
        ):
            subprocess.run([COMMAND, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        rule = folder / BLOCKLIST
        rule.write_text(rule.read_text().replace("Enabled: false", "Enabled: true"))
        browser = p.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        _take_report(browser, folder)
        with _served(folder) as link:
            _take_console(browser, link)
        browser.close()


def _take_report(browser: Browser, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(f"file://{folder}/report.html")
    page.wait_for_load_state("networkidle")
    _written(page.screenshot(path=ASSETS / "report.png"), "report")


def _take_console(browser: Browser, link: str) -> None:
    page = browser.new_page()
    page.goto(link)
    state = page.context.storage_state()
    for name, (width, height), scheme, of_incident in CONSOLE:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            storage_state=state,
        )
        page = context.new_page()
        page.goto(link.partition("console/")[0])
        page.locator("tr[data-row]").first.wait_for(timeout=60_000)
        if of_incident:
            page.locator("tr[data-row] th a").first.click()
            run = page.locator(".run", has_text="AWS Role Successes After Failures").first
            run.get_by_role("button", name="Run").click()
            run.locator("table").wait_for()
            page.evaluate("scrollTo(0, 0)")
        _written(page.screenshot(path=ASSETS / f"{name}.png"), name)
        context.close()


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve the content and the trail in a folder; yield the link that signs in."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PANTHER_")}
    with (folder / "messages").open("w+") as messages:
        serving = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", "--replay", "seen"],
            cwd=folder,
            env=clean,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
        )
        assert serving.stdout
        exports = [serving.stdout.readline().strip() for _ in range(2)]
        settings = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        subprocess.run(
            [TOOL, "upload"],
            cwd=folder,
            env=clean | settings,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found = LINK.search((folder / "messages").read_text())
        assert found
        try:
            yield found[0]
        finally:
            serving.send_signal(signal.SIGINT)
            serving.wait()


def _written(picture: bytes, name: str) -> None:
    print(f"written: docs/assets/{name}.png, {len(picture):,} bytes")


if __name__ == "__main__":
    main()
