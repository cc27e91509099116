"""The word list of `make lint`: it finds words in prose, in names and across cases."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.events import REPO

pytestmark = pytest.mark.process

# Written in parts, so that the list does not find them here
FOUND = ("an" + "ew", "Mean" + "while", "at" + " hand", "half" + " characters")


def codespell(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("codespell"), *paths]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True)


@pytest.mark.parametrize("word", FOUND)
@pytest.mark.parametrize("line", ["It is read {}.", "def test_it_is_{}_read():"])
def test_a_listed_word_is_found_with_its_line(tmp_path, word, line):
    (tmp_path / "text.py").write_text(f"fine\n{line.format(word)}\n")
    done = codespell(tmp_path)
    assert done.returncode and f"text.py:2: {word}" in done.stdout


def test_other_words_are_accepted(tmp_path):
    (tmp_path / "text.md").write_text("It is read again, at the same time, by the handler.\n")
    assert codespell(tmp_path).returncode == 0
