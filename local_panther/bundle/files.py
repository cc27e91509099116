"""Finds the detections that come with local-panther."""

from pathlib import Path

from local_panther.content.kinds import FOLDERS

# A wheel has them here: pyproject.toml says so. They are data, not packages to import.
IN_WHEEL = Path(__file__).parent / "content"
CHECKOUT = Path(__file__).parents[2]


def bundled_content() -> Path:
    """Return the folder of the detections: in an installed wheel, or of the checkout.

    Raises:
        FileNotFoundError: There are none, as the package was put together in another way.
    """
    if IN_WHEEL.is_dir():
        return IN_WHEEL
    # What is beside an installed package can be anything, so the checkout has to show that it is.
    if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "rules").is_dir():
        return CHECKOUT
    raise FileNotFoundError(f"the detections are not in {IN_WHEEL}; install local-panther anew")


def bundled_files() -> dict[str, bytes]:
    """Return all files of the detections by their path in a content repository.

    Raises:
        OSError: One of them cannot be read.
    """
    root = bundled_content()
    paths = (p for name in sorted(set(FOLDERS.values())) for p in sorted((root / name).rglob("*")))
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.suffix in (".py", ".yml")
    }
