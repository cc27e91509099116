"""The manifest that `init` leaves in a repository: its version, and each file as it was shipped.

It has whole files and not only hashes, since a merge of the user's and a newer version's changes
needs the text that both started from.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_panther.content.kinds import FOLDERS
from local_panther.errors import ContentError, Problem

NAME = ".local-panther-init.json"
# Version 0.1.0 left no manifest, so its files come with the package.
WITHOUT_MANIFEST = Path(__file__).with_name("0.1.0.json")
SUFFIXES = (".py", ".yml")


@dataclass(frozen=True)
class Manifest:
    """The files of one version.

    Attributes:
        version: Version of local-panther.
        files: Files as they were shipped, by their paths in a content repository.
        yours: Paths at which the repository has files of its own, which were skipped.
    """

    version: str
    files: Mapping[str, bytes]
    yours: frozenset[str] = field(default_factory=frozenset)

    def to_bytes(self) -> bytes:
        """Return the content of the manifest's file."""
        files = {
            path: {
                "sha256": hashlib.sha256(data).hexdigest(),
                "shipped": base64.b64encode(zlib.compress(data, 9)).decode(),
            }
            for path, data in sorted(self.files.items())
        }
        about = "Written by local-panther init, which needs it to upgrade these files. Commit it."
        whole = {"about": about, "version": self.version, "files": files}
        if self.yours:
            whole["yours"] = sorted(self.yours)
        return (json.dumps(whole, indent=1) + "\n").encode()


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a repository; None if `init` never wrote there.

    Raises:
        ContentError: The manifest is damaged.
        OSError: The manifest cannot be read.
    """
    path = folder / NAME
    return _parsed(path) if path.is_file() else None


def manifest_of(folder: Path) -> Manifest:
    """Return the files of a folder of content, such as an older checkout, as a manifest.

    Raises:
        ContentError: The folder holds no content.
        OSError: A file cannot be read.
    """
    files = content_in(folder)
    if not files:
        raise ContentError([Problem(str(folder), "holds no Panther content (rules/, queries/, …)")])
    return Manifest("the base", files)


def content_in(folder: Path) -> dict[str, bytes]:
    """Return all files of content in a folder by their paths.

    Raises:
        OSError: A file cannot be read.
    """
    places = sorted(set(FOLDERS.values()))
    paths = (path for name in places for path in sorted((folder / name).rglob("*")))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in paths
        if path.suffix in SUFFIXES
    }


def version_without_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of version 0.1.0, which left none, if a repository seems to have it.

    A copy of the detections has most of their paths; other content shares a few of them at most.
    """
    manifest = _parsed(WITHOUT_MANIFEST)
    there = sum((folder / path).is_file() for path in manifest.files)
    return manifest if there * 2 > len(manifest.files) else None


def _parsed(path: Path) -> Manifest:
    try:
        whole: Any = json.loads(path.read_bytes())
        files = {name: _shipped(entry) for name, entry in whole["files"].items()}
        return Manifest(str(whole["version"]), files, frozenset(whole.get("yours", ())))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        what = "is damaged, so your changes cannot be recognised; restore it from git"
        raise ContentError([Problem(str(path), f"{what} ({error!r})")]) from error


def _shipped(entry: Any) -> bytes:
    data = zlib.decompress(base64.b64decode(entry["shipped"], validate=True))
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ValueError("a file does not match its hash")
    return data
