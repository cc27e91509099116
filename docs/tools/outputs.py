"""Fills the documentation with the real output of commands: `make docs-assets`.

A comment before a fenced block asks for the output of a command, which replaces the block:

    <!-- output of: local-panther replay trail | head -20 -->
    ```
    ```

In the README of an example, a block of the kind `console` shows the commands too: each line that
begins with `$ ` is run, and the lines after it are replaced by its output.

The commands of a page run in a content repository that `init` has made, with the records of a
generated attack in `trail`; those of an example in a copy of it. With --check nothing is written,
and exit status 1 says that a page is not current. Arguments name pages; without any, all are done.
"""

import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path

REPO = Path(__file__).parents[2]
PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
EXAMPLES = sorted((REPO / "examples").glob("*/README.md"))
BLOCK = re.compile(
    r"(<!-- output of: (.+?) -->\n```[a-z]*\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE
)
CONSOLE = re.compile(r"(^```console\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)
SERVES = re.compile("local-panther serve (?!.*-h$)")
# Progress on a slow machine, and the tool's hint about a newer version.
PASSING = re.compile("^reading: |pip3 install panther_analysis_tool")
SIMULATE = "local-panther simulate trail --succeed 2 --background 300 --blocklisted {} --quiet"
BLOCKLISTED = "arn:aws:iam::123456789012:role/FullAdminRole"


def main() -> None:
    """Replace the outputs in the pages, or check them."""
    is_check = "--check" in sys.argv[1:]
    named = [Path(name).resolve() for name in sys.argv[1:] if name != "--check"]
    outdated = 0
    with tempfile.TemporaryDirectory(prefix="local-panther-docs-") as name:
        renewed = _Renewal(Path(name))
        for page in named or [*PAGES, *EXAMPLES]:
            old = page.read_text(encoding="utf-8")
            new = renewed.example(page) if page in EXAMPLES else renewed.page(page)
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


class _Renewal:
    """The texts of pages with current output, and the folders in which their commands run."""

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary

    def page(self, page: Path) -> str:
        """Return the text of a page of the documentation."""
        text = page.read_text(encoding="utf-8")
        return BLOCK.sub(lambda block: block[1] + _run(block[2], self._content) + block[4], text)

    def example(self, page: Path) -> str:
        """Return the text of an example's README."""
        folder = self._temporary / page.parent.name
        shutil.copytree(page.parent, folder)
        text = page.read_text(encoding="utf-8")
        return CONSOLE.sub(lambda block: block[1] + _session(block[2], folder) + block[3], text)

    @cached_property
    def _content(self) -> Path:
        folder = self._temporary / "content"
        folder.mkdir()
        _run("local-panther init . --quiet", folder)
        _run(SIMULATE.format(BLOCKLISTED), folder)
        return folder


def _session(shown: str, folder: Path) -> str:
    """Return a session in a terminal with the current output of its commands."""
    commands = [line for line in shown.splitlines() if line.startswith("$ ")]
    texts = (f"{line}\n{_run(line[2:], folder)}".strip("\n") for line in commands)
    return "\n\n".join(texts) + "\n"


def _run(command: str, folder: Path) -> str:
    """Run a command as a reader would; return its output without the parts that vary."""
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
    if SERVES.match(command):  # it runs until it is stopped, after the lines with its address
        text = "".join(process.stdout.readline() for _ in range(4))
        os.killpg(process.pid, signal.SIGTERM)  # like Ctrl-C, which background jobs ignore
    text += process.communicate()[0]
    lines = (line.rstrip() for line in text.replace(f"{folder}/", "").splitlines())
    text = "".join(f"{line}\n" for line in lines if not PASSING.search(line))
    text = re.sub("(?m)^(export PANTHER_API_TOKEN=).*", r"\1your-token", text)
    text = re.sub(r"(login\?code=)\S+", r"\1…", text)
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8097", text)


if __name__ == "__main__":
    main()
