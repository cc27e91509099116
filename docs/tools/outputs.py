"""Fills the documentation with the real output of commands: `make docs-assets`.

A page asks for it in front of a fenced block, which is replaced:

    <!-- output of: local-panther replay trail | head -20 -->
    ```
    ```

All commands run in a content repository that `init` has made, with the records of a generated
attack in `trail`. With --check nothing is written; exit status 1 says that a page is not current.
"""

import difflib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).parents[2]
PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(<!-- output of: (.+?) -->\n```[a-z]*\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE
)
SERVES = re.compile("local-panther serve (?!.*-h$)")
# Progress on a slow machine, and the tool's hint that there is a newer version.
PASSING = re.compile("^reading: |pip3 install panther_analysis_tool")
SIMULATE = "local-panther simulate trail --succeed 2 --background 300 --blocklisted {} --quiet"
BLOCKLISTED = "arn:aws:iam::123456789012:role/FullAdminRole"


def main() -> None:
    """Replace the blocks of all pages, or check them."""
    is_check = "--check" in sys.argv[1:]
    outdated = 0
    with tempfile.TemporaryDirectory(prefix="local-panther-docs-") as name:
        folder = Path(name)
        _run("local-panther init . --quiet", folder)
        _run(SIMULATE.format(BLOCKLISTED), folder)
        for page in PAGES:
            old = page.read_text(encoding="utf-8")
            new = BLOCK.sub(lambda found: found[1] + _run(found[2], folder) + found[4], old)
            if old == new:
                continue
            outdated += 1
            if is_check:
                lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
                print(f"{page.relative_to(REPO)} is not current; run: make docs-assets")
                print(*list(lines)[:20], sep="\n")
            else:
                page.write_text(new, encoding="utf-8")
                print(f"written: {page.relative_to(REPO)}")
    sys.exit(is_check and bool(outdated))


def _run(command: str, folder: Path) -> str:
    """Run a command as its reader would; return what it prints, without what differs each time."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "96",
        "NO_COLOR": "1",
        "LANG": "C.UTF-8",
    }
    process = subprocess.Popen(
        ["bash", "-c", f"exec 2>&1; {command}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    text = ""
    if SERVES.match(command):  # until it has printed how to reach it
        text = "".join(process.stdout.readline() for _ in range(4))
        os.killpg(process.pid, signal.SIGTERM)  # as Ctrl-C, which a job in the background ignores
    text += process.communicate()[0]
    lines = (line.rstrip() for line in text.replace(f"{folder}/", "").splitlines())
    text = "".join(f"{line}\n" for line in lines if not PASSING.search(line))
    text = re.sub("(?m)^(export PANTHER_API_TOKEN=).*", r"\1your-token", text)
    text = re.sub(r"(login\?code=)\S+", r"\1…", text)
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8097", text)


if __name__ == "__main__":
    main()
