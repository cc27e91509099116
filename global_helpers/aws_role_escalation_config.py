"""Settings of "Failed Attempt to Elevate Privileges via Multiple AWS Roles". Change them here.

SQL and the correlation rules cannot read Python, so some of their files repeat a value. A comment
beside each such value names the setting it has to agree with, and `local-panther test` reports
every place that does not: file, line and both values.
"""

# How many distinct roles a principal must fail on, within how many minutes of event time.
THRESHOLD = 10
WINDOW_MINUTES = 60

# Principals that are expected to fail on many roles: no signal and no alert. Exact names as alerts
# show them under "principal", or patterns with * and ?:
#   "arn:aws:iam::*:role/InventoryScannerRole",
#   "identity-center:dana@example.com",
EXPECTED_PRINCIPALS: list[str] = []

# Roles whose session name is a person, because a SAML identity provider sets it: each session is a
# principal of its own. The beginnings of role names, such as "OktaSSO-". People of IAM Identity
# Center are recognised without it.
PERSON_ROLE_PREFIXES: list[str] = []

# True: all sessions of a role count as one principal, since the caller picks the session name and
# could rotate it. False: every userIdentity.arn is a principal of its own.
COLLAPSE_SESSIONS = True

# What is a fan-out, and so Low or Medium: up to FEW_NAMES role names in more accounts than that, or
# ACCOUNTS_PER_NAME accounts for each of any number of names. A burst is judged from the attempt on
# that crosses the threshold: with one below 10, three names look like a search at first.
FEW_NAMES = 3
ACCOUNTS_PER_NAME = 5

# The rest follows from the settings above.

# A correlation rule has to look back over the window, its own rate (30 minutes) and CloudTrail's
# delivery delay (15 minutes).
LOOKBACK_MINUTES = WINDOW_MINUTES + 60

# The success query has to look back over the window, the hour after the burst in which a success
# counts, its own rate (30 minutes) and the delivery delay (15 minutes).
SUCCESS_LOOKBACK_MINUTES = WINDOW_MINUTES + 120


def person_role_pattern(prefixes: list[str]) -> str:
    """Return a regular expression of whole role names that SQL can match."""
    return "|".join(f"{prefix.replace('.', '[.]').replace('+', '[+]')}.*" for prefix in prefixes)


PERSON_ROLE_PATTERN = person_role_pattern(PERSON_ROLE_PREFIXES)
