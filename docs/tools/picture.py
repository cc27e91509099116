"""Takes the picture of the report that the README shows: `make docs-assets`. Needs chromium."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

REPO = Path(__file__).parents[2]
PICTURE = REPO / "docs" / "assets" / "report.png"
COMMAND = Path(sys.executable).with_name("local-panther")


def main() -> None:
    """Replay a generated attack, open its report and take a picture of its first screen."""
    browser_path = shutil.which("chromium")
    if not browser_path:
        sys.exit("the picture needs chromium; install it, or keep the picture that is there")
    with tempfile.TemporaryDirectory(prefix="local-panther-docs-") as name, sync_playwright() as p:
        folder = Path(name)
        for command in (
            ("simulate", "trail", "--succeed", "2", "--background", "300", "--quiet"),
            ("replay", "trail", "--report", "report.html", "--quiet"),
        ):
            subprocess.run([COMMAND, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        browser = p.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.goto(f"file://{folder}/report.html")
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURE)
        browser.close()
    print(f"written: {PICTURE.relative_to(REPO)}")


if __name__ == "__main__":
    main()
