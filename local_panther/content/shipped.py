"""Finds the detections that come with local-panther."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# pyproject.toml puts them here in a wheel. They are data, not packages to import.
IN_WHEEL = PACKAGE / "bundle" / "content"
CHECKOUT = PACKAGE.parent


def shipped_content() -> Path:
    """Return the folder of the detections, in an installed wheel or in the checkout.

    Raises:
        FileNotFoundError: The detections are missing, because the package was built differently.
    """
    if IN_WHEEL.is_dir():
        return IN_WHEEL
    # Any files can lie beside an installed package, so make sure that this is the checkout.
    if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "rules").is_dir():
        return CHECKOUT
    raise FileNotFoundError(f"the detections are not in {IN_WHEEL}; reinstall local-panther")
