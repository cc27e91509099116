"""Makes a release of the version in pyproject.toml: wheel, notes and tag. `make release` runs it.

It wants a clean tree, and a section of that version on top of CHANGELOG.md with a date and nothing
left above it. The tag is made last, so a release that fails can be tried again.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).parents[1]
OUTPUT = REPO / "build" / "release"
SECTION = re.compile(r"(?ms)^## (?P<name>[^\n]+)\n(?P<text>.*?)(?=^## |\Z)")


def main() -> None:
    """Make the release, or say what is missing; exit status 1 then."""
    try:
        version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
        notes = release_notes((REPO / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        if _git("status", "--porcelain"):
            raise ValueError("there are changes that are not committed")
        tag = f"v{version}"
        if _git("tag", "--list", tag):
            raise ValueError(f"the tag {tag} exists already; raise the version in pyproject.toml")
    except ValueError as error:
        sys.exit(f"no release: {error}")
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*build, str(OUTPUT), str(REPO)], check=True)
    (OUTPUT / "notes.md").write_text(notes, encoding="utf-8")
    _git("tag", "--annotate", "--cleanup=verbatim", tag, "--file", str(OUTPUT / "notes.md"))
    print(f"{tag}: the wheel and the notes are in {OUTPUT.relative_to(REPO)}")
    print(f"publish it with: git push origin {tag}")


def release_notes(changes: str, version: str) -> str:
    """Return the section of a version in the change log.

    Args:
        changes: The change log.
        version: The version, which has to be the newest one there.

    Raises:
        ValueError: Its section is missing, has no date or is not the newest.
    """
    for section in SECTION.finditer(changes):
        name, text = section["name"].strip(), section["text"].strip()
        if name == "Unreleased" and text:
            raise ValueError(f"CHANGELOG.md: move what is under Unreleased to {version}")
        if name != "Unreleased":
            if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", name):
                raise ValueError(f"CHANGELOG.md: '{version} (YYYY-MM-DD)' has to be on top")
            return f"{text}\n"
    raise ValueError("CHANGELOG.md has no section")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=REPO, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


if __name__ == "__main__":
    main()
