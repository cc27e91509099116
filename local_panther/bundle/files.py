"""The files of the detections that come with local-panther."""

from local_panther.content.kinds import FOLDERS
from local_panther.content.shipped import shipped_content


def bundled_files() -> dict[str, bytes]:
    """Return all files of the detections by their path in a content repository.

    Raises:
        OSError: One of them cannot be read.
    """
    root = shipped_content()
    paths = (p for name in sorted(set(FOLDERS.values())) for p in sorted((root / name).rglob("*")))
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.suffix in (".py", ".yml")
    }
