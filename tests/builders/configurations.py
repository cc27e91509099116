"""Configurations of this package as users make them: the edits that README describes, in a copy.

Each starts from the shipped settings, so that it is the same in a repository whose owner has
changed them. Settings are changed in the same way as by `local-panther set`.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from local_panther.content.following import Repository

SETTINGS = "global_helpers/aws_role_escalation_config.py"
BLOCKLIST = "rules/aws_cloudtrail_rules/aws_iam_assume_role_blocklist_ignored"
OPT_INS = ("IdentityCenterSession", "SAMLUser", "WebIdentityUser", "OtherAccountUser")

# The shipped settings of who counts as one principal and who is expected to fail
PRINCIPALS = {"EXPECTED_PRINCIPALS": [], "PERSON_ROLE_PREFIXES": [], "COLLAPSE_SESSIONS": True}

# The shipped entry of InlineFilters that holds the roles
EXACT = """\
  - KeyPath: requestParameters.roleArn
    Condition: IsIn
    Values:
      - arn:aws:iam::123456789012:role/FullAdminRole
"""
MORE_ARNS = """\
      - arn:aws:iam::111122223333:role/BillingAdmin
      - arn:aws-us-gov:iam::444455556666:role/break-glass/Operator
"""

ROLES_FILTER = re.compile(
    r"(?P<before>^InlineFilters:\n  - KeyPath: eventName.*?\n)(?P<roles>  - .*?)(?=^\S)",
    re.M | re.S,
)


def shipped(folder: Path) -> None:
    """Restore the shipped settings."""
    change_settings(folder, THRESHOLD=10, WINDOW_MINUTES=60, **PRINCIPALS)
    change_blocklist(folder, EXACT, enabled=False)
    body = folder / f"{BLOCKLIST}.py"
    names = "|".join(OPT_INS)
    body.write_text(re.sub(rf'(?m)^( +)("(?:{names})",)', r"\1# \2", body.read_text()))


def threshold_of_five(folder: Path) -> None:
    """Let five roles make a burst."""
    shipped(folder)
    change_settings(folder, THRESHOLD=5)


def window_of_four_hours(folder: Path) -> None:
    """Let a burst take up to four hours, and expect one principal to fail."""
    shipped(folder)
    expected = ["arn:aws:iam::*:role/BuildRunnerRole"]
    change_settings(folder, WINDOW_MINUTES=240, EXPECTED_PRINCIPALS=expected)


def exact_arns(folder: Path) -> None:
    """Add ARNs to the blocklist, and include people of Identity Center and SAML."""
    shipped(folder)
    change_blocklist(folder, EXACT + MORE_ARNS, enabled=True)
    include_people(folder, "IdentityCenterSession", "SAMLUser")


def patterns(folder: Path) -> None:
    """Replace the blocklist with the form with Any that the sidecar's comment shows."""
    shipped(folder)
    form = shown_form(folder)
    assert "StartsWith" not in form, "the sidecar shows StartsWith itself: add none here"
    starts = "      - KeyPath: requestParameters.roleArn\n        Condition: StartsWith\n"
    change_blocklist(
        folder, f"{form}{starts}        Value: 'arn:aws:iam::888877776666:'\n", enabled=True
    )


def everything_shown(folder: Path) -> None:
    """Apply all examples of lists in comments and pages: expected principals, people, roles."""
    from tests.builders.examples import apply_together  # here, since it imports this module

    shipped(folder)
    apply_together(folder)


def sessions(folder: Path) -> None:
    """Make every session of a role a principal of its own."""
    shipped(folder)
    change_settings(folder, COLLAPSE_SESSIONS=False)


CONFIGURATIONS: dict[str, Callable[[Path], None]] = {
    "five": threshold_of_five,
    "window": window_of_four_hours,
    "arns": exact_arns,
    "any": patterns,
    "shown": everything_shown,
    "sessions": sessions,
}


def change_settings(folder: Path, **values: object) -> None:
    """Change settings of the second detection, and the values that must agree with them.

    Args:
        folder: The root of a copy of this repository's content.
        **values: New values by the setting's name.
    """
    asked = [f"{name}={json.dumps(value)}" for name, value in values.items()]
    for path, text in Repository(folder).changed(asked).items():
        (folder / path).write_text(text)


def change_blocklist(folder: Path, roles: str, *, enabled: bool) -> None:
    """Replace the entry of the blocklist's InlineFilters that holds the roles."""
    file = folder / f"{BLOCKLIST}.yml"
    text, count = ROLES_FILTER.subn(lambda found: found["before"] + roles, file.read_text())
    assert count == 1, f"{file}: InlineFilters are not the event's name and one entry for the roles"
    switch = f"Enabled: {str(enabled).lower()}"
    file.write_text(re.sub(r"(?m)^Enabled: \w+", switch, text))


def shown_form(folder: Path) -> str:
    """Return the entry with Any from the comment of the blocklist."""
    text = (folder / f"{BLOCKLIST}.yml").read_text()
    shown = re.search(r"(?m)^#   - Any:\n(?:#    .*\n)+", text)
    assert shown, "the sidecar shows no form with Any"
    return re.sub(r"(?m)^# ", "", shown[0])


def include_people(folder: Path, *kinds: str) -> None:
    """Uncomment entries of PERSON_TYPES."""
    body = folder / f"{BLOCKLIST}.py"
    text = body.read_text()
    for kind in kinds:
        text, count = re.subn(rf'(?m)^( +)# ("{kind}",)', r"\1\2", text)
        assert count == 1, f"{body}: {kind} is not commented out beside PERSON_TYPES"
    body.write_text(text)
