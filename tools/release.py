"""Makes a release of the version in pyproject.toml: wheel, bill of materials, hashes, notes, tag.

`make release` runs it, after all checks and `make sbom`. The wheel contains exactly the files that
git tracks.

The tree has to be clean, and CHANGELOG.md has to begin with a dated section of that version. The
tag is created last, so that a failed release can be repeated.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

REPO = Path(__file__).parents[1]
OUTPUT = REPO / "build" / "release"
SBOM = REPO / "build" / "sbom.cdx.json"
PACKAGE = "local_panther"
CONTENT = ("correlation_rules", "data_models", "global_helpers", "queries", "rules")
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
SECTION = re.compile(r"(?ms)^## (?P<name>[^\n]+)\n(?P<text>.*?)(?=^## |\Z)")


def main() -> None:
    """Make the release; if something is missing, exit with status 1 and a message."""
    try:
        version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
        notes = release_notes((REPO / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        if _git("status", "--porcelain"):
            raise ValueError("there are changes that are not committed")
        tag = f"v{version}"
        if _git("tag", "--list", tag):
            raise ValueError(f"the tag {tag} exists already; raise the version in pyproject.toml")
        _check_sbom(version)
    except ValueError as error:
        sys.exit(f"no release: {error}")
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*build, str(OUTPUT), str(REPO)], check=True)
    (wheel,) = OUTPUT.glob("*.whl")
    try:
        check_contents(wheel, _git("ls-files").splitlines())
    except ValueError as error:
        sys.exit(f"no release: {error}")
    shutil.copy(SBOM, OUTPUT)
    sums = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in (wheel, OUTPUT / SBOM.name)
    )
    (OUTPUT / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    (OUTPUT / "notes.md").write_text(notes, encoding="utf-8")
    _git("tag", "--annotate", "--cleanup=verbatim", tag, "--file", str(OUTPUT / "notes.md"))
    print(f"{tag}: all that belongs to it is in {OUTPUT.relative_to(REPO)}")
    print(f"publish it with: git push origin {tag}")


def release_notes(changes: str, version: str) -> str:
    """Return the section of a version in the change log.

    Args:
        changes: The change log.
        version: The version, which has to be the newest in the change log.

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


def check_contents(wheel: Path, tracked: Iterable[str]) -> None:
    """Check that a wheel holds the tracked files of the package and the content, and its metadata.

    Raises:
        ValueError: A file is missing or unexpected.
    """
    wanted = set()
    for name in tracked:
        folder = name.partition("/")[0]
        if folder == PACKAGE:
            wanted.add(name)
        elif folder in CONTENT:
            wanted.add(f"{PACKAGE}/bundle/content/{name}")
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    metadata = {name for name in found if name.split("/")[0].endswith(".dist-info")}
    more = found - metadata - wanted
    more |= {name for name in metadata if name.partition("/")[2] not in METADATA}
    for what, names in (("lacks", wanted - found), ("holds, and git does not track,", more)):
        if names:
            raise ValueError(f"the wheel {what} {', '.join(sorted(names)[:5])}")


def _check_sbom(version: str) -> None:
    """Check that there is a bill of materials of this version.

    Raises:
        ValueError: It is missing.
    """
    try:
        plain = json.loads(SBOM.read_text(encoding="utf-8"))
        found = plain["bomFormat"], plain["metadata"]["component"]["version"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        name = SBOM.relative_to(REPO)
        raise ValueError(f"{name}: is no bill of materials ({error}): make sbom") from error
    if found != ("CycloneDX", version):
        raise ValueError(f"{SBOM.relative_to(REPO)}: is of {' '.join(found)}: make sbom")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=REPO, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


if __name__ == "__main__":
    main()
