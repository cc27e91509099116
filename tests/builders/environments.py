"""Environment variables of the commands that tests run."""

import os


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's variables without Panther's, and with the given ones."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PANTHER_")}
    return clean | variables
