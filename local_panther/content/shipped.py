"""Finds the detections that come with local-panther."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# A wheel has them here: pyproject.toml says so. They are data, not packages to import.
IN_WHEEL = PACKAGE / "bundle" / "content"
CHECKOUT = PACKAGE.parent


def shipped_content() -> Path:
    """Return the folder of the detections: in an installed wheel, or of the checkout.

    Raises:
        FileNotFoundError: There are none, as the package was put together in another way.
    """
    if IN_WHEEL.is_dir():
        return IN_WHEEL
    # What is beside an installed package can be anything, so the checkout has to show that it is.
    if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "rules").is_dir():
        return CHECKOUT
    raise FileNotFoundError(f"the detections are not in {IN_WHEEL}; reinstall local-panther")
