"""The files of the detections that come with local-panther."""

from local_panther.bundle.manifest import content_in
from local_panther.content.shipped import shipped_content


def bundled_files() -> dict[str, bytes]:
    """Return all files of the detections by their paths in a content repository.

    Raises:
        OSError: A file cannot be read.
    """
    return content_in(shipped_content())
