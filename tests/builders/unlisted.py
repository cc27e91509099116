"""The content that tests replay: this repository's, without the principals that its settings list.

Tests invent their principals, and one of them may have the name of a principal that the owner of
this repository expects. The copy omits the owner's lists; threshold and window stay. Replays of the
copy are also faster, since they do not walk through the whole repository.
"""

import atexit
import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.builders.configurations import PRINCIPALS, SETTINGS, change_settings
from tests.builders.events import CONTENT_FOLDERS, REPO


def copy_content(copy: Path) -> Path:
    """Copy this repository's content to a new folder and return the folder."""
    for folder in CONTENT_FOLDERS:
        shutil.copytree(REPO / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / ".panther_settings.yml", copy)
    return copy


def without_listed_principals(folder: Path) -> Path:
    """Reset the settings about principals in a copy, and return the copy."""
    change_settings(folder, **PRINCIPALS)
    return folder


def _content() -> Path:
    settings: dict[str, Any] = runpy.run_path(str(REPO / SETTINGS))
    folder = copy_content(Path(tempfile.mkdtemp(prefix="content-")))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    is_unlisted = all(settings[name] == value for name, value in PRINCIPALS.items())
    return folder if is_unlisted else without_listed_principals(folder)


CONTENT = _content()
