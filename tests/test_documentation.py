"""The documentation: its examples are current, and its links lead to files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.builders.events import REPO
from tests.cli.test_habits import COMMANDS
from tests.scale import slow

pytestmark = pytest.mark.process

PAGES = [
    REPO / "README.md",
    *sorted((REPO / "docs").rglob("*.md")),
    *sorted((REPO / "examples").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


@slow  # also part of make docs
def test_output_in_docs_equals_that_of_the_commands():
    check = [sys.executable, REPO / "docs/tools/outputs.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_lead_to_files(page):
    targets = [found[1] for found in LINK.finditer(page.read_text()) if "://" not in found[1]]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_command_has_a_page_with_its_options_and_each_page_is_in_the_menu():
    menu = (REPO / "mkdocs.yml").read_text()
    pages = {path.stem: path for path in (REPO / "docs" / "commands").glob("*.md")}
    assert pages.keys() >= set(COMMANDS)
    for name, page in pages.items():
        assert f"Usage: local-panther {name}" in page.read_text()
    for path in (REPO / "docs").rglob("*.md"):
        assert path.relative_to(REPO / "docs").as_posix() in menu


def test_every_package_and_module_of_the_architecture_has_its_row():
    table = (REPO / "docs" / "architecture.md").read_text()
    rows = re.findall(r"(?m)^\| (`[^|]+`) \|", table)
    named = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    package = REPO / "local_panther"
    parts = {p.stem for p in package.iterdir() if p.suffix in ("", ".py") and p.stem[0] != "_"}
    assert sorted(named) == sorted(parts)


def test_the_menu_is_valid_yaml_and_the_site_loads_no_fonts_from_elsewhere():
    assert yaml.safe_load((REPO / "mkdocs.yml").read_text())["theme"]["font"] is False


def test_the_readme_is_short_and_begins_with_the_two_commands():
    lines = (REPO / "README.md").read_text().splitlines()
    first = "\n".join(lines[:30])
    assert "make demo" in first and "make test" in first
    assert len(lines) <= 90


@pytest.mark.parametrize(
    "name", ["report", "console", "console-incident", "console-dark", "console-390"]
)
def test_the_pictures_exist_and_are_small(name):
    picture = Path(REPO / "docs" / "assets" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 400_000
